/* The two recorded connections between js nodes, one side of each played back into our session in the other seat. */
#include "session_tools.h"

#include <jansson.h>

#include "base/text.h"
#include "libp2p/yamux_wire.h"

#define MAX (1 << 16)

struct bytes {
    uint8_t p[MAX];
    size_t len;
};

/* What one side said inside the muxer, per stream: multistream and all. */
#define IDS 8
struct talk {
    struct bytes data[IDS];
    bool has_fin[IDS], has_syn[IDS], has_ack[IDS];
    bool has_goaway, has_pong;
    uint32_t pong;
    struct bytes muxer; /* multistream's words before yamux */
};

struct capture {
    bool is_early;
    struct bytes d2l, l2d;
    uint8_t statics[2][32], ephemerals[2][32], keys[2][32]; /* 0: initiator */
    uint8_t seeds[2][32];
    struct talk talk[2];
};

static struct capture cap;
static struct side us;

/* ---- reading ---- */

static size_t unhex(uint8_t *out, size_t max, const json_t *v)
{
    ssize_t n = hex_decode(out, max, slice_str(json_string_value(v)));

    assert_true(n >= 0);
    return (size_t)n;
}

static void add(struct bytes *b, const uint8_t *p, size_t n)
{
    assert_true(b->len + n <= MAX);
    memcpy(b->p + b->len, p, n);
    b->len += n;
}

/* Yamux plaintext, muxer negotiation in front when it is not early. */
static void read_talk(struct talk *t, const struct bytes *b)
{
    size_t at = 0;

    while (at < b->len && b->p[at] != 0) { /* a multistream message: its length is never 0 */
        add(&t->muxer, b->p + at, b->p[at] + 1u);
        at += b->p[at] + 1u;
    }
    while (at < b->len) {
        struct yamux_head h = yamux_head_decode(b->p + at);
        assert_true(h.version == 0 && at + 12 <= b->len);
        at += 12;
        if (h.type == YAMUX_PING) {
            if (h.flags == YAMUX_ACK)
                t->has_pong = true, t->pong = h.length;
            continue;
        }
        if (h.type == YAMUX_GOAWAY) {
            t->has_goaway = true;
            continue;
        }
        assert_true(h.stream < IDS);
        t->has_fin[h.stream] |= h.flags & YAMUX_FIN;
        t->has_syn[h.stream] |= h.flags & YAMUX_SYN;
        t->has_ack[h.stream] |= h.flags & YAMUX_ACK;
        if (h.type == YAMUX_DATA) {
            assert_true(at + h.length <= b->len);
            add(&t->data[h.stream], b->p + at, h.length);
            at += h.length;
        }
    }
}

static void load(const char *file)
{
    json_t *root = json_load_file(file, 0, NULL), *n, *v;
    static struct bytes plain[2];
    size_t i;

    assert_non_null(root);
    memset(&cap, 0, sizeof(cap));
    memset(plain, 0, sizeof(plain));
    cap.is_early = strstr(file, "early") != NULL;
    cap.d2l.len = unhex(cap.d2l.p, MAX, json_object_get(root, "dialer_to_listener"));
    cap.l2d.len = unhex(cap.l2d.p, MAX, json_object_get(root, "listener_to_dialer"));
    unhex(cap.seeds[0], 32, json_object_get(root, "dialer_seed"));
    unhex(cap.seeds[1], 32, json_object_get(root, "listener_seed"));
    n = json_object_get(root, "noise");
    unhex(cap.statics[0], 32, json_object_get(n, "initiator_static"));
    unhex(cap.statics[1], 32, json_object_get(n, "responder_static"));
    unhex(cap.ephemerals[0], 32, json_object_get(n, "initiator_ephemeral"));
    unhex(cap.ephemerals[1], 32, json_object_get(n, "responder_ephemeral"));
    json_array_foreach(json_object_get(root, "noise_transport"), i, v) {
        int by = strcmp(json_string_value(json_object_get(v, "by")), "responder") == 0;
        uint8_t frame[8192];
        size_t k = unhex(frame, sizeof(frame), json_object_get(v, "plaintext"));
        add(&plain[by], frame, k);
        unhex(cap.keys[by], 32, json_object_get(v, "key"));
    }
    for (int by = 0; by < 2; by++)
        read_talk(&cap.talk[by], &plain[by]);
    json_decref(root);
}

