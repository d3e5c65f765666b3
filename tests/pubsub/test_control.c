/* One core and peers played by hand: each rule of GRAFT, PRUNE, IHAVE, IWANT, IDONTWANT and relaying by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12

static struct netsim *s;

static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    return 0;
}

static int close_sim(void **state)
{
    netsim_free(s);
    return 0;
}

static struct pubsub_counters counters(void)
{
    return netsim_counters(s, 0);
}

static bool is_mesh(const struct raw *r)
{
    return pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1);
}

static double score(const struct raw *r)
{
    struct pubsub_peer_info info[64];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 64);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i].score;
    return -1e9;
}

static void test_hello_says_all_subscriptions(void **state)
{
    netsim_subscribe(s, 0, "a");
    netsim_subscribe(s, 0, "b");
    struct raw *r = raw_new(s, 0, V12, false);

    assert_int_equal(raw_count(r, RPC_SUBSCRIBE), 2);
    netsim_unsubscribe(s, 0, "a");
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_UNSUBSCRIBE), 1);
    assert_string_equal(raw_last(r, RPC_UNSUBSCRIBE)->topic, "a");
    raw_free(r);
}

static void test_graft_at_once_when_a_peer_announces_the_topic(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    assert_int_equal(raw_count(r, RPC_GRAFT), 0);
    raw_subscribe(r, 0, TOPIC, true);
    assert_int_equal(raw_count(r, RPC_GRAFT), 1);
    assert_true(is_mesh(r));
    raw_subscribe(r, 0, TOPIC, false);
    assert_false(is_mesh(r));
    raw_free(r);
}

static void test_subscribe_grafts_those_who_are_there_already(void **state)
{
    struct raw *r[10];
    unsigned grafted = 0;

    for (unsigned i = 0; i < 10; i++) {
        r[i] = raw_new(s, 0, V12, false);
        raw_subscribe(r[i], 0, TOPIC, true);
    }
    netsim_subscribe(s, 0, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(raw_count(r[i], RPC_GRAFT), is_mesh(r[i]));
        grafted += is_mesh(r[i]);
        raw_free(r[i]);
    }
    assert_int_equal(grafted, 6);
}

static void test_graft_for_an_unknown_topic_is_ignored(void **state)
{
    struct raw *r = raw_new(s, 0, V12, false);

    netsim_subscribe(s, 0, TOPIC);
    raw_graft(r, 0, "other");
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_PRUNE), 0);
    assert_int_equal(counters().control_ignored, 1);
    assert_true(score(r) == 0);
    raw_free(r);
}

static void test_graft_counts_as_subscription(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    netsim_subscribe(s, 0, TOPIC);
    raw_graft(r, 0, TOPIC);
    assert_true(is_mesh(r));
    netsim_publish(s, 0, TOPIC, SLICE_LIT("x"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
    raw_free(r);
}

static void test_prune_backoff_is_obeyed(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_subscribe(r, 0, TOPIC, true);
    raw_prune(r, 0, TOPIC, 20);
    assert_false(is_mesh(r));
    raw_forget(r);
    uint64_t from = netsim_now(s);
    netsim_run(s, 40 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_GRAFT), 1);
    assert_in_range(raw_last(r, RPC_GRAFT)->at_ns - from, 22 * NETSIM_S - 20 * NETSIM_MS, 24 * NETSIM_S);
    raw_free(r);
}

static void test_prune_without_backoff_means_a_minute(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, PUBSUB_MESHSUB_11, false);

    raw_subscribe(r, 0, TOPIC, true);
    raw_prune(r, 0, TOPIC, 0);
    raw_forget(r);
    netsim_run(s, 60 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_GRAFT), 0);
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_GRAFT), 1);
    raw_free(r);
}

/* A reconnect does not shorten it, and a huge value is cut to an hour. */
static void test_prune_backoff_survives_reconnect_and_is_capped(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_subscribe(r, 0, TOPIC, true);
    raw_prune(r, 0, TOPIC, 1ull << 60);
    netsim_disconnect(s, 0, r->node);
    netsim_run(s, NETSIM_S);
    netsim_connect(s, 0, r->node, V12);
    raw_forget(r);
    raw_subscribe(r, 0, TOPIC, true);
    netsim_run(s, 3590 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_GRAFT), 0);
    netsim_run(s, 20 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_GRAFT), 1);
    raw_free(r);
}

