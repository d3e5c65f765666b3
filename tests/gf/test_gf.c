/* test_gf.c: the chosen and every usable kernel set against scalar arithmetic */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/rng.h"
#include "gf/kernels.h"

enum { LEN_MAX = 600, AREA = 8192, SRC = 9, DST = 8 };

static const char *const kernel_names[] = {"scalar", "isal", "gfni512"};

/* AREA bytes whose last is followed by a page that faults. */
static uint8_t *guarded(void)
{
    uint8_t *m = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(m != MAP_FAILED);
    assert_int_equal(mprotect(m + AREA, 4096, PROT_NONE), 0);
    return m;
}

static unsigned mul_by_definition(unsigned a, unsigned b)
{
    unsigned p = 0;

    for (unsigned i = 0; i < 8; i++)
        if (b >> i & 1)
            p ^= a << i;
    for (int i = 14; i >= 8; i--)
        if (p >> i & 1)
            p ^= (unsigned)GF_POLY << (i - 8);
    return p;
}

static void test_byte_follows_the_field(void **state)
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            assert_int_equal(gf_byte_mul((uint8_t)a, (uint8_t)b), mul_by_definition(a, b));
    for (unsigned a = 1; a < 256; a++)
        assert_int_equal(gf_byte_mul((uint8_t)a, gf_byte_inv((uint8_t)a)), 1);
    assert_int_equal(gf_byte_inv(0), 0);
}

struct field {
    uint8_t *src[SRC], *dst[DST];
    struct rng rng;
};

static void field_open(struct field *f)
{
    rng_init_seeded(&f->rng, 7);
    for (unsigned i = 0; i < SRC; i++) {
        f->src[i] = guarded();
        rng_fill(&f->rng, f->src[i], AREA);
    }
    for (unsigned i = 0; i < DST; i++)
        f->dst[i] = guarded();
}

static void field_close(struct field *f)
{
    for (unsigned i = 0; i < SRC; i++)
        munmap(f->src[i], AREA + 4096);
    for (unsigned i = 0; i < DST; i++)
        munmap(f->dst[i], AREA + 4096);
}

/* One dot product that ends at the guard page, begins where the length says (so every misalignment occurs), compared byte by byte;
 * the bytes before must stay. */
static void check_dot(struct field *f, const struct gf_kernels *kern, unsigned n, unsigned k, size_t len, size_t skip)
{
    const uint8_t *src[SRC];
    uint8_t *dst[DST], coef[DST * 16];
    size_t stride = 16;

    for (unsigned j = 0; j < k; j++)
        src[j] = f->src[j] + AREA - len - skip;
    for (unsigned i = 0; i < n; i++) {
        dst[i] = f->dst[i] + AREA - len - skip;
        memset(f->dst[i], 0xA5, AREA);
    }
    rng_fill(&f->rng, coef, sizeof(coef));
    kern->dot(dst, n, src, k, coef, stride, skip, skip + len);
    for (unsigned i = 0; i < n; i++) {
        for (size_t x = 0; x < len; x++) {
            uint8_t want = 0;
            for (unsigned j = 0; j < k; j++)
                want ^= gf_product[coef[i * stride + j]][src[j][skip + x]];
            if (dst[i][skip + x] != want)
                fail_msg("%s n=%u k=%u len=%zu differs at %zu of row %u", kern->name, n, k, len, x, i);
        }
        for (size_t x = 0; x < skip; x++)
            assert_int_equal(dst[i][x], 0xA5);
        assert_int_equal(f->dst[i][AREA - len - skip - 1], 0xA5);
    }
}

static void test_dot_matches_scalar_at_every_length(void **state)
{
    struct field f;

    field_open(&f);
    for (size_t i = 0; i < 3; i++) {
        const struct gf_kernels *kern = gf_kernels_find(kernel_names[i]);

        if (!kern) {
            print_message("%s: not on this CPU\n", kernel_names[i]);
            continue;
        }
        for (size_t len = 1; len <= LEN_MAX; len++) {
            check_dot(&f, kern, 1 + (unsigned)rng_below(&f.rng, DST), 1 + (unsigned)rng_below(&f.rng, SRC), len, 0);
            check_dot(&f, kern, 1, 1, len, 0);
            check_dot(&f, kern, DST, SRC, len, 1 + rng_below(&f.rng, 70));
        }
        for (unsigned n = 1; n <= DST; n++)
            check_dot(&f, kern, n, SRC, 8000, 3);
    }
    field_close(&f);
}

static void test_mad_matches_scalar_at_every_length(void **state)
{
    struct field f;
    uint8_t want[LEN_MAX];

    field_open(&f);
    for (size_t i = 0; i < 3; i++) {
        const struct gf_kernels *kern = gf_kernels_find(kernel_names[i]);

        for (size_t len = 1; kern && len <= LEN_MAX; len++) {
            uint8_t c = (uint8_t)(2 + rng_below(&f.rng, 254)), *d = f.dst[0] + AREA - len;
            const uint8_t *s = f.src[0] + AREA - len;

            rng_fill(&f.rng, d, len);
            for (size_t x = 0; x < len; x++)
                want[x] = d[x] ^ gf_product[c][s[x]];
            kern->mad(d, s, c, len);
            assert_memory_equal(d, want, len);
        }
    }
    field_close(&f);
}

