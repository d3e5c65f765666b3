/* test_neigh.c: the containers, neighbours, and configs that make no sense */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"
#include "tcp/arp.h"
#include "tcp/eth.h"
#include "tcp/neigh.h"
#include "tcp/slab.h"
#include "tcp/table.h"

/* ---- containers ---- */

static void test_slab_gives_distinct_objects_up_to_its_bound(void **state)
{
    struct slab s;
    void *got[10];

    (void)state;
    slab_init(&s, 24, 4, 10);
    for (unsigned i = 0; i < 10; i++) {
        got[i] = slab_get(&s);
        assert_non_null(got[i]);
        assert_int_equal((uintptr_t)got[i] % 16, 0);
        memset(got[i], (int)i, 24);
    }
    assert_null(slab_get(&s));
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(*(uint8_t *)got[i], i);
    slab_put(&s, got[3]);
    assert_ptr_equal(slab_get(&s), got[3]);
    slab_fini(&s);
}

static void test_table_finds_each_of_many_flows(void **state)
{
    static struct flow f[5000];
    static const uint64_t key[2] = {1, 2};
    struct table t;

    (void)state;
    assert_int_equal(table_init(&t, 1000, key), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        f[i] = (struct flow){.remote = {ip_v4_from_u32(0x0a000001 + i % 50), (uint16_t)(i / 50)},
                             .local_port = 7};
        assert_null(table_find(&t, &f[i].remote, 7));
        table_add(&t, &f[i]);
    }
    for (uint32_t i = 0; i < 5000; i += 2)
        table_del(&t, &f[i]);
    for (uint32_t i = 0; i < 5000; i++)
        assert_ptr_equal(table_find(&t, &f[i].remote, 7), i % 2 ? &f[i] : NULL);
    assert_int_equal(t.count, 2500);
    assert_null(table_find(&t, &f[1].remote, 8));
    table_fini(&t);
}

/* ---- neighbours ---- */

struct lan {
    struct tcp_stack *s;
    struct rng rng;
    uint64_t now;
    struct tcp_segment seg;
    struct arp_packet arp;
};

static void lan_start(struct lan *l, const struct tcp_config *c)
{
    memset(l, 0, sizeof(*l));
    rng_init_seeded(&l->rng, 1);
    l->now = SEC;
    l->s = tcp_stack_new(c, &l->rng, NULL, l->now);
    assert_non_null(l->s);
}

/* The next frame is ARP. */
static void lan_expect_arp(struct lan *l, uint16_t op)
{
    assert_int_equal(tcp_stack_output(l->s, &l->seg, l->now), 1);
    assert_int_equal(get_be16(l->seg.head + 12), ETH_TYPE_ARP);
    assert_int_equal(arp_parse(&l->arp, slice_of(l->seg.head + ETH_HLEN, ARP_LEN)), 0);
    assert_int_equal(l->arp.op, op);
}

static void lan_arp(struct lan *l, uint16_t op, uint8_t from, uint8_t target)
{
    struct arp_packet a = {.op = op,
                           .sender_mac = {2, 0, 0, 0, 0, from},
                           .sender_ip = ip_v4(10, 0, 0, from),
                           .target_ip = ip_v4(10, 0, 0, target)};
    uint8_t f[ETH_HLEN + ARP_LEN];
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    eth_build(f, all, a.sender_mac, ETH_TYPE_ARP);
    arp_build(f + ETH_HLEN, &a);
    tcp_stack_input(l->s, slice_of(f, sizeof(f)), 0, l->now);
}