static void test_early_graft_is_pruned_and_counts(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_subscribe(r, 0, TOPIC, true);
    netsim_unsubscribe(s, 0, TOPIC);
    netsim_subscribe(s, 0, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    raw_forget(r);
    raw_graft(r, 0, TOPIC);
    assert_false(is_mesh(r));
    assert_int_equal(raw_count(r, RPC_PRUNE), 1);
    assert_int_equal(raw_last(r, RPC_PRUNE)->backoff_s, 60);
    assert_int_equal(counters().backoff_violations, 1);
    raw_free(r);
}

static void test_graft_with_a_negative_score_is_pruned(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, true);

    raw_message(r, 0, TOPIC, 1, SLICE_LIT("x"), true);
    assert_true(score(r) < 0);
    raw_graft(r, 0, TOPIC);
    assert_false(is_mesh(r));
    assert_int_equal(raw_count(r, RPC_PRUNE), 1);
    assert_int_equal(counters().backoff_violations, 0);
    raw_free(r);
}

static void test_unsubscribe_prunes_with_ten_seconds(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_subscribe(r, 0, TOPIC, true);
    netsim_unsubscribe(s, 0, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_last(r, RPC_PRUNE)->backoff_s, 10);
    raw_free(r);
}

/* Whoever starts again at once must not find itself under a backoff that it no longer knows of. */
static void test_leave_for_good_unsubscribes_and_prunes_nobody(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_subscribe(r, 0, TOPIC, true);
    assert_true(is_mesh(r));
    raw_forget(r);
    netsim_leave(s, 0);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_PRUNE), 0);
    assert_int_equal(raw_count(r, RPC_UNSUBSCRIBE), 1);
    assert_false(is_mesh(r));
    raw_free(r);
}

static void test_message_is_forwarded_once_not_back_and_not_to_its_author(void **state)
{
    struct raw *r[3];

    netsim_subscribe(s, 0, TOPIC);
    for (unsigned i = 0; i < 3; i++) {
        r[i] = raw_new(s, 0, V12, false);
        raw_subscribe(r[i], 0, TOPIC, true);
    }
    /* r[0]'s message, brought by r[1] */
    struct buf *field = raw_field(netsim_key(s, r[0]->node), TOPIC, 7, SLICE_LIT("hello"), false);
    raw_send(r[1], 0, buf_slice(field));
    raw_send(r[0], 0, buf_slice(field));
    raw_send(r[2], 0, buf_slice(field));
    buf_unref(field);
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(raw_count(r[0], RPC_MESSAGE), 0);
    assert_int_equal(raw_count(r[1], RPC_MESSAGE), 0);
    assert_int_equal(raw_count(r[2], RPC_MESSAGE), 1);
    assert_int_equal(counters().duplicates, 2);
    assert_int_equal(netsim_count(s, 0, TOPIC, SLICE_LIT("hello")), 1);
    const struct netsim_delivery *d;
    unsigned n;
    d = netsim_deliveries(s, 0, &n);
    assert_true(peer_id_is_equal(&d[0].from, netsim_peer_id(s, r[0]->node)));
    assert_true(peer_id_is_equal(&d[0].upstream, netsim_peer_id(s, r[1]->node)));
    for (unsigned i = 0; i < 3; i++)
        raw_free(r[i]);
}

static void test_message_in_our_name_is_not_taken(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);
    struct buf *field = raw_field(netsim_key(s, 0), TOPIC, 7, SLICE_LIT("ours of old"), false);

    raw_send(r, 0, buf_slice(field));
    assert_int_equal(counters().delivered, 0);
    assert_int_equal(counters().rejected, 1);
    assert_true(score(r) == 0);
    buf_unref(field);
    raw_free(r);
}

