/* bench_rlnc.c: encode, recode and decode through lib/rlnc, beside plain ISA-L calls
 * Prints:  one line per message size, k and operation, all contestants timed in turn in one run. Times include fresh random
 *          coefficients, tables, the coefficients of mixtures and the inverse.
 *          ISA-L: ec_init_tables and one ec_encode_data (deferred: gf_invert_matrix, then the same) on the same rows; progressive: each
 *          arriving row reduced at once by gf_vect_mad, payload and all. Ratios above 1: ours is faster.
 *          rank: tracking k coded rows, which a receiver pays besides the decode; the ratio to the progressive decoder counts it.
 *          last: what is left to do when the last row comes after pre-reduction
 * Usage:   bench_rlnc [--json FILE] [message bytes ...]; CODECAST_GF chooses our kernels. With AVX2 kernels ISA-L is held to AVX2 too
 */
#include <isa-l/erasure_code.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/measure.h"
#include "gf/gf.h"
#include "rlnc/rlnc.h"

enum { OUTS = 6, PAD = 2112 };

struct bench {
    struct rlnc_shape s;
    struct rng rng;
    unsigned k, n, lost;
    uint8_t *payload, *decoded, *coded, *work; /* k rows each; coded and work padded */
    uint8_t *outs[RLNC_K_MAX], *rows[RLNC_K_MAX];
    const uint8_t *src[RLNC_K_MAX];
    uint8_t *coefs, *scratch, *tables, *rank_mem, *matrix;
    struct rlnc_ahead ahead;
    uint8_t mixed[OUTS * RLNC_K_MAX];
    void (*isal)(int, int, int, unsigned char *, unsigned char **, unsigned char **);
    bool has_avx2_only;
};

static void ours_encode(void *ctx)
{
    struct bench *b = ctx;

    rlnc_encode(&b->s, b->payload, &b->rng, b->mixed, b->rows, b->n);
}

static void isal_encode(void *ctx)
{
    struct bench *b = ctx;

    rlnc_coefs_random(b->mixed, b->n * b->k, &b->rng);
    ec_init_tables((int)b->k, (int)b->n, b->mixed, b->tables);
    b->isal((int)b->s.shard_bytes, (int)b->k, (int)b->n, b->tables, (unsigned char **)(uintptr_t)b->src, b->rows);
}

static struct rlnc_row coded_row(struct bench *b, unsigned i)
{
    return (struct rlnc_row){b->outs[i], b->coefs + i * b->k, b->s.shard_bytes, RLNC_CODED};
}

static void ours_recode(void *ctx)
{
    struct bench *b = ctx;
    struct rlnc_row rows[RLNC_K_MAX];

    for (unsigned i = 0; i < b->k; i++)
        rows[i] = coded_row(b, i);
    rlnc_recode(&b->s, rows, b->k, &b->rng, b->mixed, b->rows, b->n);
}

static void isal_recode(void *ctx)
{
    struct bench *b = ctx;
    uint8_t weight[OUTS * RLNC_K_MAX];
    unsigned char *from[RLNC_K_MAX], *to[OUTS];

    rlnc_coefs_random(weight, b->n * b->k, &b->rng);
    ec_init_tables((int)b->k, (int)b->n, weight, b->tables);
    for (unsigned i = 0; i < b->k; i++)
        from[i] = b->coefs + i * b->k;
    for (unsigned i = 0; i < b->n; i++)
        to[i] = b->mixed + i * b->k;
    ec_encode_data((int)b->k, (int)b->k, (int)b->n, b->tables, from, to);
    b->isal((int)b->s.shard_bytes, (int)b->k, (int)b->n, b->tables, b->outs, b->rows);
}

/* lost of k source shards are missing and replaced by coded ones; lost == k: all coded. */
static void fill_rows(struct bench *b, struct rlnc_row *rows)
{
    for (unsigned i = 0; i < b->k; i++)
        rows[i] = i < b->lost ? coded_row(b, i) : rlnc_source_row(&b->s, b->decoded, i);
}

static void ours_decode(void *ctx)
{
    struct bench *b = ctx;
    struct rlnc_row rows[RLNC_K_MAX];

    fill_rows(b, rows);
    if (rlnc_decode(&b->s, rows, b->k, b->decoded, b->scratch))
        abort();
}

