/* Kademlia cores against each other: a network of 200 with a virtual clock */
#include "testing.h"

#include "base/buf.h"
#include "base/timerq.h"
#include "libp2p/kad.h"
#include "libp2p/kad_key.h"
#include "libp2p/kad_query.h"

#define NODES  200
#define MS     1000000ull
#define SEC    1000000000ull
#define FLYING 65536

/* A question or an answer on its way. */
struct letter {
    uint64_t at_ns, token;
    unsigned from, to;
    bool is_answer, is_failure;
    struct buf *bytes;
};

struct net {
    unsigned count, nflying;
    uint64_t now;
    struct rng rng;
    struct peer_id id[NODES];
    struct kad *kad[NODES];
    bool is_down[NODES], knows[NODES][NODES]; /* knows: has an address of */
    struct letter flying[FLYING];
    uint64_t sent;
};

static struct net *net;

static unsigned number_of(const struct peer_id *id)
{
    unsigned i = id->bytes[6];

    return i < net->count && peer_id_is_equal(&net->id[i], id) ? i : NODES;
}

/* A node's address says its number. */
static void addr_of(unsigned i, struct multiaddr *a)
{
    uint8_t ip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};

    multiaddr_of_tcp(a, ip, 4, 7070, NULL);
}

static unsigned addrs(void *ctx, const struct peer_id *id, struct multiaddr *out, unsigned cap)
{
    unsigned me = (unsigned)(uintptr_t)ctx, i = number_of(id);

    if (i == NODES || cap == 0 || !(i == me || net->knows[me][i]))
        return 0;
    addr_of(i, out);
    return 1;
}

static struct kad *new_kad(unsigned i, bool is_server)
{
    struct kad_config cfg = {.self = net->id[i], .is_server = is_server, .rng = &net->rng, .addrs = addrs,
                             .addrs_ctx = (void *)(uintptr_t)i};

    return kad_new(&cfg, net->now);
}

static void make(unsigned count)
{
    net = calloc(1, sizeof(*net));
    net->count = count;
    net->now = SEC;
    rng_init_seeded(&net->rng, 42);
    for (unsigned i = 0; i < count; i++) {
        uint8_t key[32];
        rng_fill(&net->rng, key, sizeof(key));
        key[0] = (uint8_t)i; /* number_of's */
        peer_id_from_ed25519(&net->id[i], key);
        net->kad[i] = new_kad(i, true);
    }
}

static void drop(void)
{
    for (unsigned i = 0; i < net->count; i++)
        kad_free(net->kad[i]);
    for (unsigned i = 0; i < net->nflying; i++)
        buf_unref(net->flying[i].bytes);
    free(net);
}

/* At whole milliseconds: a turn delivers all that come in one, and there are fewer turns to search for the next. */
static void post(struct letter l, struct slice bytes)
{
    l.at_ns = (net->now + 5 * MS + rng_below(&net->rng, 20 * MS)) / MS * MS;
    l.bytes = buf_copy(bytes);
    assert_true(net->nflying < FLYING);
    net->flying[net->nflying++] = l;
}

static void take_outputs(unsigned me)
{
    struct kad_output o;

    while (kad_next_output(net->kad[me], &o)) {
        unsigned to = number_of(&o.peer);
        if (to == NODES)
            continue;
        if (o.type == KAD_FOUND) {
            net->knows[me][to] = true;
            continue;
        }
        net->sent++;
        post((struct letter){.token = o.token, .from = me, .to = to, .is_failure = net->is_down[to] || !net->knows[me][to]}, o.request);
    }
}