static void test_bad_message_is_counted_and_the_true_one_still_taken(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);

    raw_message(r, 0, TOPIC, 7, SLICE_LIT("hello"), true);
    assert_int_equal(counters().bad_signatures, 1);
    assert_int_equal(counters().delivered, 0);
    assert_true(score(r) < 0);
    raw_message(r, 0, TOPIC, 7, SLICE_LIT("hello"), false); /* the id was not burnt */
    assert_int_equal(counters().delivered, 1);
    raw_free(r);
}

static void test_message_too_large_is_counted(void **state)
{
    struct slice big = slice_of(calloc(1, (1 << 20) + 1), (1 << 20) + 1);

    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);
    raw_message(r, 0, TOPIC, 7, big, false);
    assert_int_equal(counters().oversize, 1);
    assert_int_equal(counters().delivered, 0);
    free((void *)big.p);
    raw_free(r);
}

static void test_ihave_asks_for_what_is_new_from_one_peer(void **state)
{
    uint8_t space[2][46];
    struct slice ids[2] = {raw_id(space[0], 1), raw_id(space[1], 2)};
    struct raw *a, *b;

    netsim_subscribe(s, 0, TOPIC);
    a = raw_new(s, 0, V12, false);
    b = raw_new(s, 0, V12, false);
    raw_ids(a, 0, CONTROL_F_IHAVE, "other", ids, 2);
    assert_int_equal(raw_count(a, RPC_IWANT), 0);
    raw_ids(a, 0, CONTROL_F_IHAVE, TOPIC, ids, 2);
    assert_int_equal(raw_count(a, RPC_IWANT), 2);
    assert_int_equal(raw_last(a, RPC_IWANT)->nids, 1);
    raw_ids(b, 0, CONTROL_F_IHAVE, TOPIC, ids, 2);
    assert_int_equal(raw_count(b, RPC_IWANT), 0);
    netsim_run(s, 3 * NETSIM_S); /* a does not send: b is asked */
    assert_int_equal(raw_count(a, RPC_IWANT), 2);
    assert_int_equal(raw_count(b, RPC_IWANT), 2);
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(counters().promises_broken, 1); /* one promise per IHAVE */
    raw_free(a);
    raw_free(b);
}

/* js answers all IWANTs of an RPC in one RPC: together they must not ask for more than we take in one. */
static void test_iwants_of_one_rpc_ask_for_no_more_than_one_rpc_may_bring(void **state)
{
    static const struct {
        uint32_t max_msg_bytes;
        unsigned most; /* ids in an RPC */
    } cases[] = {{1 << 20, 1}, {16 << 20, 1}, {300000, 3}, {1024, 40}};
    uint8_t space[40][46];
    struct slice ids[40];

    for (unsigned i = 0; i < 40; i++)
        ids[i] = raw_id(space[i], i + 1);
    for (unsigned c = 0; c < 4; c++) {
        struct netsim *net = netsim_new(1, &(struct netsim_link){.delay_ns = NETSIM_MS});
        struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
        unsigned asked = 0, last = 0;
        cfg.max_msg_bytes = cases[c].max_msg_bytes;
        netsim_add(net, &cfg);
        netsim_subscribe(net, 0, TOPIC);
        struct raw *r = raw_new(net, 0, V12, false);
        raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, ids, 40);
        for (unsigned i = 0; i < r->count; i++) {
            if (r->notes[i].type != RPC_IWANT)
                continue;
            assert_in_range(r->notes[i].nids, 1, cases[c].most);
            assert_int_not_equal(r->notes[i].rpc, last);
            last = r->notes[i].rpc;
            asked += r->notes[i].nids;
        }
        assert_int_equal(asked, 40);
        assert_int_equal(raw_count(r, RPC_IWANT), (40 + cases[c].most - 1) / cases[c].most);
        raw_free(r);
        netsim_free(net);
    }
}