static void ours_rank(void *ctx)
{
    struct bench *b = ctx;
    struct rlnc_rank rank;

    rlnc_rank_init(&rank, b->k, b->rank_mem);
    for (unsigned i = b->lost; i < b->k; i++)
        rlnc_rank_add_source(&rank, i);
    for (unsigned i = 0; i < b->lost; i++)
        rlnc_rank_add(&rank, b->coefs + i * b->k);
    if (!rlnc_rank_is_full(&rank))
        abort();
}

static void ours_decode_and_rank(void *ctx)
{
    ours_rank(ctx);
    ours_decode(ctx);
}

static void isal_decode(void *ctx)
{
    struct bench *b = ctx;
    uint8_t *m = b->matrix, *inv = m + b->k * b->k;
    unsigned char *to[RLNC_K_MAX], *from[RLNC_K_MAX];

    memset(m, 0, (size_t)b->k * b->k);
    for (unsigned i = 0; i < b->k; i++) {
        if (i < b->lost)
            memcpy(m + i * b->k, b->coefs + i * b->k, b->k);
        else
            m[i * b->k + i] = 1;
        to[i] = b->decoded + (size_t)i * b->s.shard_bytes;
        from[i] = i < b->lost ? b->outs[i] : to[i];
    }
    if (gf_invert_matrix(m, inv, (int)b->k))
        abort();
    ec_init_tables((int)b->k, (int)b->lost, inv, b->tables);
    b->isal((int)b->s.shard_bytes, (int)b->k, (int)b->lost, b->tables, from, to);
}

/* The same with our inverse, so that what is compared is the multiply alone. Only where all is coded. */
static void isal_multiply(void *ctx)
{
    struct bench *b = ctx;
    size_t stride = gf_matrix_stride(b->k);
    unsigned char *to[RLNC_K_MAX];

    for (unsigned i = 0; i < b->k; i++) {
        memcpy(b->scratch + i * stride, b->coefs + i * b->k, b->k);
        to[i] = b->decoded + (size_t)i * b->s.shard_bytes;
    }
    if (gf_matrix_invert(b->scratch, b->k))
        abort();
    for (unsigned i = 0; i < b->k; i++)
        ec_init_tables((int)b->k, 1, b->scratch + i * stride, b->tables + (size_t)i * b->k * 32);
    b->isal((int)b->s.shard_bytes, (int)b->k, (int)b->k, b->tables, b->outs, to);
}

static void row_mad(struct bench *b, uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    unsigned char table[32];

    ec_init_tables(1, 1, &c, table);
    if (len < 64) {
        for (size_t x = 0; x < len; x++)
            dst[x] ^= gf_byte_mul(c, src[x]);
    } else if (b->has_avx2_only) {
        gf_vect_mad_avx2((int)len, 1, 0, table, (unsigned char *)(uintptr_t)src, dst);
    } else {
        gf_vect_mad((int)len, 1, 0, table, (unsigned char *)(uintptr_t)src, dst);
    }
}

static void row_scale(struct bench *b, uint8_t *row, uint8_t *coefs, uint8_t c)
{
    uint8_t *copy = b->scratch;

    for (size_t at = 0; at < b->s.shard_bytes; at += 4096) {
        size_t n = b->s.shard_bytes - at < 4096 ? b->s.shard_bytes - at : 4096;
        memcpy(copy, row + at, n);
        row_mad(b, row + at, copy, c ^ 1, n);
    }
    gf_scale(coefs, c, b->k);
}

