/* bench_rlnc.c: encode, recode and decode through lib/rlnc, beside plain ISA-L calls
 * Prints:  one line per message size and k: median us of each operation, and the ratio ISA-L / ours (> 1: ours is faster), both
 *          timed in turn inside the same run. Times include fresh random coefficients, tables and the inverse.
 * Usage:   bench_rlnc [message bytes ...]
 */
#include <isa-l/erasure_code.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gf/gf.h"
#include "rlnc/rlnc.h"

enum { SAMPLES = 9, OUTS = 6 };

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct bench {
    struct rlnc_shape s;
    struct rng rng;
    uint8_t *payload, *decoded, *coded, *coefs, *scratch, *tables;
    uint8_t *outs[RLNC_K_MAX];
    const uint8_t *src[RLNC_K_MAX];
    unsigned k, n;
};

static void ours_encode(struct bench *b)
{
    rlnc_encode(&b->s, b->payload, &b->rng, b->coefs, b->outs, b->n);
}

static void isal_encode(struct bench *b)
{
    rlnc_coefs_random(b->coefs, b->n * b->k, &b->rng);
    ec_init_tables((int)b->k, (int)b->n, b->coefs, b->tables);
    ec_encode_data((int)b->s.shard_bytes, (int)b->k, (int)b->n, b->tables, (unsigned char **)(uintptr_t)b->src, b->outs);
}

static void ours_recode(struct bench *b)
{
    struct rlnc_row rows[RLNC_K_MAX];
    static uint8_t coefs[OUTS * RLNC_K_MAX];
    uint8_t *to[OUTS];

    for (unsigned i = 0; i < b->k; i++)
        rows[i] = (struct rlnc_row){b->outs[i], b->coefs + i * b->k, b->s.shard_bytes, RLNC_CODED};
    for (unsigned i = 0; i < b->n; i++)
        to[i] = b->decoded + (size_t)i * b->s.shard_bytes;
    rlnc_recode(&b->s, rows, b->k, &b->rng, coefs, to, b->n);
}

static void isal_recode(struct bench *b)
{
    static uint8_t weight[OUTS * RLNC_K_MAX], coefs[OUTS * RLNC_K_MAX];
    unsigned char *to[OUTS], *from[RLNC_K_MAX], *cto[OUTS];

    rlnc_coefs_random(weight, b->n * b->k, &b->rng);
    ec_init_tables((int)b->k, (int)b->n, weight, b->tables);
    for (unsigned i = 0; i < b->k; i++)
        from[i] = b->coefs + i * b->k;
    for (unsigned i = 0; i < b->n; i++) {
        cto[i] = coefs + i * b->k;
        to[i] = b->decoded + (size_t)i * b->s.shard_bytes;
    }
    ec_encode_data((int)b->k, (int)b->k, (int)b->n, b->tables, from, cto);
    ec_encode_data((int)b->s.shard_bytes, (int)b->k, (int)b->n, b->tables, b->outs, to);
}

/* lost of k source shards are missing and replaced by coded ones; lost == k: all coded. */
static unsigned lost;

static void ours_decode(struct bench *b)
{
    struct rlnc_row rows[RLNC_K_MAX];

    for (unsigned i = 0; i < b->k; i++)
        rows[i] = i < lost ? (struct rlnc_row){b->outs[i], b->coefs + i * b->k, b->s.shard_bytes, RLNC_CODED}
                           : rlnc_source_row(&b->s, b->decoded, i);
    if (rlnc_decode(&b->s, rows, b->k, b->decoded, b->scratch))
        abort();
}

