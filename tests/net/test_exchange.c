/* Requests and answers on streams of their own, between two nodes and against a peer without manners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_peer.h"

static const char *const service[] = {"/test/ask/1"};

static void with_service(unsigned i, struct net_config *cfg)
{
    cfg->services[0] = service[0];
}

static void only_node_0(unsigned i, struct net_config *cfg)
{
    if (i == 0)
        cfg->services[0] = service[0];
}

static struct net_counters counters(struct world *w, unsigned i)
{
    struct net_counters k;

    net_counters_get(w->nodes[i].net, &k);
    return k;
}

static void test_exchange_brings_the_answer_to_its_request(void **state)
{
    struct world w;
    struct wconn *a, *b;
    unsigned ca, cb;

    world_init(&w, false, 2, NULL, with_service);
    world_connect(&w, 0, 1, &ca, &cb);
    a = &w.nodes[0].conns[ca];
    b = &w.nodes[1].conns[cb];
    for (unsigned i = 1; i <= 40; i++) { /* more than may be open at a time: each ends */
        char text[32];
        snprintf(text, sizeof(text), "question %u", i);
        assert_int_equal(net_request(w.nodes[0].net, a->id, 0, slice_str(text), 1000 + i, w.now), 0);
        WORLD_WAIT(&w, b->requests == i);
        assert_string_equal(b->message, text);
        assert_int_equal(net_answer(w.nodes[1].net, b->id, b->request, slice_str("answer")), 0);
        assert_int_equal(net_answer(w.nodes[1].net, b->id, b->request, slice_str("again")), -NET_ENOCONN);
        WORLD_WAIT(&w, a->answers == i);
        assert_int_equal(a->token, 1000 + i);
        assert_string_equal(a->message, "answer");
    }
    assert_int_equal(a->requests_failed, 0);
    assert_int_equal(counters(&w, 1).requests_in, 40);
    world_fini(&w);
}

static void test_exchange_carries_messages_up_to_the_limit(void **state)
{
    static uint8_t big[NET_MESSAGE_MAX + 1];
    struct world w;
    struct wconn *a, *b;
    unsigned ca, cb;

    world_init(&w, false, 2, NULL, with_service);
    world_connect(&w, 0, 1, &ca, &cb);
    a = &w.nodes[0].conns[ca];
    b = &w.nodes[1].conns[cb];
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, slice_of(big, sizeof(big)), 1, w.now), -NET_ELIMIT);
    assert_int_equal(net_request(w.nodes[0].net, a->id, 1, slice_of(big, 1), 1, w.now), -NET_ENOCONN);
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, slice_of(big, NET_MESSAGE_MAX), 1, w.now), 0);
    WORLD_WAIT(&w, b->requests == 1);
    assert_int_equal(b->message_len, NET_MESSAGE_MAX);
    assert_int_equal(net_answer(w.nodes[1].net, b->id, b->request, slice_of(big, NET_MESSAGE_MAX)), 0);
    WORLD_WAIT(&w, a->answers == 1);
    assert_int_equal(a->message_len, NET_MESSAGE_MAX);
    world_fini(&w);
}

static void test_exchange_fails_by_reset_by_refusal_and_by_the_connections_end(void **state)
{
    struct world w;
    struct wconn *a, *b;
    unsigned ca, cb;

    world_init(&w, false, 3, NULL, only_node_0);
    world_connect(&w, 0, 1, &ca, &cb); /* 1 does not speak it */
    a = &w.nodes[0].conns[ca];
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, SLICE_LIT("x"), 7, w.now), 0);
    WORLD_WAIT(&w, a->requests_failed == 1);
    assert_int_equal(a->token, 7);
    world_fini(&w);

    world_init(&w, false, 2, NULL, with_service);
    world_connect(&w, 0, 1, &ca, &cb);
    a = &w.nodes[0].conns[ca];
    b = &w.nodes[1].conns[cb];
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, SLICE_LIT("x"), 8, w.now), 0);
    WORLD_WAIT(&w, b->requests == 1);
    assert_int_equal(net_answer(w.nodes[1].net, b->id, b->request, slice_of(NULL, 0)), 0);
    WORLD_WAIT(&w, a->requests_failed == 1);
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, SLICE_LIT("x"), 9, w.now), 0);
    WORLD_WAIT(&w, b->requests == 2);
    net_conn_close(w.nodes[1].net, b->id, false, w.now);
    WORLD_WAIT(&w, a->requests_failed == 2 && a->is_down);
    assert_int_equal(a->token, 9);
    world_fini(&w);
}