/* Whoever is asked has a connection to the asker, and identify says that it serves. */
static void deliver(const struct letter *l)
{
    uint8_t out[KAD_MESSAGE_MAX];
    ssize_t n;

    if (net->is_down[l->is_answer ? l->to : l->from])
        return;
    if (l->is_answer) {
        kad_answer(net->kad[l->to], l->token, buf_slice(l->bytes), net->now);
        take_outputs(l->to);
        return;
    }
    if (l->is_failure || net->is_down[l->to]) {
        kad_failed(net->kad[l->from], l->token, net->now);
        take_outputs(l->from);
        return;
    }
    net->knows[l->to][l->from] = true;
    kad_peer_serves(net->kad[l->to], &net->id[l->from], net->now);
    n = kad_serve(net->kad[l->to], &net->id[l->from], buf_slice(l->bytes), out, sizeof(out), net->now);
    assert_true(n > 0);
    post((struct letter){.token = l->token, .from = l->to, .to = l->from, .is_answer = true}, slice_of(out, (size_t)n));
    take_outputs(l->to);
}

static uint64_t next_time(void)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < net->nflying; i++)
        if (net->flying[i].at_ns < at)
            at = net->flying[i].at_ns;
    for (unsigned i = 0; i < net->count; i++)
        if (!net->is_down[i] && kad_next_deadline(net->kad[i]) < at)
            at = kad_next_deadline(net->kad[i]);
    return at;
}

static void run_until(uint64_t end)
{
    for (uint64_t at; (at = next_time()) <= end;) {
        net->now = at > net->now ? at : net->now;
        for (unsigned i = 0; i < net->nflying;) {
            struct letter l = net->flying[i];
            if (l.at_ns > net->now) {
                i++;
                continue;
            }
            net->flying[i] = net->flying[--net->nflying];
            deliver(&l);
            buf_unref(l.bytes);
        }
        for (unsigned i = 0; i < net->count; i++)
            if (!net->is_down[i] && kad_next_deadline(net->kad[i]) <= net->now) {
                kad_on_deadline(net->kad[i], net->now);
                take_outputs(i);
            }
    }
    net->now = end;
}

/* As after a connection and identify on both sides. */
static void connect(unsigned a, unsigned b)
{
    net->knows[a][b] = net->knows[b][a] = true;
    kad_peer_serves(net->kad[a], &net->id[b], net->now);
    kad_peer_serves(net->kad[b], &net->id[a], net->now);
}

/* How many of the live nodes hold at least `want` live others in their tables. */
static unsigned nodes_with(unsigned want)
{
    unsigned good = 0;

    for (unsigned i = 0; i < net->count; i++) {
        unsigned have = 0;
        for (unsigned j = 0; j < net->count; j++)
            have += !net->is_down[j] && kad_has(net->kad[i], &net->id[j]);
        good += !net->is_down[i] && have >= want;
    }
    return good;
}

static void test_kad_of_200_that_know_one_find_each_other(void **state)
{
    make(NODES);
    for (unsigned i = 1; i < NODES; i++)
        connect(i, 0);
    run_until(30 * SEC);
    assert_int_equal(nodes_with(KAD_K), NODES);
    /* Each node's nearest few are in its table: lookups end at the right place. */
    for (unsigned i = 0; i < NODES; i++) {
        struct kad_key me = kad_key_of(peer_id_slice(&net->id[i])), best = {{0}};
        unsigned nearest = NODES;
        for (unsigned j = 0; j < NODES; j++) {
            struct kad_key k = kad_key_of(peer_id_slice(&net->id[j]));
            if (j != i && (nearest == NODES || kad_key_compare(&me, &k, &best) < 0)) {
                nearest = j;
                best = k;
            }
        }
        assert_true(kad_has(net->kad[i], &net->id[nearest]));
    }
    drop();
}

static void test_kad_survives_its_bootstrap_and_half_of_its_nodes(void **state)
{
    make(NODES);
    for (unsigned i = 1; i < NODES; i++)
        connect(i, 0);
    run_until(30 * SEC);
    for (unsigned i = 0; i < NODES; i += 2)
        net->is_down[i] = true;
    for (unsigned round = 1; round <= 3; round++)
        run_until((30 + 600 * round) * SEC);
    assert_int_equal(nodes_with(KAD_K), NODES / 2);
    drop();
}

