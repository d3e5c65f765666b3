#include "yamux_tools.h"

#include <jansson.h>

#include "base/rng.h"
#include "base/text.h"

#define BIG (1 << 20)
static uint8_t wire[BIG];

/* ---- headers ---- */

static void test_head_matches_js_vectors(void **state)
{
    json_t *root = json_load_file(VECTORS_DIR "/yamux_frames.json", 0, NULL), *v;
    size_t i;

    assert_non_null(root);
    assert_true(json_array_size(json_object_get(root, "vectors")) >= 15);
    json_array_foreach(json_object_get(root, "vectors"), i, v) {
        const char *hex = json_string_value(json_object_get(v, "hex"));
        uint8_t want[256], got[YAMUX_HEAD_BYTES];
        ssize_t n = hex_decode(want, sizeof(want), slice_str(hex));
        assert_true(n >= YAMUX_HEAD_BYTES);
        struct yamux_head h = yamux_head_decode(want);
        assert_int_equal(h.version, 0);
        assert_int_equal(h.type, json_integer_value(json_object_get(v, "type")));
        assert_int_equal(h.flags, json_integer_value(json_object_get(v, "flags")));
        assert_int_equal(h.stream, json_integer_value(json_object_get(v, "stream_id")));
        assert_int_equal(h.length, json_integer_value(json_object_get(v, "length")));
        yamux_head_encode(got, (enum yamux_type)h.type, h.flags, h.stream, h.length);
        assert_memory_equal(got, want, YAMUX_HEAD_BYTES);
    }
    json_decref(root);
}

/* ---- opening, closing ---- */

static void test_stream_opens_as_js_does(void **state)
{
    struct yamux y;
    uint8_t want[64];
    size_t n;

    end_init(&y, true);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    assert_int_equal(st->id, 1);
    assert_int_equal(yamux_stream_copy(&y, st, SLICE_LIT("hello")), 0);
    yamux_stream_close(&y, st);
    assert_int_equal(yamux_stream_copy(&y, st, SLICE_LIT("late")), -YAMUX_ECLOSED);
    n = end_output(&y, wire, BIG, 1);
    size_t w = put_frame(want, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    w += put_frame(want + w, YAMUX_DATA, 0, 1, 5);
    memcpy(want + w, "hello", 5);
    w += 5;
    w += put_frame(want + w, YAMUX_WINDOW, YAMUX_FIN, 1, 0);
    assert_int_equal(n, w);
    assert_memory_equal(wire, want, n);
    assert_false(yamux_has_output(&y));
    assert_int_equal(yamux_stream_open(&y, NULL, NULL, 1)->id, 3);
    yamux_fini(&y);
    end_init(&y, false);
    assert_int_equal(yamux_stream_open(&y, NULL, NULL, 1)->id, 2);
    yamux_fini(&y);
}

static void test_inbound_stream_is_acked_and_half_closes(void **state)
{
    struct yamux y;
    struct yamux_event ev;

    end_init(&y, false);
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_SYN, 1, 100, &ev), 1);
    assert_int_equal(ev.type, YAMUX_OPENED);
    struct yamux_stream *st = ev.stream;
    assert_int_equal(st->credit, YAMUX_WINDOW_INITIAL + 100); /* the SYN's delta counts */
    assert_int_equal(end_output(&y, wire, BIG, 1), 12);
    struct yamux_head h = yamux_head_decode(wire);
    assert_true(h.type == YAMUX_WINDOW && h.flags == YAMUX_ACK && h.stream == 1 && h.length == 0);
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_FIN, 1, 0, &ev), 1);
    assert_int_equal(ev.type, YAMUX_EOF);
    assert_false(yamux_stream_is_over(st));
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_FIN, 1, 0, &ev), 0); /* once */
    yamux_stream_copy(&y, st, SLICE_LIT("answer after their FIN"));
    yamux_stream_close(&y, st);
    assert_null(yamux_next_over(&y));
    assert_int_equal(end_output(&y, wire, BIG, 1), 12 + 22 + 12);
    assert_ptr_equal(yamux_next_over(&y), st);
    assert_true(yamux_stream_is_over(st));
    yamux_stream_drop(&y, st);
    assert_null(yamux_stream_find(&y, 1));
    assert_int_equal(y.count_in, 0);
    yamux_fini(&y);
}

