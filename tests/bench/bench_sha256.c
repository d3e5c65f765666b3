/* bench_sha256.c: several inputs hashed by one call, beside one call each
 * Prints:  one line per input length and count: GB/s of sha256_many, of sha256_of for each, and the ratio
 * Usage:   bench_sha256 [--json FILE]
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bench/measure.h"
#include "crypto/sha256.h"

enum { COUNT_MAX = 64, LEN_MAX = 65536 };

struct bench {
    struct slice in[COUNT_MAX];
    uint8_t out[COUNT_MAX][SHA256_BYTES];
    size_t count;
};

static void many(void *ctx)
{
    struct bench *b = ctx;

    sha256_many(b->in, b->count, b->out);
}

static void one_by_one(void *ctx)
{
    struct bench *b = ctx;

    for (size_t i = 0; i < b->count; i++)
        sha256_of(b->in[i], b->out[i]);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"hash", "bytes", "count", "many GB/s", "one by one GB/s", "ratio"};
    static const size_t lens[] = {64, 256, 1024, 16384, 65536}, counts[] = {1, 2, 3, 8, 64};
    char **rest = calloc((size_t)argc, sizeof(*rest));
    uint8_t *data = malloc((size_t)COUNT_MAX * LEN_MAX);
    static struct bench b;
    struct report r;
    struct rng rng;

    if (report_open(&r, "bench_sha256", argc, argv, rest) < 0)
        return 1;
    rng_init_seeded(&rng, 1);
    rng_fill(&rng, data, (size_t)COUNT_MAX * LEN_MAX);
    report_head(names, 5);
    for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++)
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            struct measure m = {.rounds = 21, .sample_ns = 300000};
            double v[5] = {(double)lens[l], (double)counts[c]}, bytes = (double)(lens[l] * counts[c]);

            b.count = counts[c];
            for (size_t i = 0; i < b.count; i++)
                b.in[i] = slice_of(data + i * LEN_MAX, lens[l]);
            measure_add(&m, many);
            measure_add(&m, one_by_one);
            measure_run(&m, &b);
            v[2] = bytes / measure_ns(&m, 0);
            v[3] = bytes / measure_ns(&m, 1);
            v[4] = measure_ratio(&m, 1, 0);
            report_row(&r, names, "SHA-256", v, 5);
        }
    report_close(&r);
    free(data);
    free(rest);
    return 0;
}