static void test_kad_newcomer_finds_a_peer_by_its_id(void **state)
{
    struct kad_output o;
    bool found = false;

    make(100);
    for (unsigned i = 1; i < 99; i++)
        connect(i, 0);
    run_until(60 * SEC);
    connect(99, 5);
    assert_true(kad_lookup(net->kad[99], peer_id_slice(&net->id[77]), net->now));
    take_outputs(99);
    run_until(net->now + 5 * SEC);
    found = net->knows[99][77];
    assert_true(found);
    assert_false(kad_next_output(net->kad[99], &o));
    drop();
}

/* After the walks that find nobody new there is silence: a walk each minute or longer, not each second. */
static void test_kad_walks_slow_down_when_nobody_is_new(void **state)
{
    uint64_t before;

    make(5);
    for (unsigned i = 1; i < 5; i++)
        connect(i, 0);
    run_until(300 * SEC);
    before = net->sent;
    run_until(900 * SEC);
    assert_true(net->sent - before <= 5 * 3 * 4 * 20); /* nodes, lookups, questions, walks */
    assert_true(net->sent > before);
    drop();
}

static void test_kad_asks_at_most_alpha_at_a_time(void **state)
{
    struct kad_output o;
    unsigned asks = 0;

    make(60);
    for (unsigned i = 1; i < 60; i++)
        connect(0, i);
    assert_true(kad_lookup(net->kad[0], SLICE_LIT("somewhere"), net->now));
    while (kad_next_output(net->kad[0], &o))
        asks++;
    assert_int_equal(asks, KAD_ALPHA);
    for (unsigned i = 1; i < KAD_QUERIES; i++)
        assert_true(kad_lookup(net->kad[0], SLICE_LIT("elsewhere"), net->now));
    assert_false(kad_lookup(net->kad[0], SLICE_LIT("too many"), net->now));
    drop();
}

/* A liar names new peers with every answer; the lookup still ends. */
static void test_kad_query_ends_though_a_liar_always_knows_someone_nearer(void **state)
{
    struct kad_key target = kad_key_of(SLICE_LIT("t"));
    const struct peer_id *next;
    struct kad_query q;
    struct peer_id id, got[KAD_K];
    struct rng rng;
    unsigned asked = 0;

    rng_init_seeded(&rng, 1);
    kad_query_init(&q, &target);
    uint8_t key[32] = {0};
    peer_id_from_ed25519(&id, key);
    kad_query_add(&q, &id);
    while ((next = kad_query_next(&q))) {
        struct peer_id asking = *next;
        asked++;
        for (unsigned i = 0; i < KAD_K; i++) {
            rng_fill(&rng, key, sizeof(key));
            peer_id_from_ed25519(&id, key);
            kad_query_add(&q, &id);
        }
        kad_query_answered(&q, &asking);
    }
    assert_true(asked <= KAD_ASKED_MAX);
    assert_true(kad_query_is_over(&q));
    assert_int_equal(kad_query_result(&q, got, KAD_K), KAD_K);
}

static void test_kad_query_goes_past_those_that_fail(void **state)
{
    struct kad_key target = kad_key_of(SLICE_LIT("t"));
    const struct peer_id *next;
    struct kad_query q;
    struct peer_id id, got[KAD_K];
    unsigned n = 0;

    kad_query_init(&q, &target);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t key[32] = {(uint8_t)i};
        peer_id_from_ed25519(&id, key);
        assert_true(kad_query_add(&q, &id));
        assert_false(kad_query_add(&q, &id));
    }
    for (; (next = kad_query_next(&q)); n++) {
        id = *next;
        assert_false(kad_query_is_over(&q));
        if (n % 2)
            kad_query_answered(&q, &id);
        else
            kad_query_failed(&q, &id);
    }
    assert_true(kad_query_is_over(&q));
    assert_true(n >= 39);
    assert_int_equal(kad_query_result(&q, got, KAD_K), 20);
}

