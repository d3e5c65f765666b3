#include "vec.h"

#include "base/rng.h"
#include "libp2p/multistream.h"

#define HEADER "\x13/multistream/1.0.0\n"
#define NOISE  "\x07/noise\n"
#define YAMUX  "\x0d/yamux/1.0.0\n"
#define TLS    "\x0b/tls/1.0.0\n"
#define NA     "\x03na\n"
#define LS     "\x03ls\n"

static const char *const noise_only[] = {"/noise"};
static const char *const two[] = {"/yamux/1.0.0", "/noise"};

/* Text gathered from an output. */
struct text {
    size_t len;
    uint8_t p[8192];
};

static struct slice text_slice(const struct text *t)
{
    return slice_of(t->p, t->len);
}

static void drain_listener(struct mss_listener *l, struct text *out, size_t cap)
{
    size_t n;

    while ((n = mss_listener_output(l, out->p + out->len, cap < sizeof(out->p) - out->len ? cap : 0)))
        out->len += n;
}

static void drain_dialer(struct mss_dialer *d, struct text *out, size_t cap)
{
    size_t n;

    while ((n = mss_dialer_output(d, out->p + out->len, cap)))
        out->len += n;
}

/* Feeds one chunk until it is used up or the choice is made; answers go out `cap` bytes at a time. */
static int feed_listener(struct mss_listener *l, struct slice *in, struct text *out, size_t cap)
{
    for (;;) {
        ssize_t n = mss_listener_input(l, *in);
        if (n < 0)
            return (int)n;
        *in = slice_of(in->p + n, in->len - (size_t)n);
        size_t before = out->len;
        drain_listener(l, out, cap);
        if (mss_listener_is_done(l) || (in->len == 0 && out->len == before) || (n == 0 && out->len == before))
            return 0;
    }
}

static int feed_dialer(struct mss_dialer *d, struct slice *in, struct text *out, size_t cap)
{
    for (;;) {
        ssize_t n = mss_dialer_input(d, *in);
        if (n < 0)
            return (int)n;
        *in = slice_of(in->p + n, in->len - (size_t)n);
        size_t before = out->len;
        drain_dialer(d, out, cap);
        if (mss_dialer_is_done(d) || (n == 0 && out->len == before))
            return 0;
    }
}

