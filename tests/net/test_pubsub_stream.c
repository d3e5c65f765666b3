/* The two RPC streams of a connection against a peer that plays by none of the usual habits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_peer.h"

struct scene {
    struct world w;
    struct fake_peer p;
    struct wconn *c;
};

static void tweak(unsigned i, struct net_config *cfg)
{
    cfg->max_frame_bytes = 1u << 20;
    cfg->max_partial_bytes = 1500000;
}

static struct scene *make(void)
{
    struct scene *s = malloc(sizeof(*s));

    world_init(&s->w, false, 1, NULL, tweak);
    fake_peer_dial(&s->p, &s->w);
    s->c = &s->w.nodes[0].conns[0];
    return s;
}

static void drop(struct scene *s)
{
    fake_peer_fini(&s->p);
    world_fini(&s->w);
    free(s);
}

static struct net_counters counters(struct scene *s)
{
    struct net_counters k;

    net_counters_get(s->w.nodes[0].net, &k);
    return k;
}

static void test_stream_second_replaces_the_first(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p), second;

    fake_peer_write(&s->p, first,
                    "\x03"
                    "abc\x05"
                    "de",
                    7); /* ends in the middle of a frame */
    FAKE_PEER_WAIT(&s->p, s->c->frames == 1);
    second = fake_peer_open(&s->p);
    assert_int_equal(counters(s).partial_bytes_now, 0);
    fake_peer_write(&s->p, first, "fgh\x02xy", 6);
    fake_peer_write(&s->p, second, "\x01z", 2);
    FAKE_PEER_WAIT(&s->p, s->c->frames == 2);
    assert_int_equal(s->c->bytes, 3 + 1);
    assert_int_equal(counters(s).streams_replaced, 1);
    assert_int_equal(counters(s).partial_bytes_now, 0);
    assert_false(s->c->is_down);
    drop(s);
}

static void test_stream_theirs_is_told_of_before_it_says_anything(void **state)
{
    struct scene *s = make();

    assert_int_equal(s->c->opened_by_peer, 0);
    fake_peer_open(&s->p);
    FAKE_PEER_WAIT(&s->p, s->c->opened_by_peer == 1);
    assert_int_equal(s->c->frames, 0);
    fake_peer_open(&s->p);
    FAKE_PEER_WAIT(&s->p, s->c->opened_by_peer == 2);
    drop(s);
}

static void test_stream_theirs_is_never_answered(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);

    fake_peer_write(&s->p, first, "\x01z", 2);
    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready && s->c->frames == 1);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 1000), 0);
    FAKE_PEER_WAIT(&s->p, s->p.bytes_on_theirs == 1002);
    assert_int_equal(s->p.opened, 1);
    assert_int_equal(s->p.bytes_on_ours, 0);
    assert_int_equal(s->p.ends_of_ours + s->p.resets_of_ours, 0);
    drop(s);
}

static void test_stream_end_of_theirs_is_no_end_of_ours(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);

    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), 0);
    fake_peer_write(&s->p, first, "\x09half", 5);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready && counters(s).partial_bytes_now == 9);
    session_stream_reset(s->p.session, first);
    FAKE_PEER_WAIT(&s->p, counters(s).partial_bytes_now == 0);
    assert_false(s->c->is_closed_stream);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 10), 0);
    first = fake_peer_open(&s->p); /* and they may come back */
    fake_peer_write(&s->p, first, "\x02ok", 3);
    session_stream_close(s->p.session, first);
    FAKE_PEER_WAIT(&s->p, s->c->frames == 1);
    drop(s);
}

static void test_stream_ours_may_be_dropped_and_opened_again(void **state)
{
    struct scene *s = make();

    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), 0);
    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), -NET_ELIMIT);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready);
    session_stream_reset(s->p.session, s->p.their_stream);
    FAKE_PEER_WAIT(&s->p, s->c->is_closed_stream);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 10), -NET_ENOCONN);
    s->c->is_ready = false;
    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 10), 0);
    FAKE_PEER_WAIT(&s->p, s->p.bytes_on_theirs == 11);
    assert_int_equal(s->p.opened, 2);
    drop(s);
}