static void isal_decode(struct bench *b)
{
    uint8_t *m = b->scratch, *inv = m + b->k * b->k;
    unsigned char *to[RLNC_K_MAX], *from[RLNC_K_MAX];

    memset(m, 0, (size_t)b->k * b->k);
    for (unsigned i = 0; i < b->k; i++) {
        if (i < lost)
            memcpy(m + i * b->k, b->coefs + i * b->k, b->k);
        else
            m[i * b->k + i] = 1;
        from[i] = i < lost ? b->outs[i] : b->decoded + (size_t)i * b->s.shard_bytes;
        to[i] = b->decoded + (size_t)i * b->s.shard_bytes;
    }
    if (gf_invert_matrix(m, inv, (int)b->k))
        abort();
    ec_init_tables((int)b->k, (int)lost, inv, b->tables);
    ec_encode_data((int)b->s.shard_bytes, (int)b->k, (int)lost, b->tables, from, to);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Median ns a call over samples of at least 2 ms; the two sides take turns. */
static void measure(struct bench *b, void (*ours)(struct bench *), void (*isal)(struct bench *), double *us, double *ratio)
{
    void (*fn[2])(struct bench *) = {ours, isal};
    double t[2][SAMPLES], r[SAMPLES];

    ours(b);
    isal(b);
    for (unsigned i = 0; i < SAMPLES; i++) {
        for (unsigned f = 0; f < 2; f++) {
            uint64_t start = now_ns(), end;
            unsigned calls = 0;
            do {
                fn[f](b);
                calls++;
                end = now_ns();
            } while (end - start < 2000000);
            t[f][i] = (double)(end - start) / calls;
        }
        r[i] = t[1][i] / t[0][i];
    }
    qsort(t[0], SAMPLES, sizeof(double), by_value);
    qsort(r, SAMPLES, sizeof(double), by_value);
    *us = t[0][SAMPLES / 2] / 1000;
    *ratio = r[SAMPLES / 2];
}

static void line(struct bench *b, const char *name, void (*ours)(struct bench *), void (*isal)(struct bench *))
{
    double us, ratio;

    measure(b, ours, isal, &us, &ratio);
    printf("| %9u | %3u | %-22s | %9.1f | %8.2f | %5.2f |\n", b->s.size_bytes, b->k, name, us,
           b->s.size_bytes / us / 1000, ratio);
}

/* All k coded rows, their coefficients in coefs; the true payload in decoded. */
static void refill(struct bench *b)
{
    rlnc_encode(&b->s, b->payload, &b->rng, b->coefs, b->outs, b->k);
    memcpy(b->decoded, b->payload, b->s.size_bytes);
}

/* Random rows are dependent once in 256 draws: then the draw is made again, outside the measurement. */
static bool is_decodable(struct bench *b, unsigned missing)
{
    struct rlnc_row rows[RLNC_K_MAX];

    for (unsigned i = 0; i < b->k; i++)
        rows[i] = i < missing ? (struct rlnc_row){b->outs[i], b->coefs + i * b->k, b->s.shard_bytes, RLNC_CODED}
                              : rlnc_source_row(&b->s, b->decoded, i);
    return rlnc_decode(&b->s, rows, b->k, b->decoded, b->scratch) == 0;
}

static void run(uint32_t size, unsigned k)
{
    struct bench b = {.k = k};
    size_t shard;

    rlnc_shape_init(&b.s, size / k * k, k);
    rng_init_seeded(&b.rng, 1);
    shard = b.s.shard_bytes;
    b.payload = malloc(size);
    b.decoded = malloc(size + OUTS * shard);
    b.coded = malloc((shard + 2112) * k);
    b.coefs = malloc(RLNC_K_MAX * RLNC_K_MAX);
    b.scratch = malloc(rlnc_decode_bytes(RLNC_K_MAX));
    b.tables = malloc(32 * RLNC_K_MAX * RLNC_K_MAX);
    rng_fill(&b.rng, b.payload, size);
    for (unsigned i = 0; i < k; i++) {
        b.outs[i] = b.coded + (shard + 2112) * i; /* strides off powers of two */
        b.src[i] = b.payload + shard * i;
    }
    b.n = 1;
    line(&b, "encode 1", ours_encode, isal_encode);
    if (k >= OUTS) {
        b.n = OUTS;
        line(&b, "encode 6", ours_encode, isal_encode);
    }
    b.n = 1;
    refill(&b);
    line(&b, "recode 1 of k", ours_recode, isal_recode);
    do
        refill(&b);
    while (!is_decodable(&b, k) || !is_decodable(&b, (k + 3) / 4));
    lost = k;
    line(&b, "decode, all coded", ours_decode, isal_decode);
    lost = (k + 3) / 4;
    line(&b, "decode, k/4 lost", ours_decode, isal_decode);
    if (memcmp(b.decoded, b.payload, b.s.size_bytes))
        printf("WRONG BYTES\n");
    free(b.payload);
    free(b.decoded);
    free(b.coded);
    free(b.coefs);
    free(b.scratch);
    free(b.tables);
}

int main(int argc, char **argv)
{
    static const unsigned ks[] = {4, 16, 64, 128};
    static const uint32_t sizes[] = {65536, 1048576, 16777216};

    printf("kernels: %s; the other side: ISA-L with its own dispatch\n", gf_kernel_name());
    printf("| message B | k   | operation              | median us | GB/s     | ISA-L/ours |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < (argc > 1 ? (size_t)argc - 1 : 3); i++)
        for (size_t j = 0; j < sizeof(ks) / sizeof(ks[0]); j++)
            run(argc > 1 ? (uint32_t)strtoul(argv[i + 1], NULL, 0) : sizes[i], ks[j]);
    return 0;
}