static void test_ihave_promise_is_kept_by_anyone(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *a = raw_new(s, 0, V12, false), *b = raw_new(s, 0, V12, false);
    uint8_t id[MESSAGE_ID_MAX];
    struct slice ids = slice_of(id, message_id(id, peer_id_slice(netsim_peer_id(s, b->node)), 9));

    raw_ids(a, 0, CONTROL_F_IHAVE, TOPIC, &ids, 1);
    assert_int_equal(raw_count(a, RPC_IWANT), 1);
    raw_message(b, 0, TOPIC, 9, SLICE_LIT("x"), false);
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(counters().promises_broken, 0);
    raw_ids(a, 0, CONTROL_F_IHAVE, TOPIC, &ids, 1); /* known now */
    assert_int_equal(raw_count(a, RPC_IWANT), 1);
    raw_free(a);
    raw_free(b);
}

static void test_ihave_promise_ends_with_the_connection(void **state)
{
    uint8_t space[46];
    struct slice id = raw_id(space, 1);

    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false);
    raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, &id, 1);
    assert_int_equal(raw_count(r, RPC_IWANT), 1);
    netsim_disconnect(s, 0, r->node);
    netsim_connect(s, 0, r->node, V12);
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(counters().promises_broken, 0);
    raw_free(r);
}

static void test_iwant_is_served_three_times(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false), *other = raw_new(s, 0, V12, false);
    uint8_t id[MESSAGE_ID_MAX];
    struct slice ids = slice_of(id, message_id(id, peer_id_slice(netsim_peer_id(s, other->node)), 9));

    raw_message(other, 0, TOPIC, 9, SLICE_LIT("x"), false);
    for (int i = 0; i < 5; i++)
        raw_ids(r, 0, CONTROL_F_IWANT, NULL, &ids, 1);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 3);
    assert_int_equal(raw_last(r, RPC_MESSAGE)->id_len, ids.len);
    assert_memory_equal(raw_last(r, RPC_MESSAGE)->id, id, ids.len);
    raw_free(r);
    raw_free(other);
}

static void test_idontwant_holds_a_message_back_for_three_heartbeats(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *r = raw_new(s, 0, V12, false), *other = raw_new(s, 0, V12, false);
    uint8_t id[MESSAGE_ID_MAX];

    raw_subscribe(r, 0, TOPIC, true);
    for (uint64_t seqno = 1; seqno <= 2; seqno++) {
        struct slice ids = slice_of(id, message_id(id, peer_id_slice(netsim_peer_id(s, other->node)), seqno));
        raw_forget(r);
        raw_ids(r, 0, CONTROL_F_IDONTWANT, NULL, &ids, 1);
        netsim_run(s, seqno == 1 ? 1500 * NETSIM_MS : 4 * NETSIM_S);
        raw_message(other, 0, TOPIC, seqno, SLICE_LIT("x"), false);
        assert_int_equal(raw_count(r, RPC_MESSAGE), seqno == 1 ? 0 : 1);
    }
    raw_free(r);
    raw_free(other);
}

static void test_idontwant_is_sent_for_large_messages_to_v12_peers(void **state)
{
    static uint8_t big[2000];
    struct raw *author, *v12, *v11;

    netsim_subscribe(s, 0, TOPIC);
    author = raw_new(s, 0, V12, false);
    v12 = raw_new(s, 0, V12, false);
    v11 = raw_new(s, 0, PUBSUB_MESHSUB_11, false);
    raw_subscribe(author, 0, TOPIC, true);
    raw_subscribe(v12, 0, TOPIC, true);
    raw_subscribe(v11, 0, TOPIC, true);
    raw_message(author, 0, TOPIC, 1, slice_of(big, 1023), false);
    assert_int_equal(raw_count(v12, RPC_IDONTWANT), 0);
    raw_message(author, 0, TOPIC, 2, slice_of(big, 1024), false);
    assert_int_equal(raw_count(v12, RPC_IDONTWANT), 1);
    assert_int_equal(raw_count(v11, RPC_IDONTWANT), 0);
    assert_int_equal(raw_count(author, RPC_IDONTWANT), 0);
    assert_int_equal(raw_count(v12, RPC_MESSAGE), 2);
    assert_int_equal(raw_count(v11, RPC_MESSAGE), 2);
    /* Not for a forged one: it would make our mesh hold the true message back. */
    raw_message(author, 0, TOPIC, 3, slice_of(big, 1500), true);
    assert_int_equal(raw_count(v12, RPC_IDONTWANT), 1);
    raw_free(author);
    raw_free(v12);
    raw_free(v11);
}

