/* Whole roles against each other, over kernel sockets and over our TCP on a cable in memory: the same tests twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../drivers/frames.h"
#include "world.h"

#define MIB (1u << 20)

static bool is_mem(void **state)
{
    return *(const bool *)*state;
}

static struct world *make(void **state, unsigned count, world_tweak tweak)
{
    struct world *w = malloc(sizeof(*w));

    world_init(w, is_mem(state), count, NULL, tweak);
    return w;
}

static void drop(struct world *w)
{
    world_fini(w);
    free(w);
}

static struct net_counters counters(struct world *w, unsigned i)
{
    struct net_counters k;

    net_counters_get(w->nodes[i].net, &k);
    return k;
}

/* ---- two nodes ---- */

static void test_net_meets_and_identifies(void **state)
{
    struct world *w = make(state, 2, NULL);
    struct wconn *a, *b;

    world_connect(w, 0, 1, NULL, NULL);
    a = world_conn(w, 0, 1);
    b = world_conn(w, 1, 0);
    assert_true(a->is_dialer && !b->is_dialer);
    assert_int_equal(w->nodes[0].dial_token, 77);
    assert_string_equal(a->identity->agent, "codecast-test");
    assert_true(a->identity->nprotocols >= 2);
    assert_true(a->identity->observed.len > 0);
    assert_int_equal(counters(w, 1).conns_in, 1);
    assert_int_equal(counters(w, 1).conns_now, 1);
    assert_int_equal(counters(w, 1).handshakes_now, 0);
    drop(w);
}

struct flow {
    struct wconn *from, *to;
    unsigned node;
    uint64_t count, sent, bytes, hash;
    uint32_t (*length)(uint64_t i);
};

static uint32_t kib(uint64_t i)
{
    return 1024;
}

static uint32_t mixed(uint64_t i)
{
    return i % 4 == 3 ? 8 * MIB : 1 + (uint32_t)(i * 7919 % 70000);
}

/* Sends what the queue takes now. */
static void push(struct world *w, struct flow *f)
{
    while (f->sent < f->count && world_send(w, f->node, f->from, f->sent, f->length(f->sent)) == 0) {
        struct buf *b = world_frame(f->sent, f->length(f->sent));

        f->hash = world_hash(f->hash, b);
        f->bytes += b->len;
        buf_unref(b);
        f->sent++;
    }
}

static bool are_through(struct world *w, void *arg)
{
    struct flow *f = arg;

    push(w, &f[0]);
    push(w, &f[1]);
    return f[0].to->frames == f[0].count && f[1].to->frames == f[1].count;
}

static void check(const struct flow *f)
{
    assert_int_equal(f->to->frames, f->count);
    assert_int_equal(f->to->bytes, f->bytes);
    assert_true(f->to->hash == f->hash);
}

static void exchange(struct world *w, uint64_t count, uint32_t (*length)(uint64_t i))
{
    unsigned ca, cb;

    world_connect(w, 0, 1, &ca, &cb);
    world_open_stream(w, 0, ca);
    world_open_stream(w, 1, cb);
    struct wconn *a = &w->nodes[0].conns[ca], *b = &w->nodes[1].conns[cb];
    struct flow f[2] = {{.from = a, .to = b, .node = 0, .count = count, .length = length},
                        {.from = b, .to = a, .node = 1, .count = count, .length = length}};

    assert_int_equal(a->protocol, 0);
    if (!world_run(w, are_through, f, 20000))
        fail_msg("%lu and %lu of %lu frames came; %s", (unsigned long)f[0].to->frames,
                 (unsigned long)f[1].to->frames, (unsigned long)count,
                 a->is_down ? a->reason : "connection up");
    check(&f[0]);
    check(&f[1]);
}

static void test_net_exchanges_small_frames(void **state)
{
    struct world *w = make(state, 2, NULL);

    exchange(w, 1000, kib);
    drop(w);
}

static void test_net_exchanges_large_frames(void **state)
{
    struct world *w = make(state, 2, NULL);

    exchange(w, 20, mixed);
    assert_int_equal(counters(w, 0).partial_bytes_now, 0);
    drop(w);
}