static void test_ack_may_carry_credit(void **state)
{
    struct yamux y;
    struct yamux_event ev;

    end_init(&y, true);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    end_output(&y, wire, BIG, 1);
    assert_false(st->is_acked);
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_ACK, 1, 36, &ev), 0);
    assert_true(st->is_acked);
    assert_int_equal(st->credit, YAMUX_WINDOW_INITIAL + 36);
    yamux_fini(&y);
}

static void test_reset_both_ways(void **state)
{
    struct yamux y;
    struct yamux_event ev;

    end_init(&y, false);
    give(&y, YAMUX_DATA, YAMUX_SYN, 5, 0, &ev);
    assert_int_equal(ev.type, YAMUX_OPENED);
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_RST, 5, 0, &ev), 1);
    assert_int_equal(ev.type, YAMUX_RESET);
    yamux_stream_reset(&y, ev.stream); /* no RST answers an RST */
    assert_false(yamux_has_output(&y));
    give(&y, YAMUX_DATA, YAMUX_SYN, 7, 0, &ev);
    yamux_stream_reset(&y, ev.stream);
    assert_int_equal(end_output(&y, wire, BIG, 1), 12);
    struct yamux_head h = yamux_head_decode(wire);
    assert_true(h.type == YAMUX_WINDOW && h.flags == YAMUX_RST && h.stream == 7);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    yamux_stream_copy(&y, st, SLICE_LIT("never to be sent"));
    yamux_stream_reset(&y, st); /* never spoken of */
    assert_false(yamux_has_output(&y));
    assert_int_equal(y.queued_bytes, 0);
    assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_SYN | YAMUX_RST, 9, 0, &ev), 0);
    assert_null(yamux_stream_find(&y, 9));
    yamux_fini(&y);
}

static void test_reset_inside_a_body_drains_the_rest(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    uint8_t b[64];
    size_t n = put_frame(b, YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 1, 10);

    end_init(&y, false);
    memcpy(b + n, "0123", 4);
    struct slice in = {b, n + 4};
    assert_int_equal(yamux_next(&y, &in, &ev, 1), 1);
    assert_int_equal(yamux_next(&y, &in, &ev, 1), 1);
    assert_int_equal(ev.data.len, 4);
    yamux_stream_reset(&y, ev.stream);
    n = put_frame(b + 6, YAMUX_PING, YAMUX_SYN, 0, 77);
    in = slice_of(b, 6 + n);
    assert_int_equal(yamux_next(&y, &in, &ev, 1), 0);
    assert_int_equal(in.len, 0);
    assert_int_equal(y.counters.bytes_unknown_stream, 6);
    assert_int_equal(y.npongs, 1);
    yamux_fini(&y);
}

/* ---- rules ---- */

