/* Who may be a peer: the file, and both directions of the handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/allowlist.h"
#include "world.h"

static char text_of[2][PEER_ID_TEXT_MAX];

static struct peer_id id_of(unsigned i)
{
    uint8_t key[32] = {(uint8_t)i, 3};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static void test_allowlist_takes_ids_comments_and_blank_lines(void **state)
{
    struct peer_id a = id_of(1), b = id_of(2), c = id_of(3);
    char text[512], err[256] = "";
    struct allowlist *list;

    peer_id_format(&a, text_of[0]);
    peer_id_format(&b, text_of[1]);
    snprintf(text, sizeof(text), "# ours\n\n  %s \r\n%s # the second\n%s", text_of[0], text_of[1], text_of[0]);
    list = allowlist_parse(slice_str(text), err);
    assert_non_null(list);
    assert_int_equal(list->count, 2);
    assert_true(allowlist_has(list, &a));
    assert_true(allowlist_has(list, &b));
    assert_false(allowlist_has(list, &c));
    assert_true(allowlist_has(NULL, &c));
    allowlist_free(list);
}

static void test_allowlist_names_the_bad_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no peer id"},
        {"# nobody\n", "no peer id"},
        {"# one\nnot-an-id\n", "line 2: \"not-an-id\" is not a peer id"},
        {"/ip4/10.0.0.1/tcp/7070/p2p/x", "line 1:"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char err[256] = "";
        assert_null(allowlist_parse(slice_str(bad[i].text), err));
        assert_non_null(strstr(err, bad[i].says));
    }
    char err[256] = "";
    assert_null(allowlist_load("/nowhere/at/all", err));
    assert_non_null(strstr(err, "No such file"));
}

static struct allowlist *only(const struct peer_id *id)
{
    struct allowlist *a = calloc(1, sizeof(*a) + sizeof(*id));

    a->count = 1;
    a->ids[0] = *id;
    return a;
}

static struct net_counters counters(struct world *w, unsigned i)
{
    struct net_counters k;

    net_counters_get(w->nodes[i].net, &k);
    return k;
}

static void test_net_refuses_an_inbound_peer_that_is_not_allowed(void **state)
{
    struct world w;
    struct peer_id stranger = id_of(9);
    struct allowlist *a = only(&stranger);

    world_init(&w, false, 2, NULL, NULL);
    net_allow(w.nodes[0].net, a, w.now);
    assert_int_equal(net_dial(w.nodes[1].net, &w.nodes[0].addr, NULL, 5, w.now), 0);
    WORLD_WAIT(&w, counters(&w, 0).refused_peer == 1);
    assert_int_equal(w.nodes[0].nconns, 0); /* nothing above ever heard of it */
    WORLD_WAIT(&w, w.nodes[1].dials_failed == 1 || (w.nodes[1].nconns == 1 && w.nodes[1].conns[0].is_down));
    world_fini(&w);
    allowlist_free(a);
}

/* Known beforehand: not even dialed. Learned in the handshake: dropped there. */
static void test_net_refuses_to_dial_a_peer_that_is_not_allowed(void **state)
{
    struct world w;
    struct peer_id stranger = id_of(9);
    struct allowlist *a = only(&stranger);

    world_init(&w, false, 2, NULL, NULL);
    net_allow(w.nodes[1].net, a, w.now);
    assert_int_equal(net_dial(w.nodes[1].net, &w.nodes[0].addr, &w.nodes[0].id, 5, w.now), -NET_EALLOW);
    assert_int_equal(net_dial(w.nodes[1].net, &w.nodes[0].addr, NULL, 6, w.now), 0);
    WORLD_WAIT(&w, w.nodes[1].dials_failed == 1);
    assert_int_equal(w.nodes[1].dial_token, 6);
    assert_string_equal(w.nodes[1].dial_reason, net_err_name(NET_EALLOW));
    world_fini(&w);
    allowlist_free(a);
}

static void test_net_drops_connected_peers_that_a_new_list_leaves_out(void **state)
{
    struct world w;
    struct peer_id stranger = id_of(9);
    struct allowlist *none = only(&stranger), *both;

    world_init(&w, false, 2, NULL, NULL);
    both = only(&w.nodes[1].id);
    world_connect(&w, 0, 1, NULL, NULL);
    net_allow(w.nodes[0].net, both, w.now);
    world_run(&w, NULL, NULL, 50);
    assert_false(w.nodes[0].conns[0].is_down);
    net_allow(w.nodes[0].net, none, w.now);
    WORLD_WAIT(&w, w.nodes[0].conns[0].is_down && w.nodes[1].conns[0].is_down);
    world_fini(&w);
    allowlist_free(none);
    allowlist_free(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowlist_takes_ids_comments_and_blank_lines),
        cmocka_unit_test(test_allowlist_names_the_bad_line),
        cmocka_unit_test(test_net_refuses_an_inbound_peer_that_is_not_allowed),
        cmocka_unit_test(test_net_refuses_to_dial_a_peer_that_is_not_allowed),
        cmocka_unit_test(test_net_drops_connected_peers_that_a_new_list_leaves_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