static void test_neighbour_is_asked_for_and_the_syn_waits(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    lan_expect_arp(&l, ARP_REQUEST);
    assert_true(eth_is_broadcast(l.seg.head) && l.arp.target_ip.bytes[3] == 9);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    lan_arp(&l, ARP_REPLY, 9, 1);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_int_equal(l.seg.head[5], 9);
    assert_int_equal(l.seg.head[47], TCP_SYN);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

static void test_neighbour_that_does_not_answer_ends_the_handshake(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    struct tcp_event ev;
    struct tcp_conn *c;
    struct lan l;
    unsigned asked = 0;

    (void)state;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    for (unsigned i = 0; i < 60 && !tcp_stack_next_event(l.s, &ev); i++) {
        while (tcp_stack_output(l.s, &l.seg, l.now))
            asked++;
        l.now += 100 * MS;
        tcp_stack_on_deadline(l.s, l.now);
    }
    assert_int_equal(asked, 3);
    assert_int_equal(ev.type, TCP_EV_CLOSED);
    assert_int_equal(ev.reason, TCP_CLOSED_UNREACHABLE);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

static void test_far_peers_go_by_the_gateway(void **state)
{
    struct ip_endpoint to = {ip_v4(192, 0, 2, 1), 80};
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    p.cfg.gateway = ip_v4(10, 0, 0, 254);
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    lan_expect_arp(&l, ARP_REQUEST);
    assert_int_equal(l.arp.target_ip.bytes[3], 254);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

static void test_arp_is_answered_for_us_alone(void **state)
{
    struct lan l;

    (void)state;
    lan_start(&l, &p.cfg);
    lan_arp(&l, ARP_REQUEST, 9, 77);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->drop_arp_other, 1);
    lan_arp(&l, ARP_REQUEST, 9, 1);
    lan_expect_arp(&l, ARP_REPLY);
    assert_int_equal(l.seg.head[5], 9);
    assert_int_equal(l.arp.sender_ip.bytes[3], 1);
    tcp_stack_announce(l.s, l.now);
    lan_expect_arp(&l, ARP_REQUEST);
    assert_true(ip_addr_is_equal(&l.arp.sender_ip, &l.arp.target_ip));
    tcp_stack_free(l.s);
    p.cfg.address_shared = true;
    lan_start(&l, &p.cfg);
    lan_arp(&l, ARP_REQUEST, 9, 1);
    tcp_stack_announce(l.s, l.now);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

static void test_neighbour_that_moved_is_followed(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    struct ip_addr ip = ip_v4(10, 0, 0, 9);
    static const uint8_t moved[6] = {2, 0, 0, 0, 9, 9};
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    lan_start(&l, &p.cfg);
    lan_arp(&l, ARP_REQUEST, 9, 1);
    lan_expect_arp(&l, ARP_REPLY);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_int_equal(l.seg.head[5], 9);
    assert_int_equal(tcp_stack_neigh_set(l.s, &ip, moved, l.now), 0);
    l.now += 2 * SEC;
    tcp_stack_on_deadline(l.s, l.now); /* the SYN again */
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_memory_equal(l.seg.head, moved, 6);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

/* A retransmission timeout makes us doubt it: it is asked within a second, and everyone after three, not after half a minute. */
static void test_neighbour_in_doubt_is_asked_at_once(void **state)
{
    static const uint64_t key[2] = {1, 2}, s = 1000000000ull;
    const struct ip_addr ip = ip_v4_from_u32(0x0a000001);
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct neigh_table t;
    struct timerq timers;
    struct neigh *n;

    (void)state;
    timerq_init(&timers);
    assert_int_equal(neigh_init(&t, 16, false, &timers, key), 0);
    n = neigh_get(&t, &ip, 100 * s);
    assert_ptr_equal(neigh_next_ask(&t), n);
    neigh_learn(&t, n, mac, 100 * s);
    neigh_doubt(&t, n, 100 * s + s / 2); /* it has just answered */
    assert_null(neigh_next_ask(&t));
    neigh_doubt(&t, n, 103 * s);
    assert_ptr_equal(neigh_next_ask(&t), n);
    assert_false(n->is_broadcast_ask);
    assert_int_equal(n->state, NEIGH_KNOWN); /* used meanwhile */
    neigh_doubt(&t, n, 103 * s + s / 2);
    assert_null(neigh_next_ask(&t)); /* it is being asked */
    for (unsigned i = 104; i < 107; i++)
        neigh_on_timer(&t, n, i * s);
    assert_ptr_equal(neigh_next_ask(&t), n);
    assert_true(n->is_broadcast_ask);
    neigh_fini(&t);
    timerq_fini(&timers);
}

static void test_neighbours_from_outside_are_wanted_by_event(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
    struct tcp_event ev;
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    p.cfg.neigh_external = true;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_next_event(l.s, &ev), 1);
    assert_true(ev.type == TCP_EV_NEIGH_WANTED && ip_addr_is_equal(&ev.ip, &to.ip));
    assert_int_equal(tcp_stack_next_event(l.s, &ev), 0);
    lan_arp(&l, ARP_REPLY, 9, 1); /* not believed */
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_neigh_set(l.s, &to.ip, mac, l.now), 0);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_int_equal(l.seg.head[47], TCP_SYN);
    tcp_stack_neigh_failed(l.s, &to.ip, l.now);
    l.now += 2 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_next_event(l.s, &ev), 1);
    assert_int_equal(ev.type, TCP_EV_NEIGH_WANTED);
    tcp_stack_neigh_failed(l.s, &to.ip, l.now);
    assert_int_equal(tcp_stack_next_event(l.s, &ev), 1);
    assert_int_equal(ev.reason, TCP_CLOSED_UNREACHABLE);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

/* The host's own table beside our ARP: a permanent neighbour needs no question and no answer, and nothing on the network
 * overrules it; when news were missed, or it is gone, it is asked for again. */
static void test_neighbours_told_by_the_host(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    static const uint8_t first[6] = {2, 0, 0, 0, 9, 1}, second[6] = {2, 0, 0, 0, 9, 2}, group[6] = {3, 0, 0, 0, 0, 1};
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    p.cfg.address_shared = true;
    p.cfg.syn_timeout_ns = 60 * SEC;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, group, TCP_NEIGH_FIXED, l.now), 0); /* nobody's */
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_FIXED, l.now), 0);
    l.now += 100 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_int_equal(l.seg.head[47], TCP_SYN);
    assert_memory_equal(l.seg.head, first, 6);
    lan_arp(&l, ARP_REPLY, 9, 1); /* from another MAC: not believed */
    l.now += 2 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1); /* the SYN again, and no question */
    assert_memory_equal(l.seg.head, first, 6);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 0);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, second, TCP_NEIGH_FIXED, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 1);
    tcp_stack_neigh_unfix(l.s);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_OLD, l.now), 0); /* we know better */
    l.now += 4 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    lan_expect_arp(&l, ARP_REQUEST); /* in doubt again, as a learnt one */
    assert_memory_equal(l.seg.head, second, 6);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_memory_equal(l.seg.head, second, 6);
    assert_int_equal(l.seg.head[47], TCP_SYN);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, NULL, TCP_NEIGH_GONE, l.now), 0); /* learnt lately: the kernel's failure is its own */
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, second, TCP_NEIGH_FIXED, l.now), 0);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, NULL, TCP_NEIGH_GONE, l.now), 0);
    l.now += 8 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    lan_expect_arp(&l, ARP_REQUEST);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, second, TCP_NEIGH_OLD, l.now), 0); /* better than nothing: it is sent there, and asked */
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_memory_equal(l.seg.head, second, 6);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 1);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

