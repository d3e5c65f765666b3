/* generation_header.h: a generation's name and its publisher's signature
 * Shape:   payload, topic, key -> encoded header; read header -> id, genuine or not
 * Source:  docs/PROTOCOL.md 4
 * Owner:   any thread
 * Memory:  generation_header_make allocates the one buffer that it returns
 * Errors:  -CODED_E_FROM, -CODED_E_SIGNATURE
 */
#ifndef PUBSUB_GENERATION_HEADER_H
#define PUBSUB_GENERATION_HEADER_H

#include "base/buf.h"
#include "libp2p/keys.h"
#include "pubsub/coded_wire.h"

/* The most shards, up to want, that a payload of this size is cut into: no source shard may be empty. */
unsigned generation_header_k(uint32_t size_bytes, unsigned want);

/* The RPC field for a payload (tag, length, content), signed; NULL: no memory. The caller owns it.
 * elide_bytes: pubsub_config's. */
struct buf *generation_header_make(const struct key_pair *key, const struct peer_id *self, struct slice topic,
                                   uint64_t seqno, const struct rlnc_shape *shape, const uint8_t *payload,
                                   uint32_t elide_bytes);

/* The same with the hashes of its k source shards (k x 32 bytes) known. */
struct buf *generation_header_of(const struct key_pair *key, const struct peer_id *self, struct slice topic, uint64_t seqno,
                                 const struct rlnc_shape *shape, const uint8_t *hashes);

void generation_header_id(const struct coded_header *h, uint8_t id[CODED_ID_BYTES]);

/* Is it signed by the publisher that it names? One verification; an id that is a hash holds no key (-CODED_E_FROM). */
int generation_header_verify(const struct coded_header *h);

#endif