/* Over cables that are worse than a veth: what the layers below do must not show up here. */
static void exchange_over(const struct mempair_config *cable, uint64_t count, uint32_t (*length)(uint64_t i))
{
    struct world *w = malloc(sizeof(*w));

    world_init(w, true, 2, cable, NULL);
    exchange(w, count, length);
    drop(w);
}

static void test_net_exchanges_without_offloads(void **state)
{
    exchange_over(&(struct mempair_config){.mtu = 1500}, 20, mixed);
}

static void test_net_exchanges_over_a_lossy_cable(void **state)
{
    exchange_over(&(struct mempair_config){.loss_per_million = 10000, .seed = 3}, 1000, kib);
    exchange_over(&(struct mempair_config){.loss_per_million = 10000, .seed = 4, .has_csum = true, .gso_max_bytes = 20000},
                  8, mixed);
}

static void other_protocols(unsigned i, struct net_config *cfg)
{
    if (i == 1) {
        cfg->protocols[0] = "/other/1.0.0";
        cfg->protocols[1] = NULL;
    }
}

static bool has_none(struct world *w, void *arg)
{
    return ((struct wconn *)arg)->has_no_pubsub;
}

static void test_net_tells_of_no_common_protocol(void **state)
{
    struct world *w = make(state, 2, other_protocols);
    unsigned c;

    world_connect(w, 0, 1, &c, NULL);
    assert_int_equal(net_pubsub_open(w->nodes[0].net, w->nodes[0].conns[c].id, w->now), 0);
    assert_true(world_run(w, has_none, &w->nodes[0].conns[c], 3000));
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[c], 0, 10), -NET_ENOCONN);
    drop(w);
}

static void second_only(unsigned i, struct net_config *cfg)
{
    if (i == 1) {
        cfg->protocols[0] = cfg->protocols[1];
        cfg->protocols[1] = NULL;
    }
}

static void test_net_settles_on_the_second_protocol(void **state)
{
    struct world *w = make(state, 2, second_only);
    unsigned c;

    world_connect(w, 0, 1, &c, NULL);
    world_open_stream(w, 0, c);
    assert_int_equal(w->nodes[0].conns[c].protocol, 1);
    drop(w);
}

/* ---- dials that fail ---- */

static bool dial_failed(struct world *w, void *arg)
{
    return w->nodes[0].dials_failed == 1;
}

static void test_net_checks_the_expected_peer(void **state)
{
    struct world *w = make(state, 3, NULL);

    assert_int_equal(net_dial(w->nodes[0].net, &w->nodes[1].addr, &w->nodes[2].id, 5, w->now), 0);
    assert_true(world_run(w, dial_failed, NULL, 3000));
    assert_int_equal(w->nodes[0].dial_token, 5);
    assert_int_equal(w->nodes[0].nconns, 0);
    WORLD_WAIT(w, counters(w, 1).handshakes_failed == 1);
    assert_int_equal(w->nodes[1].nconns, 0);
    drop(w);
}

static void test_net_tells_a_refused_dial(void **state)
{
    struct world *w = make(state, 2, NULL);
    struct multiaddr nobody;
    uint8_t ip[4] = {127, 0, 0, 11};

    if (is_mem(state))
        memcpy(ip, (uint8_t[4]){10, 1, 0, 11}, 4);
    multiaddr_of_tcp(&nobody, ip, 4, 9, NULL);
    assert_int_equal(net_dial(w->nodes[0].net, &nobody, NULL, 6, w->now), 0);
    assert_true(world_run(w, dial_failed, NULL, 3000));
    assert_int_equal(w->nodes[0].dial_token, 6);
    assert_true(strcasecmp(w->nodes[0].dial_reason, "connection refused") == 0);
    drop(w);
}

static void short_patience(unsigned i, struct net_config *cfg)
{
    cfg->dial_ns = 1000000000ull;
}

static void test_net_gives_a_silent_dial_up(void **state)
{
    struct world *w = make(state, 1, short_patience);
    struct multiaddr nobody;
    const uint8_t ip[4] = {10, 1, 0, 200}; /* no such neighbour on the cable */

    multiaddr_of_tcp(&nobody, ip, 4, 9, NULL);
    assert_int_equal(net_dial(w->nodes[0].net, &nobody, NULL, 6, w->now), 0);
    assert_true(world_run(w, dial_failed, NULL, 3000));
    assert_int_equal(counters(w, 0).conns_now, 0);
    drop(w);
}

