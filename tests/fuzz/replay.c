/* replay.c: runs a fuzz target without a fuzzer
 * Each corpus file whole, each of its truncations (the first 4096), and seeded mutations of it; then random inputs.
 * argv: corpus folder (may be absent), [rounds], [seed]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A fresh heap block per run, so a sanitizer sees one byte too many. */
static void run(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void mutate(struct rng *rng, uint8_t *p, size_t n)
{
    for (uint64_t k = 1 + rng_below(rng, 4); k && n; k--) {
        size_t at = rng_below(rng, n);
        switch (rng_below(rng, 3)) {
        case 0: p[at] ^= (uint8_t)(1u << rng_below(rng, 8)); break;
        case 1: p[at] = (uint8_t)rng_u64(rng); break;
        default: p[at] = (uint8_t[]){0, 1, 0x7f, 0x80, 0xff}[rng_below(rng, 5)]; break;
        }
    }
}

static void replay_file(const char *path, unsigned rounds, struct rng *rng)
{
    static uint8_t in[1 << 20], work[1 << 20];
    FILE *f = fopen(path, "rb");

    if (!f)
        return;
    size_t n = fread(in, 1, sizeof(in), f);
    fclose(f);
    run(in, n);
    for (size_t cut = 0; cut < n && cut < 4096; cut++)
        run(in, cut);
    for (unsigned i = 0; i < rounds; i++) {
        memcpy(work, in, n);
        mutate(rng, work, n);
        run(work, n);
    }
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 300;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    unsigned files = 0;
    struct rng rng;
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;

    rng_init_seeded(&rng, seed);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
        replay_file(path, rounds, &rng);
        files++;
    }
    if (dir)
        closedir(dir);
    for (unsigned i = 0; i < rounds * 10; i++) {
        uint8_t r[512];
        size_t n = rng_below(&rng, sizeof(r) + 1);
        rng_fill(&rng, r, n);
        run(r, n);
    }
    printf("replayed %u corpus files, %u mutations each, %u random inputs, seed %llu\n", files, rounds, rounds * 10,
           (unsigned long long)seed);
    return 0;
}
