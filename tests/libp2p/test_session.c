#include "session_tools.h"

static struct link l; /* large */

static void start(uint64_t seed)
{
    link_init(&l, seed);
    link_start(&l);
    link_run(&l);
    assert_true(l.a.up && l.b.up);
}

/* ---- coming up ---- */

static void check_up(void)
{
    assert_true(l.a.up && l.b.up);
    assert_true(peer_id_is_equal(&l.a.peer, &l.b.id));
    assert_true(peer_id_is_equal(&l.b.peer, &l.a.id));
    assert_true(l.a.identified && l.b.identified);
    assert_string_equal(l.a.agent, "listener/1");
    assert_string_equal(l.b.agent, "dialer/1");
    assert_string_equal(l.a.version, "ipfs/0.1.0");
    assert_string_equal(l.a.protocols,
                        "/ipfs/id/1.0.0 /ipfs/id/push/1.0.0 /ipfs/ping/1.0.0 /test/echo/1.0.0 /test/sink/1.0.0 ");
    assert_false(l.a.is_push);
    assert_int_equal(l.a.identifies, 1);
    assert_true(l.a.rtts == 1 && l.b.rtts == 1);
    assert_false(l.a.closed || l.b.closed);
}

static void test_session_comes_up_by_early_muxer(void **state)
{
    link_init(&l, 1);
    l.a.cfg.expect = &l.b.id;
    link_start(&l);
    link_run(&l);
    check_up();
    link_fini(&l);
}

static void test_session_comes_up_by_multistream_muxer(void **state)
{
    for (int who = 1; who < 4; who++) {
        link_init(&l, 2);
        l.a.cfg.has_no_early_muxer = who & 1;
        l.b.cfg.has_no_early_muxer = who & 2;
        link_start(&l);
        link_run(&l);
        check_up();
        link_fini(&l);
    }
}

static void one_round_trip(bool is_early)
{
    link_init(&l, 3);
    l.b.cfg.has_no_early_muxer = !is_early;
    link_start(&l);
    side_output(&l.a, 65536, l.now);
    link_move(&l, &l.a, &l.b);
    assert_true(side_output(&l.b, 65536, l.now) > 0);
    link_move(&l, &l.b, &l.a);
    assert_true(l.a.up); /* and its first frames go out with Noise's last message */
    side_output(&l.a, 65536, l.now);
    link_move(&l, &l.a, &l.b);
    assert_true(l.b.up);
    link_run(&l);
    check_up();
    link_fini(&l);
}

static void test_dialer_needs_one_round_trip(void **state)
{
    one_round_trip(true);
    one_round_trip(false);
}

/* An event's slices live until the next call: so nothing is taken before all are told. */
static void test_input_waits_for_events_to_be_drained(void **state)
{
    struct session_event ev;

    start(30);
    uint32_t id[2] = {open_one(&l, &l.a, "/test/sink/1.0.0"), open_one(&l, &l.a, "/test/sink/1.0.0")};
    link_run(&l);
    for (int i = 0; i < 2; i++)
        session_stream_copy(l.a.s, id[i], SLICE_LIT("one frame"));
    side_output(&l.a, 65536, l.now);
    size_t first = wire_left(&l.a.out);
    session_stream_copy(l.a.s, id[0], SLICE_LIT("another"));
    side_output(&l.a, 65536, l.now);
    struct slice in = {l.a.out.p + l.a.out.at, wire_left(&l.a.out)};
    size_t second = in.len - first;
    assert_int_equal(session_input(l.b.s, &in, l.now), 0);
    assert_int_equal(in.len, second);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(session_input(l.b.s, &in, l.now), 0);
        assert_int_equal(in.len, second);
        assert_true(session_next_event(l.b.s, &ev));
        assert_int_equal(ev.type, SESSION_STREAM_DATA);
        assert_int_equal(ev.stream, id[i]);
        assert_true(slice_is_equal(ev.data, SLICE_LIT("one frame")));
    }
    assert_false(session_next_event(l.b.s, &ev));
    assert_int_equal(session_input(l.b.s, &in, l.now), 0);
    assert_int_equal(in.len, 0);
    l.a.out.at = l.a.out.len;
    link_fini(&l);
}

static void test_unexpected_peer_is_refused(void **state)
{
    struct side other;

    side_init(&other, false, 99);
    link_init(&l, 4);
    l.a.cfg.expect = &other.id;
    link_start(&l);
    link_run(&l);
    assert_true(l.a.closed && !l.a.up);
    assert_int_equal(l.a.err, -SESSION_EPEER);
    assert_int_equal(l.a.input_err, -SESSION_EPEER);
    assert_false(l.b.up);
    link_fini(&l);
}