static void test_gossip_goes_to_peers_outside_the_mesh_for_three_heartbeats(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *author = raw_new(s, 0, V12, true), *out = raw_new(s, 0, V12, true);

    raw_subscribe(out, 0, TOPIC, true);
    raw_prune(out, 0, TOPIC, 600); /* not in the mesh, and cannot be */
    raw_forget(out);
    raw_message(author, 0, TOPIC, 1, SLICE_LIT("x"), false);
    netsim_run(s, 10 * NETSIM_S);
    assert_int_equal(raw_count(out, RPC_MESSAGE), 0);
    assert_int_equal(raw_count(out, RPC_IHAVE), 3);
    assert_string_equal(raw_last(out, RPC_IHAVE)->topic, TOPIC);
    assert_int_equal(raw_last(out, RPC_IHAVE)->nids, 1);
    assert_int_equal(raw_count(author, RPC_IHAVE), 0); /* not subscribed */
    raw_free(author);
    raw_free(out);
}

/* Kept messages: ours that nobody got is sent; a relayed one is told of after GRAFT, and sent when asked. */
static void test_kept_messages_are_offered_after_graft(void **state)
{
    netsim_subscribe(s, 0, TOPIC);
    struct raw *author = raw_new(s, 0, V12, true);

    raw_message(author, 0, TOPIC, 1, SLICE_LIT("relayed"), false);
    netsim_publish(s, 0, TOPIC, SLICE_LIT("ours"));
    netsim_run(s, 20 * NETSIM_S);
    struct raw *late = raw_new(s, 0, V12, true);
    raw_graft(late, 0, TOPIC);
    assert_int_equal(raw_count(late, RPC_MESSAGE), 1);
    assert_int_equal(raw_last(late, RPC_MESSAGE)->hash, netsim_hash(SLICE_LIT("ours")));
    assert_int_equal(raw_count(late, RPC_IHAVE), 1);
    const struct raw_note *n = raw_last(late, RPC_IHAVE);
    struct slice id = slice_of(n->id, n->id_len);
    assert_int_equal(n->nids, 1);
    raw_ids(late, 0, CONTROL_F_IWANT, NULL, &id, 1);
    assert_int_equal(raw_count(late, RPC_MESSAGE), 2);
    assert_int_equal(raw_last(late, RPC_MESSAGE)->hash, netsim_hash(SLICE_LIT("relayed")));
    raw_free(author);
    raw_free(late);
}

/* rust-libp2p resets the stream of one who sends more than 16 KiB of control in an RPC, and hears ten IHAVEs a heartbeat. */
static void test_gossip_of_many_messages_comes_in_rpcs_that_all_take(void **state)
{
    enum { MANY = 2500 };
    unsigned ids = 0, bytes = 0, rpcs = 0, last = ~0u;

    netsim_subscribe(s, 0, TOPIC);
    struct raw *author = raw_new(s, 0, V12, true), *lazy = raw_new(s, 0, V12, true);
    raw_subscribe(lazy, 0, TOPIC, true);
    raw_prune(lazy, 0, TOPIC, 3600);
    netsim_run(s, 3 * NETSIM_S);
    raw_forget(lazy);
    for (uint64_t i = 1; i <= MANY; i++) {
        uint8_t payload[8];
        memcpy(payload, &i, sizeof(payload));
        netsim_publish(s, 0, TOPIC, slice_of(payload, sizeof(payload)));
    }
    netsim_run(s, NETSIM_S);
    assert_false(is_mesh(lazy));
    for (unsigned i = 0; i < lazy->count; i++) {
        const struct raw_note *n = &lazy->notes[i];
        if (n->type != RPC_IHAVE)
            continue;
        bytes = n->rpc == last ? bytes : 0;
        rpcs += n->rpc != last;
        last = n->rpc;
        bytes += 8 + sizeof(TOPIC) + n->nids * 48;
        assert_true(bytes <= 16384);
        ids += n->nids;
    }
    assert_int_equal(ids, MANY);
    assert_true(rpcs <= 10);
    raw_free(author);
    raw_free(lazy);
}