static ssize_t serve(const struct kad_msg *m, struct kad_msg *answer)
{
    static uint8_t in[KAD_MESSAGE_MAX], out[KAD_MESSAGE_MAX];
    ssize_t n = kad_serve(net->kad[0], &net->id[1], slice_of(in, (size_t)kad_encode(m, in, sizeof(in))), out, sizeof(out), net->now);

    if (n > 0)
        assert_int_equal(kad_decode(slice_of(out, (size_t)n), answer), 0);
    return n;
}

static void test_kad_server_answers_find_node_without_the_asker(void **state)
{
    struct kad_msg m = {.type = KAD_FIND_NODE}, a;

    make(60);
    for (unsigned i = 1; i < 60; i++)
        connect(0, i);
    m.key = peer_id_slice(&net->id[9]);
    assert_true(serve(&m, &a) > 0);
    assert_int_equal(a.ncloser, KAD_K);
    assert_true(peer_id_is_equal(&a.closer[0].id, &net->id[9])); /* the one asked for comes first */
    for (unsigned i = 0; i < a.ncloser; i++) {
        assert_false(peer_id_is_equal(&a.closer[i].id, &net->id[1]));
        assert_int_equal(a.closer[i].naddrs, 1);
        for (unsigned j = 0; j < i; j++)
            assert_false(peer_id_is_equal(&a.closer[i].id, &a.closer[j].id));
    }
    m.key = peer_id_slice(&net->id[0]); /* ourselves */
    assert_true(serve(&m, &a) > 0);
    assert_true(peer_id_is_equal(&a.closer[0].id, &net->id[0]));
    m.key = (struct slice){NULL, 0};
    assert_int_equal(serve(&m, &a), -1);
    drop();
}

static void test_kad_server_answers_the_other_requests(void **state)
{
    struct kad_msg m = {.type = KAD_PING}, a;
    struct kad_output o;
    struct multiaddr addr;

    make(30);
    for (unsigned i = 1; i < 30; i++)
        connect(0, i);
    assert_true(serve(&m, &a) > 0);
    assert_int_equal(a.type, KAD_PING);
    /* ADD_PROVIDER: for itself alone. */
    m = (struct kad_msg){.type = KAD_ADD_PROVIDER, .key = SLICE_LIT("content"), .nproviders = 1};
    addr_of(1, &addr);
    m.providers[0] = (struct kad_peer){.id = net->id[2], .naddrs = 1};
    m.providers[0].addrs[0] = multiaddr_slice(&addr);
    assert_int_equal(serve(&m, &a), -1);
    m.providers[0].id = net->id[1];
    assert_int_equal(serve(&m, &a), 0);
    assert_true(kad_next_output(net->kad[0], &o));
    assert_int_equal(o.type, KAD_FOUND);
    assert_true(peer_id_is_equal(&o.peer, &net->id[1]));
    m = (struct kad_msg){.type = KAD_GET_PROVIDERS, .key = SLICE_LIT("content")};
    assert_true(serve(&m, &a) > 0);
    assert_int_equal(a.nproviders, 1);
    assert_int_equal(a.ncloser, KAD_K);
    /* PUT_VALUE of what nobody can check is refused, GET_VALUE names who may know more. */
    m = (struct kad_msg){.type = KAD_PUT_VALUE, .key = SLICE_LIT("/v/x"), .has_record = true, .record_key = SLICE_LIT("/v/x"),
                         .record_value = SLICE_LIT("y")};
    assert_int_equal(serve(&m, &a), -1);
    m = (struct kad_msg){.type = KAD_GET_VALUE, .key = SLICE_LIT("/v/x")};
    assert_true(serve(&m, &a) > 0);
    assert_false(a.has_record);
    assert_int_equal(a.ncloser, KAD_K);
    drop();
}

