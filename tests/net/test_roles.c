/* test_roles.c: several roles of one node on one port */
#include "testing.h"

#include "world.h"

#define ROLES  3
#define DIALER 3
#define DIALS  14

static struct world w;

static void tweak(unsigned i, struct net_config *c)
{
    if (i >= ROLES)
        return;
    c->nroles = ROLES;
    c->role = i;
    c->listen_ip = "127.0.0.10";
    c->max_handshakes_per_ip = 3 * DIALS; /* the kernel may deal many to one at once */
    c->first = i ? w.nodes[0].net : NULL;
}

static unsigned up(const struct wnode *n)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n->nconns; i++)
        count += n->conns[i].is_up && !n->conns[i].is_down;
    return count;
}

static unsigned up_at_roles(void)
{
    return up(&w.nodes[0]) + up(&w.nodes[1]) + up(&w.nodes[2]);
}

static void dial(void)
{
    assert_int_equal(net_dial(w.nodes[DIALER].net, &w.nodes[0].addr, NULL, 1, w.now), 0);
}

/* The kernel deals the connections out by their ports: that all of so many fall to one role does not happen. */
static void test_roles_share_a_listening_port(void **state)
{
    struct net_counters sum = {0}, one;
    unsigned largest = 0;

    world_init(&w, false, ROLES + 1, NULL, tweak);
    for (unsigned i = 1; i < ROLES; i++)
        assert_memory_equal(w.nodes[i].addr.bytes, w.nodes[0].addr.bytes, w.nodes[0].addr.len);
    for (unsigned i = 0; i < DIALS; i++)
        dial();
    WORLD_WAIT(&w, up_at_roles() == DIALS && up(&w.nodes[DIALER]) == DIALS);
    for (unsigned i = 0; i < ROLES; i++) {
        struct wnode *n = &w.nodes[i];
        for (unsigned j = 0; j < n->nconns; j++)
            assert_int_equal(net_conn_role(n->conns[j].id), i);
        if (up(n) > largest)
            largest = up(n);
        net_counters_get(n->net, &one);
        net_counters_add(&sum, &one);
        assert_int_equal(one.conns_in, up(n));
    }
    assert_true(largest < DIALS);
    assert_int_equal(sum.conns_in, DIALS);
    assert_int_equal(sum.conns_now, DIALS);
    assert_true(sum.wire_bytes_in > 0);
    world_fini(&w);
}

/* Sharing is among the roles of one node: another program that comes second is told so, roles or not. */
static void test_roles_share_with_no_other_node(void **state)
{
    char ip[] = "127.0.0.10", err[256] = "", why[512];
    struct net_config c = {.driver = NET_KERNEL, .listen_ip = ip, .rng = &w.nodes[0].rng, .identity = &w.nodes[0].noise};

    world_init(&w, false, ROLES + 1, NULL, tweak);
    dial();
    WORLD_WAIT(&w, up_at_roles() == 1);
    c.local = &w.nodes[0].local;
    for (c.nroles = 1; c.nroles <= 2; c.nroles++) {
        struct multiaddr_target t;
        assert_int_equal(multiaddr_target(multiaddr_slice(&w.nodes[0].addr), &t), 0);
        c.listen_port = t.port;
        assert_null(net_new(&c, w.now, err, why));
        assert_non_null(strstr(err, "in use"));
    }
    world_fini(&w);
}

static void test_roles_are_refused_by_a_port_with_one_queue(void **state)
{
    char err[256] = "", why[512];
    struct net_config c = {.driver = NET_MEMPAIR, .nroles = 2, .rng = &w.nodes[0].rng};

    rng_init_seeded(&w.nodes[0].rng, 1);
    assert_int_equal(net_roles_max(NET_MEMPAIR), 1);
    assert_null(net_new(&c, 1, err, why));
    assert_non_null(strstr(err, "one receive queue"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_share_a_listening_port),
        cmocka_unit_test(test_roles_share_with_no_other_node),
        cmocka_unit_test(test_roles_are_refused_by_a_port_with_one_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
