#include "testing.h"

#include "base/bufpool.h"
#include "base/list.h"
#include "base/machine.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/timerq.h"

static void test_map_agrees_with_an_array(void **state)
{
    enum { KEYS = 500 };
    static void *model[KEYS];
    uint8_t seed[16] = {1};
    struct map m;
    struct rng rng;
    size_t live = 0;

    rng_init_seeded(&rng, 7);
    map_init(&m, 0, seed);
    memset(model, 0, sizeof(model));
    for (int i = 0; i < 50000; i++) {
        uint16_t k = (uint16_t)rng_below(&rng, KEYS);
        struct slice key = slice_of(&k, sizeof(k));
        if (rng_below(&rng, 2)) {
            void *v = (void *)(uintptr_t)(rng_u64(&rng) | 1);
            live += !model[k];
            model[k] = v;
            assert_int_equal(map_put(&m, key, v), 0);
        } else {
            assert_ptr_equal(map_del(&m, key), model[k]);
            live -= !!model[k];
            model[k] = NULL;
        }
        assert_int_equal(m.count, live);
    }
    for (uint16_t k = 0; k < KEYS; k++)
        assert_ptr_equal(map_get(&m, slice_of(&k, sizeof(k))), model[k]);
    size_t it = 0, walked = 0;
    struct slice key;
    for (void *v; (v = map_next(&m, &it, &key)); walked++) {
        uint16_t k;
        memcpy(&k, key.p, sizeof(k));
        assert_ptr_equal(v, model[k]);
    }
    assert_int_equal(walked, live);
    map_fini(&m);
}

static void test_map_stops_at_its_bound(void **state)
{
    uint8_t seed[16] = {0};
    struct map m;

    map_init(&m, 2, seed);
    assert_int_equal(map_put(&m, SLICE_LIT("a"), &m), 0);
    assert_int_equal(map_put(&m, SLICE_LIT("b"), &m), 0);
    assert_int_equal(map_put(&m, SLICE_LIT("c"), &m), -1);
    assert_int_equal(map_put(&m, SLICE_LIT("a"), state), 0); /* replacing is not growing */
    assert_ptr_equal(map_get(&m, SLICE_LIT("a")), state);
    assert_int_equal(map_put(&m, SLICE_LIT(""), &m), -1);
    map_fini(&m);
}

static void test_timerq_pops_in_order(void **state)
{
    enum { N = 300 };
    static struct timer t[N];
    struct timerq q;
    struct rng rng;
    uint64_t last = 0;
    unsigned popped = 0, set = 0;

    rng_init_seeded(&rng, 3);
    timerq_init(&q);
    assert_true(timerq_next(&q) == TIMER_NEVER);
    for (int i = 0; i < N; i++)
        assert_int_equal(timerq_set(&q, &t[i], 1 + rng_below(&rng, 999)), 0);
    for (int i = 0; i < N; i += 3)
        assert_int_equal(timerq_set(&q, &t[i], 1 + rng_below(&rng, 999)), 0);
    for (int i = 0; i < N; i += 5)
        timerq_cancel(&q, &t[i]);
    for (int i = 0; i < N; i++)
        set += timer_is_set(&t[i]);
    assert_null(timerq_pop(&q, timerq_next(&q) - 1));
    for (struct timer *x; (x = timerq_pop(&q, 1000)); popped++) {
        assert_true(x->at_ns >= last);
        assert_false(timer_is_set(x));
        last = x->at_ns;
    }
    assert_int_equal(popped, set);
    timerq_fini(&q);
}

static void test_list_survives_removal_in_the_walk(void **state)
{
    struct list head, n[5] = {0};
    unsigned seen = 0;

    list_init(&head);
    for (int i = 0; i < 5; i++)
        list_push_back(&head, &n[i]);
    LIST_EACH (it, &head) {
        assert_ptr_equal(it, &n[seen]);
        list_del(it);
        list_del(it); /* harmless */
        seen++;
    }
    assert_int_equal(seen, 5);
    assert_true(list_is_empty(&head));
    assert_null(list_pop_front(&head));
}

