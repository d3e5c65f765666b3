/* What waits for a slow peer: put off, spared, sent in order, dropped in the end; and what our own publishes wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12
#define QUEUE 400000u /* queue_bytes of the core: its direct queue takes 100,000 and one message */
#define BYTES 50000u
#define PEERS 4

static struct netsim *s;
static struct raw *peers[PEERS];

static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.queue_bytes = QUEUE;
    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = NULL;
    return 0;
}

static int close_sim(void **state)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (peers[i])
            raw_free(peers[i]);
    netsim_free(s);
    return 0;
}

static struct pubsub_counters counters(void)
{
    return netsim_counters(s, 0);
}

static void graft(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        peers[i] = raw_new(s, 0, V12, true);
        raw_graft(peers[i], 0, TOPIC);
    }
}

static void queue_at(unsigned i, uint64_t bytes, uint64_t now)
{
    pubsub_peer_queue(netsim_core(s, 0), peers[i]->node + 1, bytes, now);
}

static void queue(unsigned i, uint64_t bytes)
{
    queue_at(i, bytes, netsim_now(s));
    netsim_drain(s, 0);
}

static void publish(unsigned n)
{
    static uint8_t payload[BYTES];

    memset(payload, (int)n, sizeof(payload));
    memcpy(payload, &n, sizeof(n));
    assert_int_equal(netsim_publish(s, 0, TOPIC, slice_of(payload, sizeof(payload))), 0);
}

static bool waits_at(uint64_t now)
{
    return pubsub_publish_waits(netsim_core(s, 0), SLICE_LIT(TOPIC), now);
}

static void test_messages_wait_for_a_slow_peer_and_come_in_order(void **state)
{
    uint8_t ids[8][MESSAGE_ID_MAX];
    struct raw *r;

    graft(1);
    r = peers[0];
    queue(0, QUEUE);
    for (unsigned i = 0; i < 8; i++)
        publish(i);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 0);
    assert_int_equal(counters().put_off, 8);
    for (unsigned i = 0; i < 8; i++) { /* room for one message each time */
        queue_at(0, QUEUE / 4 - 1, netsim_now(s));
        queue_at(0, QUEUE, netsim_now(s));
        netsim_drain(s, 0);
        netsim_run(s, 10 * NETSIM_MS);
        assert_int_equal(raw_count(r, RPC_MESSAGE), i + 1);
        memcpy(ids[i], raw_last(r, RPC_MESSAGE)->id, MESSAGE_ID_MAX);
        if (i) /* a newer seqno */
            assert_true(memcmp(ids[i - 1], ids[i], raw_last(r, RPC_MESSAGE)->id_len) < 0);
    }
    assert_int_equal(counters().slow_drops, 0);
    assert_int_equal(counters().spared, 0);
    queue(0, 0);
    publish(100);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 9); /* straight on */
    assert_int_equal(counters().put_off, 8);
}

static void test_what_the_peer_has_by_then_is_not_sent(void **state)
{
    static uint8_t payload[BYTES];
    const struct raw_note *note;
    struct slice id;

    graft(3);
    queue(0, QUEUE);
    raw_message(peers[1], 0, TOPIC, 1, slice_of(payload, sizeof(payload)), false);
    publish(2);
    assert_int_equal(counters().put_off, 2);
    note = raw_last(peers[2], RPC_MESSAGE); /* ours, as another peer got it */
    id = slice_of(note->id, note->id_len);
    raw_ids(peers[0], 0, CONTROL_F_IDONTWANT, NULL, &id, 1);
    queue(0, 0);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(counters().spared, 1);
    assert_int_equal(raw_count(peers[0], RPC_MESSAGE), 1);
}

