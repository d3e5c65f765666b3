#include "raw_peer.h"

#include "base/pb.h"

static struct link l;
static struct side victim;
static struct raw r;

static void connect(void)
{
    side_init(&victim, false, 3);
    raw_connect(&r, &victim);
}

static struct session_counters counters(void)
{
    struct session_counters c;

    session_counters_get(victim.s, &c);
    return c;
}

/* The victim ends with err, says GoAway with code as its last word, and nothing after it. */
static void assert_cut(int err, uint32_t code)
{
    struct yamux_head h = {0};
    struct slice body;

    if (victim.err != err)
        fail_msg("%s (%s)", session_err_name(victim.err), victim.reason);
    assert_true(victim.closed);
    raw_listen(&r);
    while (raw_next(&r, &h, &body))
        ;
    assert_int_equal(h.type, YAMUX_GOAWAY);
    assert_int_equal(h.length, code);
    assert_false(session_has_output(victim.s));
    assert_true(session_is_done(victim.s));
}

/* ---- the handshake ---- */

static void test_garbage_ends_either_seat(void **state)
{
    uint8_t junk[3000];
    struct rng rng;

    rng_init_seeded(&rng, 1);
    for (int i = 0; i < 500; i++) {
        link_init(&l, 1);
        link_start(&l);
        struct side *d = i % 2 ? &l.a : &l.b;
        rng_fill(&rng, junk, sizeof(junk));
        if (i % 3 == 0) /* past multistream */
            memcpy(junk, "\x13/multistream/1.0.0\n\x07/noise\n", 28);
        side_input(d, slice_of(junk, rng_below(&rng, sizeof(junk))), l.now);
        side_output(d, 65536, l.now);
        assert_false(d->up);
        session_on_deadline(d->s, l.now + 10 * SECOND);
        side_drain(d, l.now);
        assert_true(d->closed && d->closes == 1);
        link_fini(&l);
    }
}

/* Runs a handshake and a few words with one bit of what `from` says turned over. */
static void flipped(size_t bit, bool is_from_a)
{
    link_init(&l, 2);
    link_start(&l);
    for (int turn = 0; turn < 8; turn++) {
        for (int i = 0; i < 2; i++) {
            struct side *from = i ? &l.b : &l.a, *to = i ? &l.a : &l.b;
            size_t first;
            if (from->closed)
                continue;
            side_output(from, 65536, l.now);
            first = from->out.total - wire_left(&from->out);
            if (i == !is_from_a && bit / 8 >= first && bit / 8 < from->out.total)
                from->out.p[from->out.at + bit / 8 - first] ^= (uint8_t)(1 << bit % 8);
            link_move(&l, from, to);
        }
        if (turn == 3 && l.a.up && !l.a.closed)
            session_stream_copy(l.a.s, open_one(&l, &l.a, "/test/sink/1.0.0"), SLICE_LIT("words"));
    }
    struct side *hurt = is_from_a ? &l.b : &l.a;
    for (unsigned i = 0; i < hurt->nheard; i++)
        if (hurt->heard[i].bytes)
            fail_msg("bit %zu was not noticed", bit);
    link_fini(&l);
}

static void test_every_byte_flipped_is_noticed(void **state)
{
    struct rng rng;
    size_t n[2];

    rng_init_seeded(&rng, 4);
    link_init(&l, 2);
    link_start(&l);
    for (int turn = 0; turn < 4; turn++) {
        side_output(&l.a, 65536, l.now);
        link_move(&l, &l.a, &l.b);
        side_output(&l.b, 65536, l.now);
        link_move(&l, &l.b, &l.a);
    }
    n[0] = l.b.out.total, n[1] = l.a.out.total;
    link_fini(&l);
    for (int from = 0; from < 2; from++)
        for (size_t at = 0; at < n[from]; at++)
            flipped(8 * at + rng_below(&rng, 8), from);
}