static void test_rules_broken_end_the_session(void **state)
{
    static const struct {
        const char *name;
        uint8_t version;
        int type;
        unsigned flags;
        uint32_t stream, length;
        int want;
    } rows[] = {
        {"version", 1, YAMUX_PING, YAMUX_SYN, 0, 0, -YAMUX_EVERSION},
        {"type", 0, 4, 0, 0, 0, -YAMUX_ETYPE},
        {"our parity", 0, YAMUX_WINDOW, YAMUX_SYN, 2, 0, -YAMUX_EPARITY},
        {"our parity by data", 0, YAMUX_DATA, YAMUX_SYN, 4, 0, -YAMUX_EPARITY},
        {"open stream opened", 0, YAMUX_WINDOW, YAMUX_SYN, 1, 0, -YAMUX_EDUPLICATE},
        {"stream 0 data", 0, YAMUX_DATA, 0, 0, 4, -YAMUX_ESTREAM},
        {"stream 0 window", 0, YAMUX_WINDOW, YAMUX_SYN, 0, 4, -YAMUX_ESTREAM},
        {"past the window", 0, YAMUX_DATA, 0, 1, YAMUX_WINDOW_INITIAL + 1, -YAMUX_EWINDOW},
        {"first body past the window", 0, YAMUX_DATA, YAMUX_SYN, 3, YAMUX_WINDOW_INITIAL + 1, -YAMUX_EWINDOW},
        {"endless body", 0, YAMUX_DATA, 0, 99, YAMUX_WINDOW_CAP + 1, -YAMUX_ELENGTH},
        {"endless body, open stream", 0, YAMUX_DATA, 0, 1, UINT32_MAX, -YAMUX_ELENGTH},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yamux y;
        struct yamux_event ev;
        uint8_t f[12];
        struct slice in = {f, 12};
        end_init(&y, false);
        assert_int_equal(give(&y, YAMUX_WINDOW, YAMUX_SYN, 1, 0, &ev), 1);
        put_frame(f, rows[i].type, rows[i].flags, rows[i].stream, rows[i].length);
        f[0] = rows[i].version;
        int err = yamux_next(&y, &in, &ev, 1);
        if (err != rows[i].want)
            fail_msg("%s: %s", rows[i].name, yamux_err_name(err));
        in = slice_of(f, 12);
        assert_int_equal(yamux_next(&y, &in, &ev, 1), rows[i].want); /* and stays so */
        assert_true(yamux_has_output(&y));
        assert_int_equal(end_output(&y, wire, BIG, 1), 12); /* GoAway and nothing else */
        struct yamux_head h = yamux_head_decode(wire);
        assert_true(h.type == YAMUX_GOAWAY && h.length == YAMUX_CODE_PROTOCOL);
        assert_false(yamux_has_output(&y));
        yamux_fini(&y);
    }
}