static void test_extension_fields_are_ignored_by_a_plain_node(void **state)
{
    static const uint8_t frame[] = {0xa2, 0x06, 0x03, 1, 2, 3, 0x0a, 0x08, 0x08, 0x01, 0x12, 0x04, 'd', 'e', 'm', 'o'};
    struct raw *r = raw_new(s, 0, V12, false);

    raw_send(r, 0, slice_of(frame, sizeof(frame)));
    assert_int_equal(counters().control_ignored, 1);
    struct pubsub_topic_info t[2];
    assert_int_equal(pubsub_topics(netsim_core(s, 0), t, 2), 1); /* what followed it was read */
    raw_free(r);
}

static void test_peer_up_refuses_doubles_and_ourselves(void **state)
{
    struct pubsub *ps = netsim_core(s, 0);
    struct raw *r = raw_new(s, 0, V12, false);
    const struct peer_id *id = netsim_peer_id(s, r->node), *self = netsim_peer_id(s, 0);
    struct slice addr = {0};

    assert_int_equal(pubsub_peer_up(ps, 77, id, V12, true, addr, netsim_now(s)), -PUBSUB_EDUP);
    assert_int_equal(pubsub_peer_up(ps, r->node + 1, self, V12, true, addr, netsim_now(s)), -PUBSUB_EDUP);
    assert_int_equal(pubsub_peer_up(ps, 77, self, V12, true, addr, netsim_now(s)), -PUBSUB_EDUP);
    assert_int_equal(pubsub_peer_up(ps, 0, id, V12, true, addr, netsim_now(s)), -PUBSUB_ENOPEER);
    pubsub_peer_down(ps, 78, netsim_now(s)); /* nobody */
    raw_free(r);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_hello_says_all_subscriptions),
        TEST(test_graft_at_once_when_a_peer_announces_the_topic),
        TEST(test_subscribe_grafts_those_who_are_there_already),
        TEST(test_graft_for_an_unknown_topic_is_ignored),
        TEST(test_graft_counts_as_subscription),
        TEST(test_prune_backoff_is_obeyed),
        TEST(test_prune_without_backoff_means_a_minute),
        TEST(test_prune_backoff_survives_reconnect_and_is_capped),
        TEST(test_early_graft_is_pruned_and_counts),
        TEST(test_graft_with_a_negative_score_is_pruned),
        TEST(test_unsubscribe_prunes_with_ten_seconds),
        TEST(test_leave_for_good_unsubscribes_and_prunes_nobody),
        TEST(test_message_is_forwarded_once_not_back_and_not_to_its_author),
        TEST(test_message_in_our_name_is_not_taken),
        TEST(test_bad_message_is_counted_and_the_true_one_still_taken),
        TEST(test_message_too_large_is_counted),
        TEST(test_ihave_asks_for_what_is_new_from_one_peer),
        TEST(test_iwants_of_one_rpc_ask_for_no_more_than_one_rpc_may_bring),
        TEST(test_ihave_promise_is_kept_by_anyone),
        TEST(test_ihave_promise_ends_with_the_connection),
        TEST(test_iwant_is_served_three_times),
        TEST(test_idontwant_holds_a_message_back_for_three_heartbeats),
        TEST(test_idontwant_is_sent_for_large_messages_to_v12_peers),
        TEST(test_gossip_goes_to_peers_outside_the_mesh_for_three_heartbeats),
        TEST(test_kept_messages_are_offered_after_graft),
        TEST(test_gossip_of_many_messages_comes_in_rpcs_that_all_take),
        TEST(test_extension_fields_are_ignored_by_a_plain_node),
        TEST(test_peer_up_refuses_doubles_and_ourselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