static void test_kad_client_answers_nobody(void **state)
{
    struct kad_msg m = {.type = KAD_PING}, a;

    make(2);
    kad_free(net->kad[0]);
    net->kad[0] = new_kad(0, false);
    assert_int_equal(serve(&m, &a), -1);
    drop();
}

static void test_kad_ignores_answers_that_nobody_waits_for(void **state)
{
    struct kad_counters c;
    struct kad_output o;

    make(3);
    connect(0, 1);
    kad_answer(net->kad[0], 1, SLICE_LIT("\x08\x04"), net->now);
    assert_true(kad_lookup(net->kad[0], SLICE_LIT("x"), net->now));
    assert_true(kad_next_output(net->kad[0], &o));
    kad_answer(net->kad[0], o.token, SLICE_LIT("\xff"), net->now); /* malformed: a failure */
    kad_answer(net->kad[0], o.token, SLICE_LIT("\x08\x04"), net->now); /* too late */
    kad_counters_get(net->kad[0], &c);
    assert_int_equal(c.answers, 0);
    assert_int_equal(c.answers_bad, 1);
    assert_int_equal(c.failures, 1);
    assert_int_equal(c.queries_now, 0);
    drop();
}

static void test_kad_gives_up_on_a_silent_peer(void **state)
{
    struct kad_counters c;
    struct kad_output o;

    make(2);
    connect(0, 1);
    assert_true(kad_lookup(net->kad[0], SLICE_LIT("x"), net->now));
    assert_true(kad_next_output(net->kad[0], &o));
    kad_on_deadline(net->kad[0], net->now + 11 * SEC);
    kad_counters_get(net->kad[0], &c);
    assert_int_equal(c.failures, 1);
    assert_true(c.walks >= 1);
    drop();
}

static void test_kad_holds_against_a_peer_only_what_it_did(void **state)
{
    struct kad_counters c;
    struct kad_output o;

    make(2);
    connect(0, 1);
    for (unsigned i = 1; i <= 10; i++) {
        assert_true(kad_lookup(net->kad[0], SLICE_LIT("x"), net->now)); /* false: it has left the table */
        assert_true(kad_next_output(net->kad[0], &o));
        kad_unasked(net->kad[0], o.token, net->now);
        kad_unasked(net->kad[0], o.token, net->now); /* again: nothing */
        kad_counters_get(net->kad[0], &c);
        assert_int_equal(c.unasked, i);
    }
    assert_int_equal(c.failures, 0);
    for (unsigned i = 0; kad_lookup(net->kad[0], SLICE_LIT("x"), net->now); i++) {
        assert_true(i < 10 && kad_next_output(net->kad[0], &o));
        kad_failed(net->kad[0], o.token, net->now);
    }
    kad_counters_get(net->kad[0], &c);
    assert_true(c.failures > 1);
    drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kad_of_200_that_know_one_find_each_other),
        cmocka_unit_test(test_kad_survives_its_bootstrap_and_half_of_its_nodes),
        cmocka_unit_test(test_kad_newcomer_finds_a_peer_by_its_id),
        cmocka_unit_test(test_kad_walks_slow_down_when_nobody_is_new),
        cmocka_unit_test(test_kad_asks_at_most_alpha_at_a_time),
        cmocka_unit_test(test_kad_query_ends_though_a_liar_always_knows_someone_nearer),
        cmocka_unit_test(test_kad_query_goes_past_those_that_fail),
        cmocka_unit_test(test_kad_server_answers_find_node_without_the_asker),
        cmocka_unit_test(test_kad_server_answers_the_other_requests),
        cmocka_unit_test(test_kad_client_answers_nobody),
        cmocka_unit_test(test_kad_ignores_answers_that_nobody_waits_for),
        cmocka_unit_test(test_kad_gives_up_on_a_silent_peer),
        cmocka_unit_test(test_kad_holds_against_a_peer_only_what_it_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