static void test_frames_of_unknown_streams_are_drained(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    uint8_t b[128];
    size_t n = 0;

    end_init(&y, false);
    n += put_frame(b + n, YAMUX_WINDOW, 0, 11, 5);
    n += put_frame(b + n, YAMUX_WINDOW, YAMUX_FIN, 12, 0);
    n += put_frame(b + n, YAMUX_WINDOW, YAMUX_RST, 13, 0);
    n += put_frame(b + n, YAMUX_DATA, YAMUX_FIN, 15, 20);
    memset(b + n, 0xff, 20);
    n += 20;
    n += put_frame(b + n, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    struct slice in = {b, n};
    assert_int_equal(yamux_next(&y, &in, &ev, 1), 1);
    assert_int_equal(ev.type, YAMUX_OPENED);
    assert_int_equal(in.len, 0);
    assert_int_equal(y.counters.bytes_unknown_stream, 20);
    yamux_fini(&y);
}

static void test_data_after_fin_is_drained_within_the_window(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    struct slice in;

    end_init(&y, false);
    give(&y, YAMUX_WINDOW, YAMUX_SYN, 1, 0, &ev);
    give(&y, YAMUX_WINDOW, YAMUX_FIN, 1, 0, &ev);
    assert_int_equal(give(&y, YAMUX_DATA, 0, 1, 3, &ev), 0);
    in = SLICE_LIT("abc");
    assert_int_equal(yamux_next(&y, &in, &ev, 1), 0);
    assert_int_equal(y.counters.bytes_unknown_stream, 3);
    assert_int_equal(give(&y, YAMUX_DATA, 0, 1, YAMUX_WINDOW_INITIAL, &ev), -YAMUX_EWINDOW);
    yamux_fini(&y);
}

/* ---- pings, goodbye ---- */

static void test_ping_is_answered_with_its_value(void **state)
{
    struct yamux y;
    struct yamux_event ev;

    end_init(&y, true);
    assert_int_equal(give(&y, YAMUX_PING, YAMUX_SYN, 0, 0xdeadbeef, &ev), 0);
    assert_int_equal(end_output(&y, wire, BIG, 1), 12);
    struct yamux_head h = yamux_head_decode(wire);
    assert_true(h.type == YAMUX_PING && h.flags == YAMUX_ACK && h.stream == 0 && h.length == 0xdeadbeef);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(give(&y, YAMUX_PING, YAMUX_SYN, 0, i, &ev), 0);
    assert_int_equal(end_output(&y, wire, BIG, 1), 12 * YAMUX_PONGS_MAX);
    assert_int_equal(y.counters.pongs_dropped, 1000 - YAMUX_PONGS_MAX);
    yamux_fini(&y);
}

static void test_ping_measures_the_round_trip(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    uint8_t f[12];

    end_init(&y, true);
    yamux_ping(&y, 42);
    yamux_ping(&y, 43); /* one at a time */
    assert_int_equal(give(&y, YAMUX_PING, YAMUX_ACK, 0, 42, &ev), 0); /* not even sent yet */
    assert_int_equal(end_output(&y, wire, BIG, 500), 12);
    assert_int_equal(yamux_head_decode(wire).length, 42);
    assert_int_equal(give(&y, YAMUX_PING, YAMUX_ACK, 0, 43, &ev), 0);
    put_frame(f, YAMUX_PING, YAMUX_ACK, 0, 42);
    struct slice in = {f, 12};
    assert_int_equal(yamux_next(&y, &in, &ev, 1700), 1);
    assert_true(ev.type == YAMUX_PONG && ev.rtt_ns == 1200);
    assert_int_equal(give(&y, YAMUX_PING, YAMUX_ACK, 0, 42, &ev), 0);
    assert_int_equal(give(&y, YAMUX_PING, 0, 0, 42, &ev), 0);
    assert_int_equal(y.counters.pongs_unasked, 4);
    yamux_fini(&y);
}

static void test_goaway_waits_for_what_is_queued(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    int err;

    end_init(&y, true);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    static uint8_t big[YAMUX_WINDOW_INITIAL + 100];
    assert_int_equal(yamux_stream_send(&y, st, buf_copy(slice_of(big, sizeof(big))), 0, sizeof(big)), 0);
    yamux_goaway(&y, YAMUX_CODE_NORMAL, true);
    assert_null(yamux_stream_open(&y, NULL, &err, 1));
    assert_int_equal(err, -YAMUX_EAWAY);
    while (yamux_has_output(&y))
        end_output(&y, wire, BIG, 1);
    assert_false(y.has_sent_goaway); /* 100 bytes wait for the window */
    give(&y, YAMUX_WINDOW, YAMUX_ACK, 1, 100, &ev);
    assert_int_equal(end_output(&y, wire, BIG, 1), 12 + 100 + 12);
    struct yamux_head h = yamux_head_decode(wire + 112);
    assert_true(h.type == YAMUX_GOAWAY && h.length == 0);
    assert_false(yamux_has_output(&y));
    yamux_fini(&y);
}

static void test_goaway_received_ends_opening(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    int err;

    end_init(&y, true);
    assert_int_equal(give(&y, YAMUX_GOAWAY, 0, 0, 2, &ev), 1);
    assert_true(ev.type == YAMUX_AWAY && ev.code == 2);
    assert_null(yamux_stream_open(&y, NULL, &err, 1));
    assert_int_equal(err, -YAMUX_EAWAY);
    yamux_fini(&y);
}

/* ---- limits ---- */

static void test_stream_flood_is_refused_then_cut_off(void **state)
{
    struct yamux y;
    struct yamux_event ev;

    end_init(&y, false);
    for (uint32_t i = 0; i < 10000; i++) { /* output taken in between: each is refused, none kept */
        int n = give(&y, YAMUX_WINDOW, YAMUX_SYN, 2 * i + 1, 0, &ev);
        assert_int_equal(n, i < 256 ? 1 : 0);
        if (i % 512 == 0)
            end_output(&y, wire, 65408, 1);
    }
    assert_int_equal(y.count_in, 256);
    assert_int_equal(y.counters.refused_in, 10000 - 256);
    yamux_fini(&y);

    end_init(&y, false);
    int err = 0;
    uint32_t i = 0;
    while (err >= 0 && i < 10000) /* nobody reads our answers */
        err = give(&y, YAMUX_WINDOW, YAMUX_SYN, 2 * i++ + 1, 0, &ev);
    assert_int_equal(err, -YAMUX_EFLOOD);
    assert_int_equal(i, 256 + YAMUX_RESETS_MAX + 1);
    yamux_fini(&y);
}

static void test_open_streams_are_bounded_without_acks(void **state)
{
    struct yamux y;
    int err;
    unsigned n = 0;

    end_init(&y, true);
    while (yamux_stream_open(&y, NULL, &err, 1))
        n++;
    assert_int_equal(n, 256);
    assert_int_equal(err, -YAMUX_EFULL);
    yamux_stream_drop(&y, yamux_stream_find(&y, 77));
    assert_non_null(yamux_stream_open(&y, NULL, &err, 1));
    yamux_fini(&y);
}

/* ---- windows ---- */

static void test_sender_stops_at_the_window_and_resumes(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    static uint8_t big[YAMUX_WINDOW_INITIAL * 2];
    size_t sent = 0;

    end_init(&y, true);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    assert_int_equal(yamux_stream_send(&y, st, buf_copy(slice_of(big, sizeof(big))), 0, sizeof(big)), 0);
    while (yamux_has_output(&y))
        sent += end_output(&y, wire, 65408, 1);
    assert_int_equal(st->credit, 0);
    assert_int_equal(st->queue.bytes, YAMUX_WINDOW_INITIAL);
    assert_int_equal(sent, 12 + YAMUX_WINDOW_INITIAL + 5 * 12); /* SYN; five frames */
    give(&y, YAMUX_WINDOW, 0, 1, 10, &ev);
    assert_int_equal(end_output(&y, wire, 65408, 1), 22);
    for (int i = 0; i < 3; i++)
        give(&y, YAMUX_WINDOW, 0, 1, UINT32_MAX, &ev);
    assert_true(st->credit == 3 * (uint64_t)UINT32_MAX); /* more than 32 bits hold */
    for (int i = 0; i < 300; i++)
        give(&y, YAMUX_WINDOW, 0, 1, UINT32_MAX, &ev);
    assert_true(st->credit == YAMUX_CREDIT_MAX);
    while (yamux_has_output(&y))
        end_output(&y, wire, 65408, 1);
    assert_int_equal(st->queue.bytes, 0);
    yamux_fini(&y);
}

static void test_receiver_credits_what_was_handed_out(void **state)
{
    struct yamux y;
    struct yamux_event ev;
    static uint8_t body[65536];
    uint32_t got = 0;

    end_init(&y, false);
    give(&y, YAMUX_WINDOW, YAMUX_SYN, 1, 0, &ev);
    end_output(&y, wire, BIG, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(give(&y, YAMUX_DATA, 0, 1, sizeof(body), &ev), 0);
        for (struct slice in = {body, sizeof(body)}; in.len;) {
            assert_int_equal(yamux_next(&y, &in, &ev, 1), 1);
            got += (uint32_t)ev.data.len;
        }
    }
    assert_int_equal(got, 2 * sizeof(body));
    assert_int_equal(end_output(&y, wire, BIG, 1), 12);
    struct yamux_head h = yamux_head_decode(wire);
    assert_true(h.type == YAMUX_WINDOW && h.flags == 0 && h.length == 2 * sizeof(body));
    yamux_fini(&y);
}

/* ---- output shape ---- */

static void test_small_frames_share_a_run_and_big_ones_fill_it(void **state)
{
    struct yamux y;
    static uint8_t big[200000];

    end_init(&y, true);
    for (int i = 0; i < 10; i++)
        yamux_stream_copy(&y, yamux_stream_open(&y, NULL, NULL, 1), SLICE_LIT("tiny"));
    assert_int_equal(end_output(&y, wire, 65408, 1), 10 * 12 + 10 * 16);
    struct yamux_stream *st = yamux_stream_find(&y, 1);
    yamux_stream_send(&y, st, buf_copy(slice_of(big, sizeof(big))), 0, sizeof(big));
    assert_int_equal(end_output(&y, wire, 65408, 1), 65408);
    assert_int_equal(yamux_head_decode(wire).length, 65396);
    yamux_fini(&y);
}

static void test_streams_take_turns(void **state)
{
    struct yamux y;
    static uint8_t big[200000];
    unsigned seen[8] = {0};

    end_init(&y, true);
    for (int i = 0; i < 3; i++) {
        struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
        yamux_stream_send(&y, st, buf_copy(slice_of(big, sizeof(big))), 0, sizeof(big));
    }
    size_t n = end_output(&y, wire, 65408, 1);
    for (size_t at = 0; at < n;) {
        struct yamux_head h = yamux_head_decode(wire + at);
        at += 12;
        if (h.type == YAMUX_DATA) {
            seen[h.stream] += h.length;
            at += h.length;
        }
    }
    assert_true(seen[1] >= 16384 && seen[3] >= 16384 && seen[5] >= 16384);
    yamux_fini(&y);
}

static void test_many_tiny_pieces_fit_no_run_at_once(void **state)
{
    struct yamux y;
    size_t sent = 0, runs = 0;
    struct buf *b;

    end_init(&y, true);
    struct yamux_stream *st = yamux_stream_open(&y, NULL, NULL, 1);
    b = buf_copy(SLICE_LIT("0123456789012345678901234567890123456789012345678901234567890123456789"
                           "0123456789012345678901234567890123456789012345678901234567890123456789"));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(yamux_stream_send(&y, st, buf_ref(b), (uint32_t)i % 10, 60 + (uint32_t)i % 70), 0);
    uint64_t want = st->queue.bytes;
    while (yamux_has_output(&y)) {
        size_t n = end_output(&y, wire, 65408, 1);
        assert_true(n > 0);
        for (size_t at = 0; at < n;) {
            struct yamux_head h = yamux_head_decode(wire + at);
            at += 12 + (h.type == YAMUX_DATA ? h.length : 0);
            sent += h.type == YAMUX_DATA ? h.length : 0;
        }
        runs++;
    }
    assert_int_equal(sent, want);
    assert_true(runs < 12);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
    yamux_fini(&y);
}

/* ---- any split ---- */

/* Events of a script as text, bodies joined. */
static void run_script(const uint8_t *p, size_t n, size_t cut, char *log, size_t cap)
{
    struct yamux y;
    struct slice parts[2] = {{p, cut}, {p + cut, n - cut}};
    uint32_t last_body = 0;
    size_t len = 0;
    int r = 0;

    log[0] = 0;
    end_init(&y, false);
    for (int i = 0; i < 2 && r >= 0; i++) {
        struct yamux_event ev;
        while ((r = yamux_next(&y, &parts[i], &ev, 1)) == 1) {
            uint32_t id = ev.stream ? ev.stream->id : 0;
            if (ev.type != YAMUX_BODY || id != last_body)
                len += (size_t)snprintf(log + len, cap - len, "|%d:%u:", ev.type, ev.type == YAMUX_AWAY ? ev.code : id);
            last_body = ev.type == YAMUX_BODY ? id : 0;
            if (ev.type == YAMUX_BODY)
                len += (size_t)snprintf(log + len, cap - len, "%.*s", (int)ev.data.len, (const char *)ev.data.p);
            if (ev.type == YAMUX_RESET)
                yamux_stream_drop(&y, ev.stream);
        }
    }
    snprintf(log + len, cap - len, "|end %s", yamux_err_name(r));
    yamux_fini(&y);
}

static size_t script(uint8_t *b)
{
    size_t n = 0;

    n += put_frame(b + n, YAMUX_PING, YAMUX_SYN, 0, 1);
    n += put_frame(b + n, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    n += put_frame(b + n, YAMUX_DATA, 0, 1, 5);
    memcpy(b + n, "hello", 5), n += 5;
    n += put_frame(b + n, YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 3, 4);
    memcpy(b + n, "lazy", 4), n += 4;
    n += put_frame(b + n, YAMUX_DATA, 0, 1, 0);
    n += put_frame(b + n, YAMUX_DATA, 0, 99, 3);
    memcpy(b + n, "???", 3), n += 3;
    n += put_frame(b + n, YAMUX_DATA, YAMUX_FIN, 1, 3);
    memcpy(b + n, "bye", 3), n += 3;
    n += put_frame(b + n, YAMUX_WINDOW, YAMUX_RST, 3, 0);
    n += put_frame(b + n, YAMUX_GOAWAY, 0, 0, 0);
    return n;
}

static void test_input_any_split_gives_the_same_events(void **state)
{
    uint8_t b[512];
    char want[1024], got[1024];
    size_t n = script(b);

    run_script(b, n, 0, want, sizeof(want));
    assert_string_equal(want, "|0:1:|1:1:hello|0:3:|1:3:lazy|2:3:|1:1:bye|2:1:|3:3:|5:0:|end ok");
    for (size_t cut = 1; cut <= n; cut++) {
        run_script(b, n, cut, got, sizeof(got));
        assert_string_equal(got, want);
    }
}

static void test_input_truncated_or_flipped_is_clean(void **state)
{
    uint8_t b[512];
    char log[4096];
    size_t n = script(b);

    for (size_t cut = 0; cut <= n; cut++)
        run_script(b, cut, cut, log, sizeof(log));
    for (size_t bit = 0; bit < 8 * n; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        run_script(b, n, n / 2, log, sizeof(log));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* ---- two ends ---- */

static void test_two_ends_exchange_and_grow(void **state)
{
    struct yamux a, b;
    struct rng rng;
    static uint8_t payload[3 << 20];
    uint64_t now = 1, got = 0, hash_in = 0, hash_out = 0;
    uint32_t max = 0;

    rng_init_seeded(&rng, 3);
    rng_fill(&rng, payload, sizeof(payload));
    for (size_t i = 0; i < sizeof(payload); i++)
        hash_in = hash_in * 31 + payload[i];
    end_init(&a, true);
    end_init(&b, false);
    yamux_ping(&b, 9);
    struct yamux_stream *st = yamux_stream_open(&a, NULL, NULL, now);
    yamux_stream_send(&a, st, buf_copy(slice_of(payload, sizeof(payload))), 0, sizeof(payload));
    yamux_stream_close(&a, st);
    for (int turn = 0; turn < 10000 && (yamux_has_output(&a) || yamux_has_output(&b)); turn++) {
        struct yamux_event ev;
        struct slice in = {wire, end_output(&a, wire, 1 + rng_below(&rng, 65408), now)};
        now += 1000;
        while (yamux_next(&b, &in, &ev, now) == 1) {
            for (size_t i = 0; ev.type == YAMUX_BODY && i < ev.data.len; i++)
                hash_out = hash_out * 31 + ev.data.p[i];
            got += ev.type == YAMUX_BODY ? ev.data.len : 0;
            if (ev.type == YAMUX_EOF)
                max = ev.stream->window.max;
        }
        in = slice_of(wire, end_output(&b, wire, 65408, now));
        now += 1000;
        while (yamux_next(&a, &in, &ev, now) == 1)
            ;
        assert_int_equal(a.err, 0);
        assert_int_equal(b.err, 0);
    }
    assert_int_equal(got, sizeof(payload));
    assert_true(hash_in == hash_out);
    assert_true(max > YAMUX_WINDOW_INITIAL);
    yamux_fini(&a);
    yamux_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_matches_js_vectors),
        cmocka_unit_test(test_stream_opens_as_js_does),
        cmocka_unit_test(test_inbound_stream_is_acked_and_half_closes),
        cmocka_unit_test(test_ack_may_carry_credit),
        cmocka_unit_test(test_reset_both_ways),
        cmocka_unit_test(test_reset_inside_a_body_drains_the_rest),
        cmocka_unit_test(test_rules_broken_end_the_session),
        cmocka_unit_test(test_frames_of_unknown_streams_are_drained),
        cmocka_unit_test(test_data_after_fin_is_drained_within_the_window),
        cmocka_unit_test(test_ping_is_answered_with_its_value),
        cmocka_unit_test(test_ping_measures_the_round_trip),
        cmocka_unit_test(test_goaway_waits_for_what_is_queued),
        cmocka_unit_test(test_goaway_received_ends_opening),
        cmocka_unit_test(test_stream_flood_is_refused_then_cut_off),
        cmocka_unit_test(test_open_streams_are_bounded_without_acks),
        cmocka_unit_test(test_sender_stops_at_the_window_and_resumes),
        cmocka_unit_test(test_receiver_credits_what_was_handed_out),
        cmocka_unit_test(test_small_frames_share_a_run_and_big_ones_fill_it),
        cmocka_unit_test(test_streams_take_turns),
        cmocka_unit_test(test_many_tiny_pieces_fit_no_run_at_once),
        cmocka_unit_test(test_input_any_split_gives_the_same_events),
        cmocka_unit_test(test_input_truncated_or_flipped_is_clean),
        cmocka_unit_test(test_two_ends_exchange_and_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
