/* test_coded_size.c: the size decides: plain or coded, how many shards, how much is pushed unasked */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/coded_int.h"
#include "pubsub/coded_net.h"

enum { PEERS = 6, SMALL = 1000, SPAN = CODED_SIZE_SPAN * SMALL };

static struct net net;
/* What the publisher, node 0, pushed: copies of source shards and mixtures, and to how many each source shard went by its word. */
static unsigned sources, mixed, copies[RLNC_K_MAX], told[RLNC_K_MAX], k_seen;
static struct coded_bits promised[PEERS + 1], pushed[PEERS + 1];

static void note(unsigned to, const struct pb_field *f)
{
    struct coded_header h;
    struct coded_shard s;
    struct coded_have have;

    if (f->number == CODED_HEADER && !coded_header_read(f->bytes, &h))
        k_seen = h.shape.k;
    if (f->number == CODED_HAVE && !coded_have_read(f->bytes, &have))
        promised[to] = coded_bits_or(promised[to], have.sending);
    if (f->number != CODED_SHARD || coded_shard_read(f->bytes, &s))
        return;
    if (s.coefs.len > 1) {
        mixed++;
        return;
    }
    assert_int_equal(s.hops, 1);
    assert_false(coded_bits_has(&pushed[to], s.coefs.p[0])); /* to each peer once */
    coded_bits_put(&pushed[to], s.coefs.p[0]);
    sources++;
    copies[s.coefs.p[0]]++;
    told[s.coefs.p[0]] = (unsigned)(s.sent.len / CODED_TAG_BYTES);
}

static bool listen(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (from == 0 && pb_next(&r, &f) > 0)
        note(to, &f);
    return false;
}

static void publish(unsigned k, double mult, uint32_t size)
{
    struct net_config cfg = {.nodes = PEERS + 1, .k = k, .mult = mult, .threshold = 0.75, .latency_ns = 50000, .gbit_s = 10, .seed = 1,
                             .small_bytes = SMALL};

    sources = mixed = k_seen = 0;
    memset(copies, 0, sizeof(copies));
    memset(told, 0, sizeof(told));
    memset(promised, 0, sizeof(promised));
    memset(pushed, 0, sizeof(pushed));
    net_open(&net, &cfg);
    net.tap = listen;
    net_publish(&net, 0, size);
    net_run(&net, net.now + 1000000);
    net_close(&net);
    for (unsigned i = 1; i <= PEERS; i++)
        assert_memory_equal(&promised[i], &pushed[i], sizeof(promised[i]));
    for (unsigned i = 0; i < k_seen; i++)
        assert_int_equal(copies[i], told[i]); /* each copy names all that get one, itself too */
}

/* No size just above another is treated much differently. */
static void test_size_rule_has_no_cliffs(void **state)
{
    for (uint32_t size = SMALL + 1; size < 2 * SPAN; size++) {
        double reach = coded_size_reach(SMALL, size), next = coded_size_reach(SMALL, size + 1);
        double worth = coded_size_worth(SMALL, size), more = coded_size_worth(SMALL, size + 1);
        unsigned k = coded_size_k(SMALL, size, 255), after = coded_size_k(SMALL, size + 1, 255);

        assert_true(next <= reach && reach - next < 0.02 && next >= 1);
        assert_true(more >= worth && more - worth < 0.0001 && more <= CODED_SIZE_WORTH);
        assert_true(after >= k && after <= k + 1 && k >= 3);
        assert_true(coded_size_class(SMALL, size + 1) <= coded_size_class(SMALL, size) + 1);
    }
    assert_true(coded_size_reach(SMALL, SPAN) == 1 && coded_size_reach(SMALL, UINT32_MAX) == 1);
    assert_true(coded_size_worth(SMALL, SPAN) == CODED_SIZE_WORTH && coded_size_worth(SMALL, UINT32_MAX) == CODED_SIZE_WORTH);
    assert_true(coded_size_reach(SMALL, SMALL + 1) > CODED_SIZE_SPAN - 0.1);
}

static void test_size_decides_the_shards(void **state)
{
    static const struct {
        uint32_t small, size;
        unsigned factor, want;
    } t[] = {
        {16384, 16385, 4, 3}, {16384, 24577, 4, 4}, {16384, 24577, 16, 4}, {16384, 65536, 16, 8}, {16384, 131072, 16, 16},
        {16384, 1 << 20, 16, 16}, {16384, 1 << 20, 255, 128}, {16384, 1 << 20, 1, 1}, {16384, UINT32_MAX, 255, 255},
        {1, 100, 255, 200}, {1, 1000, 255, 255}, {UINT32_MAX, UINT32_MAX, 255, 2},
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_int_equal(coded_size_k(t[i].small, t[i].size, t[i].factor), t[i].want);
}

static void test_size_classes_cover_all(void **state)
{
    static const struct {
        uint32_t small, size;
        unsigned want;
    } t[] = {{1000, 0, 0}, {1000, 2000, 0}, {1000, 2001, 1}, {1000, 4000, 1}, {1000, 8000, 2}, {1000, 16000, 3}, {1000, 16001, 4},
             {1000, UINT32_MAX, 4}, {UINT32_MAX, UINT32_MAX, 0}, {1u << 31, UINT32_MAX, 0}};

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_int_equal(coded_size_class(t[i].small, t[i].size), t[i].want);
}

static void test_publisher_sends_small_ones_to_everybody(void **state)
{
    publish(4, 1.5, 2 * SMALL + 1);
    assert_int_equal(k_seen, 4);
    assert_int_equal(sources, 4 * PEERS);
    assert_int_equal(mixed, 0);
}

static void test_publisher_sends_less_the_larger_it_is(void **state)
{
    static const struct {
        uint32_t size;
        unsigned sources, mixed;
    } t[] = {{SPAN / 4, 32, 16}, {SPAN / 2, 16, 8}, {SPAN, 8, 4}, {4 * SPAN, 8, 4}};

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        publish(8, 1.5, t[i].size);
        assert_int_equal(k_seen, 8);
        assert_int_equal(sources, t[i].sources);
        assert_int_equal(mixed, t[i].mixed);
        for (unsigned s = 0; s < 8; s++)
            assert_int_equal(copies[s], t[i].sources / 8);
    }
}

static void test_publisher_with_a_low_mult_sends_less_of_all(void **state)
{
    publish(8, 0.5, SPAN / 2);
    assert_int_equal(sources, 8);
    assert_int_equal(mixed, 0);
    publish(8, 0.5, SPAN);
    assert_int_equal(sources, 4);
    assert_int_equal(mixed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_rule_has_no_cliffs),
        cmocka_unit_test(test_size_decides_the_shards),
        cmocka_unit_test(test_size_classes_cover_all),
        cmocka_unit_test(test_publisher_sends_small_ones_to_everybody),
        cmocka_unit_test(test_publisher_sends_less_the_larger_it_is),
        cmocka_unit_test(test_publisher_with_a_low_mult_sends_less_of_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