/* The peer takes the request and says nothing. */
static void test_exchange_gives_up_in_time(void **state)
{
    struct world w;
    struct wconn *a, *b;
    unsigned ca, cb;

    world_init(&w, false, 2, NULL, with_service);
    world_connect(&w, 0, 1, &ca, &cb);
    a = &w.nodes[0].conns[ca];
    b = &w.nodes[1].conns[cb];
    assert_int_equal(net_request(w.nodes[0].net, a->id, 0, SLICE_LIT("x"), 7, w.now), 0);
    WORLD_WAIT(&w, b->requests == 1);
    w.offset += 10100000000ull;
    WORLD_WAIT(&w, a->requests_failed == 1);
    assert_string_equal(a->request_reason, "no answer in time");
    assert_false(a->is_down);
    world_fini(&w);
}

static uint32_t open_service(struct fake_peer *p)
{
    unsigned ready = p->ready;
    int64_t s = session_open_stream(p->session, service, 1, NULL, p->world->now);

    assert_true(s > 0);
    FAKE_PEER_WAIT(p, p->ready == ready + 1);
    return (uint32_t)s;
}

/* Several requests on one stream, each cut in two: all are answered. */
static void test_exchange_answers_several_requests_on_one_stream(void **state)
{
    struct world w;
    struct fake_peer p;
    struct wconn *c;
    uint32_t s;

    world_init(&w, false, 1, NULL, with_service);
    fake_peer_dial(&p, &w);
    c = &w.nodes[0].conns[0];
    s = open_service(&p);
    for (unsigned i = 1; i <= 5; i++) {
        fake_peer_write(&p, s, "\x03" "a", 2);
        fake_peer_step(&p);
        fake_peer_write(&p, s, "bc", 2);
        FAKE_PEER_WAIT(&p, c->requests == i);
        assert_string_equal(c->message, "abc");
        assert_int_equal(net_answer(w.nodes[0].net, c->id, c->request, SLICE_LIT("hello")), 0);
        FAKE_PEER_WAIT(&p, p.bytes_on_ours == i * 6);
    }
    session_stream_close(p.session, s);
    FAKE_PEER_WAIT(&p, p.ends_of_ours == 1);
    fake_peer_fini(&p);
    world_fini(&w);
}

/* Streams without end, requests without end, a message without end: each costs that stream alone. */
static void test_exchange_bounds_what_a_peer_may_ask(void **state)
{
    struct world w;
    struct fake_peer p;
    struct wconn *c;
    unsigned resets, asked = 0;
    uint32_t s;

    world_init(&w, false, 1, NULL, with_service);
    fake_peer_dial(&p, &w);
    c = &w.nodes[0].conns[0];
    for (unsigned i = 0; i < 8; i++)
        open_service(&p);
    for (unsigned i = 0; i < 2; i++)
        assert_true(session_open_stream(p.session, service, 1, NULL, w.now) > 0);
    FAKE_PEER_WAIT(&p, p.refused + p.resets_of_ours == 2);
    assert_int_equal(counters(&w, 0).requests_refused, 2);
    fake_peer_fini(&p);
    world_fini(&w);

    world_init(&w, false, 1, NULL, with_service);
    fake_peer_dial(&p, &w);
    c = &w.nodes[0].conns[0];
    s = open_service(&p);
    fake_peer_write(&p, s, "\xff\xff\x7f", 3); /* 2 MiB */
    FAKE_PEER_WAIT(&p, p.resets_of_ours == 1);
    s = open_service(&p);
    resets = p.resets_of_ours;
    while (p.resets_of_ours == resets && asked < 10000) {
        fake_peer_write(&p, s, "\x01x", 2);
        FAKE_PEER_WAIT(&p, c->requests > asked || p.resets_of_ours > resets);
        asked = c->requests;
        net_answer(w.nodes[0].net, c->id, c->request, SLICE_LIT("y"));
    }
    assert_true(asked >= 50 && asked < 10000);
    assert_true(counters(&w, 0).requests_refused >= 1);
    assert_false(c->is_down);
    assert_int_equal(counters(&w, 0).partial_bytes_now, 0);
    fake_peer_fini(&p);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_brings_the_answer_to_its_request),
        cmocka_unit_test(test_exchange_carries_messages_up_to_the_limit),
        cmocka_unit_test(test_exchange_fails_by_reset_by_refusal_and_by_the_connections_end),
        cmocka_unit_test(test_exchange_gives_up_in_time),
        cmocka_unit_test(test_exchange_answers_several_requests_on_one_stream),
        cmocka_unit_test(test_exchange_bounds_what_a_peer_may_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