/* ---- our seat ---- */

/* Key material is asked for 32 bytes at a time; anything else is zeroes. */
static const uint8_t *scripted_key;

static void scripted_fill(struct rng *r, void *out, size_t len)
{
    memset(out, 0, len);
    if (len == 32)
        memcpy(out, scripted_key, 32);
}

static const char *const accepts[] = {"/meshsub/1.2.0"};

/* Opens the streams that the recorded peer opened in this seat, so the other's answers find them. */
static void open_recorded(struct side *d, const struct session_event *ev, uint64_t now)
{
    const struct talk *mine = &cap.talk[!d->cfg.is_dialer];

    if (ev->type != SESSION_UP)
        return;
    for (uint32_t id = d->cfg.is_dialer ? 3 : 4; id < IDS; id += 2) {
        const struct bytes *b = &mine->data[id];
        static char name[2][64];
        char *to = name[id > 4];
        if (!mine->has_syn[id])
            continue;
        snprintf(to, 64, "%.*s", b->p[20] - 1, (const char *)b->p + 21); /* behind the header and a length */
        const char *protocol = to;
        assert_int_equal(session_open_stream(d->s, &protocol, 1, NULL, now), id);
        size_t skip = 21 + b->p[20]; /* what follows the proposal: ping's block, RPCs */
        assert_int_equal(session_stream_copy(d->s, id, slice_of(b->p + skip, b->len - skip)), 0);
    }
}

static void sit_down(bool is_dialer)
{
    int me = !is_dialer;

    memset(&us, 0, sizeof(us));
    us.rng.fill = scripted_fill;
    key_pair_from_seed(&us.key, cap.seeds[me]);
    key_pair_peer_id(&us.key, &us.id);
    scripted_key = cap.statics[me];
    noise_identity_init(&us.identity, &us.key, &us.rng);
    scripted_key = cap.ephemerals[me];
    us.local = (struct session_local){.agent = "us/1", .protocols = accepts, .nprotocols = 1};
    us.cfg = (struct session_config){.identity = &us.identity, .is_dialer = is_dialer, .accepts = accepts,
                                     .naccepts = 1, .local = &us.local, .rng = &us.rng,
                                     .has_no_early_muxer = !cap.is_early};
    us.on_event = open_recorded;
    side_start(&us, 1);
}

static void feed(const uint8_t *p, size_t n, size_t chunk)
{
    for (size_t at = 0; at < n && !us.closed; at += chunk) {
        size_t k = chunk < n - at ? chunk : n - at;
        uint8_t *copy = malloc(k);
        memcpy(copy, p + at, k);
        assert_true(side_input(&us, slice_of(copy, k), 1) == 0 || us.err == -SESSION_EGOAWAY);
        free(copy);
        side_output(&us, 65536, 1);
    }
}

/* Our own frames, opened with the recorded key, from byte `at` of what we wrote. */
static void read_ours(struct talk *t, size_t at)
{
    static struct bytes plain;
    struct noise_transport tr = {0};

    plain.len = 0;
    memset(t, 0, sizeof(*t));
    assert_int_equal(aead_init(&tr.rx, cap.keys[!us.cfg.is_dialer]), 0);
    while (at < us.out.len) {
        struct slice in = {us.out.p + at, us.out.len - at};
        static uint8_t out[NOISE_OPEN_MAX];
        ssize_t n = noise_frame_bytes(in);
        assert_true(n > 0 && (size_t)n <= in.len);
        ssize_t k = noise_open(&tr, slice_of(in.p, (size_t)n), out, sizeof(out));
        assert_true(k >= 0);
        add(&plain, out, (size_t)k);
        at += (size_t)n;
    }
    noise_transport_fini(&tr);
    read_talk(t, &plain);
}

/* ---- what both seats check ---- */

static void check_mss_answer(const struct bytes *b, const char *protocol, size_t *rest)
{
    char want[128];
    int n = snprintf(want, sizeof(want), "\x13/multistream/1.0.0\n%c%s\n", (int)strlen(protocol) + 1, protocol);

    assert_true(b->len >= (size_t)n);
    assert_memory_equal(b->p, want, n);
    *rest = (size_t)n;
}