static void test_slow_handshake_times_out(void **state)
{
    for (int cut = 0; cut < 3; cut++) { /* silence after so many flights */
        link_init(&l, 5);
        link_start(&l);
        struct side *from = &l.a, *to = &l.b, *t;
        for (int i = 0; i < cut; i++) {
            side_output(from, 65536, l.now);
            link_move(&l, from, to);
            t = from, from = to, to = t;
        }
        assert_false(l.b.up);
        assert_true(session_next_deadline(l.b.s) == l.now + 10 * SECOND);
        session_on_deadline(l.b.s, l.now + 10 * SECOND - 1);
        side_drain(&l.b, l.now);
        assert_false(l.b.closed);
        session_on_deadline(l.b.s, l.now + 10 * SECOND);
        side_drain(&l.b, l.now);
        assert_int_equal(l.b.err, -SESSION_ETIMEOUT);
        assert_true(l.b.closed);
        assert_true(session_next_deadline(l.b.s) == UINT64_MAX);
        link_fini(&l);
    }
}

/* ---- identify ---- */

static void fill_local(struct side *d, struct multiaddr *addrs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        multiaddr_of_tcp(&addrs[i], (uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4, (uint16_t)(4000 + i), NULL);
    d->local.addrs = addrs;
    d->local.naddrs = n;
}

static void test_identify_tells_addresses_record_and_observed(void **state)
{
    struct multiaddr addrs[3], from_a, from_b;

    link_init(&l, 6);
    fill_local(&l.b, addrs, 3);
    l.b.local.record = SLICE_LIT("an envelope");
    multiaddr_of_tcp(&from_a, (uint8_t[]){192, 0, 2, 1}, 4, 5555, NULL);
    multiaddr_of_tcp(&from_b, (uint8_t[]){192, 0, 2, 2}, 4, 7070, NULL);
    l.b.cfg.remote = &from_a;
    l.a.cfg.remote = &from_b;
    link_start(&l);
    link_run(&l);
    check_up();
    assert_int_equal(l.a.naddrs, 3);
    assert_true(slice_is_equal(l.a.record, SLICE_LIT("an envelope")));
    assert_true(slice_is_equal(multiaddr_slice(&l.a.observed), multiaddr_slice(&from_a)));
    assert_true(slice_is_equal(multiaddr_slice(&l.b.observed), multiaddr_slice(&from_b)));
    assert_int_equal(l.b.record.len, 0);
    link_fini(&l);
}

static void test_identify_stays_below_4_kib(void **state)
{
    static struct multiaddr addrs[600];
    static uint8_t record[3900];

    link_init(&l, 7);
    fill_local(&l.b, addrs, 600);
    l.b.local.record = slice_of(record, sizeof(record));
    link_start(&l);
    link_run(&l);
    check_up();
    assert_int_equal(l.a.naddrs, SESSION_MAX_ADDRS);
    assert_int_equal(l.a.record.len, 0); /* it does not fit beside them */
    link_fini(&l);
}

static void test_identify_push_tells_changes_once(void **state)
{
    static const char *const more[] = {"/test/echo/1.0.0", "/test/new/1.0.0"};
    struct session_counters c;

    start(8);
    session_local_changed(l.a.s, l.now); /* nothing has changed */
    link_run(&l);
    assert_int_equal(l.b.identifies, 1);
    l.a.local.protocols = more;
    l.a.local.agent = "dialer/2";
    l.a.local.version++;
    session_local_changed(l.a.s, l.now);
    session_local_changed(l.a.s, l.now);
    link_run(&l);
    assert_int_equal(l.b.identifies, 2);
    assert_true(l.b.is_push);
    assert_string_equal(l.b.agent, "dialer/2");
    assert_string_equal(l.b.protocols,
                        "/ipfs/id/1.0.0 /ipfs/id/push/1.0.0 /ipfs/ping/1.0.0 /test/echo/1.0.0 /test/new/1.0.0 ");
    session_counters_get(l.b.s, &c);
    assert_int_equal(c.pushes_in, 1);
    session_counters_get(l.a.s, &c);
    assert_int_equal(c.pushes_out, 1);
    link_run(&l);
    assert_int_equal(c.streams_now, 0);
    link_fini(&l);
}

/* A change while a push of the one before is under way is not forgotten. */
static void test_identify_push_tells_the_last_change(void **state)
{
    struct session_counters c;

    start(8);
    for (int i = 0; i < 3; i++) {
        l.a.local.agent = i == 2 ? "dialer/4" : "dialer/3";
        l.a.local.version++;
        session_local_changed(l.a.s, l.now);
    }
    link_run(&l);
    assert_string_equal(l.b.agent, "dialer/4");
    session_counters_get(l.a.s, &c);
    assert_int_equal(c.pushes_out, 2); /* the second told two changes at once */
    assert_int_equal(c.streams_now, 0);
    link_fini(&l);
}

static void test_service_streams_leave_nothing_behind(void **state)
{
    struct session_counters c;

    start(9);
    session_counters_get(l.a.s, &c);
    assert_int_equal(c.streams_now, 0);
    assert_int_equal(c.streams_in, 1);
    assert_int_equal(c.streams_out, 1);
    assert_int_equal(c.resets_in + c.resets_out, 0);
    link_fini(&l);
}

/* ---- streams ---- */

static void test_stream_carries_data_both_ways(void **state)
{
    start(10);
    l.b.is_echo = true;
    uint32_t id = open_one(&l, &l.a, "/test/echo/1.0.0");
    assert_int_equal(session_stream_copy(l.a.s, id, SLICE_LIT("hello ")), 0); /* before READY: lazy */
    struct buf *b = buf_copy(SLICE_LIT("..world.."));
    assert_int_equal(session_stream_send(l.a.s, id, b, 2, 5), 0);
    assert_int_equal(session_stream_queued_bytes(l.a.s, id), 11 + 20 + 18);
    assert_int_equal(session_stream_close(l.a.s, id), 0);
    assert_int_equal(session_stream_copy(l.a.s, id, SLICE_LIT("!")), -SESSION_ENOSTREAM);
    link_run(&l);
    struct heard *h = heard_of(&l.a, id), *g = heard_of(&l.b, id);
    assert_true(g->opened && g->eof && g->protocol == ECHO);
    assert_true(h->ready && h->eof && h->protocol == 0);
    assert_int_equal(h->nkept, 11);
    assert_memory_equal(h->kept, "hello world", 11);
    assert_int_equal(session_stream_queued_bytes(l.a.s, id), 0);
    struct session_counters c;
    session_counters_get(l.b.s, &c);
    assert_int_equal(c.streams_now, 0);
    link_fini(&l);
}

static void test_stream_proposals_in_order(void **state)
{
    static const char *const protos[] = {"/none/1", "/none/2", "/test/sink/1.0.0", "/test/echo/1.0.0"};
    int user;

    start(11);
    int64_t id = session_open_stream(l.a.s, protos, 4, &user, l.now);
    assert_true(id > 0);
    assert_int_equal(session_stream_copy(l.a.s, (uint32_t)id, SLICE_LIT("held back")), 0);
    assert_int_equal(session_stream_queued_bytes(l.a.s, (uint32_t)id), 9 + 20 + 9); /* header, first proposal */
    assert_int_equal(session_stream_close(l.a.s, (uint32_t)id), 0);
    link_run(&l);
    struct heard *h = heard_of(&l.a, (uint32_t)id), *g = heard_of(&l.b, (uint32_t)id);
    assert_true(h->ready && h->protocol == 2 && h->user == &user);
    assert_true(g->opened && g->protocol == SINK && g->eof);
    assert_int_equal(g->nkept, 9);
    assert_memory_equal(g->kept, "held back", 9);
    assert_int_equal(session_queued_bytes(l.a.s), 0);
    link_fini(&l);
}

static void test_stream_refused_drops_what_was_queued(void **state)
{
    static const char *const protos[] = {"/none/1", "/none/2"};
    struct buf *b = buf_copy(SLICE_LIT("data"));
    int user;

    start(12);
    for (unsigned n = 1; n <= 2; n++) {
        int64_t id = session_open_stream(l.a.s, protos, n, &user, l.now);
        assert_int_equal(session_stream_send(l.a.s, (uint32_t)id, buf_ref(b), 0, 4), 0);
        link_run(&l);
        struct heard *h = heard_of(&l.a, (uint32_t)id);
        assert_true(h->refused && !h->ready && h->user == &user);
        assert_int_equal(h->err, -SESSION_EMULTISTREAM);
        assert_int_equal(session_stream_reset(l.a.s, (uint32_t)id), -SESSION_ENOSTREAM);
        assert_int_equal(b->refs, 1);
    }
    struct session_counters c;
    session_counters_get(l.b.s, &c);
    assert_int_equal(c.negotiations_failed_in, 2);
    assert_int_equal(c.streams_now, 0);
    assert_false(l.a.closed || l.b.closed);
    buf_unref(b);
    link_fini(&l);
}

static void test_stream_half_close_lets_the_other_half_go_on(void **state)
{
    start(13);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    session_stream_close(l.a.s, id);
    link_run(&l);
    assert_true(heard_of(&l.b, id)->eof);
    assert_int_equal(session_stream_copy(l.b.s, id, SLICE_LIT("still here")), 0);
    link_run(&l);
    assert_int_equal(heard_of(&l.a, id)->nkept, 10);
    assert_int_equal(session_stream_close(l.b.s, id), 0);
    link_run(&l);
    assert_true(heard_of(&l.a, id)->eof);
    assert_int_equal(session_stream_close(l.b.s, id), -SESSION_ENOSTREAM);
    link_fini(&l);
}

static void test_stream_reset_reaches_the_other_side(void **state)
{
    struct buf *b = buf_copy(SLICE_LIT("data"));

    start(14);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    assert_int_equal(session_stream_send(l.b.s, id, buf_ref(b), 0, 4), 0);
    session_stream_reset(l.b.s, id);
    assert_int_equal(b->refs, 1); /* dropped with the stream */
    assert_int_equal(session_queued_bytes(l.b.s), 0);
    link_run(&l);
    struct heard *h = heard_of(&l.a, id);
    assert_true(h->reset && h->nkept == 0);
    assert_int_equal(session_stream_copy(l.a.s, id, SLICE_LIT("x")), -SESSION_ENOSTREAM);
    buf_unref(b);
    link_fini(&l);
}

static void test_stream_user_comes_back_in_events(void **state)
{
    int user;

    start(15);
    uint32_t id = open_one(&l, &l.a, "/test/echo/1.0.0");
    session_stream_set_user(l.a.s, id, &user);
    link_run(&l);
    assert_ptr_equal(heard_of(&l.a, id)->user, &user);
    assert_int_equal(session_stream_set_user(l.a.s, 12345, &user), -SESSION_ENOSTREAM);
    link_fini(&l);
}

static void test_stream_queue_full_then_writable(void **state)
{
    static uint8_t big[1 << 20];
    uint32_t id;
    unsigned n = 0;

    link_init(&l, 16);
    l.a.cfg.limits.stream_queue_bytes = 1 << 20;
    link_start(&l);
    link_run(&l);
    id = open_one(&l, &l.a, "/test/sink/1.0.0");
    struct buf *b = buf_copy(slice_of(big, sizeof(big)));
    link_run(&l);
    assert_int_equal(session_stream_room_bytes(l.a.s, id), 1 << 20);
    while (session_stream_send(l.a.s, id, buf_ref(b), 0, 100000) == 0)
        n++;
    b->refs--; /* the refused one */
    assert_int_equal(n, 10);
    assert_int_equal(session_stream_send(l.a.s, id, b, 0, 1 << 20), -SESSION_EFULL);
    assert_int_equal(session_stream_room_bytes(l.a.s, id), (1 << 20) - 1000000);
    assert_false(heard_of(&l.a, id)->writable);
    link_run(&l);
    assert_true(heard_of(&l.a, id)->writable);
    assert_int_equal(heard_of(&l.b, id)->bytes, 1000000);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
    link_fini(&l);
}

static void test_open_stream_says_why_not(void **state)
{
    const char *proto = "/test/sink/1.0.0", *many[SESSION_MAX_PROPOSALS + 1];
    char name[200];

    link_init(&l, 17);
    link_start(&l);
    assert_int_equal(session_open_stream(l.a.s, &proto, 1, NULL, l.now), -SESSION_ESTATE);
    link_run(&l);
    for (unsigned i = 0; i <= SESSION_MAX_PROPOSALS; i++)
        many[i] = proto;
    assert_int_equal(session_open_stream(l.a.s, many, SESSION_MAX_PROPOSALS + 1, NULL, l.now), -SESSION_ELIMIT);
    assert_int_equal(session_open_stream(l.a.s, many, 0, NULL, l.now), -SESSION_ELIMIT);
    memset(name, 'x', sizeof(name));
    name[199] = 0;
    many[0] = name;
    assert_int_equal(session_open_stream(l.a.s, many, 1, NULL, l.now), -SESSION_ELIMIT);
    unsigned n = 0;
    int64_t id;
    while ((id = session_open_stream(l.a.s, &proto, 1, NULL, l.now)) > 0)
        n++;
    assert_int_equal(id, -SESSION_EFULL);
    assert_int_equal(n, 256);
    session_goaway(l.a.s);
    assert_int_equal(session_open_stream(l.a.s, &proto, 1, NULL, l.now), -SESSION_EGOAWAY);
    link_fini(&l);
}

static void test_streams_beyond_the_peers_limit_are_reset(void **state)
{
    link_init(&l, 18);
    l.b.cfg.limits.streams_in = 3;
    link_start(&l);
    link_run(&l);
    for (int i = 0; i < 5; i++)
        open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    unsigned ready = 0, refused = 0;
    for (unsigned i = 0; i < l.a.nheard; i++) {
        ready += l.a.heard[i].ready;
        refused += l.a.heard[i].refused && l.a.heard[i].err == -SESSION_ENOSTREAM;
    }
    assert_int_equal(ready, 3);
    assert_int_equal(refused, 2);
    link_fini(&l);
}

/* ---- time ---- */

static void test_unanswered_proposal_is_refused_in_time(void **state)
{
    start(19);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    side_output(&l.a, 65536, l.now); /* and it is lost: b never says a word */
    l.a.out.at = l.a.out.len;
    session_on_deadline(l.a.s, l.now + 10 * SECOND);
    side_drain(&l.a, l.now);
    struct heard *h = heard_of(&l.a, id);
    assert_true(h->refused);
    assert_int_equal(h->err, -SESSION_ETIMEOUT);
    assert_false(l.a.closed);
    link_fini(&l);
}

static void test_streams_may_be_silent_for_long(void **state)
{
    start(31);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    link_sleep(&l, 300 * SECOND);
    assert_int_equal(session_stream_copy(l.a.s, id, SLICE_LIT("still")), 0);
    assert_int_equal(session_stream_copy(l.b.s, id, SLICE_LIT("here")), 0);
    link_run(&l);
    assert_int_equal(heard_of(&l.b, id)->nkept, 5);
    assert_int_equal(heard_of(&l.a, id)->nkept, 4);
    link_fini(&l);
}

static void test_keepalive_pings_and_notices_silence(void **state)
{
    struct session_counters c;

    start(20);
    unsigned rtts = l.a.rtts;
    link_sleep(&l, 95 * SECOND);
    assert_int_equal(l.a.rtts, rtts + 3);
    assert_false(l.a.closed);
    session_counters_get(l.a.s, &c);
    assert_int_equal(c.pongs_unasked, 0);
    /* From here on b is silent. */
    uint64_t since = l.now;
    while (!l.a.closed) {
        uint64_t next = session_next_deadline(l.a.s);
        assert_true(next <= since + 41 * SECOND);
        l.now = next;
        session_on_deadline(l.a.s, l.now);
        side_output(&l.a, 65536, l.now);
        side_drain(&l.a, l.now);
    }
    assert_int_equal(l.a.err, -SESSION_EKEEPALIVE);
    assert_true(l.now >= since + 10 * SECOND);
    link_fini(&l);
}

static void test_ping_protocol_measures_when_asked_to(void **state)
{
    struct session_counters c;

    link_init(&l, 21);
    l.a.cfg.limits.ping_ns = 15 * SECOND;
    l.a.cfg.limits.keepalive_ns = 1000 * SECOND;
    link_start(&l);
    link_run(&l);
    unsigned rtts = l.a.rtts;
    link_sleep(&l, 61 * SECOND);
    assert_int_equal(l.a.rtts, rtts + 4);
    assert_true(l.a.rtt_ns > 0 && l.a.rtt_ns < SECOND);
    assert_true(session_rtt_ns(l.a.s) == l.a.rtt_ns);
    session_counters_get(l.b.s, &c);
    assert_int_equal(c.pings_answered, 4);
    assert_int_equal(c.streams_now, 0);
    link_fini(&l);
}

static void test_identify_unanswered_fails_alone(void **state)
{
    link_init(&l, 22);
    link_start(&l);
    for (int i = 0; i < 2; i++) {
        side_output(&l.a, 65536, l.now);
        link_move(&l, &l.a, &l.b);
        side_output(&l.b, 65536, l.now);
        if (i == 0)
            link_move(&l, &l.b, &l.a);
    }
    assert_true(l.a.up && !l.a.identified);
    session_on_deadline(l.a.s, l.now + 5 * SECOND);
    side_drain(&l.a, l.now);
    assert_true(l.a.identify_failed && !l.a.closed);
    assert_int_equal(l.a.err, -SESSION_ETIMEOUT);
    link_run(&l);
    assert_int_equal(l.a.identifies, 1); /* late, but still told */
    link_fini(&l);
}

/* ---- the end ---- */

static void test_goodbye_follows_what_is_queued(void **state)
{
    static uint8_t big[3 << 20];

    start(23);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    struct buf *b = buf_copy(slice_of(big, sizeof(big)));
    assert_int_equal(session_stream_send(l.a.s, id, b, 0, b->len), 0);
    session_goaway(l.a.s);
    assert_false(session_is_done(l.a.s));
    link_run(&l);
    assert_true(session_is_done(l.a.s));
    assert_int_equal(heard_of(&l.b, id)->bytes, sizeof(big));
    assert_true(l.b.closed);
    assert_int_equal(l.b.err, -SESSION_EGOAWAY);
    assert_string_equal(l.b.reason, "peer said goodbye");
    assert_false(session_has_output(l.b.s));
    struct slice more = SLICE_LIT("more");
    assert_int_equal(session_input(l.b.s, &more, l.now), -SESSION_EGOAWAY);
    link_fini(&l);
}

static void test_free_drops_every_reference(void **state)
{
    static const char *const protos[] = {"/test/sink/1.0.0", "/x"};
    struct buf *b = buf_copy(SLICE_LIT("data"));

    start(24);
    for (int i = 0; i < 20; i++) {
        int64_t id = session_open_stream(l.a.s, protos, 1 + (unsigned)i % 2, NULL, l.now);
        assert_int_equal(session_stream_send(l.a.s, (uint32_t)id, buf_ref(b), 0, 4), 0);
        if (i == 10)
            side_output(&l.a, 65536, l.now);
    }
    session_on_deadline(l.a.s, l.now + 11 * SECOND); /* REFUSED events wait, untold */
    link_fini(&l);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
}

static void test_error_names(void **state)
{
    assert_string_equal(session_err_name(-SESSION_EYAMUX), "SESSION_EYAMUX");
    assert_string_equal(session_err_name(SESSION_ELIMIT), "SESSION_ELIMIT");
    assert_string_equal(session_err_name(-999), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_comes_up_by_early_muxer),
        cmocka_unit_test(test_session_comes_up_by_multistream_muxer),
        cmocka_unit_test(test_dialer_needs_one_round_trip),
        cmocka_unit_test(test_input_waits_for_events_to_be_drained),
        cmocka_unit_test(test_unexpected_peer_is_refused),
        cmocka_unit_test(test_slow_handshake_times_out),
        cmocka_unit_test(test_identify_tells_addresses_record_and_observed),
        cmocka_unit_test(test_identify_stays_below_4_kib),
        cmocka_unit_test(test_identify_push_tells_changes_once),
        cmocka_unit_test(test_identify_push_tells_the_last_change),
        cmocka_unit_test(test_service_streams_leave_nothing_behind),
        cmocka_unit_test(test_stream_carries_data_both_ways),
        cmocka_unit_test(test_stream_proposals_in_order),
        cmocka_unit_test(test_stream_refused_drops_what_was_queued),
        cmocka_unit_test(test_stream_half_close_lets_the_other_half_go_on),
        cmocka_unit_test(test_stream_reset_reaches_the_other_side),
        cmocka_unit_test(test_stream_user_comes_back_in_events),
        cmocka_unit_test(test_stream_queue_full_then_writable),
        cmocka_unit_test(test_open_stream_says_why_not),
        cmocka_unit_test(test_streams_beyond_the_peers_limit_are_reset),
        cmocka_unit_test(test_unanswered_proposal_is_refused_in_time),
        cmocka_unit_test(test_streams_may_be_silent_for_long),
        cmocka_unit_test(test_keepalive_pings_and_notices_silence),
        cmocka_unit_test(test_ping_protocol_measures_when_asked_to),
        cmocka_unit_test(test_identify_unanswered_fails_alone),
        cmocka_unit_test(test_goodbye_follows_what_is_queued),
        cmocka_unit_test(test_free_drops_every_reference),
        cmocka_unit_test(test_error_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