/* A copy that it sends us says the same. */
static void test_a_copy_from_the_peer_spares_ours(void **state)
{
    static uint8_t payload[BYTES];
    struct buf *field;
    struct wr w;
    uint8_t *frame;

    graft(2);
    queue(0, QUEUE);
    raw_message(peers[1], 0, TOPIC, 1, slice_of(payload, sizeof(payload)), false);
    field = raw_field(netsim_key(s, peers[1]->node), TOPIC, 1, slice_of(payload, sizeof(payload)), false);
    frame = malloc(field->len);
    w = wr_of(frame, field->len);
    wr_slice(&w, buf_slice(field));
    raw_send(peers[0], 0, slice_of(frame, w.len));
    free(frame);
    buf_unref(field);
    assert_int_equal(counters().duplicates, 1);
    queue(0, 0);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(counters().spared, 1);
    assert_int_equal(raw_count(peers[0], RPC_MESSAGE), 0);
}

static void test_what_is_not_kept_any_more_is_counted_as_dropped(void **state)
{
    graft(2);
    queue(0, QUEUE);
    publish(1);
    netsim_run(s, 40 * NETSIM_S); /* kept for 30 s */
    queue(0, 0);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(peers[0], RPC_MESSAGE), 0);
    assert_int_equal(counters().slow_drops, 1);
    assert_int_equal(counters().rpc_dropped, 1);
}

/* What waits for a peer may be kept beyond the limit of messages kept, four times it: then the oldest go. */
static void test_what_waits_is_kept_for_longer(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    unsigned node, published = 0;
    struct pubsub_counters c;
    struct raw *r;

    cfg.queue_bytes = QUEUE;
    cfg.keep_bytes = 6 * BYTES;
    node = netsim_add(s, &cfg);
    r = raw_new(s, node, V12, true);
    netsim_subscribe(s, node, TOPIC);
    raw_graft(r, node, TOPIC);
    for (unsigned round = 0; round < 2; round++) {
        raw_forget(r);
        pubsub_peer_queue(netsim_core(s, node), r->node + 1, QUEUE, netsim_now(s));
        for (unsigned i = 0; i < (round ? 40u : 20u); i++) {
            static uint8_t payload[BYTES];
            memcpy(payload, &published, sizeof(published));
            published++;
            assert_int_equal(netsim_publish(s, node, TOPIC, slice_of(payload, sizeof(payload))), 0);
        }
        pubsub_peer_queue(netsim_core(s, node), r->node + 1, 0, netsim_now(s));
        netsim_drain(s, node);
        netsim_run(s, 10 * NETSIM_MS);
        pubsub_counters_get(netsim_core(s, node), &c);
        assert_int_equal(raw_count(r, RPC_MESSAGE) + c.slow_drops, round ? 40 : 20);
        assert_true(round ? c.slow_drops > 10 && c.slow_drops < 20 : c.slow_drops == 0);
        assert_true(c.kept_bytes > 18 * BYTES);
        netsim_run(s, 1100 * NETSIM_MS);
        pubsub_counters_get(netsim_core(s, node), &c);
        assert_true(c.kept_bytes <= 6 * BYTES); /* nobody waits any more */
    }
    raw_free(r);
}

static void test_a_publish_waits_while_most_peers_are_behind_and_take_something(void **state)
{
    uint64_t now;

    assert_false(waits_at(netsim_now(s))); /* nobody is there */
    graft(PEERS);
    now = netsim_now(s);
    assert_false(waits_at(now));
    for (unsigned i = 0; i < 3; i++) {
        queue_at(i, QUEUE, now);
        queue_at(i, QUEUE / 2 + 1, now); /* it took something */
    }
    assert_true(waits_at(now));
    for (unsigned beat = 0; beat < 40; beat++) { /* 20 s: it goes on while they do */
        now += NETSIM_S / 2;
        queue_at(0, QUEUE, now);
        queue_at(0, QUEUE / 2 + 1, now);
        assert_true(waits_at(now));
    }
    assert_true(waits_at(now + 4 * NETSIM_S));
    assert_false(waits_at(now + 5 * NETSIM_S)); /* stuck: whoever is left shall have it */
    queue_at(0, QUEUE / 2 - 1, now + 6 * NETSIM_S); /* two of four are a few, with their patience left */
    assert_true(waits_at(now + 6 * NETSIM_S));
}