static void test_multistream_names_are_framed_as_recorded(void **state)
{
    json_t *root = vec_load("multistream.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "protocols"), i, v)
    {
        const char *name = vec_str(v, "text");
        struct bytes want = vec_hex(v, "hex");
        struct mss_dialer d;
        struct text out = {0};

        mss_dialer_init(&d, &name, 1, false);
        drain_dialer(&d, &out, 1000);
        assert_slice(slice_of(out.p + 20, out.len - 20), bytes_slice(want));
        free(want.p);
    }
    json_decref(root);
}

/* The recorded conversations of a js listener: ours answers byte for byte the same, however the bytes arrive. */
static void replay(json_t *conversation, size_t chunk)
{
    struct mss_listener l;
    struct text got = {0}, want = {0};
    bool closes = false, is_closed = false;
    json_t *t;
    size_t i;

    mss_listener_init(&l, noise_only, 1);
    json_array_foreach(vec_get(conversation, "talk"), i, t)
    {
        struct bytes b;
        if (json_is_true(json_object_get(t, "closed"))) {
            closes = true;
            continue;
        }
        b = vec_hex(t, "hex");
        if (strcmp(vec_str(t, "from"), "js") == 0) {
            memcpy(want.p + want.len, b.p, b.len);
            want.len += b.len;
            assert_slice(text_slice(&got),
                         text_slice(&want)); /* each answer at once, not one message later */
        }
        for (size_t at = 0; strcmp(vec_str(t, "from"), "client") == 0 && at < b.len && !is_closed;
             at += chunk) {
            struct slice in = {b.p + at, b.len - at < chunk ? b.len - at : chunk};
            is_closed = feed_listener(&l, &in, &got, 7) < 0;
        }
        free(b.p);
    }
    assert_int_equal(is_closed, closes);
}

static void test_multistream_listener_replays_js_conversations(void **state)
{
    json_t *root = vec_load("multistream.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "conversations"), i, v) for (size_t chunk = 1; chunk < 64; chunk++)
        replay(v, chunk);
    assert_true(i >= 5);
    json_decref(root);
}

struct listener_case {
    const char *name, *in, *out, *rest;
    int err, choice; /* choice -1: not done */
};

static const struct listener_case listener_cases[] = {
    {"nothing", "", "", "", 0, -1},
    {"header alone is answered", HEADER, HEADER, "", 0, -1},
    {"lazy with payload", HEADER NOISE "payload", HEADER NOISE, "payload", 0, 1},
    {"second of the list", HEADER YAMUX "\x02", HEADER YAMUX, "\x02", 0, 0},
    {"na and again", HEADER TLS NOISE, HEADER NA NOISE, "", 0, 1},
    {"ls and again", HEADER LS NOISE, HEADER "\x17" YAMUX NOISE "\n" NOISE, "", 0, 1},
    {"wrong version", "\x13/multistream/2.0.0\n" HEADER NOISE, NA HEADER NOISE, "", 0, 1},
    {"name without header", NOISE HEADER NOISE, NA HEADER NOISE, "", 0, 1},
    {"a name that continues one of ours", HEADER "\x08/noisee\n", HEADER NA, "", 0, -1},
    {"a name that is cut", HEADER "\x06/nois\n", HEADER NA, "", 0, -1},
    {"empty name", HEADER "\x01\n", HEADER NA, "", 0, -1},
    {"newline inside", HEADER "\x07/no\nse\n", HEADER NA, "", 0, -1},
    {"half a length", HEADER "\x80", HEADER, "", 0, -1},
    {"simultaneous connect", HEADER "\x1d/libp2p/simultaneous-connect\n" NOISE, HEADER NA NOISE, "", 0, 1},
    {"missing newline", HEADER "\x07/noise ", HEADER, "", -MSS_ENEWLINE, -1},
    {"length over 1024", HEADER "\x81\x08", HEADER, "", -MSS_ELENGTH, -1},
    {"length of three bytes", HEADER "\x81\x80\x01", HEADER, "", -MSS_ELENGTH, -1},
    {"http", "GET /a/path/of/some/length HTTP/1.1\r\nHost: example.com\r\nUser-Agent: somebody\r\n", "", "",
     -MSS_ENEWLINE, -1},
};

static void check_listener(const struct listener_case *c, size_t chunk, size_t cap)
{
    struct slice all = slice_str(c->in), in = {all.p, 0};
    struct mss_listener l;
    struct text out = {0};
    int rc = 0;

    mss_listener_init(&l, two, 2);
    for (size_t at = 0; at < all.len && !rc && !mss_listener_is_done(&l); at += chunk) {
        in = slice_of(all.p + at, all.len - at < chunk ? all.len - at : chunk);
        rc = feed_listener(&l, &in, &out, cap);
    }
    /* an error may come before the answers to what was in the same chunk */
    if (rc != c->err || !slice_is_equal(text_slice(&out), slice_of(c->out, rc ? out.len : strlen(c->out))))
        fail_msg("%s, chunk %zu: %s, \"%.*s\"", c->name, chunk, mss_err_name(rc), (int)out.len, out.p);
    assert_int_equal(mss_listener_is_done(&l), c->choice >= 0);
    if (c->choice >= 0) {
        assert_int_equal(mss_listener_choice(&l), c->choice);
        /* the rest of this chunk, and the chunks behind, are the next layer's */
        assert_true((size_t)(all.p + all.len - in.p) >= strlen(c->rest));
        assert_string_equal((const char *)in.p, c->rest);
    }
}

static void test_multistream_listener_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof(listener_cases) / sizeof(listener_cases[0]); i++)
        for (size_t chunk = 1; chunk < 80; chunk++)
            for (size_t cap = 1; cap < 64; cap += 9)
                check_listener(&listener_cases[i], chunk, cap);
}

static void test_multistream_refuses_length_zero(void **state)
{
    struct mss_listener l;

    mss_listener_init(&l, two, 2);
    assert_int_equal(mss_listener_input(&l, slice_of("\0", 1)), -MSS_ELENGTH);
    mss_listener_init(&l, two, 2);
    assert_int_equal(mss_listener_input(&l, slice_of("\x83\0", 2)), -MSS_ELENGTH); /* 3, not minimal */
}

/* 1024 bytes are legal and refused with na, without room for them in the state. */
static void test_multistream_listener_refuses_long_names_politely(void **state)
{
    uint8_t message[1026];
    struct mss_listener l;
    struct text out = {0};
    struct slice in = SLICE_LIT(HEADER);

    mss_listener_init(&l, two, 2);
    assert_int_equal(feed_listener(&l, &in, &out, 100), 0);
    memset(message, 'a', sizeof(message));
    message[0] = 0x80, message[1] = 0x08, message[1025] = '\n';
    in = slice_of(message, sizeof(message));
    assert_int_equal(feed_listener(&l, &in, &out, 100), 0);
    assert_slice(text_slice(&out), SLICE_LIT(HEADER NA));
    in = SLICE_LIT(NOISE);
    assert_int_equal(feed_listener(&l, &in, &out, 100), 0);
    assert_true(mss_listener_is_done(&l));
}