static void test_net_refuses_what_cannot_be_dialed(void **state)
{
    struct world *w = make(state, 1, NULL);
    struct multiaddr m;

    assert_int_equal(multiaddr_parse(&m, slice_str("/dns4/example.org/tcp/7070")), 0);
    assert_int_equal(net_dial(w->nodes[0].net, &m, NULL, 1, w->now), -NET_EADDR);
    assert_int_equal(net_pubsub_open(w->nodes[0].net, 12345, w->now), -NET_ENOCONN);
    net_conn_close(w->nodes[0].net, 12345, true, w->now); /* nothing to do, nothing to break */
    drop(w);
}

/* ---- limits ---- */

static void small_frames(unsigned i, struct net_config *cfg)
{
    if (i == 1)
        cfg->max_frame_bytes = 10000;
}

static bool is_down(struct world *w, void *arg)
{
    return ((struct wconn *)arg)->is_down;
}

static void test_net_ends_a_peer_with_an_oversize_frame(void **state)
{
    struct world *w = make(state, 2, small_frames);
    unsigned ca, cb;

    world_connect(w, 0, 1, &ca, &cb);
    world_open_stream(w, 0, ca);
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[ca], 0, 10000), 0);
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[ca], 1, 10001), 0);
    assert_true(world_run(w, is_down, &w->nodes[1].conns[cb], 3000));
    assert_true(world_run(w, is_down, &w->nodes[0].conns[ca], 3000));
    assert_int_equal(w->nodes[1].conns[cb].frames, 1);
    assert_int_equal(counters(w, 1).frames_oversize, 1);
    assert_int_equal(counters(w, 1).conns_now, 0);
    drop(w);
}

static void small_queue(unsigned i, struct net_config *cfg)
{
    cfg->max_queue_bytes = MIB;
}

static bool is_writable(struct world *w, void *arg)
{
    return ((struct wconn *)arg)->writables > 0;
}

static bool has_all(struct world *w, void *arg)
{
    struct flow *f = arg;

    return f->to->frames == f->sent;
}

/* The receiver's own queue of events fills first, then its window closes, then our queue: nothing is lost. */
static void test_net_holds_a_fast_sender_back(void **state)
{
    struct world *w = make(state, 2, small_queue);
    unsigned ca, cb;
    int rc = 0;

    world_connect(w, 0, 1, &ca, &cb);
    world_open_stream(w, 0, ca);
    struct wconn *a = &w->nodes[0].conns[ca];
    struct flow f = {.from = a, .to = &w->nodes[1].conns[cb]};
    w->nodes[1].is_stuffed = true;
    for (unsigned quiet = 0; quiet < 200;) {
        rc = world_send(w, 0, a, f.sent, 100000);
        quiet = rc == 0 ? 0 : quiet + 1;
        f.sent += rc == 0;
        assert_true(f.sent < 4000);
        world_step(w);
    }
    assert_int_equal(rc, -NET_EFULL);
    assert_in_range(net_conn_queue_bytes(w->nodes[0].net, a->id), MIB, MIB + 100010);
    a->writables = 0;
    w->nodes[1].is_stuffed = false;
    assert_true(world_run(w, is_writable, a, 5000));
    assert_true(world_run(w, has_all, &f, 5000));
    assert_int_equal(a->writables, 1);
    assert_int_equal(world_send(w, 0, a, f.sent++, 10), 0);
    assert_true(world_run(w, has_all, &f, 5000));
    drop(w);
}

static void one_conn(unsigned i, struct net_config *cfg)
{
    if (i == 0)
        cfg->max_conns = 1;
}

static void test_net_keeps_to_its_connections(void **state)
{
    struct world *w = make(state, 3, one_conn);

    world_connect(w, 0, 1, NULL, NULL);
    assert_int_equal(net_dial(w->nodes[0].net, &w->nodes[2].addr, NULL, 1, w->now), -NET_ELIMIT);
    assert_int_equal(net_dial(w->nodes[2].net, &w->nodes[0].addr, NULL, 1, w->now), 0);
    WORLD_WAIT(w, w->nodes[2].dials_failed == 1);
    assert_int_equal(counters(w, 0).refused_full, 1);
    assert_int_equal(counters(w, 0).conns_now, 1);
    drop(w);
}

