/* Who is in a core's mesh, as members come, leave, are too many or too few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/core.h"
#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12
#define CODED PUBSUB_CODED_1

static struct netsim *s;

/* Node 0, subscribed, with D, Dlo and Dhi. */
static void begin(unsigned target, unsigned min, unsigned max)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_CODED);

    cfg.mesh_target = target;
    cfg.mesh_min = min;
    cfg.mesh_max = max;
    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
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

static unsigned count_mesh(struct raw **r, unsigned n)
{
    unsigned in = 0;

    for (unsigned i = 0; i < n; i++)
        in += is_mesh(r[i]);
    return in;
}

static unsigned count_grafts(struct raw **r, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += raw_count(r[i], RPC_GRAFT);
    return sum;
}

static void peers(struct raw **r, unsigned n, enum pubsub_proto proto, bool is_dialer)
{
    for (unsigned i = 0; i < n; i++) {
        r[i] = raw_new(s, 0, proto, is_dialer);
        raw_subscribe(r[i], 0, TOPIC, true);
    }
}

static void free_all(struct raw **r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        raw_free(r[i]);
}

static struct raw *some_member(struct raw **r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (is_mesh(r[i]))
            return r[i];
    fail();
    return NULL;
}

/* Who grafts us has too few, and at Dhi we have more than we need: the last that came makes room, once a heartbeat. Peers that we dialed are
 * taken anyway. */
static void test_full_mesh_makes_room_once_a_heartbeat(void **state)
{
    struct raw *in[14], *out;

    begin(6, 4, 12);
    for (unsigned i = 0; i < 14; i++) {
        in[i] = raw_new(s, 0, V12, true);
        raw_graft(in[i], 0, TOPIC);
        assert_int_equal(is_mesh(in[i]), i < 13);
    }
    assert_false(is_mesh(in[11])); /* for in[12] */
    for (unsigned i = 0; i < 14; i++)
        assert_int_equal(raw_count(in[i], RPC_PRUNE), i == 11 || i == 13);
    assert_int_equal(raw_last(in[11], RPC_PRUNE)->backoff_s, 60);
    assert_int_equal(raw_last(in[13], RPC_PRUNE)->backoff_s, 60);
    assert_int_equal(counters().made_room, 1);
    out = raw_new(s, 0, V12, false);
    raw_graft(out, 0, TOPIC);
    assert_true(is_mesh(out));
    assert_int_equal(count_mesh(in, 14), 12);
    /* The heartbeat brings it down to D, the outbound one among them. */
    netsim_run(s, 1500 * NETSIM_MS);
    assert_true(is_mesh(out));
    assert_int_equal(count_mesh(in, 14), 5);
    free_all(in, 14);
    raw_free(out);
}

static void test_members_up_to_d_stay(void **state)
{
    struct raw *in[4];

    begin(3, 3, 3);
    peers(in, 3, V12, true);
    assert_int_equal(count_mesh(in, 3), 3);
    in[3] = raw_new(s, 0, V12, true);
    raw_graft(in[3], 0, TOPIC);
    assert_false(is_mesh(in[3]));
    assert_int_equal(count_mesh(in, 3), 3);
    assert_int_equal(counters().made_room, 0);
    free_all(in, 4);
}

/* Dout of those that we dialed are not sent away for others. */
static void test_outbound_members_make_no_room(void **state)
{
    struct raw *r[13];

    begin(6, 4, 12);
    for (unsigned i = 0; i < 13; i++) {
        r[i] = raw_new(s, 0, V12, i < 10 || i == 12);
        raw_graft(r[i], 0, TOPIC);
    }
    assert_int_equal(count_mesh(r, 13), 12);
    assert_false(is_mesh(r[9])); /* the last that came before the two */
    free_all(r, 13);
}

static void test_dout_is_filled_from_outbound_peers(void **state)
{
    struct raw *in[6], *out[2];

    begin(6, 4, 12);
    for (unsigned i = 0; i < 6; i++) {
        in[i] = raw_new(s, 0, V12, true);
        raw_graft(in[i], 0, TOPIC);
    }
    for (unsigned i = 0; i < 2; i++) {
        out[i] = raw_new(s, 0, V12, false);
        raw_subscribe(out[i], 0, TOPIC, true);
        assert_false(is_mesh(out[i])); /* the mesh is large enough: not at once */
    }
    netsim_run(s, 1500 * NETSIM_MS);
    assert_int_equal(count_mesh(out, 2), 2);
    free_all(in, 6);
    free_all(out, 2);
}