/* What the peer sends on its own stream is not touched by it. */
static void test_stream_ours_is_closed_by_us_and_opened_again(void **state)
{
    struct scene *s = make();
    struct net *net = s->w.nodes[0].net;
    uint32_t theirs = fake_peer_open(&s->p);

    assert_int_equal(net_pubsub_close(net, s->c->id, s->w.now), -NET_ENOCONN);
    assert_int_equal(net_pubsub_open(net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready);
    fake_peer_write(&s->p, theirs, "\x04h", 2);
    assert_int_equal(net_pubsub_close(net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_closed_stream);
    assert_int_equal(net_pubsub_close(net, s->c->id, s->w.now), -NET_ENOCONN);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 10), -NET_ENOCONN);
    s->c->is_ready = false;
    assert_int_equal(net_pubsub_open(net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready);
    assert_int_equal(world_send(&s->w, 0, s->c, 0, 10), 0);
    FAKE_PEER_WAIT(&s->p, s->p.bytes_on_theirs == 11);
    fake_peer_write(&s->p, theirs, "alf", 3);
    FAKE_PEER_WAIT(&s->p, s->c->frames == 1);
    assert_false(s->c->is_down);
    drop(s);
}

static void test_stream_a_stalled_frame_ends_the_peer(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);
    uint64_t before;

    fake_peer_write(&s->p, first, "\x80\x80\x02xyz", 6); /* 32 KiB: 10 s and 2 s */
    FAKE_PEER_WAIT(&s->p, counters(s).partial_bytes_now == 32768);
    s->w.offset += 9000000000ull;
    before = counters(s).wire_bytes_in;
    fake_peer_write(&s->p, first, "drip", 4);
    FAKE_PEER_WAIT(&s->p, counters(s).wire_bytes_in > before);
    assert_false(s->c->is_down);
    s->w.offset += 3500000000ull;
    FAKE_PEER_WAIT(&s->p, s->c->is_down);
    assert_string_equal(s->c->reason, "a frame took too long");
    assert_int_equal(counters(s).frames_stalled, 1);
    drop(s);
}

/* Frames that do come do not inherit the clock of those before. */
static void test_stream_each_frame_has_its_own_clock(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);

    fake_peer_write(&s->p, first, "\x02x", 2);
    FAKE_PEER_WAIT(&s->p, counters(s).partial_bytes_now == 2);
    for (unsigned i = 0; i < 3; i++) {
        s->w.offset += 6000000000ull;
        fake_peer_write(&s->p, first, "y\x02x", 3);
        FAKE_PEER_WAIT(&s->p, s->c->is_down || s->c->frames == i + 1);
    }
    if (s->c->is_down)
        fail_msg("%s", s->c->reason);
    drop(s);
}

static void test_stream_half_frames_are_bounded_together(void **state)
{
    struct scene *s = make();
    struct wnode *n = &s->w.nodes[0];
    uint32_t first = fake_peer_open(&s->p);

    fake_peer_write(&s->p, first, "\x80\x80\x40x", 4); /* 1 MiB promised */
    FAKE_PEER_WAIT(&s->p, counters(s).partial_bytes_now == 1u << 20);
    struct fake_peer second;
    struct wconn kept = n->conns[0];
    n->nconns = 0; /* fake_peer_dial counts from nothing */
    fake_peer_dial(&second, &s->w);
    n->conns[1] = n->conns[0];
    n->conns[0] = kept;
    n->nconns = 2;
    first = fake_peer_open(&second);
    fake_peer_write(&second, first, "\x80\x80\x40x", 4);
    FAKE_PEER_WAIT(&second, n->conns[1].is_down);
    assert_false(n->conns[0].is_down);
    assert_int_equal(counters(s).partial_bytes_now, 1u << 20);
    assert_int_equal(counters(s).frames_no_memory, 1);
    fake_peer_fini(&second);
    drop(s);
}

static void test_stream_oversize_length_ends_the_peer(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);

    fake_peer_write(&s->p, first, "\x81\x80\x40", 3);
    FAKE_PEER_WAIT(&s->p, s->c->is_down);
    assert_int_equal(counters(s).frames_oversize, 1);
    drop(s);
}