/* What we heard on the streams they opened and on ours is what was recorded, without multistream. */
static void check_heard(const struct talk *theirs, uint32_t id, size_t mss_bytes)
{
    struct heard *h = heard_of(&us, id);
    const struct bytes *b = &theirs->data[id];

    assert_true(h->opened || h->ready);
    assert_int_equal(h->bytes, b->len - mss_bytes);
    assert_memory_equal(h->kept, b->p + mss_bytes, h->bytes);
    assert_int_equal(h->eof, theirs->has_fin[id]);
}

static void check_identify_answer(const struct talk *ours, uint32_t id)
{
    size_t rest;
    static const uint8_t agent[] = {0x32, 4, 'u', 's', '/', '1'};

    check_mss_answer(&ours->data[id], "/ipfs/id/1.0.0", &rest);
    assert_non_null(memmem(ours->data[id].p + rest, ours->data[id].len - rest, agent, sizeof(agent)));
    assert_non_null(memmem(ours->data[id].p + rest, ours->data[id].len - rest, us.identity.key_pb, 36));
    assert_int_equal(ours->data[id].p[rest], ours->data[id].len - rest - (ours->data[id].p[rest] < 128 ? 1 : 2) -
                                                 (ours->data[id].p[rest] < 128 ? 0 : 128 * (ours->data[id].p[rest + 1] - 1)));
    assert_true(ours->has_fin[id] && ours->has_ack[id]);
}

static void check_common(const struct talk *theirs, const struct talk *ours, bool is_answered)
{
    struct peer_id want;
    struct key_pair key;

    key_pair_from_seed(&key, cap.seeds[us.cfg.is_dialer]);
    key_pair_peer_id(&key, &want);
    assert_true(us.up && peer_id_is_equal(&us.peer, &want));
    assert_int_equal(us.identifies, 1);
    assert_string_equal(us.agent, "js-libp2p/3.3.11 node/20.20.2");
    assert_string_equal(us.version, "ipfs/0.1.0");
    if (!is_answered)
        return;
    assert_true(ours->has_pong && ours->pong == 0);
    assert_int_equal(ours->muxer.len, cap.is_early ? 0 : 20 + 14);
    if (!cap.is_early)
        assert_memory_equal(ours->muxer.p, theirs->muxer.p, 34);
}

/* ---- the seats ---- */

static void replay_dialer(size_t chunk)
{
    static struct talk ours;
    const struct talk *theirs = &cap.talk[1];
    size_t rest, clear = 28 + 34;

    sit_down(true);
    side_output(&us, 65536, 1);
    assert_int_equal(us.out.len, clear);
    assert_memory_equal(us.out.p, cap.d2l.p, clear);
    feed(cap.l2d.p, cap.l2d.len, chunk);
    assert_false(us.closed);
    size_t message3 = 2 + ((size_t)us.out.p[clear] << 8 | us.out.p[clear + 1]);
    if (cap.is_early) /* without the extension js sends an empty one, we send none */
        assert_memory_equal(us.out.p, cap.d2l.p, clear + message3);
    read_ours(&ours, clear + message3);
    check_common(theirs, &ours, true);
    assert_non_null(strstr(us.protocols, "/meshsub/1.2.0 "));
    assert_int_equal(us.naddrs, 1);
    assert_true(us.record.len > 0);
    check_identify_answer(&ours, 2);
    check_mss_answer(&ours.data[4], "/meshsub/1.2.0", &rest);
    check_heard(theirs, 3, 20 + 18); /* the ping we repeated is echoed */
    assert_int_equal(heard_of(&us, 3)->bytes, 32);
    check_heard(theirs, 4, 36);
    assert_true(heard_of(&us, 4)->bytes > 3167);
    check_heard(theirs, 5, 36);
    assert_int_equal(memcmp(ours.data[3].p, cap.talk[0].data[3].p, ours.data[3].len), 0);
    assert_int_equal(memcmp(ours.data[5].p, cap.talk[0].data[5].p, ours.data[5].len), 0);
    assert_int_equal(ours.data[5].len, cap.talk[0].data[5].len);
    side_fini(&us);
}