static void test_buf_copies_and_counts(void **state)
{
    struct buf *b = buf_copy(SLICE_LIT("hello"));

    assert_true(slice_is_equal(buf_slice(b), SLICE_LIT("hello")));
    assert_int_equal((uintptr_t)b->data % 64, 0);
    buf_ref(b);
    buf_unref(b);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
    buf_unref(NULL);
    b = buf_copy(slice_of(NULL, 0));
    assert_int_equal(b->len, 0);
    buf_unref(b);
}

static void test_bufpool_reuses_and_refuses(void **state)
{
    struct bufpool p;

    bufpool_init(&p, 4096, 1024);
    struct buf *a = bufpool_get(&p, 300), *b = bufpool_get(&p, 1);
    assert_int_equal(a->cap, 512);
    assert_int_equal(b->cap, 256);
    a->data += 17; /* as a framer that aligns the end does */
    a->cap -= 17;
    buf_unref(a);
    assert_ptr_equal(bufpool_get(&p, 512), a);
    assert_int_equal(p.allocs, 2);
    assert_null(bufpool_get(&p, 4096));
    assert_null(bufpool_get(&p, UINT32_MAX));
    assert_int_equal(p.refused, 2);
    buf_unref(a);
    buf_unref(b);
    assert_int_equal(p.used_bytes, 0);
    struct buf *big = bufpool_get(&p, 2000); /* more than is kept: freed on return */
    buf_unref(big);
    assert_true(p.kept_bytes <= 1024);
    bufpool_fini(&p);
}

/* Blocks kept for reuse count too: idle ones of other sizes give way. */
static void test_bufpool_stays_within_its_bound(void **state)
{
    static const uint32_t caps[] = {256, 4000, 2000, 500, 8000, 1000};
    struct buf *taken[6];
    struct bufpool p;
    struct rng rng;

    rng_init_seeded(&rng, 5);
    bufpool_init(&p, 16384, 16384);
    for (int round = 0; round < 1000; round++) {
        unsigned n = 0;
        for (; n < 6; n++) {
            bool fits;
            taken[n] = bufpool_get(&p, caps[rng_below(&rng, 6)]);
            fits = p.used_bytes + p.kept_bytes <= p.max_bytes;
            assert_true(fits);
            if (!taken[n])
                break;
        }
        assert_true(n > 0); /* idle blocks alone never refuse anyone */
        while (n)
            buf_unref(taken[--n]);
        assert_int_equal(p.used_bytes, 0);
    }
    bufpool_fini(&p);
}

static void test_machine_reads_percentages(void **state)
{
    struct machine m = {.busy = UINT64_MAX / 2, .total = 1}; /* a counter that went back, as stolen time does */

    for (int i = 0; i < 2; i++) {
        machine_read(&m);
        assert_true(m.cpu_used >= 0 && m.cpu_used <= 100);
        assert_true(m.memory_used > 0 && m.memory_used <= 100);
        assert_true(m.disk_used >= 0 && m.disk_used <= 100);
    }
}

static void test_rng_below_is_in_range_and_repeats(void **state)
{
    struct rng a, b;

    rng_init_seeded(&a, 42);
    rng_init_seeded(&b, 42);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_below(&a, 10);
        assert_true(x < 10);
        assert_true(x == rng_below(&b, 10));
    }
    rng_init_system(&a);
    assert_true(rng_u64(&a) != rng_u64(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_agrees_with_an_array), cmocka_unit_test(test_map_stops_at_its_bound),
        cmocka_unit_test(test_timerq_pops_in_order),     cmocka_unit_test(test_list_survives_removal_in_the_walk),
        cmocka_unit_test(test_buf_copies_and_counts),    cmocka_unit_test(test_bufpool_reuses_and_refuses),
        cmocka_unit_test(test_bufpool_stays_within_its_bound), cmocka_unit_test(test_machine_reads_percentages),
        cmocka_unit_test(test_rng_below_is_in_range_and_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