/* However many the host knows, those that we use keep their places. */
static void test_neighbours_told_take_no_used_place(void **state)
{
    static const uint64_t key[2] = {1, 2};
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct neigh_table t;
    struct timerq timers;
    uint32_t fixed = 0;

    (void)state;
    timerq_init(&timers);
    assert_int_equal(neigh_init(&t, 16, false, &timers, key), 0);
    for (uint32_t i = 0; i < 8; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000001 + i);
        neigh_learn(&t, neigh_get(&t, &ip, SEC), mac, SEC);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0b000001 + i);
        struct neigh *n = neigh_get_unasked(&t, &ip);

        if (!n)
            continue;
        neigh_fix(&t, n, i % 2);
        neigh_learn(&t, n, mac, SEC);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000001 + i);
        assert_non_null(neigh_find(&t, &ip));
    }
    for (uint32_t i = 0; i < t.made; i++)
        fixed += t.entries[i].is_fixed;
    assert_true(fixed > 0 && fixed <= 8 && fixed == t.fixed);
    for (uint32_t i = 0; i < 100; i++) { /* and new ones of our own still find one */
        struct ip_addr ip = ip_v4_from_u32(0x0c000001 + i);
        struct neigh *n = neigh_get(&t, &ip, 2 * SEC);

        assert_non_null(n);
        neigh_learn(&t, n, mac, 2 * SEC);
    }
    assert_int_equal(t.fixed, fixed);
    neigh_fini(&t);
    timerq_fini(&timers);
}

/* However many fixed ones stand in a row, those beyond them give way. */
static void test_neighbours_fixed_hide_no_other(void **state)
{
    static const uint64_t key[2] = {1, 2};
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct neigh_table t;
    struct timerq timers;

    (void)state;
    timerq_init(&timers);
    assert_int_equal(neigh_init(&t, 256, false, &timers, key), 0);
    for (uint32_t i = 0; i < 600; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000001 + i);
        struct neigh *n = neigh_get(&t, &ip, SEC + i);

        assert_non_null(n);
        neigh_learn(&t, n, mac, SEC + i);
        neigh_fix(&t, n, i < 128);
    }
    assert_int_equal(t.fixed, 128);
    for (uint32_t i = 0; i < 128; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000001 + i);
        assert_non_null(neigh_find(&t, &ip));
    }
    neigh_fini(&t);
    timerq_fini(&timers);
}