/* Message 3 covers our message 2: where that differs from the recorded one, the initiator writes it anew. */
static size_t message3_for(uint8_t *out, size_t max, struct slice message2)
{
    struct noise_handshake *h = malloc(sizeof(*h));
    struct noise_identity alice;
    struct key_pair key;
    struct rng rng = {.fill = scripted_fill};
    uint8_t skip[256];

    key_pair_from_seed(&key, cap.seeds[0]);
    scripted_key = cap.statics[0];
    noise_identity_init(&alice, &key, &rng);
    scripted_key = cap.ephemerals[0];
    noise_handshake_init(h, &alice, NOISE_INITIATOR, NULL, cap.is_early, &rng);
    assert_int_equal(noise_handshake_output(h, skip, sizeof(skip)), 34);
    assert_int_equal(noise_handshake_input(h, message2), message2.len);
    size_t n = noise_handshake_output(h, out, max);
    noise_handshake_fini(h);
    free(h);
    return n;
}

static void replay_listener(size_t chunk)
{
    static struct talk ours;
    const struct talk *theirs = &cap.talk[0];
    const size_t clear = 28 + 34;
    uint8_t message3[512];
    size_t rest;
    struct session_counters c;

    sit_down(false);
    feed(cap.d2l.p, clear, chunk);
    size_t clear_out = us.out.len;
    if (cap.is_early)
        assert_memory_equal(us.out.p, cap.l2d.p, clear_out);
    size_t n = message3_for(message3, sizeof(message3), slice_of(us.out.p + 28, clear_out - 28));
    size_t recorded = 2 + ((size_t)cap.d2l.p[clear] << 8 | cap.d2l.p[clear + 1]);
    if (cap.is_early) {
        assert_int_equal(n, recorded);
        assert_memory_equal(message3, cap.d2l.p + clear, n);
    }
    feed(message3, n, chunk);
    feed(cap.d2l.p + clear + recorded, cap.d2l.len - clear - recorded, chunk);
    assert_true(us.closed);
    assert_int_equal(us.err, -SESSION_EGOAWAY);
    read_ours(&ours, clear_out);
    bool is_answered = chunk < 100; /* all at once, the goodbye is read before we have said a word */
    check_common(theirs, &ours, is_answered);
    if (is_answered) {
        check_identify_answer(&ours, 1);
        check_mss_answer(&ours.data[3], "/ipfs/ping/1.0.0", &rest);
        assert_int_equal(ours.data[3].len, rest + 32);
        assert_memory_equal(ours.data[3].p + rest, theirs->data[3].p + 38, 32);
        assert_true(ours.has_fin[3]);
        check_mss_answer(&ours.data[5], "/meshsub/1.2.0", &rest);
    }
    session_counters_get(us.s, &c);
    assert_int_equal(c.pings_answered, 1);
    assert_non_null(strstr(us.protocols, "/ipfs/ping/1.0.0 "));
    check_heard(theirs, 4, 36);
    check_heard(theirs, 5, 36);
    assert_true(heard_of(&us, 5)->bytes > 177);
    side_fini(&us);
}

static const size_t chunks[] = {MAX, 1, 2, 3, 7, 13, 62, 1000, 1460};

static void test_early_muxer_capture_in_the_dialers_seat(void **state)
{
    load(VECTORS_DIR "/session_early_muxer.json");
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        replay_dialer(chunks[i]);
}

static void test_early_muxer_capture_in_the_listeners_seat(void **state)
{
    load(VECTORS_DIR "/session_early_muxer.json");
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        replay_listener(chunks[i]);
}

static void test_mss_muxer_capture_in_the_dialers_seat(void **state)
{
    load(VECTORS_DIR "/session_mss_muxer.json");
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        replay_dialer(chunks[i]);
}

static void test_mss_muxer_capture_in_the_listeners_seat(void **state)
{
    load(VECTORS_DIR "/session_mss_muxer.json");
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        replay_listener(chunks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_muxer_capture_in_the_dialers_seat),
        cmocka_unit_test(test_early_muxer_capture_in_the_listeners_seat),
        cmocka_unit_test(test_mss_muxer_capture_in_the_dialers_seat),
        cmocka_unit_test(test_mss_muxer_capture_in_the_listeners_seat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