static void test_multistream_listener_takes_no_input_while_an_answer_waits(void **state)
{
    struct mss_listener l;
    struct slice in = SLICE_LIT(HEADER TLS TLS TLS);
    struct text out = {0};

    mss_listener_init(&l, two, 2);
    assert_int_equal(mss_listener_input(&l, in), sizeof(HEADER TLS) - 1);
    assert_int_equal(mss_listener_input(&l, SLICE_LIT(TLS TLS)), 0);
    drain_listener(&l, &out, 5);
    assert_slice(text_slice(&out), SLICE_LIT(HEADER NA));
    assert_int_equal(mss_listener_input(&l, SLICE_LIT(TLS TLS)), sizeof(TLS) - 1);
}

static void test_multistream_listener_gives_up_after_many_tries(void **state)
{
    struct mss_listener l;
    struct text out = {0};
    struct slice in = SLICE_LIT(HEADER);
    int rc = feed_listener((mss_listener_init(&l, two, 2), &l), &in, &out, 100);

    for (unsigned i = 0; i < MSS_TRIES_MAX; i++) {
        in = i % 2 ? SLICE_LIT(LS) : SLICE_LIT(TLS);
        rc = feed_listener(&l, &in, &out, 100);
        assert_int_equal(rc, 0);
    }
    in = SLICE_LIT(TLS);
    assert_int_equal(feed_listener(&l, &in, &out, 100), -MSS_ETRIES);
}

/* Many names: the answer to ls keeps to one legal message. */
static void test_multistream_ls_keeps_the_limit(void **state)
{
    static char long_name[MSS_NAME_MAX + 1];
    const char *names[20];
    struct mss_listener l;
    struct text out = {0};
    struct slice in = SLICE_LIT(HEADER LS);

    memset(long_name, 'n', MSS_NAME_MAX);
    for (size_t i = 0; i < 20; i++)
        names[i] = long_name;
    mss_listener_init(&l, names, 20);
    assert_int_equal(feed_listener(&l, &in, &out, 100), 0);
    size_t body = (out.p[20] & 0x7fu) | (size_t)out.p[21] << 7;
    assert_int_equal(body, 7 * (MSS_NAME_MAX + 3) + 1);
    assert_int_equal(out.len, 20 + 2 + body);
    assert_int_equal(out.p[out.len - 1], '\n');
}

struct dialer_case {
    const char *name, *in, *out, *rest;
    bool is_lazy;
    int err, choice;
};

static const struct dialer_case dialer_cases[] = {
    {"proposes at once", "", HEADER YAMUX, "", false, 0, -1},
    {"first taken", HEADER YAMUX "rest", HEADER YAMUX, "rest", false, 0, 0},
    {"second taken", HEADER NA NOISE "rest", HEADER YAMUX NOISE, "rest", false, 0, 1},
    {"all refused", HEADER NA NA, HEADER YAMUX NOISE, "", false, -MSS_EREFUSED, -1},
    {"lazy taken", HEADER YAMUX "rest", HEADER YAMUX, "rest", true, 0, 0},
    {"lazy refused", HEADER NA, HEADER YAMUX, "", true, -MSS_EREFUSED, -1},
    {"no header", YAMUX, HEADER YAMUX, "", false, -MSS_EHEADER, -1},
    {"na to the header", NA, HEADER YAMUX, "", false, -MSS_EHEADER, -1},
    {"another version", "\x13/multistream/2.0.0\n", HEADER YAMUX, "", false, -MSS_EHEADER, -1},
    {"another protocol", HEADER NOISE, HEADER YAMUX, "", false, -MSS_EANSWER, -1},
    {"the refused one after all", HEADER NA YAMUX, HEADER YAMUX NOISE, "", false, -MSS_EANSWER, -1},
    {"header twice", HEADER HEADER, HEADER YAMUX, "", false, -MSS_EANSWER, -1},
    {"no newline", HEADER "\x03na ", HEADER YAMUX, "", false, -MSS_ENEWLINE, -1},
    {"too long", HEADER "\xff\x0f", HEADER YAMUX, "", false, -MSS_ELENGTH, -1},
};