/* Reduced row echelon form of coefficients and payloads, row by row as they arrive: what libraries without deferral do. */
static void isal_progressive(void *ctx)
{
    struct bench *b = ctx;
    uint8_t *m = b->matrix;
    unsigned pivot[RLNC_K_MAX];

    for (unsigned r = 0; r < b->k; r++) {
        uint8_t *coefs = m + r * b->k, *row = b->rows[r];
        unsigned p = 0;

        memcpy(coefs, b->coefs + r * b->k, b->k);
        memcpy(row, b->outs[r], b->s.shard_bytes);
        for (unsigned i = 0; i < r; i++) {
            uint8_t c = coefs[pivot[i]];
            if (!c)
                continue;
            row_mad(b, coefs, m + i * b->k, c, b->k);
            row_mad(b, row, b->rows[i], c, b->s.shard_bytes);
        }
        while (p + 1 < b->k && !coefs[p])
            p++;
        pivot[r] = p;
        row_scale(b, row, coefs, gf_byte_inv(coefs[p]));
        for (unsigned i = 0; i < r; i++) {
            uint8_t c = m[i * b->k + p];
            if (!c)
                continue;
            row_mad(b, m + i * b->k, coefs, c, b->k);
            row_mad(b, b->rows[i], row, c, b->s.shard_bytes);
        }
    }
}

static void copy_payload(void *ctx)
{
    struct bench *b = ctx;

    memcpy(b->decoded, b->coded, b->s.size_bytes);
}

/* After rlnc_decode_ahead of k-1 coded rows: the last. It changes what is solved, but not how long that takes. */
static void ours_last(void *ctx)
{
    struct bench *b = ctx;
    struct rlnc_row last = coded_row(b, b->k - 1);

    rlnc_decode_last(&b->s, &b->ahead, &last, b->decoded);
}

static bool is_decodable(struct bench *b, unsigned lost)
{
    struct rlnc_row rows[RLNC_K_MAX];

    b->lost = lost;
    memcpy(b->decoded, b->payload, b->s.size_bytes);
    fill_rows(b, rows);
    return rlnc_decode(&b->s, rows, b->k, b->decoded, b->scratch) == 0;
}

static bool make_ahead(struct bench *b)
{
    struct rlnc_row rows[RLNC_K_MAX];
    struct rlnc_rank rank;

    rlnc_rank_init(&rank, b->k, b->rank_mem);
    for (unsigned i = 0; i < b->k; i++) {
        rows[i] = coded_row(b, i);
        if (i + 1 < b->k)
            rlnc_rank_add(&rank, rows[i].coefs);
    }
    return rlnc_decode_ahead(&b->s, &rank, rows, b->k - 1, b->decoded, b->scratch, &b->ahead) == 0;
}

static const char *const names[] = {"operation", "message", "k", "us", "message GB/s", "ISA-L us", "ISA-L/ours",
                                    "ISA-L, our inverse/ours", "progressive us", "progressive/ours"};

static void line(struct bench *b, struct report *r, const char *what, void (*ours)(void *), void (*isal)(void *),
                 void (*progressive)(void *))
{
    bool is_slow = b->s.size_bytes > 4 << 20 || progressive;
    struct measure m = {.rounds = is_slow ? 11 : 31, .sample_ns = is_slow ? 100000 : 400000};
    double v[9] = {b->s.size_bytes, b->k, 0, 0, NAN, NAN, NAN, NAN, NAN};

    measure_add(&m, ours);
    if (isal)
        measure_add(&m, isal);
    if (progressive) {
        measure_add(&m, progressive);
        measure_add(&m, ours_decode_and_rank);
        measure_add(&m, isal_multiply);
    }
    measure_run(&m, b);
    v[2] = measure_ns(&m, 0) / 1000;
    v[3] = b->s.size_bytes / measure_ns(&m, 0);
    if (isal) {
        v[4] = measure_ns(&m, 1) / 1000;
        v[5] = measure_ratio(&m, 1, 0);
    }
    if (progressive) {
        v[6] = measure_ratio(&m, 4, 0);
        v[7] = measure_ns(&m, 2) / 1000;
        v[8] = measure_ratio(&m, 2, 3);
    }
    report_row(r, names, what, v, 9);
}

static void check(const struct bench *b, const uint8_t *got)
{
    if (memcmp(got, b->payload, b->s.size_bytes))
        printf("WRONG BYTES\n");
}

static void run_encode(struct bench *b, struct report *r)
{
    b->n = 1;
    line(b, r, "encode 1", ours_encode, isal_encode, NULL);
    b->n = OUTS;
    line(b, r, "encode 6", ours_encode, isal_encode, NULL);
    b->n = 1;
    line(b, r, "recode 1", ours_recode, isal_recode, NULL);
    b->n = OUTS;
    line(b, r, "recode 6", ours_recode, isal_recode, NULL);
}

