/* generation_hash.c: shard hashes as trees of 16 KiB leaves */
#include "pubsub/generation_hash.h"

#include <string.h>

#include "crypto/sha256.h"

static const char domain[] = "codecast-rlnc-shard-v1:";

enum { BATCH = 32, ROOT_TEXT = sizeof(domain) - 1 + 4 };

/* SHA-256 runs over several inputs faster than over one: so leaves are hashed in batches that run on from shard to shard. */
struct hasher {
    struct slice leaf[BATCH];
    uint8_t digest[BATCH][SHA256_BYTES];
    unsigned n;
};

static size_t root_text(uint8_t *out, uint32_t len)
{
    uint8_t be[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    memcpy(out, domain, sizeof(domain) - 1);
    memcpy(out + sizeof(domain) - 1, be, sizeof(be));
    return ROOT_TEXT;
}

static void root_begin(struct sha256 *root, uint32_t len)
{
    uint8_t text[ROOT_TEXT];

    sha256_init(root);
    sha256_update(root, slice_of(text, root_text(text, len)));
}

/* Up to a batch of shards of one leaf at most: a batch of leaves, then a batch of roots. */
static void hash_small(const struct slice *shard, unsigned n, uint8_t (*out)[CODED_HASH_BYTES])
{
    uint8_t digest[BATCH][SHA256_BYTES], text[BATCH][ROOT_TEXT + SHA256_BYTES];
    struct slice root[BATCH];

    sha256_many(shard, n, digest);
    for (unsigned i = 0; i < n; i++) {
        size_t len = root_text(text[i], (uint32_t)shard[i].len);

        memcpy(text[i] + len, digest[i], SHA256_BYTES);
        root[i] = slice_of(text[i], shard[i].len ? len + SHA256_BYTES : len);
    }
    sha256_many(root, n, out);
}

/* The shard whose leaves are taken, and the shard whose root they go to. */
struct place {
    unsigned shard;
    size_t at;
};

static size_t leaf_bytes(const struct slice *shard, const struct place *p)
{
    size_t left = shard[p->shard].len - p->at;

    return left < GENERATION_LEAF_BYTES ? left : GENERATION_LEAF_BYTES;
}

/* Takes the next leaf; an empty shard has one that is not hashed into its root. */
static void leaf_next(const struct slice *shard, struct place *p)
{
    p->at += leaf_bytes(shard, p);
    if (p->at == shard[p->shard].len) {
        p->shard++;
        p->at = 0;
    }
}

static void hash_large(const struct slice *shard, unsigned n, uint8_t (*out)[CODED_HASH_BYTES])
{
    struct place take = {0, 0}, give = {0, 0};
    struct hasher h;
    struct sha256 root;

    while (take.shard < n) {
        for (h.n = 0; h.n < BATCH && take.shard < n; leaf_next(shard, &take))
            h.leaf[h.n++] = slice_of(shard[take.shard].p + take.at, leaf_bytes(shard, &take));
        sha256_many(h.leaf, h.n, h.digest);
        for (unsigned i = 0; i < h.n; i++) {
            unsigned was = give.shard;

            if (give.at == 0)
                root_begin(&root, (uint32_t)shard[was].len);
            if (h.leaf[i].len)
                sha256_update(&root, slice_of(h.digest[i], SHA256_BYTES));
            leaf_next(shard, &give);
            if (give.shard != was)
                sha256_final(&root, out[was]);
        }
    }
}

void generation_hash_shards(const struct slice *shard, unsigned n, uint8_t (*out)[CODED_HASH_BYTES])
{
    unsigned small = 0;

    while (small < n && shard[small].len <= GENERATION_LEAF_BYTES)
        small++;
    if (small < n) {
        hash_large(shard, n, out);
        return;
    }
    for (unsigned i = 0; i < n; i += BATCH)
        hash_small(shard + i, n - i < BATCH ? n - i : BATCH, out + i);
}

void generation_hash_shard(struct slice shard, uint8_t out[CODED_HASH_BYTES])
{
    generation_hash_shards(&shard, 1, (uint8_t(*)[CODED_HASH_BYTES])out);
}

void generation_hash_payload(const struct rlnc_shape *s, const uint8_t *payload, uint32_t elide_bytes, uint8_t *out)
{
    struct slice shard[RLNC_K_MAX];

    for (unsigned i = 0; i < s->k; i++)
        shard[i] = slice_of(payload + rlnc_shape_offset(s, i), generation_hash_length(s, i, elide_bytes));
    generation_hash_shards(shard, s->k, (uint8_t(*)[CODED_HASH_BYTES])out);
}
