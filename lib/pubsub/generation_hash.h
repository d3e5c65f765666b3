/* generation_hash.h: what a source shard must hash to
 * Shape:   bytes of a source shard, or the shards of a whole payload -> 32-byte roots
 * Source:  docs/PROTOCOL.md 4: leaves are SHA-256 of 16 KiB pieces; the root is SHA-256 of a domain, the shard's length and
 *          the leaves. Leaves are independent, so several are hashed side by side
 * Owner:   any thread
 * Memory:  no allocation
 */
#ifndef PUBSUB_GENERATION_HASH_H
#define PUBSUB_GENERATION_HASH_H

#include "pubsub/coded_wire.h"

#define GENERATION_LEAF_BYTES 16384

/* Several shards side by side; out: n hashes. */
void generation_hash_shards(const struct slice *shard, unsigned n, uint8_t (*out)[CODED_HASH_BYTES]);
void generation_hash_shard(struct slice shard, uint8_t out[CODED_HASH_BYTES]);

/* All k source shards of a payload; out: k x 32 bytes. elide_bytes: pubsub_config's; with it shards count as that long. */
void generation_hash_payload(const struct rlnc_shape *s, const uint8_t *payload, uint32_t elide_bytes, uint8_t *out);

/* What is there of source shard i. */
static inline uint32_t generation_hash_length(const struct rlnc_shape *s, unsigned i, uint32_t elide_bytes)
{
    uint32_t len = rlnc_shape_length(s, i);

    return elide_bytes && elide_bytes < len ? elide_bytes : len;
}

#endif