/* The host's words are up to a second old: one does not undo what we heard since, and a newer one of its own is followed. */
static void test_neighbour_heard_is_newer_than_the_hosts_word(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    static const uint8_t first[6] = {2, 0, 0, 0, 9, 1}, second[6] = {2, 0, 0, 0, 9, 2};
    struct tcp_conn *c;
    struct lan l;

    (void)state;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_FRESH, l.now), 0);
    lan_arp(&l, ARP_REQUEST, 9, 1); /* it moved */
    lan_expect_arp(&l, ARP_REPLY);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 1);
    l.now += SEC;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 1);
    assert_int_equal(tcp_connect(l.s, &to, 0, NULL, &c, l.now), 0);
    lan_expect_arp(&l, ARP_REQUEST); /* which is right */
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_int_equal(l.seg.head[5], 9);
    l.now += SEC;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_FRESH, l.now), 0); /* nothing heard since */
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, second, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 3);
    tcp_stack_on_deadline(l.s, l.now); /* the SYN again */
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 1);
    assert_memory_equal(l.seg.head, second, 6);
    lan_arp(&l, ARP_REQUEST, 9, 1);
    lan_expect_arp(&l, ARP_REPLY);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, first, TCP_NEIGH_FIXED, l.now), 0); /* an order, whatever we heard */
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 5);
    tcp_stack_free(l.s);
    puppet_start(&p);
}

/* Two are said to be it: everyone is asked, also when the one we know is being asked; one who lives is asked no more. */
static void test_neighbour_in_dispute_is_asked_for_everywhere(void **state)
{
    static const uint64_t key[2] = {1, 2};
    const struct ip_addr ip = ip_v4_from_u32(0x0a000001);
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct neigh_table t;
    struct timerq timers;
    struct neigh *n;

    (void)state;
    timerq_init(&timers);
    assert_int_equal(neigh_init(&t, 16, false, &timers, key), 0);
    n = neigh_get(&t, &ip, SEC);
    neigh_learn(&t, n, mac, SEC);
    neigh_doubt(&t, n, 100 * SEC);
    assert_ptr_equal(neigh_next_ask(&t), n);
    assert_false(n->is_broadcast_ask);
    neigh_confirm(n, 100 * SEC + SEC / 2);
    for (unsigned i = 0; i < 1000; i++)
        neigh_dispute(&t, n, 100 * SEC + SEC / 2);
    assert_ptr_equal(neigh_next_ask(&t), n);
    assert_true(n->is_broadcast_ask && n->state == NEIGH_KNOWN && n->asks == 1);
    assert_null(neigh_next_ask(&t));
    assert_false(neigh_on_timer(&t, n, 101 * SEC));
    assert_null(neigh_next_ask(&t));
    neigh_fix(&t, n, true);
    neigh_dispute(&t, n, 102 * SEC);
    assert_null(neigh_next_ask(&t));
    neigh_fini(&t);
    timerq_fini(&timers);
}

/* What it told us itself it may take back, also at once; a word that is not taken is put to everyone, for it is told once. */
static void test_neighbour_refused_to_the_host_is_asked_for(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 9), 80};
    static const uint8_t heard[6] = {2, 0, 0, 0, 9, 1}, other[6] = {2, 0, 0, 0, 0, 9};
    struct lan l;

    (void)state;
    lan_start(&l, &p.cfg);
    assert_int_equal(tcp_stack_neigh_set(l.s, &to.ip, heard, l.now), 0); /* as by ARP */
    l.now += 100 * SEC;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, heard, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, other, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 1);
    l.now += 100 * SEC;
    assert_int_equal(tcp_stack_neigh_set(l.s, &to.ip, other, l.now), 0);
    l.now += 100 * SEC;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, other, TCP_NEIGH_FRESH, l.now), 0);
    l.now += SEC;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, heard, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 2);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0); /* nobody was asked */

    assert_int_equal(tcp_stack_neigh_set(l.s, &to.ip, heard, l.now), 0);
    l.now += SEC / 2;
    for (unsigned i = 0; i < 2; i++) { /* its words of before, in its order */
        assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, heard, TCP_NEIGH_FRESH, l.now), 0);
        assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, other, TCP_NEIGH_FRESH, l.now), 0);
    }
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 2);
    lan_expect_arp(&l, ARP_REQUEST);
    assert_true(eth_is_broadcast(l.seg.head));
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0); /* once */
    lan_arp(&l, ARP_REPLY, 9, 1); /* the host was right */
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 3);
    l.now += SEC / 2;
    assert_int_equal(tcp_stack_neigh_told(l.s, &to.ip, heard, TCP_NEIGH_FRESH, l.now), 0);
    assert_int_equal(tcp_stack_counters(l.s)->neigh_moved, 3);
    lan_expect_arp(&l, ARP_REQUEST);
    l.now += 2 * SEC;
    tcp_stack_on_deadline(l.s, l.now);
    assert_int_equal(tcp_stack_output(l.s, &l.seg, l.now), 0); /* nobody else: it is as we know */
    tcp_stack_free(l.s);
    puppet_start(&p);
}

