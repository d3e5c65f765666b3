/* bench_gf.c: dot products of lib/gf beside ISA-L and beside what memory allows
 * Prints:  one line per k sources, n destinations and row length, all contestants timed in turn in one run:
 *          ours: gf_dot, its coefficients fresh at each call (it prepares nothing);
 *          ISA-L: ec_encode_data on the same rows, tables ready; plain: on rows laid end to end, tables made at each call;
 *          XOR: all sources added up into one row (what one destination costs at least); memcpy: n rows copied.
 *          GB/s counts products: k * n * length. Ratios above 1: ours is faster.
 * Usage:   bench_gf [--json FILE] [--quick]; CODECAST_GF chooses our kernels. With AVX2 kernels ISA-L is held to AVX2 too
 */
#include <isa-l/erasure_code.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rng.h"
#include "bench/measure.h"
#include "gf/gf.h"

enum { ROWS = 64, PAD = 2112, LEN_MAX = 262144 };

struct bench {
    unsigned k, n;
    size_t len;
    uint8_t *memory;
    uint8_t *src[ROWS], *dst[ROWS], *plain_src[ROWS], *plain_dst[ROWS];
    uint8_t coef[ROWS * ROWS], tables[32 * ROWS * ROWS], fresh[32 * ROWS * ROWS];
    void (*isal)(int, int, int, unsigned char *, unsigned char **, unsigned char **);
};

static void run_ours(void *ctx)
{
    struct bench *b = ctx;

    gf_dot(b->dst, b->n, (const uint8_t *const *)b->src, b->k, b->coef, b->k, 0, b->len);
}

static void run_isal(void *ctx)
{
    struct bench *b = ctx;

    b->isal((int)b->len, (int)b->k, (int)b->n, b->tables, b->src, b->dst);
}

static void run_isal_plain(void *ctx)
{
    struct bench *b = ctx;

    ec_init_tables((int)b->k, (int)b->n, b->coef, b->fresh);
    b->isal((int)b->len, (int)b->k, (int)b->n, b->fresh, b->plain_src, b->plain_dst);
}

struct wide {
    uint64_t word __attribute__((vector_size(64), aligned(1)));
};

/* Eight vectors of each source in turn, as the one-destination kernels walk. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void run_xor(void *ctx)
{
    struct bench *b = ctx;

    for (size_t x = 0; x + 512 <= b->len; x += 512) {
        struct wide a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, a4 = {0}, a5 = {0}, a6 = {0}, a7 = {0};
        struct wide *d = (struct wide *)(void *)(b->dst[0] + x);

        for (unsigned j = 0; j < b->k; j++) {
            const struct wide *s = (const struct wide *)(const void *)(b->src[j] + x);

            a0.word ^= s[0].word;
            a1.word ^= s[1].word;
            a2.word ^= s[2].word;
            a3.word ^= s[3].word;
            a4.word ^= s[4].word;
            a5.word ^= s[5].word;
            a6.word ^= s[6].word;
            a7.word ^= s[7].word;
        }
        d[0] = a0;
        d[1] = a1;
        d[2] = a2;
        d[3] = a3;
        d[4] = a4;
        d[5] = a5;
        d[6] = a6;
        d[7] = a7;
    }
}

static void run_memcpy(void *ctx)
{
    struct bench *b = ctx;

    for (unsigned i = 0; i < b->n; i++)
        memcpy(b->dst[i], b->src[i % b->k], b->len);
}

/* Rows are padded so that they do not meet in the caches' sets; the plain layout lays them end to end. */
static void place(struct bench *b)
{
    size_t stride = b->len + PAD - b->len % 64;
    uint8_t *plain = b->memory + 2 * ROWS * (size_t)(LEN_MAX + PAD);

    for (unsigned j = 0; j < ROWS; j++) {
        b->src[j] = b->memory + j * stride;
        b->dst[j] = b->memory + (b->k + j) * stride;
        b->plain_src[j] = plain + j * b->len;
        b->plain_dst[j] = plain + (b->k + j) * b->len;
    }
    ec_init_tables((int)b->k, (int)b->n, b->coef, b->tables);
}

