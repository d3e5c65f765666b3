/* generation_hash.c: shard hashes as trees of 16 KiB leaves */
#include "pubsub/generation_hash.h"

#include "crypto/sha256.h"

enum { BATCH = 32 };

static const char domain[] = "codecast-rlnc-shard-v1:";

/* Roots of shards in turn, leaves of all of them in one stream of batches, so that many small shards hash side by side too. */
struct hasher {
    struct slice leaf[BATCH];
    uint8_t digest[BATCH][SHA256_BYTES];
    unsigned n;
};

static void root_begin(struct sha256 *root, uint32_t len)
{
    uint8_t be[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    sha256_init(root);
    sha256_update(root, slice_of(domain, sizeof(domain) - 1));
    sha256_update(root, slice_of(be, sizeof(be)));
}

static void leaves_into(struct hasher *h, struct sha256 *root)
{
    sha256_many(h->leaf, h->n, h->digest);
    sha256_update(root, slice_of(h->digest, h->n * SHA256_BYTES));
    h->n = 0;
}

void generation_hash_shard(struct slice shard, uint8_t out[CODED_HASH_BYTES])
{
    struct hasher h = {.n = 0};
    struct sha256 root;

    root_begin(&root, (uint32_t)shard.len);
    for (size_t at = 0; at < shard.len; at += GENERATION_LEAF_BYTES) {
        size_t left = shard.len - at;

        h.leaf[h.n++] = slice_of(shard.p + at, left < GENERATION_LEAF_BYTES ? left : GENERATION_LEAF_BYTES);
        if (h.n == BATCH)
            leaves_into(&h, &root);
    }
    if (h.n)
        leaves_into(&h, &root);
    sha256_final(&root, out);
}

/* Shards of one leaf each: a batch of leaves is a batch of shards. */
static void hash_single_leaves(const struct rlnc_shape *s, const uint8_t *payload, uint8_t *out)
{
    struct hasher h = {.n = 0};

    for (unsigned first = 0; first < s->k; first += h.n) {
        h.n = s->k - first < BATCH ? s->k - first : BATCH;
        for (unsigned i = 0; i < h.n; i++)
            h.leaf[i] = slice_of(payload + rlnc_shape_offset(s, first + i), rlnc_shape_length(s, first + i));
        sha256_many(h.leaf, h.n, h.digest);
        for (unsigned i = 0; i < h.n; i++) {
            struct sha256 root;

            root_begin(&root, (uint32_t)h.leaf[i].len);
            if (h.leaf[i].len)
                sha256_update(&root, slice_of(h.digest[i], SHA256_BYTES));
            sha256_final(&root, out + (first + i) * CODED_HASH_BYTES);
        }
    }
}

void generation_hash_payload(const struct rlnc_shape *s, const uint8_t *payload, uint32_t elide_bytes, uint8_t *out)
{
    if (s->shard_bytes <= GENERATION_LEAF_BYTES && !elide_bytes) {
        hash_single_leaves(s, payload, out);
        return;
    }
    for (unsigned i = 0; i < s->k; i++)
        generation_hash_shard(slice_of(payload + rlnc_shape_offset(s, i), generation_hash_length(s, i, elide_bytes)),
                              out + i * CODED_HASH_BYTES);
}