/* Ten that know the topic, the mesh at Dlo. */
static void at_lo(struct raw **r)
{
    begin(4, 4, 12);
    peers(r, 10, V12, false);
    assert_int_equal(count_mesh(r, 10), 4);
    assert_int_equal(count_grafts(r, 10), 4);
}

static void assert_replaced(struct raw **r, const struct raw *gone)
{
    assert_false(is_mesh(gone));
    assert_int_equal(count_mesh(r, 10), 4);
    assert_int_equal(count_grafts(r, 10), 5); /* and no heartbeat has passed */
    assert_int_equal(counters().refills, 1);
    free_all(r, 10);
}

static void test_who_prunes_us_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    raw_prune(gone, 0, TOPIC, 60);
    assert_replaced(r, gone);
}

static void test_who_unsubscribes_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    raw_subscribe(gone, 0, TOPIC, false);
    assert_replaced(r, gone);
}

static void test_who_is_gone_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    netsim_disconnect(s, 0, gone->node);
    netsim_run(s, 10 * NETSIM_MS);
    assert_replaced(r, gone);
}

/* All refuse: between two heartbeats no more than Dhi are asked. */
static void test_refusals_are_followed_by_dhi_others(void **state)
{
    struct raw *r[12];
    unsigned grafts, before;

    begin(3, 3, 4);
    peers(r, 12, V12, false);
    netsim_run(s, (NETSIM_S - (netsim_now(s) - NETSIM_START) % NETSIM_S) + 50 * NETSIM_MS); /* just after a heartbeat */
    before = grafts = count_grafts(r, 12);
    for (bool more = true; more;) {
        raw_prune(some_member(r, 12), 0, TOPIC, 60);
        more = count_grafts(r, 12) > grafts;
        grafts = count_grafts(r, 12);
    }
    assert_int_equal(grafts - before, 4);
    free_all(r, 12);
}

static unsigned count_needs(const struct raw *r)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->count; i++)
        n += r->notes[i].type == RPC_EXTENSION && r->notes[i].number == RPC_F_NEED;
    return n;
}

static void prune_all(struct raw **r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        raw_forget(r[i]);
        raw_prune(r[i], 0, TOPIC, 3600);
    }
}

/* n members, the only peers, that all prune us. */
static void pruned_by_all(struct raw **r, unsigned n, enum pubsub_proto proto)
{
    begin(n, n, n + 1);
    peers(r, n, proto, false);
    assert_int_equal(count_mesh(r, n), n);
    prune_all(r, n);
}

/* Nobody left to graft: one of ours is asked for a place, at once, then after 1, 2, 4 .. 32 heartbeats. */
static void test_in_need_we_ask_peers_of_ours(void **state)
{
    static const unsigned after_s[] = {0, 1, 3, 7, 15, 31, 63};
    struct raw *r[3], *more[3];
    unsigned asked = 0;

    pruned_by_all(r, 3, CODED);
    for (unsigned at_s = 0, i = 0; at_s < 70; at_s++) {
        asked = count_needs(r[0]) + count_needs(r[1]) + count_needs(r[2]);
        if (i < 7 && at_s == after_s[i])
            i++;
        assert_in_range(asked, i ? i - 1 : 0, i + 1);
        netsim_run(s, NETSIM_S);
    }
    assert_int_equal(asked, 7);
    assert_int_equal(counters().needy_out, 7);
    assert_int_equal(count_grafts(r, 3), 0);
    /* Enough for a while, then too few again: at once again. */
    peers(more, 3, CODED, true);
    netsim_run(s, NETSIM_S);
    assert_int_equal(count_mesh(more, 3), 3);
    prune_all(more, 3);
    assert_int_equal(counters().needy_out, 8);
    free_all(r, 3);
    free_all(more, 3);
}

