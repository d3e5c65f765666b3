/* test_stash.c: blocks that a thread keeps for itself */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/stash.h"

#define N 2000

static void test_stash_blocks_are_apart_and_bounded(void **state)
{
    static const size_t sizes[] = {0, 1, 8, 63, 64, 65, 200, 1024, 2047, 2048, 2049, 100000};

    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        size_t n = sizes[k], rounded = n ? (n + 63) / 64 * 64 : 64;
        unsigned char *p[N];

        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < N; i++) {
                p[i] = stash_get(n);
                assert_non_null(p[i]);
                memset(p[i], (int)i, n);
            }
            for (unsigned i = 0; i < N; i++)
                for (size_t j = 0; j < n; j += 61)
                    assert_int_equal(p[i][j], i & 0xff);
            for (unsigned i = 0; i < N; i++)
                stash_put(p[i], n);
            if (n > STASH_MAX)
                assert_int_equal(stash_count(n), 0);
            else
                assert_true(stash_count(n) * rounded <= STASH_CLASS_BYTES);
        }
    }
    stash_put(NULL, 64);
}

static void *use(void *arg)
{
    void **handed = arg;

    for (unsigned i = 0; i < 100; i++)
        stash_put(handed[i], 256); /* got by another thread; freed when this one ends */
    return NULL;
}

static void test_stash_takes_blocks_of_another_thread(void **state)
{
    void *handed[100];
    pthread_t t;

    for (unsigned i = 0; i < 100; i++)
        assert_non_null(handed[i] = stash_get(256));
    assert_int_equal(pthread_create(&t, NULL, use, handed), 0);
    pthread_join(t, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stash_blocks_are_apart_and_bounded),
                                       cmocka_unit_test(test_stash_takes_blocks_of_another_thread)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