static void test_dot_takes_many_sources_and_destinations(void **state)
{
    enum { K = 255, N = 40, LEN = 3001 };
    struct rng rng;
    uint8_t *src_mem = malloc(K * LEN), *dst_mem = malloc(N * LEN), *want = malloc(LEN), *coef = malloc(N * K);
    const uint8_t *src[K];
    uint8_t *dst[N];

    rng_init_seeded(&rng, 3);
    rng_fill(&rng, src_mem, K * LEN);
    rng_fill(&rng, coef, N * K);
    for (unsigned j = 0; j < K; j++)
        src[j] = src_mem + j * LEN;
    for (unsigned i = 0; i < N; i++)
        dst[i] = dst_mem + i * LEN;
    for (size_t v = 0; v < 3; v++) {
        const struct gf_kernels *kern = gf_kernels_find(kernel_names[v]);

        if (!kern)
            continue;
        kern->dot(dst, N, src, K, coef, K, 0, LEN);
        for (unsigned i = 0; i < N; i++) {
            gf_kernels_scalar.dot(&want, 1, src, K, coef + i * K, K, 0, LEN);
            assert_memory_equal(dst[i], want, LEN);
        }
    }
    free(src_mem);
    free(dst_mem);
    free(want);
    free(coef);
}

static void test_front_handles_the_empty_cases(void **state)
{
    uint8_t a[4] = {1, 2, 3, 4}, b[4] = {9, 9, 9, 9}, *d = b;
    const uint8_t *s = a;
    uint8_t c = 0;

    gf_dot(&d, 1, &s, 1, &c, 1, 2, 2);
    assert_int_equal(b[2], 9);
    gf_dot(&d, 1, &s, 0, &c, 1, 1, 3);
    assert_memory_equal(b, ((uint8_t[]){9, 0, 0, 9}), 4);
    gf_mad(b, a, 0, 4);
    assert_memory_equal(b, ((uint8_t[]){9, 0, 0, 9}), 4);
    gf_mad(b, a, 1, 4);
    assert_memory_equal(b, ((uint8_t[]){8, 2, 3, 13}), 4);
    gf_scale(a, 0, 4);
    assert_memory_equal(a, ((uint8_t[]){0, 0, 0, 0}), 4);
}

static void check_inverse(struct rng *rng, unsigned n)
{
    uint8_t *m = malloc(n * n), *aug = malloc(2 * n * n);
    unsigned tries = 0;

    do {
        rng_fill(rng, m, n * n);
        for (unsigned i = 0; i < n; i++)
            memcpy(aug + i * 2 * n, m + i * n, n);
        assert_true(++tries < 10);
    } while (gf_matrix_invert(aug, n));
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++) {
            uint8_t sum = 0;
            for (unsigned x = 0; x < n; x++)
                sum ^= gf_byte_mul(m[i * n + x], aug[x * 2 * n + n + j]);
            assert_int_equal(sum, i == j);
        }
    free(m);
    free(aug);
}

static void test_matrix_invert_gives_the_inverse(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 11);
    for (unsigned n = 1; n < 40; n++)
        check_inverse(&rng, n);
    check_inverse(&rng, 128);
    check_inverse(&rng, 255);
}

static void test_matrix_invert_refuses_singular(void **state)
{
    uint8_t zero[2] = {0, 0};
    uint8_t twice[8] = {3, 5, 0, 0, 3, 5, 0, 0};

    assert_int_equal(gf_matrix_invert(zero, 1), -GF_E_SINGULAR);
    assert_int_equal(gf_matrix_invert(twice, 2), -GF_E_SINGULAR);
    assert_string_equal(gf_err_name(-GF_E_SINGULAR), "matrix is singular");
}

static void test_kernels_are_chosen_by_environment(void **state)
{
    const char *forced = getenv("CODECAST_GF");

    print_message("kernels: %s\n", gf_kernel_name());
    if (forced && gf_kernels_find(forced))
        assert_string_equal(gf_kernel_name(), forced);
    assert_null(gf_kernels_find("abacus"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_follows_the_field),
        cmocka_unit_test(test_dot_matches_scalar_at_every_length),
        cmocka_unit_test(test_mad_matches_scalar_at_every_length),
        cmocka_unit_test(test_dot_takes_many_sources_and_destinations),
        cmocka_unit_test(test_front_handles_the_empty_cases),
        cmocka_unit_test(test_matrix_invert_gives_the_inverse),
        cmocka_unit_test(test_matrix_invert_refuses_singular),
        cmocka_unit_test(test_kernels_are_chosen_by_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