/* The answer is a GRAFT, which its backoff does not make early; and the next is asked a heartbeat later. */
static void test_in_need_we_take_who_answers(void **state)
{
    struct raw *r[6];

    pruned_by_all(r, 6, CODED);
    for (unsigned round = 1; round <= 6; round++) {
        for (unsigned i = 0; i < 6; i++)
            if (count_needs(r[i]) && !is_mesh(r[i]))
                raw_graft(r[i], 0, TOPIC);
        assert_in_range(count_mesh(r, 6), round, 6);
        netsim_run(s, NETSIM_S);
    }
    assert_int_equal(count_mesh(r, 6), 6);
    assert_int_equal(counters().backoff_violations, 0);
    /* Once: the next early one is early. */
    raw_prune(r[0], 0, TOPIC, 3600);
    raw_graft(r[0], 0, TOPIC);
    assert_true(is_mesh(r[0])); /* it alone could be asked, and was */
    raw_prune(r[0], 0, TOPIC, 3600);
    raw_graft(r[0], 0, TOPIC);
    assert_false(is_mesh(r[0]));
    assert_int_equal(counters().backoff_violations, 1);
    free_all(r, 6);
}

static void test_in_need_nobody_else_is_asked(void **state)
{
    struct raw *r[3];

    pruned_by_all(r, 3, V12);
    netsim_run(s, 20 * NETSIM_S);
    assert_int_equal(count_grafts(r, 3), 0);
    assert_int_equal(count_needs(r[0]) + count_needs(r[1]) + count_needs(r[2]), 0);
    assert_int_equal(counters().needy_out, 0);
    free_all(r, 3);
}