/* A third port of the cable sends SYNs from everywhere; nobody there answers. */
static void flood(struct pktio *from, const uint8_t mac[6], const uint8_t to[4], uint32_t i)
{
    const uint8_t src[4] = {10, 1, (uint8_t)(1 + i / 250 % 200), (uint8_t)(1 + i % 250)};
    struct pktio_seg s;

    frame_make(&s, from->link.mac, mac, src, to, 7070, NULL, 0, 0);
    put16(s.head + 34, 1024 + i % 60000);
    memcpy(s.head + 38, &i, 4);
    s.head[47] = 2; /* SYN */
    pktio_send(from, &s, 1);
}

static void test_net_meets_through_a_syn_flood(void **state)
{
    struct world *w = malloc(sizeof(*w));
    const uint8_t ip[4] = {10, 1, 0, 11}, mac[6] = {2, 0, 0, 0, 0, 2};
    struct mempair_config cable = {.has_csum = true, .gso_max_bytes = 64000, .ports = 3};
    struct pktio *attacker;

    world_init(w, true, 2, &cable, NULL);
    attacker = mempair_port(w->cable, 2);
    for (uint32_t i = 0; i < 20000; i++) {
        flood(attacker, mac, ip, i);
        if (i % 20 == 0)
            world_step(w);
    }
    assert_int_equal(net_dial(w->nodes[0].net, &w->nodes[1].addr, NULL, 1, w->now), 0);
    for (uint32_t i = 20000; w->nodes[0].nconns == 0; i++) {
        assert_true(i < 200000);
        flood(attacker, mac, ip, i);
        if (i % 20 == 0)
            world_step(w);
    }
    assert_int_equal(counters(w, 1).handshakes_now, 0); /* not one of them cost a session */
    drop(w);
}

/* ---- ends ---- */

static void test_net_says_goodbye_after_what_is_queued(void **state)
{
    struct world *w = make(state, 2, NULL);
    unsigned ca, cb;

    world_connect(w, 0, 1, &ca, &cb);
    world_open_stream(w, 0, ca);
    struct wconn *a = &w->nodes[0].conns[ca], *b = &w->nodes[1].conns[cb];
    for (uint64_t i = 0; i < 30; i++)
        assert_int_equal(world_send(w, 0, a, i, 100000), 0);
    net_conn_close(w->nodes[0].net, a->id, true, w->now);
    assert_int_equal(world_send(w, 0, a, 30, 10), -NET_ENOCONN);
    assert_true(world_run(w, is_down, b, 5000));
    assert_int_equal(b->frames, 30);
    assert_string_equal(b->reason, "closed by the peer");
    assert_true(world_run(w, is_down, a, 5000));
    assert_string_equal(a->reason, "closed");
    drop(w);
}

static void test_net_cuts_at_once_when_not_polite(void **state)
{
    struct world *w = make(state, 2, NULL);
    unsigned ca, cb;

    world_connect(w, 0, 1, &ca, &cb);
    net_conn_close(w->nodes[0].net, w->nodes[0].conns[ca].id, false, w->now);
    world_step(w);
    assert_true(w->nodes[0].conns[ca].is_down);
    assert_true(world_run(w, is_down, &w->nodes[1].conns[cb], 3000));
    for (unsigned i = 0; i < 2; i++) { /* of either side one connection that lasted a while, and not long */
        struct durations d = counters(w, i).lasted;
        uint64_t n = 0;

        for (unsigned c = 0; c <= DURATIONS_CLASSES; c++)
            n += d.counts[c];
        assert_int_equal(n, 1);
        assert_true(d.sum_ns > 0 && d.sum_ns < 10000000000);
    }
    drop(w);
}

static void test_net_frees_in_the_middle_of_everything(void **state)
{
    struct world *w = make(state, 3, NULL);
    unsigned ca;

    world_connect(w, 0, 1, &ca, NULL);
    world_open_stream(w, 0, ca);
    for (uint64_t i = 0; i < 10; i++)
        world_send(w, 0, &w->nodes[0].conns[ca], i, 300000);
    net_dial(w->nodes[2].net, &w->nodes[0].addr, NULL, 1, w->now);
    for (unsigned i = 0; i < 3; i++)
        world_step(w);
    drop(w); /* the leak checker judges */
}