static void run_decode(struct bench *b, struct report *r)
{
    unsigned quarter = (b->k + 3) / 4;

    do
        rlnc_encode(&b->s, b->payload, &b->rng, b->coefs, b->outs, b->k);
    while (!is_decodable(b, quarter) || !is_decodable(b, b->k));
    line(b, r, "decode, all coded", ours_decode, isal_decode, isal_progressive);
    check(b, b->decoded);
    line(b, r, "rank, all coded", ours_rank, NULL, NULL);
    if (make_ahead(b))
        line(b, r, "last after pre-reduction", ours_last, NULL, NULL);
    if (make_ahead(b)) {
        ours_last(b);
        check(b, b->decoded);
    }
    is_decodable(b, quarter);
    line(b, r, "decode, a quarter lost", ours_decode, isal_decode, NULL);
    check(b, b->decoded);
    line(b, r, "memcpy of the message", copy_payload, NULL, NULL);
}

static uint8_t *huge(size_t len)
{
    size_t whole = (len >> 21 << 21) + (1 << 21);
    uint8_t *p = aligned_alloc(1 << 21, whole);

    madvise(p, whole, MADV_HUGEPAGE);
    memset(p, 1, whole);
    return p;
}

static void run(struct bench *b, struct report *r, uint32_t size, unsigned k)
{
    size_t shard = size / k / 64 * 64, padded = shard + PAD;

    rng_init_seeded(&b->rng, size + k);
    rlnc_shape_init(&b->s, shard * k, k);
    b->k = k;
    b->payload = huge(shard * k);
    b->decoded = huge(shard * k);
    b->coded = huge(padded * k);
    b->work = huge(padded * (k < OUTS ? OUTS : k));
    b->coefs = malloc(RLNC_K_MAX * RLNC_K_MAX);
    b->matrix = malloc(2 * RLNC_K_MAX * RLNC_K_MAX);
    b->scratch = malloc(rlnc_decode_bytes(RLNC_K_MAX));
    b->rank_mem = malloc(rlnc_rank_bytes(RLNC_K_MAX));
    b->tables = malloc(32 * RLNC_K_MAX * RLNC_K_MAX);
    rng_fill(&b->rng, b->payload, shard * k);
    for (unsigned i = 0; i < k || i < OUTS; i++) {
        b->rows[i] = b->work + padded * i;
        if (i >= k)
            continue;
        b->outs[i] = b->coded + padded * i;
        b->src[i] = b->payload + shard * i;
    }
    do
        rlnc_encode(&b->s, b->payload, &b->rng, b->coefs, b->outs, b->k);
    while (!is_decodable(b, b->k));
    run_encode(b, r);
    run_decode(b, r);
    free(b->payload);
    free(b->decoded);
    free(b->coded);
    free(b->work);
    free(b->coefs);
    free(b->matrix);
    free(b->scratch);
    free(b->rank_mem);
    free(b->tables);
}

int main(int argc, char **argv)
{
    static const unsigned ks[] = {4, 16, 64, 128, 255};
    static const uint32_t sizes[] = {1048576, 16777216};
    char **rest = calloc((size_t)argc, sizeof(*rest));
    static struct bench b;
    struct report r;
    int left = report_open(&r, "bench_rlnc", argc, argv, rest);

    if (left < 0)
        return 1;
    b.has_avx2_only = !strcmp(gf_kernel_name(), "avx2") || !strcmp(gf_kernel_name(), "gfni256");
    b.isal = b.has_avx2_only ? ec_encode_data_avx2 : ec_encode_data;
    printf("kernels: %s; ISA-L: %s\n", gf_kernel_name(), b.has_avx2_only ? "its AVX2" : "its own dispatch");
    report_head(names, 9);
    for (int i = 0; i < (left ? left : 2); i++)
        for (size_t j = 0; j < sizeof(ks) / sizeof(ks[0]); j++)
            run(&b, &r, left ? (uint32_t)strtoul(rest[i], NULL, 0) : sizes[i], ks[j]);
    report_close(&r);
    free(rest);
    return 0;
}