static void test_every_truncation_is_clean(void **state)
{
    static uint8_t all[8192];
    size_t n = 0;

    link_init(&l, 5);
    link_start(&l);
    link_run(&l);
    session_stream_copy(l.a.s, open_one(&l, &l.a, "/test/sink/1.0.0"), SLICE_LIT("words"));
    link_run(&l);
    link_fini(&l);
    /* The listener is fed the dialer's side of such a connection, cut short; it must wait, then time out. */
    link_init(&l, 5);
    link_start(&l);
    n = side_output(&l.a, 65536, l.now);
    memcpy(all, l.a.out.p, n);
    for (size_t cut = 0; cut < n; cut++) {
        struct side d;
        side_init(&d, false, 9);
        side_start(&d, l.now);
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, all, cut);
        assert_int_equal(side_input(&d, slice_of(copy, cut), l.now), 0);
        assert_false(d.up || d.closed);
        session_on_deadline(d.s, l.now + 10 * SECOND);
        side_drain(&d, l.now);
        assert_int_equal(d.err, -SESSION_ETIMEOUT);
        free(copy);
        side_fini(&d);
    }
    link_fini(&l);
}

static void test_slow_handshake_does_not_buy_time(void **state)
{
    static const char hello[] = "\x13/multistream/1.0.0\n\x07/noise\n";
    uint64_t now = 5 * SECOND;

    side_init(&victim, false, 3);
    side_start(&victim, now);
    for (int i = 0; !victim.closed; i++, now += SECOND) { /* a byte a second */
        session_on_deadline(victim.s, now);
        side_drain(&victim, now);
        if (!victim.closed)
            assert_int_equal(side_input(&victim, slice_of(hello + i, 1), now), 0);
        assert_true(i <= 10);
    }
    assert_int_equal(victim.err, -SESSION_ETIMEOUT);
    side_fini(&victim);
}

static void test_multistream_without_end_is_cut(void **state)
{
    side_init(&victim, false, 3);
    side_start(&victim, 1);
    assert_int_equal(side_input(&victim, SLICE_LIT("\x13/multistream/1.0.0\n"), 1), 0);
    int err = 0, i;
    for (i = 0; i < 1000 && !err; i++) /* and never a byte of the answers read */
        err = side_input(&victim, SLICE_LIT("\x03ls\n"), 1);
    assert_int_equal(err, -SESSION_EMULTISTREAM);
    assert_true(i < 100);
    assert_true(side_output(&victim, 65536, 1) < 2048);
    side_fini(&victim);
}

/* ---- yamux ---- */

