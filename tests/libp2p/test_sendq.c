#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "libp2p/sendq.h"

static int released;

static void count_release(struct buf *b)
{
    released++;
    free(b->home);
}

static struct buf *counted(const void *p, uint32_t n)
{
    struct buf *b = malloc(sizeof(*b) + n + 1);

    *b = (struct buf){.data = (uint8_t *)(b + 1), .len = n, .cap = n, .refs = 1, .release = count_release, .home = b};
    memcpy(b->data, p, n);
    return b;
}

/* Takes everything out in bites of at most `bite`. */
static size_t drain(struct sendq *q, uint8_t *out, uint32_t bite)
{
    size_t n = 0;

    for (struct slice s; (s = p2p_sendq_front(q)).len;) {
        uint32_t k = s.len < bite ? (uint32_t)s.len : bite;
        memcpy(out + n, s.p, k);
        n += k;
        buf_unref(p2p_sendq_consume(q, k));
    }
    return n;
}

static void test_sendq_gives_back_each_reference_once(void **state)
{
    struct sendq q = {0};
    struct buf *b = counted("hello world", 11);
    uint8_t out[64];

    released = 0;
    assert_int_equal(p2p_sendq_push(&q, b, 0, 5), 0);
    assert_int_equal(p2p_sendq_push(&q, buf_ref(b), 5, 6), 0);
    assert_int_equal(p2p_sendq_push(&q, counted("!", 1), 0, 0), 0); /* empty: dropped at once */
    assert_int_equal(released, 1);
    assert_int_equal(q.bytes, 11);
    assert_int_equal(drain(&q, out, 3), 11);
    assert_memory_equal(out, "hello world", 11);
    assert_int_equal(released, 2);
    assert_int_equal(q.bytes, 0);
    p2p_sendq_fini(&q);
}

static void test_sendq_fini_drops_what_is_left(void **state)
{
    struct sendq q = {0};

    released = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(p2p_sendq_push(&q, counted("abc", 3), 1, 2), 0);
    buf_unref(p2p_sendq_consume(&q, 1));
    p2p_sendq_fini(&q);
    assert_int_equal(released, 100);
    assert_int_equal(q.count, 0);
}

static void test_sendq_copies_are_joined(void **state)
{
    struct sendq q = {0};
    uint8_t out[600];

    assert_int_equal(p2p_sendq_copy(&q, SLICE_LIT("ab")), 0);
    assert_int_equal(p2p_sendq_copy(&q, SLICE_LIT("cd")), 0);
    assert_int_equal(q.count, 1);
    assert_int_equal(p2p_sendq_push(&q, counted("XY", 2), 0, 2), 0);
    assert_int_equal(p2p_sendq_copy(&q, SLICE_LIT("ef")), 0); /* not joined past the pushed piece */
    assert_int_equal(q.count, 3);
    assert_int_equal(drain(&q, out, 1), 8);
    assert_memory_equal(out, "abcdXYef", 8);
    assert_int_equal(p2p_sendq_copy(&q, (struct slice){out, 0}), 0);
    assert_int_equal(q.count, 0);
    static uint8_t big[SENDQ_COPY_MAX + 1];
    assert_int_equal(p2p_sendq_copy(&q, slice_of(big, sizeof(big))), -1);
    assert_int_equal(p2p_sendq_copy(&q, slice_of(big, SENDQ_COPY_MAX)), 0);
    p2p_sendq_fini(&q);
}

static void test_sendq_splice_keeps_order(void **state)
{
    struct sendq a = {0}, b = {0};
    uint8_t out[64];

    p2p_sendq_copy(&a, SLICE_LIT("one "));
    p2p_sendq_copy(&b, SLICE_LIT("two "));
    p2p_sendq_push(&b, counted("three", 5), 0, 5);
    assert_int_equal(p2p_sendq_splice(&a, &b), 0);
    assert_int_equal(b.bytes, 0);
    assert_int_equal(b.count, 0);
    assert_int_equal(drain(&a, out, 64), 13);
    assert_memory_equal(out, "one two three", 13);
    p2p_sendq_fini(&a);
}

static void test_sendq_bounds_its_pieces(void **state)
{
    struct sendq q = {0};
    struct buf *b = counted("x", 1);
    uint32_t n = 0;

    released = 0;
    while (p2p_sendq_push(&q, buf_ref(b), 0, 1) == 0)
        n++;
    b->refs--; /* the one refused stayed ours */
    assert_int_equal(n, SENDQ_PIECES_MAX);
    p2p_sendq_fini(&q);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
    assert_int_equal(released, 1);
}

static void test_sendq_random_against_flat_bytes(void **state)
{
    struct rng rng;
    struct sendq q = {0};
    static uint8_t want[1 << 16], got[1 << 16];
    size_t in = 0, out = 0;

    rng_init_seeded(&rng, 7);
    while (in < sizeof(want) - 300) {
        uint8_t piece[200];
        size_t n = rng_below(&rng, sizeof(piece));
        rng_fill(&rng, piece, n);
        memcpy(want + in, piece, n);
        in += n;
        if (rng_below(&rng, 2))
            assert_int_equal(p2p_sendq_copy(&q, slice_of(piece, n)), 0);
        else
            assert_int_equal(p2p_sendq_push(&q, counted(piece, (uint32_t)n), 0, (uint32_t)n), 0);
        assert_int_equal(q.bytes, in - out);
        struct slice s = p2p_sendq_front(&q);
        if (s.len && rng_below(&rng, 3) == 0) {
            uint32_t k = (uint32_t)rng_below(&rng, s.len + 1);
            memcpy(got + out, s.p, k);
            out += k;
            buf_unref(p2p_sendq_consume(&q, k));
        }
    }
    out += drain(&q, got + out, 1000);
    assert_int_equal(in, out);
    assert_memory_equal(want, got, in);
    p2p_sendq_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sendq_gives_back_each_reference_once),
        cmocka_unit_test(test_sendq_fini_drops_what_is_left),
        cmocka_unit_test(test_sendq_copies_are_joined),
        cmocka_unit_test(test_sendq_splice_keeps_order),
        cmocka_unit_test(test_sendq_bounds_its_pieces),
        cmocka_unit_test(test_sendq_random_against_flat_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
