/* fuzz_rlnc_rank.c: rank tracking and decoding fed with a peer's coefficients
 * Input:   k, then rows: a tag byte (even: source index tag/2 mod k; odd: k coefficients follow)
 * Holds:   would_add agrees with add; k innovative rows always decode, at once or k-1 of them ahead, to bytes that give every row again
 */
#include <stdlib.h>

#include "rlnc/rlnc.h"

enum { SHARD = 3 };

static void check_decode(unsigned k, struct rlnc_row *rows, const uint8_t *payload)
{
    struct rlnc_shape s;
    uint8_t *out = malloc(SHARD * k), *scratch = malloc(rlnc_decode_bytes(k));

    rlnc_shape_init(&s, SHARD * k, k);
    if (rlnc_decode(&s, rows, k, out, scratch) || memcmp(out, payload, SHARD * k))
        abort();
    free(out);
    free(scratch);
}

/* At rank k-1: all but one shard, then each row that is said to add something finishes it. */
static void check_ahead(struct rlnc_rank *rank, const struct rlnc_row *rows, const uint8_t *payload,
                        const struct rlnc_row *last)
{
    unsigned k = rank->k;
    struct rlnc_row copy[RLNC_K_MAX];
    struct rlnc_shape s;
    struct rlnc_ahead ahead;
    uint8_t *out = malloc(SHARD * k), *scratch = malloc(rlnc_decode_bytes(k));

    memcpy(copy, rows, (k - 1) * sizeof(rows[0]));
    rlnc_shape_init(&s, SHARD * k, k);
    if (rlnc_decode_ahead(&s, rank, copy, k - 1, out, scratch, &ahead))
        abort();
    if (rlnc_decode_last(&s, &ahead, last, out) || memcmp(out, payload, SHARD * k))
        abort();
    free(out);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rlnc_row rows[RLNC_K_MAX];
    struct rlnc_rank rank;
    struct rlnc_shape s;
    unsigned k, n = 0;
    uint8_t payload[SHARD * RLNC_K_MAX], *shards, *mem;

    if (size < 2 || data[0] == 0)
        return 0;
    k = data[0];
    data++, size--;
    for (unsigned i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7 + 1);
    rlnc_shape_init(&s, SHARD * k, k);
    shards = malloc(SHARD * k);
    mem = malloc(rlnc_rank_bytes(k));
    rlnc_rank_init(&rank, k, mem);
    while (size && n < k) {
        unsigned tag = data[0], index = tag / 2 % k;
        bool would, added;

        data++, size--;
        if (tag & 1 && size < k)
            break;
        would = tag & 1 ? rlnc_rank_would_add(&rank, data) : rlnc_rank_would_add_source(&rank, index);
        if (would && n + 1 == k) {
            struct rlnc_row last = rlnc_source_row(&s, payload, index);

            if (tag & 1) {
                rlnc_expect(&s, payload, data, shards + SHARD * n);
                last = (struct rlnc_row){shards + SHARD * n, data, SHARD, RLNC_CODED};
            }
            check_ahead(&rank, rows, payload, &last);
        }
        added = tag & 1 ? rlnc_rank_add(&rank, data) : rlnc_rank_add_source(&rank, index);
        if (would != added)
            abort();
        if (added && tag & 1) {
            rlnc_expect(&s, payload, data, shards + SHARD * n);
            rows[n] = (struct rlnc_row){shards + SHARD * n, data, SHARD, RLNC_CODED};
        } else if (added) {
            rows[n] = rlnc_source_row(&s, payload, index);
        }
        n += added;
        if (rank.rank != n)
            abort();
        if (tag & 1)
            data += k, size -= k;
    }
    if (n == k)
        check_decode(k, rows, payload);
    free(shards);
    free(mem);
    return 0;
}