static void put_aside_the_question(void)
{
    struct tcp_segment seg;

    assert_true(tcp_stack_output(p.s, &seg, p.now));
    assert_int_equal(get_be16(seg.head + 12), ETH_TYPE_ARP);
    assert_false(tcp_stack_output(p.s, &seg, p.now));
}

/* An ACK is owed while the neighbour cannot be found: it goes when it is back, unasked. */
static void test_owed_ack_survives_its_neighbour(void **state)
{
    static const struct ip_addr peer = {IP_V4, {10, 0, 0, 2}};
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};

    (void)state;
    puppet_start(&p);
    puppet_accept(&p);
    tcp_stack_neigh_failed(p.s, &peer, p.now);
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_wait(&p, p.cfg.delayed_ack_ns);
    put_aside_the_question();
    tcp_stack_neigh_failed(p.s, &peer, p.now);
    assert_int_equal(tcp_stack_neigh_set(p.s, &peer, mac, p.now), 0);
    puppet_wait(&p, SEC);
    puppet_expect(&p, TCP_ACK, 1, 101, 0);
    assert_int_equal(puppet_read(&p), 100);
}

static void test_neighbour_cache_is_bounded(void **state)
{
    static const uint64_t key[2] = {3, 4};
    static const uint8_t mac[6] = {2};
    struct neigh_table t;
    struct timerq q;

    (void)state;
    timerq_init(&q);
    assert_int_equal(neigh_init(&t, 8, false, &q, key), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000000 + i);
        struct neigh *n = neigh_get(&t, &ip, i);
        assert_non_null(n);
        neigh_learn(&t, n, mac, i);
        assert_ptr_equal(neigh_find(&t, &ip), n);
    }
    unsigned known = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct ip_addr ip = ip_v4_from_u32(0x0a000000 + i);
        known += neigh_find(&t, &ip) != NULL;
    }
    assert_int_equal(known, 8);
    /* Entries that are waited for stay. */
    struct list waiter[8] = {{0}};
    for (uint32_t i = 0; i < 8; i++)
        list_push_back(&t.entries[i].waiters, &waiter[i]);
    struct ip_addr one = ip_v4(10, 9, 9, 9);
    assert_null(neigh_get(&t, &one, 5000));
    neigh_fini(&t);
    timerq_fini(&q);
    puppet_start(&p);
}

static void test_config_without_sense_is_refused(void **state)
{
    struct tcp_config c;
    int err = 0;

    (void)state;
    puppet_start(&p);
    for (unsigned i = 0; i < 6; i++) {
        c = p.cfg;
        switch (i) {
        case 0: c.ip = ip_v4(0, 0, 0, 0); break;
        case 1: c.mtu_bytes = 500; break;
        case 2: c.port_min = 5, c.port_max = 4; break;
        case 3: c.gso_max_bytes = 65535, c.csum_tx = false; break;
        case 4: c.mac[0] = 1; break;
        default: c.max_conns = 0; break;
        }
        assert_null(tcp_stack_new(&c, &p.rng, &err, 0));
        assert_int_equal(err, -TCP_ECONFIG);
    }
    assert_string_equal(tcp_err_name(err), "config");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab_gives_distinct_objects_up_to_its_bound),
        cmocka_unit_test(test_table_finds_each_of_many_flows),
        T(test_neighbour_is_asked_for_and_the_syn_waits),
        T(test_neighbour_that_does_not_answer_ends_the_handshake),
        T(test_far_peers_go_by_the_gateway),
        T(test_arp_is_answered_for_us_alone),
        T(test_neighbour_that_moved_is_followed),
        T(test_neighbour_in_doubt_is_asked_at_once),
        T(test_neighbours_from_outside_are_wanted_by_event),
        T(test_neighbours_told_by_the_host),
        cmocka_unit_test(test_neighbours_told_take_no_used_place),
        cmocka_unit_test(test_neighbours_fixed_hide_no_other),
        T(test_neighbour_heard_is_newer_than_the_hosts_word),
        cmocka_unit_test(test_neighbour_in_dispute_is_asked_for_everywhere),
        T(test_neighbour_refused_to_the_host_is_asked_for),
        T(test_owed_ack_survives_its_neighbour),
        T(test_neighbour_cache_is_bounded),
        T(test_config_without_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