/* ---- five nodes ---- */

static bool five_through(struct world *w, void *arg)
{
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < w->nodes[i].nconns; k++)
            if (w->nodes[i].conns[k].frames < 50)
                return false;
    return true;
}

static void test_net_five_nodes_full_mesh(void **state)
{
    struct world *w = make(state, 5, NULL);
    uint64_t want = 0;

    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = i + 1; k < 5; k++)
            world_connect(w, i, k, NULL, NULL);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(w->nodes[i].nconns, 4);
        for (unsigned c = 0; c < 4; c++)
            world_open_stream(w, i, c);
    }
    for (uint64_t f = 0; f < 50; f++) {
        struct buf *b = world_frame(f, 5000);

        want = world_hash(want, b);
        buf_unref(b);
        for (unsigned i = 0; i < 5; i++)
            for (unsigned c = 0; c < 4; c++)
                assert_int_equal(world_send(w, i, &w->nodes[i].conns[c], f, 5000), 0);
    }
    assert_true(world_run(w, five_through, NULL, 10000));
    for (unsigned i = 0; i < 5; i++)
        for (unsigned c = 0; c < 4; c++)
            assert_true(w->nodes[i].conns[c].hash == want);
    drop(w);
}

/* Both dial each other at once: two connections, and both work. */
static bool both_twice(struct world *w, void *arg)
{
    return w->nodes[0].nconns == 2 && w->nodes[1].nconns == 2;
}

static void test_net_crossing_dials_give_two_connections(void **state)
{
    struct world *w = make(state, 2, NULL);

    net_dial(w->nodes[0].net, &w->nodes[1].addr, NULL, 1, w->now);
    net_dial(w->nodes[1].net, &w->nodes[0].addr, NULL, 1, w->now);
    assert_true(world_run(w, both_twice, NULL, 3000));
    world_open_stream(w, 0, 0);
    world_open_stream(w, 0, 1);
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[0], 0, 100), 0);
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[1], 0, 100), 0);
    WORLD_WAIT(w, w->nodes[1].conns[0].frames == 1 && w->nodes[1].conns[1].frames == 1);
    drop(w);
}

/* Our TCP says nothing when its process dies. What the peer still holds for a connection ends when we dial again, before the
 * new connection is there: a peer that counts connections must not see two. */
static void test_net_takes_over_the_connection_of_its_last_life(void **state)
{
    struct world *w = make(state, 2, NULL);

    world_connect(w, 0, 1, NULL, NULL);
    world_run(w, NULL, NULL, 1000); /* nothing is on its way any more that would tell of the death */
    world_relive(w, 0, NULL);
    assert_false(w->nodes[1].conns[0].is_down);
    assert_int_equal(net_dial(w->nodes[0].net, &w->nodes[1].addr, NULL, 1, w->now), 0);
    WORLD_WAIT(w, w->nodes[1].nconns == 2 || w->nodes[0].dials_failed);
    assert_int_equal(w->nodes[0].dials_failed, 0);
    assert_true(w->nodes[1].conns[0].is_down);
    world_open_stream(w, 0, 0);
    assert_int_equal(world_send(w, 0, &w->nodes[0].conns[0], 0, 100), 0);
    WORLD_WAIT(w, w->nodes[1].conns[1].frames == 1);
    drop(w);
}

/* From any port when the usual one was tried: nothing that remembers the old connection can shut us out. */
static void test_net_dials_again_from_another_port(void **state)
{
    struct world *w = make(state, 2, NULL);

    world_connect(w, 0, 1, NULL, NULL);
    assert_int_equal(net_dial(w->nodes[0].net, &w->nodes[1].addr, NULL, 1, w->now), 0);
    WORLD_WAIT(w, w->nodes[1].nconns == 2);
    assert_false(w->nodes[1].conns[0].is_down);
    drop(w);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&kernel), cmocka_unit_test_prestate(f, (void *)&memory)