static void test_window_violation_is_answered_with_goaway(void **state)
{
    static uint8_t body[60000];

    connect();
    raw_open(&r, 1, 0, "/test/sink/1.0.0", SLICE_LIT("x"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(raw_data(&r, 0, 1, slice_of(body, sizeof(body))), 0);
    /* All was taken, but the grant that follows from it was not sent: no output yet. */
    raw_data(&r, 0, 1, slice_of(body, sizeof(body)));
    assert_cut(-SESSION_EYAMUX, YAMUX_CODE_PROTOCOL);
    assert_string_equal(victim.reason, "YAMUX_EWINDOW");
    raw_fini(&r);
}

static void test_yamux_rules_broken_are_named(void **state)
{
    static const struct {
        int type;
        unsigned flags;
        uint32_t id, length;
        const char *want;
    } rows[] = {
        {YAMUX_WINDOW, YAMUX_SYN, 2, 0, "YAMUX_EPARITY"},
        {YAMUX_DATA, YAMUX_SYN, 6, 5, "YAMUX_EPARITY"},
        {YAMUX_DATA, 0, 0, 5, "YAMUX_ESTREAM"},
        {YAMUX_DATA, 0, 99, UINT32_MAX, "YAMUX_ELENGTH"},
        {YAMUX_DATA, YAMUX_SYN, 1, UINT32_MAX, "YAMUX_ELENGTH"},
        {YAMUX_DATA, YAMUX_SYN, 1, 300000, "YAMUX_EWINDOW"},
        {7, 0, 0, 0, "YAMUX_ETYPE"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        connect();
        raw_frame(&r, rows[i].type, rows[i].flags, rows[i].id, rows[i].length, (struct slice){NULL, 0});
        assert_cut(-SESSION_EYAMUX, YAMUX_CODE_PROTOCOL);
        assert_string_equal(victim.reason, rows[i].want);
        raw_fini(&r);
    }
}

static void test_ten_thousand_streams_are_refused_beyond_256(void **state)
{
    connect();
    raw_listen(&r); /* our side's own words so far */
    for (uint32_t i = 0; i < 10000; i++) {
        raw_frame(&r, YAMUX_WINDOW, YAMUX_SYN, 2 * i + 1, 0, (struct slice){NULL, 0});
        if (i % 500 == 0)
            raw_listen(&r);
    }
    assert_false(victim.closed);
    assert_int_equal(counters().streams_now, 256 + 1); /* and our identify */
    assert_int_equal(counters().streams_refused_in, 10000 - 256);
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 10000 - 256);
    /* None of them says a word: after the negotiation's time all are gone, and there is room again. */
    r.now += 10 * SECOND;
    raw_say(&r, (uint8_t[12]){0, YAMUX_PING, 0, YAMUX_SYN}, 12);
    session_on_deadline(victim.s, r.now);
    side_drain(&victim, r.now);
    assert_int_equal(counters().streams_now, 0);
    assert_int_equal(counters().negotiations_failed_in, 256);
    raw_listen(&r);
    raw_open(&r, 30001, 0, "/test/sink/1.0.0", SLICE_LIT("room"));
    assert_int_equal(heard_of(&victim, 30001)->nkept, 4);
    raw_fini(&r);

    connect();
    static uint8_t syns[5400 * 12];
    for (uint32_t i = 0; i < 5400; i++)
        yamux_head_encode(syns + 12 * i, YAMUX_WINDOW, YAMUX_SYN, 2 * i + 1, 0);
    raw_say(&r, syns, sizeof(syns)); /* in one frame, before we can answer */
    assert_cut(-SESSION_EFLOOD, YAMUX_CODE_PROTOCOL);
    raw_fini(&r);
}

static void test_our_streams_are_not_opened_without_end(void **state)
{
    const char *proto = "/x";
    unsigned n = 0;

    connect();
    while (session_open_stream(victim.s, &proto, 1, NULL, r.now) > 0) /* it never acknowledges */
        n++;
    assert_int_equal(n, 255); /* identify is one */
    session_on_deadline(victim.s, r.now + 9 * SECOND); /* identify's end does not free its stream yet */
    side_drain(&victim, r.now);
    assert_int_equal(counters().streams_now, 256);
    raw_say(&r, (uint8_t[12]){0, YAMUX_PING, 0, YAMUX_SYN}, 12);
    session_on_deadline(victim.s, r.now + 10 * SECOND);
    victim.nheard = 0;
    struct session_event ev;
    unsigned refused = 0;
    while (session_next_event(victim.s, &ev)) {
        refused += ev.type == SESSION_STREAM_REFUSED && ev.err == -SESSION_ETIMEOUT;
        assert_int_not_equal(ev.type, SESSION_CLOSED);
    }
    assert_int_equal(refused, 255);
    assert_int_equal(counters().streams_now, 0);
    raw_fini(&r);
}

static void test_ping_floods_cost_nothing(void **state)
{
    static uint8_t pings[5000 * 12];

    connect();
    raw_listen(&r);
    for (uint32_t i = 0; i < 5000; i++)
        yamux_head_encode(pings + 12 * i, YAMUX_PING, YAMUX_SYN, 0, i);
    raw_say(&r, pings, sizeof(pings));
    assert_true(counters().pongs_dropped > 4900);
    assert_false(victim.closed);
    for (uint32_t i = 0; i < 5000; i++)
        yamux_head_encode(pings + 12 * i, YAMUX_PING, YAMUX_ACK, 0, i);
    raw_say(&r, pings, sizeof(pings));
    assert_true(counters().pongs_unasked >= 4999);
    raw_fini(&r);
}

static void test_empty_frames_are_nothing(void **state)
{
    connect();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(raw_say(&r, NULL, 0), 0);
    raw_open(&r, 1, 0, "/test/sink/1.0.0", SLICE_LIT("still here"));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(raw_data(&r, 0, 1, (struct slice){NULL, 0}), 0);
    assert_int_equal(heard_of(&victim, 1)->nkept, 10);
    raw_fini(&r);
}

/* Legal, and what other stacks may well do: one Data|FIN frame over several Noise frames, and FIN with the last byte. */
static void test_body_with_fin_may_span_frames(void **state)
{
    connect();
    raw_open(&r, 1, 0, "/test/sink/1.0.0", SLICE_LIT(""));
    raw_frame(&r, YAMUX_DATA, YAMUX_FIN, 1, 10, SLICE_LIT("01"));
    raw_say(&r, (const uint8_t *)"234", 3);
    assert_false(heard_of(&victim, 1)->eof);
    raw_say(&r, NULL, 0);
    raw_say(&r, (const uint8_t *)"56789", 5);
    assert_true(heard_of(&victim, 1)->eof);
    assert_int_equal(heard_of(&victim, 1)->nkept, 10);
    raw_open(&r, 3, 0, "/test/sink/1.0.0", SLICE_LIT("next"));
    assert_int_equal(heard_of(&victim, 3)->nkept, 4);
    raw_fini(&r);
}

static void test_forged_frame_ends_it(void **state)
{
    uint8_t frame[64] = {0, 30};

    connect();
    raw_give(&r, frame, 32);
    assert_cut(-SESSION_ENOISE, YAMUX_CODE_PROTOCOL);
    raw_fini(&r);
    connect();
    raw_give(&r, (uint8_t[]){0, 15}, 2); /* no room for a tag */
    assert_cut(-SESSION_ENOISE, YAMUX_CODE_PROTOCOL);
    raw_fini(&r);
}

static void test_goaway_codes_are_told(void **state)
{
    static const char *const want[] = {"peer said goodbye", "peer reports a protocol error",
                                       "peer reports an internal error", "peer reports an internal error"};

    for (uint32_t code = 0; code < 4; code++) {
        connect();
        raw_frame(&r, YAMUX_GOAWAY, 0, 0, code == 3 ? 12345 : code, (struct slice){NULL, 0});
        assert_int_equal(victim.err, -SESSION_EGOAWAY);
        assert_string_equal(victim.reason, want[code]);
        raw_fini(&r);
    }
}

static void test_peer_without_pongs_lives_while_it_talks(void **state)
{
    connect();
    for (int i = 0; i < 30; i++) {
        r.now += 9 * SECOND;
        raw_frame(&r, YAMUX_WINDOW, 0, 99, 1, (struct slice){NULL, 0});
        session_on_deadline(victim.s, r.now);
        raw_listen(&r);
        side_drain(&victim, r.now);
        assert_false(victim.closed);
    }
    while (!victim.closed) {
        r.now = session_next_deadline(victim.s);
        session_on_deadline(victim.s, r.now);
        side_drain(&victim, r.now);
    }
    assert_int_equal(victim.err, -SESSION_EKEEPALIVE);
    raw_fini(&r);
}

/* ---- negotiation on streams ---- */

static void test_stream_negotiation_nonsense_resets_that_stream(void **state)
{
    static const char *const rows[] = {
        "\x13/multistream/1.0.0\n\x00", "\xff\xff\xff\xff\x0f", "\x03xyz", "\x13/multistream/1.0.0\n\xff\x7f",
        "\x13/multistream/1.0.0\n\x11/test/sink/1.0.0!",
    };
    static const size_t lens[] = {21, 5, 4, 22, 38};

    connect();
    for (uint32_t i = 0; i < 5; i++)
        raw_data(&r, YAMUX_SYN, 2 * i + 1, slice_of(rows[i], lens[i]));
    assert_false(victim.closed);
    assert_int_equal(counters().negotiations_failed_in, 5);
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 5);
    raw_data(&r, YAMUX_SYN | YAMUX_FIN, 11, SLICE_LIT("\x13/multistream/1.0.0\n")); /* and ends */
    assert_int_equal(counters().negotiations_failed_in, 6);
    raw_open(&r, 13, 0, "/test/sink/1.0.0", SLICE_LIT("ok"));
    assert_int_equal(heard_of(&victim, 13)->nkept, 2);
    raw_fini(&r);
}

static void test_stream_ls_and_na_are_answered_but_not_forever(void **state)
{
    connect();
    raw_listen(&r);
    raw_data(&r, YAMUX_SYN, 1, SLICE_LIT("\x13/multistream/1.0.0\n\x03ls\n\x05/abc\n\x11/test/sink/1.0.0\nhi"));
    raw_data(&r, 0, 1, SLICE_LIT("!"));
    assert_int_equal(heard_of(&victim, 1)->nkept, 3);
    assert_memory_equal(heard_of(&victim, 1)->kept, "hi!", 3);
    raw_listen(&r);
    raw_data(&r, YAMUX_SYN, 3, SLICE_LIT("\x13/multistream/1.0.0\n"));
    unsigned i;
    for (i = 0; i < 1000 && counters().negotiations_failed_in < 1; i++)
        raw_data(&r, 0, 3, SLICE_LIT("\x03ls\n"));
    assert_true(i < 100);
    assert_false(victim.closed);
    raw_fini(&r);
}

/* ---- identify and ping ---- */

/* Frames of stream 2, our question: their answer with the given bytes behind multistream's. */
static void answer_identify(struct slice answer, unsigned flags)
{
    uint8_t b[40000];
    size_t n = (size_t)snprintf((char *)b, sizeof(b), "\x13/multistream/1.0.0\n\x0f/ipfs/id/1.0.0\n");

    raw_listen(&r);
    memcpy(b + n, answer.p, answer.len);
    raw_data(&r, YAMUX_ACK | flags, 2, slice_of(b, n + answer.len));
}

static void test_identify_of_another_key_is_refused(void **state)
{
    struct side other;
    uint8_t m[64] = {38, 0x0a, 36};

    side_init(&other, false, 1234);
    connect();
    memcpy(m + 3, other.identity.key_pb, 36);
    answer_identify(slice_of(m, 39), YAMUX_FIN);
    assert_true(victim.identify_failed && !victim.identified && !victim.closed);
    assert_int_equal(counters().identify_bad, 1);
    raw_fini(&r);
    connect();
    memcpy(m + 3, r.identity.key_pb, 36);
    answer_identify(slice_of(m, 39), YAMUX_FIN);
    assert_true(victim.identified);
    raw_fini(&r);
}

static void test_identify_nonsense_fails_alone(void **state)
{
    static uint8_t big[30000];
    struct {
        struct slice in;
        bool is_good;
    } rows[] = {
        {SLICE_LIT(""), false},                   /* no message */
        {SLICE_LIT("\x05\x32\x7f"), false},       /* ends early */
        {SLICE_LIT("\x03\x32\x7f\x00"), false},   /* a field longer than its message */
        {SLICE_LIT("\xff\xff\xff\xff\x7f"), false}, /* a giant */
        {SLICE_LIT("\x81\x40"), false},           /* 8193 */
        {SLICE_LIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), false},
        {SLICE_LIT("\x80"), false},
        {SLICE_LIT("\x00"), true},                /* says nothing */
        {SLICE_LIT("\x03\x32\x01x\x03\x2a\x01v"), true}, /* two that are merged */
        {SLICE_LIT("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), true},
        {SLICE_LIT("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), false}, /* eleven */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        connect();
        answer_identify(rows[i].in, YAMUX_FIN);
        if (victim.identified != rows[i].is_good || victim.identify_failed == rows[i].is_good)
            fail_msg("row %zu", i);
        assert_false(victim.closed);
        if (i == 8)
            assert_true(strcmp(victim.agent, "x") == 0 && strcmp(victim.version, "v") == 0);
        raw_fini(&r);
    }
    for (int more = 0; more < 2; more++) { /* 8 KiB is the most that go and js send */
        size_t n = 8192 + (size_t)more;
        connect();
        big[0] = (uint8_t)(n | 0x80), big[1] = (uint8_t)(n >> 7); /* a message of one unknown field */
        big[2] = 0x7a, big[3] = (uint8_t)((n - 3) | 0x80), big[4] = (uint8_t)((n - 3) >> 7);
        answer_identify(slice_of(big, n + 2), YAMUX_FIN);
        assert_int_equal(victim.identified, !more);
        assert_int_equal(victim.identify_failed, more);
        raw_fini(&r);
    }
    memset(big, 0, sizeof(big));
    connect(); /* a stream that never ends */
    answer_identify(SLICE_LIT(""), 0);
    for (int i = 0; i < 9; i++)
        raw_data(&r, 0, 2, slice_of(big, sizeof(big))); /* zeroes: empty messages */
    assert_true(victim.identify_failed && !victim.closed);
    raw_fini(&r);
}

static void test_pushes_merge_and_are_bounded(void **state)
{
    connect();
    answer_identify(SLICE_LIT("\x06\x32\x01x\x2a\x01v"), YAMUX_FIN);
    assert_string_equal(victim.agent, "x");
    raw_open(&r, 1, YAMUX_FIN, "/ipfs/id/push/1.0.0", SLICE_LIT("\x03\x32\x01y"));
    assert_int_equal(victim.identifies, 2);
    assert_true(victim.is_push);
    assert_string_equal(victim.agent, "y");
    assert_string_equal(victim.version, "v"); /* left out: unchanged */
    raw_listen(&r);
    for (uint32_t id = 3; id < 13; id += 2) /* begun and not ended */
        raw_open(&r, id, 0, "/ipfs/id/push/1.0.0", SLICE_LIT("\xff\x3f"));
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 3);
    raw_open(&r, 15, YAMUX_FIN, "/ipfs/id/push/1.0.0", SLICE_LIT("\x03\x32\x01z"));
    assert_string_equal(victim.agent, "y"); /* one too many */
    r.now += 10 * SECOND;
    raw_say(&r, NULL, 0);
    session_on_deadline(victim.s, r.now);
    raw_open(&r, 17, YAMUX_FIN, "/ipfs/id/push/1.0.0", SLICE_LIT("\x03\x32\x01z"));
    assert_string_equal(victim.agent, "z"); /* the others ran out of time */
    raw_fini(&r);
}

static void test_ping_answers_after_fin_as_js_asks(void **state)
{
    uint8_t block[32 + 5];
    struct yamux_head h;
    struct slice body;
    bool has_echo = false, has_fin = false;

    connect();
    raw_listen(&r);
    memset(block, 7, sizeof(block));
    raw_open(&r, 1, YAMUX_FIN, "/ipfs/ping/1.0.0", slice_of(block, sizeof(block))); /* a part of a block is not echoed */
    raw_listen(&r);
    while (raw_next(&r, &h, &body)) {
        if (h.stream != 1)
            continue;
        has_fin |= (h.flags & YAMUX_FIN) != 0;
        if (h.type == YAMUX_DATA) {
            assert_int_equal(body.len, 20 + 18 + 32);
            has_echo = memcmp(body.p + 38, block, 32) == 0;
        }
    }
    assert_true(has_echo && has_fin);
    assert_int_equal(counters().pings_answered, 1);
    assert_int_equal(counters().streams_now, 1);
    raw_fini(&r);
}

static void test_ping_streams_come_and_go(void **state)
{
    uint8_t block[32] = {1};

    connect();
    for (uint32_t id = 1; id < 41; id += 2) {
        raw_open(&r, id, YAMUX_FIN, "/ipfs/ping/1.0.0", slice_of(block, sizeof(block)));
        raw_listen(&r);
    }
    assert_int_equal(counters().pings_answered, 20);
    assert_int_equal(counters().resets_out, 0);
    raw_fini(&r);
}

static void test_ping_streams_and_queues_are_bounded(void **state)
{
    static uint8_t blocks[32 * 1000];

    connect();
    raw_listen(&r);
    for (uint32_t id = 1; id < 21; id += 2)
        raw_open(&r, id, 0, "/ipfs/ping/1.0.0", SLICE_LIT(""));
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 6);
    raw_data(&r, 0, 1, slice_of(blocks, sizeof(blocks))); /* without reading an answer */
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 1);
    assert_true(counters().pings_answered < 100);
    assert_false(victim.closed);
    raw_fini(&r);
}

static void test_lying_echo_is_no_round_trip(void **state)
{
    side_init(&victim, false, 3);
    victim.cfg.limits.ping_ns = SECOND;
    raw_connect(&r, &victim);
    raw_listen(&r);
    r.now += SECOND;
    session_on_deadline(victim.s, r.now);
    raw_listen(&r);
    unsigned rtts = victim.rtts;
    raw_data(&r, YAMUX_ACK, 4,
             SLICE_LIT("\x13/multistream/1.0.0\n\x11/ipfs/ping/1.0.0\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    assert_int_equal(victim.rtts, rtts);
    assert_int_equal(raw_count(&r, YAMUX_WINDOW, YAMUX_RST), 1);
    assert_false(victim.closed);
    raw_fini(&r);
}

/* ---- anything at all, past the handshake ---- */

static void test_random_frames_never_hurt(void **state)
{
    struct rng rng;

    for (uint64_t seed = 0; seed < 300; seed++) {
        rng_init_seeded(&rng, seed);
        connect();
        victim.is_echo = victim.is_lax = true;
        for (int i = 0; i < 60 && !victim.closed; i++) {
            uint8_t body[600];
            size_t n = rng_below(&rng, sizeof(body));
            rng_fill(&rng, body, n);
            uint32_t id = (uint32_t)rng_below(&rng, 12);
            static const char *const protos[] = {"/test/echo/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0",
                                                 "/ipfs/ping/1.0.0", "/test/sink/1.0.0", "/none"};
            switch (rng_below(&rng, 6)) {
            case 0: raw_open(&r, id | 1, rng_below(&rng, 2) * YAMUX_FIN, protos[rng_below(&rng, 6)], slice_of(body, n)); break;
            case 1: raw_data(&r, (unsigned)(1u << rng_below(&rng, 5)), id, slice_of(body, n)); break;
            case 2: raw_frame(&r, (int)rng_below(&rng, 5), (unsigned)rng_below(&rng, 16), id, (uint32_t)rng_u64(&rng), slice_of(body, 0)); break;
            case 3: raw_frame(&r, YAMUX_WINDOW, (unsigned)rng_below(&rng, 16), id, (uint32_t)rng_below(&rng, 1000), slice_of(body, 0)); break;
            case 4: raw_listen(&r); break;
            default:
                r.now += rng_below(&rng, 4 * SECOND);
                session_on_deadline(victim.s, r.now);
                side_drain(&victim, r.now);
                break;
            }
        }
        raw_listen(&r);
        raw_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garbage_ends_either_seat),
        cmocka_unit_test(test_every_byte_flipped_is_noticed),
        cmocka_unit_test(test_every_truncation_is_clean),
        cmocka_unit_test(test_slow_handshake_does_not_buy_time),
        cmocka_unit_test(test_multistream_without_end_is_cut),
        cmocka_unit_test(test_window_violation_is_answered_with_goaway),
        cmocka_unit_test(test_yamux_rules_broken_are_named),
        cmocka_unit_test(test_ten_thousand_streams_are_refused_beyond_256),
        cmocka_unit_test(test_our_streams_are_not_opened_without_end),
        cmocka_unit_test(test_ping_floods_cost_nothing),
        cmocka_unit_test(test_empty_frames_are_nothing),
        cmocka_unit_test(test_body_with_fin_may_span_frames),
        cmocka_unit_test(test_forged_frame_ends_it),
        cmocka_unit_test(test_goaway_codes_are_told),
        cmocka_unit_test(test_peer_without_pongs_lives_while_it_talks),
        cmocka_unit_test(test_stream_negotiation_nonsense_resets_that_stream),
        cmocka_unit_test(test_stream_ls_and_na_are_answered_but_not_forever),
        cmocka_unit_test(test_identify_of_another_key_is_refused),
        cmocka_unit_test(test_identify_nonsense_fails_alone),
        cmocka_unit_test(test_pushes_merge_and_are_bounded),
        cmocka_unit_test(test_ping_answers_after_fin_as_js_asks),
        cmocka_unit_test(test_ping_streams_come_and_go),
        cmocka_unit_test(test_ping_streams_and_queues_are_bounded),
        cmocka_unit_test(test_lying_echo_is_no_round_trip),
        cmocka_unit_test(test_random_frames_never_hurt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