static void test_a_few_slow_peers_hold_up_a_publish_for_a_second(void **state)
{
    uint64_t now, held = 0;

    graft(PEERS);
    now = netsim_now(s);
    queue_at(3, QUEUE, now);
    while (waits_at(now) && held < 10 * NETSIM_S) {
        now += 10 * NETSIM_MS;
        held += 10 * NETSIM_MS;
    }
    assert_true(held >= NETSIM_S && held < NETSIM_S + 20 * NETSIM_MS);
    assert_false(waits_at(now + NETSIM_S)); /* time that nobody waited does not count, nor does it renew anything */
    netsim_run(s, 3 * NETSIM_S);            /* three heartbeats, of a tenth of a second each */
    now += 3 * NETSIM_S;
    for (held = 0; waits_at(now) && held < 10 * NETSIM_S; held += 10 * NETSIM_MS)
        now += 10 * NETSIM_MS;
    assert_true(held > 100 * NETSIM_MS && held < 500 * NETSIM_MS);
    queue_at(3, 0, now);
    assert_false(waits_at(now));
}

/* The peer that is skipped hears of what it missed by gossip once it keeps up again, though it is in the mesh and whichever
 * topic it was of: here by too many put off. */
static void test_a_full_list_is_counted_and_told_by_gossip(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    unsigned node = netsim_add(s, &cfg), told = 0;
    struct raw *r = raw_new(s, node, V12, true);

    netsim_subscribe(s, node, TOPIC);
    netsim_subscribe(s, node, "second");
    raw_graft(r, node, TOPIC);
    raw_graft(r, node, "second");
    pubsub_peer_queue(netsim_core(s, node), r->node + 1, 1ull << 40, netsim_now(s));
    for (uint32_t i = 0; i < (32u << 10) + 10; i++) {
        const char *topic = i < 32u << 10 ? TOPIC : "second";
        assert_int_equal(netsim_publish(s, node, topic, slice_of(&i, sizeof(i))), 0);
    }
    struct pubsub_counters c;
    pubsub_counters_get(netsim_core(s, node), &c);
    assert_int_equal(c.put_off, 32u << 10);
    assert_int_equal(c.slow_drops, 10);
    netsim_run(s, 1100 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_IHAVE), 0); /* slow still */
    pubsub_peer_queue(netsim_core(s, node), r->node + 1, 0, netsim_now(s));
    netsim_drain(s, node);
    netsim_run(s, 10 * NETSIM_MS);
    raw_forget(r); /* of what was put off, as many as there is a place for */
    netsim_run(s, 1100 * NETSIM_MS);
    for (unsigned i = 0; i < r->count; i++)
        told += r->notes[i].type == RPC_IHAVE && !strcmp(r->notes[i].topic, "second");
    assert_true(told > 0);
    netsim_run(s, 5 * NETSIM_S);
    raw_forget(r);
    netsim_publish(s, node, TOPIC, SLICE_LIT("got"));
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
    assert_int_equal(raw_count(r, RPC_IHAVE), 0); /* it is not slow any more */
    raw_free(r);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_messages_wait_for_a_slow_peer_and_come_in_order),
        TEST(test_what_the_peer_has_by_then_is_not_sent),
        TEST(test_a_copy_from_the_peer_spares_ours),
        TEST(test_what_is_not_kept_any_more_is_counted_as_dropped),
        TEST(test_what_waits_is_kept_for_longer),
        TEST(test_a_publish_waits_while_most_peers_are_behind_and_take_something),
        TEST(test_a_few_slow_peers_hold_up_a_publish_for_a_second),
        TEST(test_a_full_list_is_counted_and_told_by_gossip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