/* A port without a descriptor to wait on, as the cable is: who sleeps until the deadline must not miss its packets. */
static void test_net_looks_often_at_a_port_that_cannot_tell(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    int fd;

    (void)state;
    world_init(w, true, 2, NULL, NULL);
    world_connect(w, 0, 1, NULL, NULL);
    for (unsigned i = 0; i < 5000; i++)
        world_step(w);
    assert_int_equal(net_wait_fds(w->nodes[0].net, &fd, 1), 0);
    assert_true(net_next_deadline(w->nodes[0].net) <= w->now + 1000000);
    world_fini(w);
    free(w);
}

/* Steps until node 1 has one frame more; its packets out since `before`, seen between that turn and the next. */
static uint64_t packets_until_frame(struct world *w, const struct wconn *b, uint64_t before)
{
    uint64_t had = b->frames;

    WORLD_WAIT(w, b->frames > had);
    return counters(w, 1).packets_out - before;
}

/* The acknowledgement of a small message waits a turn for what is made of it, and then goes with it or alone. */
static void test_net_acknowledges_behind_what_follows(void **state)
{
    struct world *w = make(state, 2, NULL);
    unsigned ca, cb;
    struct wconn *a, *b;
    uint64_t before;

    world_connect(w, 0, 1, &ca, &cb);
    world_open_stream(w, 0, ca);
    world_open_stream(w, 1, cb);
    a = &w->nodes[0].conns[ca];
    b = &w->nodes[1].conns[cb];
    world_run(w, NULL, NULL, 1000);
    before = counters(w, 1).packets_out;
    assert_int_equal(world_send(w, 0, a, 0, 1024), 0);
    assert_int_equal(packets_until_frame(w, b, before), 0);
    assert_int_equal(net_next_deadline(w->nodes[1].net), 0);
    world_step(w);
    assert_int_equal(counters(w, 1).packets_out - before, 1);
    world_run(w, NULL, NULL, 1000);
    before = counters(w, 1).packets_out;
    assert_int_equal(world_send(w, 0, a, 1, 1024), 0);
    assert_int_equal(packets_until_frame(w, b, before), 0);
    assert_int_equal(world_send(w, 1, b, 0, 1024), 0);
    world_step(w);
    assert_int_equal(counters(w, 1).packets_out - before, 1);
    WORLD_WAIT(w, a->frames == 1);
    drop(w);
}

int main(int argc, char **argv)
{
    static bool kernel = false, memory = true;
    const struct CMUnitTest tests[] = {
        BOTH(test_net_meets_and_identifies),
        BOTH(test_net_exchanges_small_frames),
        BOTH(test_net_exchanges_large_frames),
        cmocka_unit_test_prestate(test_net_exchanges_without_offloads, (void *)&memory),
        cmocka_unit_test_prestate(test_net_exchanges_over_a_lossy_cable, (void *)&memory),
        BOTH(test_net_tells_of_no_common_protocol),
        BOTH(test_net_settles_on_the_second_protocol),
        BOTH(test_net_checks_the_expected_peer),
        BOTH(test_net_tells_a_refused_dial),
        cmocka_unit_test_prestate(test_net_gives_a_silent_dial_up, (void *)&memory),
        BOTH(test_net_refuses_what_cannot_be_dialed),
        BOTH(test_net_ends_a_peer_with_an_oversize_frame),
        BOTH(test_net_holds_a_fast_sender_back),
        BOTH(test_net_keeps_to_its_connections),
        cmocka_unit_test_prestate(test_net_meets_through_a_syn_flood, (void *)&memory),
        BOTH(test_net_says_goodbye_after_what_is_queued),
        BOTH(test_net_cuts_at_once_when_not_polite),
        BOTH(test_net_frees_in_the_middle_of_everything),
        BOTH(test_net_five_nodes_full_mesh),
        BOTH(test_net_crossing_dials_give_two_connections),
        cmocka_unit_test_prestate(test_net_takes_over_the_connection_of_its_last_life, (void *)&memory),
        BOTH(test_net_dials_again_from_another_port),
        cmocka_unit_test(test_net_looks_often_at_a_port_that_cannot_tell),
        cmocka_unit_test_prestate(test_net_acknowledges_behind_what_follows, (void *)&memory),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
