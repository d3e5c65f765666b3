/* test_gf.c: the chosen and every usable kernel set against scalar arithmetic */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/rng.h"
#include "gf/kernels.h"

enum { LEN_MAX = 600, AREA = 8192, SRC = 11, DST = 8 };

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
    for (size_t i = 0; gf_kernels_known[i]; i++) {
        const struct gf_kernels *kern = gf_kernels_known[i];

        if (!kern->is_usable()) {
            print_message("%s: not on this CPU\n", kern->name);
            continue;
        }
        for (size_t len = 1; len <= LEN_MAX; len++) {
            check_dot(&f, kern, 1 + (unsigned)rng_below(&f.rng, DST), 1 + (unsigned)rng_below(&f.rng, SRC), len, 0);
            for (unsigned k = 1; k <= SRC; k++) /* one destination has loops of its own, by the number of sources */
                check_dot(&f, kern, 1, k, len, k & 1 ? 0 : rng_below(&f.rng, 70));
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
    for (size_t i = 0; gf_kernels_known[i]; i++) {
        const struct gf_kernels *kern = gf_kernels_find(gf_kernels_known[i]->name);

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

/* Sources and destinations end at guard pages, as above; what lies before them stays. */
static void check_spread(struct field *f, const struct gf_kernels *kern, unsigned n, unsigned k, size_t len, size_t skip)
{
    enum { STRIDE = GF_SPREAD_MAX + 1 };
    uint8_t coef[DST * STRIDE], *dst[DST], want[DST][AREA];
    const uint8_t *src[GF_SPREAD_MAX];

    rng_fill(&f->rng, coef, sizeof(coef));
    coef[0] &= (uint8_t)rng_below(&f->rng, 4); /* 0 and 1 too */
    for (unsigned j = 0; j < k; j++)
        src[j] = f->src[j] + AREA - len - skip;
    for (unsigned i = 0; i < n; i++) {
        dst[i] = f->dst[i] + AREA - len - skip;
        rng_fill(&f->rng, dst[i] - 1, len + skip + 1);
        memcpy(want[i], dst[i] - 1, len + skip + 1);
        for (unsigned j = 0; j < k; j++)
            for (size_t x = skip; x < skip + len; x++)
                want[i][1 + x] ^= gf_product[coef[i * STRIDE + j]][src[j][x]];
    }
    kern->spread(dst, n, src, k, coef, STRIDE, skip, skip + len);
    for (unsigned i = 0; i < n; i++)
        if (memcmp(dst[i] - 1, want[i], len + skip + 1))
            fail_msg("%s n=%u k=%u len=%zu skip=%zu: row %u differs", kern->name, n, k, len, skip, i);
}

static void test_spread_matches_scalar_at_every_length(void **state)
{
    struct field f;

    field_open(&f);
    for (size_t i = 0; gf_kernels_known[i]; i++) {
        const struct gf_kernels *kern = gf_kernels_find(gf_kernels_known[i]->name);

        for (size_t len = 1; kern && len <= LEN_MAX; len++) {
            for (unsigned k = 1; k <= GF_SPREAD_MAX; k++)
                check_spread(&f, kern, 1 + (unsigned)rng_below(&f.rng, 3), k, len, k & 1 ? 0 : rng_below(&f.rng, 70));
            check_spread(&f, kern, DST, 1 + (unsigned)rng_below(&f.rng, GF_SPREAD_MAX), len, 0);
        }
        if (kern)
            check_spread(&f, kern, DST, GF_SPREAD_MAX, 8000, 3);
    }
    field_close(&f);
}

static void test_dot_takes_many_sources_and_destinations(void **state)
{
    enum { K = 255, N = 40, LEN = 7501 }; /* more than a cache: the sources are asked for ahead */
    struct rng rng;
    uint8_t *src_mem = malloc(K * LEN), *dst_mem = malloc(N * LEN), *want = malloc(N * LEN), *coef = malloc(N * K);
    const uint8_t *src[K];
    uint8_t *dst[N], *wanted[N];

    rng_init_seeded(&rng, 3);
    rng_fill(&rng, src_mem, K * LEN);
    rng_fill(&rng, coef, N * K);
    for (unsigned j = 0; j < K; j++)
        src[j] = src_mem + j * LEN;
    for (unsigned i = 0; i < N; i++) {
        dst[i] = dst_mem + i * LEN;
        wanted[i] = want + i * LEN;
    }
    gf_kernels_scalar.dot(wanted, N, src, K, coef, K, 0, LEN);
    for (size_t v = 0; gf_kernels_known[v]; v++) {
        const struct gf_kernels *kern = gf_kernels_find(gf_kernels_known[v]->name);

        if (!kern)
            continue;
        kern->dot(dst, N, src, K, coef, K, 0, LEN);
        assert_memory_equal(dst_mem, want, N * LEN);
    }
    free(src_mem);
    free(dst_mem);
    free(want);
    free(coef);
}

/* Aligned destinations too large for the caches are written past them; the last bytes of a row are not whole vectors. */
static void check_large(unsigned n, size_t len)
{
    enum { K = 3, FROM = 128 };
    size_t stride = (FROM + len + 64) / 64 * 64 + 64;
    uint8_t *mem = aligned_alloc(64, (2 * n + K) * stride), coef[16 * K], *dst[16], *wanted[16];
    const uint8_t *src[K];
    struct rng rng;

    rng_init_seeded(&rng, n);
    rng_fill(&rng, mem, K * stride);
    rng_fill(&rng, coef, sizeof(coef));
    for (unsigned j = 0; j < K; j++)
        src[j] = mem + j * stride;
    for (unsigned i = 0; i < n; i++) {
        dst[i] = mem + (K + i) * stride;
        wanted[i] = dst[i] + n * stride;
        memset(dst[i], 0x5A, stride);
        memset(wanted[i], 0x5A, stride);
    }
    gf_kernels_scalar.dot(wanted, n, src, K, coef, K, FROM, FROM + len);
    for (size_t v = 0; gf_kernels_known[v]; v++) {
        const struct gf_kernels *kern = gf_kernels_find(gf_kernels_known[v]->name);

        if (!kern)
            continue;
        memset(dst[0] + FROM, 0, len);
        memset(dst[n - 1] + FROM, 0, len);
        kern->dot(dst, n, src, K, coef, K, FROM, FROM + len);
        assert_memory_equal(dst[0], wanted[0], n * stride);
    }
    free(mem);
}

static void test_dot_writes_large_destinations(void **state)
{
    check_large(4, (2 << 20) + 37);
    check_large(9, 940001);
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

static void check_inverse(struct rng *rng, unsigned n, bool is_sparse)
{
    size_t stride = gf_matrix_stride(n);
    uint8_t *m = malloc(n * n), *inv = malloc(n * stride);
    unsigned tries = 0;

    do {
        rng_fill(rng, m, n * n);
        for (unsigned i = 0; i < n * n && is_sparse; i++) /* zero pivots, so that rows are exchanged */
            if (rng_below(rng, 3))
                m[i] = 0;
        for (unsigned i = 0; i < n; i++)
            memcpy(inv + i * stride, m + i * n, n);
        assert_true(++tries < 2000);
    } while (gf_matrix_invert(inv, n));
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++) {
            uint8_t sum = 0;
            for (unsigned x = 0; x < n; x++)
                sum ^= gf_byte_mul(m[i * n + x], inv[x * stride + j]);
            assert_int_equal(sum, i == j);
        }
    free(m);
    free(inv);
}

static void test_matrix_invert_gives_the_inverse(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 11);
    for (unsigned n = 1; n < 70; n++) {
        check_inverse(&rng, n, false);
        check_inverse(&rng, n, true);
    }
    check_inverse(&rng, 128, false);
    check_inverse(&rng, 255, false);
}

static void test_matrix_invert_refuses_singular(void **state)
{
    uint8_t zero[64] = {0}, twice[128] = {3, 5, [64] = 3, 5};

    assert_int_equal(gf_matrix_invert(zero, 1), -GF_E_SINGULAR);
    assert_int_equal(gf_matrix_invert(twice, 2), -GF_E_SINGULAR);
    assert_string_equal(gf_err_name(-GF_E_SINGULAR), "matrix is singular");
}

/* Runs this program again with CODECAST_GF set; what it says and its exit status. */
static int run_forced(const char *name, char *said, size_t cap)
{
    char line[600];
    size_t len;
    FILE *f;

    snprintf(line, sizeof(line), "CODECAST_GF='%s' /proc/%d/exe --kernels 2>&1", name, (int)getpid());
    f = popen(line, "r");
    assert_non_null(f);
    len = fread(said, 1, cap - 1, f);
    said[len] = 0;
    return pclose(f);
}

static void test_kernels_are_chosen_by_environment(void **state)
{
    char said[400];

    for (size_t i = 0; gf_kernels_known[i]; i++) {
        int status = run_forced(gf_kernels_known[i]->name, said, sizeof(said));

        if (gf_kernels_known[i]->is_usable()) {
            assert_int_equal(status, 0);
            assert_string_equal(said, gf_kernels_known[i]->name);
        } else {
            assert_int_not_equal(status, 0);
            assert_non_null(strstr(said, "not for this CPU"));
        }
    }
    assert_int_not_equal(run_forced("abacus", said, sizeof(said)), 0);
    assert_non_null(strstr(said, "CODECAST_GF=abacus: unknown kernels; usable here: "));
    assert_non_null(strstr(said, " scalar\n"));
    assert_int_equal(run_forced("", said, sizeof(said)), 0);
    assert_null(gf_kernels_find("abacus"));
}

/* Argument: the kernels to run with what goes by the chosen ones; exit 77 when this CPU has not got them. Without: those, and every usable
 * kernel set for itself. */
int main(int argc, char **argv)
{
    const struct CMUnitTest of_chosen[] = {
        cmocka_unit_test(test_front_handles_the_empty_cases),
        cmocka_unit_test(test_matrix_invert_gives_the_inverse),
        cmocka_unit_test(test_matrix_invert_refuses_singular),
    };
    const struct CMUnitTest of_each[] = {
        cmocka_unit_test(test_byte_follows_the_field),
        cmocka_unit_test(test_dot_matches_scalar_at_every_length),
        cmocka_unit_test(test_mad_matches_scalar_at_every_length),
        cmocka_unit_test(test_spread_matches_scalar_at_every_length),
        cmocka_unit_test(test_dot_takes_many_sources_and_destinations),
        cmocka_unit_test(test_dot_writes_large_destinations),
        cmocka_unit_test(test_kernels_are_chosen_by_environment),
    };
    if (argc > 1 && !strcmp(argv[1], "--kernels"))
        return printf("%s", gf_kernel_name()) < 0;
    if (argc > 1 && strcmp(argv[1], gf_kernel_name())) {
        if (!gf_kernels_find(argv[1]))
            return 77;
        setenv("CODECAST_GF", argv[1], 1);
        execv("/proc/self/exe", argv);
        return 1;
    }
    print_message("kernels: %s\n", gf_kernel_name());
    return cmocka_run_group_tests(of_chosen, NULL, NULL) + (argc > 1 ? 0 : cmocka_run_group_tests(of_each, NULL, NULL));
}