/* Asked again after it had left and joined, not after a pause of before. */
static void test_a_topic_joined_again_begins_anew(void **state)
{
    struct raw *r[3];
    unsigned asked;

    pruned_by_all(r, 3, CODED);
    netsim_run(s, 20 * NETSIM_S);
    asked = (unsigned)counters().needy_out;
    netsim_unsubscribe(s, 0, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    netsim_subscribe(s, 0, TOPIC);
    netsim_run(s, 1100 * NETSIM_MS);
    assert_in_range(counters().needy_out, asked + 1, asked + 2); /* it would have been 10 s from now */
    free_all(r, 3);
}

/* A mesh of Dhi, and three within their backoff that ask for a place. */
static void with_needy(struct raw **in, struct raw **needy)
{
    begin(3, 3, 4);
    peers(in, 3, CODED, true);
    in[3] = raw_new(s, 0, CODED, true);
    raw_graft(in[3], 0, TOPIC);
    peers(needy, 3, CODED, true);
    for (unsigned i = 0; i < 3; i++)
        raw_prune(needy[i], 0, TOPIC, 60);
    for (unsigned i = 0; i < 3; i++)
        raw_need(needy[i], 0, TOPIC);
    assert_int_equal(count_mesh(needy, 3), NEEDY_MAX);
    assert_int_equal(count_grafts(needy, 3), NEEDY_MAX);
    assert_int_equal(counters().needy_taken, NEEDY_MAX);
    assert_int_equal(counters().needy_refused, 1);
}

static void end_needy(struct raw **in, struct raw **needy)
{
    assert_int_equal(counters().backoff_violations, 0);
    free_all(in, 4);
    free_all(needy, 3);
}

/* Two places, for a minute. Then they go, if there are as many others as there may be, and these stay. No answer to who gets none. */
static void test_a_mesh_has_two_places_for_those_in_need(void **state)
{
    struct raw *in[4], *needy[3];

    with_needy(in, needy);
    assert_int_equal(raw_count(needy[2], RPC_PRUNE) + raw_count(needy[2], RPC_GRAFT), 0);
    netsim_run(s, (NEEDY_TICKS - 2) * NETSIM_S);
    assert_int_equal(count_mesh(needy, 2), 2);
    assert_int_equal(count_mesh(in, 4), 4);
    netsim_run(s, 4 * NETSIM_S);
    assert_int_equal(count_mesh(needy, 2), 0);
    assert_int_equal(count_mesh(in, 4), 4);
    /* And not twice running. */
    raw_need(needy[0], 0, TOPIC);
    assert_false(is_mesh(needy[0]));
    raw_need(needy[2], 0, TOPIC);
    assert_true(is_mesh(needy[2]));
    netsim_run(s, NEEDY_TICKS * NETSIM_S);
    raw_need(needy[0], 0, TOPIC);
    assert_true(is_mesh(needy[0]));
    end_needy(in, needy);
}

/* Whoever leaves by himself leaves the place; but the same one gets none again in that minute. */
static void test_a_place_that_is_left_is_free(void **state)
{
    struct raw *in[4], *needy[3];

    with_needy(in, needy);
    raw_prune(needy[0], 0, TOPIC, 60);
    raw_need(needy[0], 0, TOPIC);
    assert_false(is_mesh(needy[0]));
    raw_need(needy[2], 0, TOPIC);
    assert_true(is_mesh(needy[2]));
    netsim_disconnect(s, 0, needy[1]->node);
    netsim_run(s, NETSIM_S);
    assert_int_equal(count_mesh(in, 4), 4);
    netsim_connect(s, needy[1]->node, 0, CODED);
    raw_subscribe(needy[1], 0, TOPIC, true);
    raw_need(needy[1], 0, TOPIC);
    assert_true(is_mesh(needy[1]));
    raw_subscribe(needy[2], 0, TOPIC, false);
    raw_need(needy[2], 0, TOPIC); /* not subscribed: nothing */
    assert_false(is_mesh(needy[2]));
    assert_int_equal(count_mesh(in, 4), 4);
    end_needy(in, needy);
}

/* Who has a place does not make room, and is not counted where others are too many. */
static void test_those_in_need_stay_when_the_mesh_is_full(void **state)
{
    struct raw *in[6], *needy;

    begin(3, 3, 4);
    peers(in, 3, CODED, true);
    in[3] = raw_new(s, 0, CODED, true);
    raw_graft(in[3], 0, TOPIC);
    needy = raw_new(s, 0, CODED, true);
    raw_subscribe(needy, 0, TOPIC, true);
    raw_need(needy, 0, TOPIC); /* the newest */
    assert_true(is_mesh(needy));
    in[4] = raw_new(s, 0, CODED, true);
    raw_graft(in[4], 0, TOPIC);
    assert_true(is_mesh(in[4]));
    assert_true(is_mesh(needy));
    assert_int_equal(count_mesh(in, 5), 4);
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(count_mesh(in, 5), 4);
    in[5] = raw_new(s, 0, CODED, false);
    raw_graft(in[5], 0, TOPIC);
    assert_int_equal(count_mesh(in, 6), 5); /* more than Dhi: the heartbeat leaves D of them */
    netsim_run(s, NETSIM_S);
    assert_true(is_mesh(needy));
    assert_int_equal(count_mesh(in, 6), 3);
    free_all(in, 6);
    raw_free(needy);
}

/* With room it is a member like any other, and takes no place. */
static void test_in_need_with_room_takes_no_place(void **state)
{
    struct raw *r[NEEDY_MAX + 1];

    begin(4, 1, 6);
    for (unsigned i = 0; i < NEEDY_MAX + 1; i++) {
        r[i] = raw_new(s, 0, CODED, true);
        raw_subscribe(r[i], 0, TOPIC, true);
        raw_need(r[i], 0, TOPIC);
    }
    assert_int_equal(count_mesh(r, NEEDY_MAX + 1), NEEDY_MAX + 1);
    assert_int_equal(counters().needy_taken, 0);
    free_all(r, NEEDY_MAX + 1);
}

/* However good those who come are, they drive out each other alone. */
static void test_who_comes_drives_out_who_came(void **state)
{
    struct raw *in[12], *more[6];

    begin(6, 4, 12);
    peers(in, 12, V12, true);
    for (unsigned i = 0; i < 12; i++)
        raw_graft(in[i], 0, TOPIC);
    for (unsigned i = 0; i < 6; i++) {
        more[i] = raw_new(s, 0, V12, true);
        pubsub_peer_app_score(netsim_core(s, 0), more[i]->node + 1, 50);
        raw_graft(more[i], 0, TOPIC);
        assert_true(is_mesh(more[i]));
        netsim_run(s, NETSIM_S);
    }
    assert_int_equal(count_mesh(in, 12), 11);
    assert_int_equal(count_mesh(more, 6), 1);
    assert_int_equal(counters().made_room, 6);
    free_all(in, 12);
    free_all(more, 6);
}

/* Who was asked and says nothing may not come much later. */
static void test_an_answer_that_is_late_is_a_graft_like_any(void **state)
{
    struct raw *r[3];
    unsigned asked = 3;

    pruned_by_all(r, 3, CODED);
    for (unsigned i = 0; i < 3; i++)
        if (count_needs(r[i]))
            asked = i;
    assert_in_range(asked, 0, 2);
    for (unsigned i = 0; i < 3; i++) /* nobody else is left to ask */
        if (i != asked)
            netsim_disconnect(s, 0, r[i]->node);
    netsim_run(s, 31 * NETSIM_S + 500 * NETSIM_MS); /* it was asked after 15 s, and after 31 s */
    raw_forget(r[asked]);
    netsim_run(s, 15 * NETSIM_S);
    assert_int_equal(count_needs(r[asked]), 0);
    raw_graft(r[asked], 0, TOPIC);
    assert_false(is_mesh(r[asked]));
    assert_int_equal(counters().backoff_violations, 1);
    free_all(r, 3);
}

/* Both have too few: they do not refuse each other. */
static void test_two_in_need_take_each_other(void **state)
{
    struct raw *r[4];

    pruned_by_all(r, 4, CODED);
    for (unsigned i = 0; i < 4; i++)
        raw_need(r[i], 0, TOPIC);
    assert_int_equal(count_mesh(r, 4), 4);
    assert_int_equal(counters().needy_taken, 0);
    free_all(r, 4);
}

static void test_need_is_a_word_of_coded_peers(void **state)
{
    static const uint8_t no_topic[] = {0xca, 0x06, 0}, other_type[] = {0xca, 0x06, 2, 0x08, 1};
    struct raw *r, *bad[2];

    begin(3, 3, 3);
    r = raw_new(s, 0, V12, true);
    raw_subscribe(r, 0, TOPIC, true);
    raw_prune(r, 0, TOPIC, 60);
    raw_need(r, 0, TOPIC);
    assert_false(is_mesh(r));
    assert_int_equal(counters().needy_in, 0);
    for (unsigned i = 0; i < 2; i++) {
        bad[i] = raw_new(s, 0, CODED, true);
        raw_send(bad[i], 0, i ? slice_of(other_type, sizeof(other_type)) : slice_of(no_topic, sizeof(no_topic)));
        assert_false(netsim_is_connected(s, 0, bad[i]->node));
        raw_free(bad[i]);
    }
    raw_free(r);
}

/* A message of `author`, brought by r. */
static void bring(struct raw *r, const struct raw *author, uint64_t seqno)
{
    struct buf *f = raw_field(netsim_key(s, author->node), TOPIC, seqno, SLICE_LIT("news"), false);

    raw_send(r, 0, buf_slice(f));
    buf_unref(f);
}

/* Nobody in the mesh of D had it, one outside did: it becomes a member, by a GRAFT or, within the backoff, by asking it. Not its author, who
 * may send to whom he likes; and not again at once. */
static void test_who_brings_what_we_missed_becomes_a_member(void **state)
{
    struct raw *in[3], *out[3], *author;

    begin(3, 3, 6);
    peers(in, 3, CODED, true);
    peers(out, 3, CODED, true);
    author = raw_new(s, 0, CODED, true);
    raw_subscribe(author, 0, TOPIC, true);
    assert_int_equal(count_mesh(in, 3), 3);
    raw_prune(out[0], 0, TOPIC, 60);
    bring(in[0], author, 1);
    bring(author, author, 2);
    bring(out[0], author, 20); /* it may have been under way */
    assert_int_equal(counters().missed_grafts, 0);
    netsim_run(s, 3 * NETSIM_S);
    bring(out[0], author, 3);
    assert_int_equal(count_needs(out[0]), 1);
    assert_int_equal(raw_count(out[0], RPC_GRAFT), 0);
    bring(out[1], author, 4);
    assert_false(is_mesh(out[1]));
    netsim_run(s, 2 * NETSIM_S);
    bring(out[1], author, 5);
    assert_true(is_mesh(out[1]));
    assert_int_equal(raw_count(out[1], RPC_GRAFT), 1);
    assert_int_equal(counters().missed_grafts, 2);
    free_all(in, 3);
    free_all(out, 3);
    raw_free(author);
}

/* A full mesh takes no more than two so, and nobody leaves it for them. */
static void test_a_full_mesh_misses_for_two(void **state)
{
    struct raw *in[3], *out[4], *author;

    begin(3, 3, 3);
    peers(in, 3, CODED, true);
    peers(out, 4, CODED, true);
    author = raw_new(s, 0, CODED, true);
    raw_subscribe(author, 0, TOPIC, true);
    for (unsigned i = 0; i < 4; i++) {
        netsim_run(s, 5 * NETSIM_S);
        bring(out[i], author, i + 1);
    }
    assert_int_equal(count_mesh(out, 4), 2);
    assert_int_equal(count_mesh(in, 3), 3);
    assert_int_equal(counters().missed_grafts, 2);
    free_all(in, 3);
    free_all(out, 4);
    raw_free(author);
}

static void test_a_mesh_of_more_than_four_is_in_one_piece(void **state)
{
    struct raw *in[5], *out;

    begin(5, 5, 8);
    peers(in, 5, CODED, true);
    out = raw_new(s, 0, CODED, true);
    raw_subscribe(out, 0, TOPIC, true);
    bring(out, in[0], 1);
    assert_false(is_mesh(out));
    assert_int_equal(counters().delivered, 1);
    assert_int_equal(counters().missed_grafts, 0);
    free_all(in, 5);
    raw_free(out);
}

/* Eight with a mesh of 3 to 4, each joining at its time: what is published meanwhile, and after, is nowhere late. (A mesh that falls into
 * pieces has only gossip between them, once a second.) */
static void run_small_network(uint64_t seed, enum pubsub_mode mode)
{
    struct netsim *n = netsim_new(seed, NULL);
    struct rng rng;

    rng_init_seeded(&rng, seed);
    for (unsigned i = 0; i < 8; i++) {
        struct pubsub_config cfg = netsim_config(mode);

        cfg.mesh_target = cfg.mesh_min = 3;
        cfg.mesh_max = 4;
        netsim_add(n, &cfg);
        netsim_run(n, rng_below(&rng, 300) * NETSIM_MS); /* heartbeats at different times */
    }
    netsim_connect_all(n, mode == PUBSUB_CODED ? CODED : V12);
    for (unsigned i = 0; i < 8; i++) {
        netsim_run(n, rng_below(&rng, seed % 2 ? 3 : 200) * NETSIM_MS);
        netsim_subscribe(n, i, TOPIC);
    }
    for (unsigned i = 0; i < 24; i++) {
        uint8_t bytes[1024];
        struct slice p = slice_of(bytes, sizeof(bytes));

        rng_fill(&rng, bytes, sizeof(bytes));
        assert_int_equal(netsim_publish(n, (unsigned)rng_below(&rng, 8), TOPIC, p), 0);
        netsim_run(n, 50 * NETSIM_MS);
        for (unsigned k = 0; k < 8; k++)
            if (netsim_count(n, k, TOPIC, p) != 1)
                fail_msg("mode %d, seed %u, message %u: late at node %u", mode, (unsigned)seed, i, k);
        netsim_run(n, 200 * NETSIM_MS);
    }
    netsim_free(n);
}

static void test_no_message_is_late_in_a_small_mesh(void **state)
{
    begin(6, 4, 12); /* for close_sim */
    for (uint64_t seed = 1; seed <= 100; seed++) {
        run_small_network(seed, PUBSUB_CODED);
        run_small_network(seed, PUBSUB_GOSSIP);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_full_mesh_makes_room_once_a_heartbeat),
        TEST(test_members_up_to_d_stay),
        TEST(test_outbound_members_make_no_room),
        TEST(test_dout_is_filled_from_outbound_peers),
        TEST(test_who_prunes_us_is_replaced_at_once),
        TEST(test_who_unsubscribes_is_replaced_at_once),
        TEST(test_who_is_gone_is_replaced_at_once),
        TEST(test_refusals_are_followed_by_dhi_others),
        TEST(test_in_need_we_ask_peers_of_ours),
        TEST(test_in_need_nobody_else_is_asked),
        TEST(test_in_need_we_take_who_answers),
        TEST(test_a_topic_joined_again_begins_anew),
        TEST(test_a_mesh_has_two_places_for_those_in_need),
        TEST(test_a_place_that_is_left_is_free),
        TEST(test_those_in_need_stay_when_the_mesh_is_full),
        TEST(test_in_need_with_room_takes_no_place),
        TEST(test_who_comes_drives_out_who_came),
        TEST(test_an_answer_that_is_late_is_a_graft_like_any),
        TEST(test_two_in_need_take_each_other),
        TEST(test_need_is_a_word_of_coded_peers),
        TEST(test_who_brings_what_we_missed_becomes_a_member),
        TEST(test_a_full_mesh_misses_for_two),
        TEST(test_a_mesh_of_more_than_four_is_in_one_piece),
        TEST(test_no_message_is_late_in_a_small_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