/* It talks, so it is alive; but it never takes what waits for it. */
static void test_stream_a_deaf_peer_is_let_go(void **state)
{
    struct scene *s = make();
    uint32_t first = fake_peer_open(&s->p);
    unsigned seconds = 0;

    assert_int_equal(net_pubsub_open(s->w.nodes[0].net, s->c->id, s->w.now), 0);
    FAKE_PEER_WAIT(&s->p, s->c->is_ready);
    s->p.is_deaf = true;
    while (world_send(&s->w, 0, s->c, 0, 200000) == 0)
        world_step(&s->w);
    for (unsigned i = 0; i < 50; i++)
        fake_peer_step(&s->p);
    for (; seconds < 80 && !s->c->is_down; seconds += 8) {
        uint64_t frames = s->c->frames;

        s->w.offset += 8000000000ull;
        fake_peer_write(&s->p, first, "\x01z", 2);
        FAKE_PEER_WAIT(&s->p,
                       s->c->is_down || s->c->frames > frames); /* the kernels themselves may take an RTO */
    }
    assert_true(s->c->is_down);
    assert_string_equal(s->c->reason, "the peer takes nothing");
    assert_in_range(seconds, 56, 72);
    assert_int_equal(counters(s).peers_stalled, 1);
    drop(s);
}

/* From one connection to another of the same peer, in the middle of traffic: every frame arrives, and the old connection
 * goes only once nothing is on it. */
static void test_stream_moves_to_another_connection_without_loss(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct wconn *a1, *b1, *a2, *b2;
    unsigned i, j;

    world_init(w, false, 2, NULL, NULL);
    world_connect(w, 0, 1, &i, &j);
    world_connect(w, 0, 1, NULL, NULL);
    a1 = &w->nodes[0].conns[0];
    a2 = &w->nodes[0].conns[1];
    b1 = &w->nodes[1].conns[0];
    b2 = &w->nodes[1].conns[1];
    WORLD_WAIT(w, a2->is_identified && b2->is_identified);
    world_open_stream(w, 0, 0);
    for (i = 0; i < 20; i++)
        assert_int_equal(world_send(w, 0, a1, i, 100000), 0);
    assert_int_equal(net_pubsub_finish(w->nodes[0].net, a1->id, w->now), 0);
    net_conn_close_idle(w->nodes[0].net, a1->id, w->now); /* much is still queued: it stays */
    assert_int_equal(world_send(w, 0, a1, 0, 10), -NET_ENOCONN);
    world_open_stream(w, 0, 1);
    assert_int_equal(world_send(w, 0, a2, 99, 1000), 0);
    WORLD_WAIT(w, b1->frames + b2->frames == 21);
    assert_false(a1->is_down || a1->is_closed_stream);
    for (i = 0; i < 100000 && !a1->is_down; i++) { /* asked again until it is idle on both sides, as the node does */
        net_conn_close_idle(w->nodes[0].net, a1->id, w->now);
        world_step(w);
    }
    WORLD_WAIT(w, a1->is_down && b1->is_down);
    assert_string_equal(b1->reason, "closed by the peer");
    net_conn_close_idle(w->nodes[0].net, a2->id, w->now); /* a stream is on it */
    world_run(w, NULL, NULL, 50);
    assert_false(a2->is_down);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_second_replaces_the_first),
        cmocka_unit_test(test_stream_theirs_is_told_of_before_it_says_anything),
        cmocka_unit_test(test_stream_theirs_is_never_answered),
        cmocka_unit_test(test_stream_end_of_theirs_is_no_end_of_ours),
        cmocka_unit_test(test_stream_ours_may_be_dropped_and_opened_again),
        cmocka_unit_test(test_stream_ours_is_closed_by_us_and_opened_again),
        cmocka_unit_test(test_stream_a_stalled_frame_ends_the_peer),
        cmocka_unit_test(test_stream_each_frame_has_its_own_clock),
        cmocka_unit_test(test_stream_half_frames_are_bounded_together),
        cmocka_unit_test(test_stream_a_deaf_peer_is_let_go),
        cmocka_unit_test(test_stream_oversize_length_ends_the_peer),
        cmocka_unit_test(test_stream_moves_to_another_connection_without_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