static void check_dialer(const struct dialer_case *c, size_t chunk, size_t cap)
{
    struct slice all = slice_str(c->in), in = {all.p, 0};
    struct mss_dialer d;
    struct text out = {0};
    int rc = 0;

    mss_dialer_init(&d, two, 2, c->is_lazy);
    drain_dialer(&d, &out, cap);
    for (size_t at = 0; at < all.len && !rc && !mss_dialer_is_done(&d); at += chunk) {
        in = slice_of(all.p + at, all.len - at < chunk ? all.len - at : chunk);
        rc = feed_dialer(&d, &in, &out, cap);
    }
    /* an error may come before the answers to what was in the same chunk */
    if (rc != c->err || !slice_is_equal(text_slice(&out), slice_of(c->out, rc ? out.len : strlen(c->out))))
        fail_msg("%s, chunk %zu: %s, \"%.*s\"", c->name, chunk, mss_err_name(rc), (int)out.len, out.p);
    assert_int_equal(mss_dialer_is_done(&d), c->choice >= 0);
    if (c->choice >= 0) {
        assert_int_equal(mss_dialer_choice(&d), c->choice);
        assert_string_equal((const char *)in.p, c->rest);
    }
}

static void test_multistream_dialer_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof(dialer_cases) / sizeof(dialer_cases[0]); i++)
        for (size_t chunk = 1; chunk < 80; chunk++)
            for (size_t cap = 1; cap < 64; cap += 9)
                check_dialer(&dialer_cases[i], chunk, cap);
}

/* An answer that arrives before its question went out waits where it is. */
static void test_multistream_dialer_ignores_answers_from_the_future(void **state)
{
    struct mss_dialer d;
    uint8_t out[64];

    mss_dialer_init(&d, two, 2, false);
    assert_int_equal(mss_dialer_output(&d, out, 25), 25); /* cut inside the proposal */
    assert_int_equal(mss_dialer_input(&d, SLICE_LIT(HEADER NA)), sizeof(HEADER) - 1);
    assert_int_equal(mss_dialer_input(&d, SLICE_LIT(NA)), 0);
    assert_int_equal(mss_dialer_output(&d, out, sizeof(out)), sizeof(HEADER YAMUX) - 1 - 25);
    assert_int_equal(mss_dialer_input(&d, SLICE_LIT(NA)), sizeof(NA) - 1);
    assert_int_equal(mss_dialer_output(&d, out, sizeof(out)), sizeof(NOISE) - 1);
    assert_memory_equal(out, NOISE, sizeof(NOISE) - 1);
}

/* Ours against ours, random chunks both ways, next-layer bytes right behind. */
static void test_multistream_ends_agree(void **state)
{
    static const char *const wants[] = {"/a", "/tls/1.0.0", "/noise", "/yamux/1.0.0"};
    struct rng rng;

    rng_init_seeded(&rng, 7);
    for (unsigned round = 0; round < 500; round++) {
        bool is_lazy = round % 2;
        struct mss_dialer d;
        struct mss_listener l;
        struct text to_l = {0}, to_d = {0};
        size_t l_at = 0, d_at = 0;

        mss_dialer_init(&d, is_lazy ? two : wants, is_lazy ? 2 : 4, is_lazy);
        mss_listener_init(&l, two, 2);
        for (unsigned step = 0; step < 2000 && !(mss_dialer_is_done(&d) && mss_listener_is_done(&l));
             step++) {
            size_t k = 1 + rng_below(&rng, 40);
            struct slice in;
            if (rng_below(&rng, 2)) {
                to_l.len += mss_dialer_output(&d, to_l.p + to_l.len, k);
                in = slice_of(to_l.p + l_at, to_l.len - l_at < k ? to_l.len - l_at : k);
                ssize_t n = mss_listener_input(&l, in);
                assert_true(n >= 0);
                l_at += (size_t)n;
            } else {
                to_d.len += mss_listener_output(&l, to_d.p + to_d.len, k);
                in = slice_of(to_d.p + d_at, to_d.len - d_at < k ? to_d.len - d_at : k);
                ssize_t n = mss_dialer_input(&d, in);
                assert_true(n >= 0);
                d_at += (size_t)n;
            }
        }
        assert_true(mss_dialer_is_done(&d) && mss_listener_is_done(&l));
        assert_int_equal(mss_dialer_choice(&d), is_lazy ? 0 : 2);
        assert_int_equal(mss_listener_choice(&l), is_lazy ? 0 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multistream_names_are_framed_as_recorded),
        cmocka_unit_test(test_multistream_listener_replays_js_conversations),
        cmocka_unit_test(test_multistream_listener_at_every_split),
        cmocka_unit_test(test_multistream_refuses_length_zero),
        cmocka_unit_test(test_multistream_listener_refuses_long_names_politely),
        cmocka_unit_test(test_multistream_listener_takes_no_input_while_an_answer_waits),
        cmocka_unit_test(test_multistream_listener_gives_up_after_many_tries),
        cmocka_unit_test(test_multistream_ls_keeps_the_limit),
        cmocka_unit_test(test_multistream_dialer_at_every_split),
        cmocka_unit_test(test_multistream_dialer_ignores_answers_from_the_future),
        cmocka_unit_test(test_multistream_ends_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