static void check(struct bench *b)
{
    uint8_t *want = malloc(b->len);

    for (unsigned i = 0; i < b->n; i++) {
        memset(want, 0, b->len);
        for (unsigned j = 0; j < b->k; j++)
            for (size_t x = 0; x < b->len; x++)
                want[x] ^= gf_byte_mul(b->coef[i * b->k + j], b->src[j][x]);
        if (memcmp(want, b->dst[i], b->len))
            printf("WRONG BYTES\n");
    }
    free(want);
}

static void run(struct bench *b, struct report *r, const char *const *names, unsigned k, unsigned n, size_t len)
{
    struct measure m = {.rounds = 21, .sample_ns = 300000};
    double macs = (double)k * n * (double)len, v[10];
    char what[16];

    b->k = k;
    b->n = n;
    b->len = len;
    place(b);
    measure_add(&m, run_ours);
    measure_add(&m, run_isal);
    measure_add(&m, run_isal_plain);
    measure_add(&m, run_xor);
    measure_add(&m, run_memcpy);
    measure_run(&m, b);
    run_ours(b);
    if (len <= 16384)
        check(b);
    snprintf(what, sizeof(what), "%u>%u", k, n);
    v[0] = (double)len;
    v[1] = measure_ns(&m, 0) / 1000;
    v[2] = macs / measure_ns(&m, 0);
    v[3] = macs / measure_ns(&m, 1);
    v[4] = measure_ratio(&m, 1, 0);
    v[5] = measure_ratio(&m, 2, 0);
    v[6] = (double)k * (double)len / measure_ns(&m, 3);
    v[7] = (double)n * (double)len / measure_ns(&m, 4);
    v[8] = n == 1 ? measure_ratio(&m, 3, 0) : NAN;
    report_row(r, names, what, v, 9);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"k>n", "bytes", "us", "GB/s", "ISA-L GB/s", "ISA-L/ours", "plain ISA-L/ours",
                                        "XOR read GB/s", "memcpy GB/s", "XOR/ours"};
    static const unsigned ks[] = {4, 8, 16, 32, 64};
    static const size_t lens[] = {1024, 4096, 16384, 65536, 262144};
    static struct bench b;
    struct report r;
    char **rest = calloc((size_t)argc, sizeof(*rest));
    bool is_quick;
    struct rng rng;
    int left = report_open(&r, "bench_gf", argc, argv, rest);

    if (left < 0)
        return 1;
    is_quick = left > 0 && !strcmp(rest[0], "--quick");
    b.isal = ec_encode_data;
    if (!strcmp(gf_kernel_name(), "avx2") || !strcmp(gf_kernel_name(), "gfni256"))
        b.isal = ec_encode_data_avx2;
    b.memory = aligned_alloc(1 << 21, ((4 * ROWS * (size_t)(LEN_MAX + PAD)) >> 21 << 21) + (1 << 21));
    madvise(b.memory, 4 * ROWS * (size_t)(LEN_MAX + PAD), MADV_HUGEPAGE);
    rng_init_seeded(&rng, 1);
    rng_fill(&rng, b.memory, 4 * ROWS * (size_t)(LEN_MAX + PAD));
    rng_fill(&rng, b.coef, sizeof(b.coef));
    printf("kernels: %s; ISA-L: %s\n", gf_kernel_name(), b.isal == ec_encode_data ? "its own dispatch" : "its AVX2");
    report_head(names, 9);
    for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++)
        for (size_t j = 0; j < sizeof(lens) / sizeof(lens[0]); j++) {
            if (is_quick && (i == 1 || i == 3 || j == 1 || j == 3))
                continue;
            for (unsigned n = 1; n <= ks[i]; n = n < 4 ? 4 : n < 6 ? 6 : n < ks[i] ? ks[i] : ks[i] + 1)
                if (n <= ks[i])
                    run(&b, &r, names, ks[i], n, lens[j]);
        }
    report_close(&r);
    free(b.memory);
    free(rest);
    return 0;
}
