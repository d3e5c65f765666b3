/* coded_maker.h: a publisher without a node: makes headers and shards, right ones and wrong ones, as RPC fields
 * Owner:   one test
 */
#ifndef TESTS_CODED_MAKER_H
#define TESTS_CODED_MAKER_H

#include "base/rng.h"
#include "pubsub/generation_header.h"

struct maker {
    struct key_pair key;
    struct peer_id self;
    struct rng rng;
    struct rlnc_shape shape;
    struct buf *payload, *header; /* header: the RPC field */
    uint8_t id[CODED_ID_BYTES];
    uint64_t seqno;
    uint8_t field[1 << 17]; /* the field made last */
};

void maker_open(struct maker *m, uint8_t key_byte);
void maker_close(struct maker *m);
/* A new random payload and its header for topic "demo". */
void maker_message(struct maker *m, unsigned k, uint32_t size);
struct slice maker_header(const struct maker *m);
struct slice maker_source(struct maker *m, unsigned index, unsigned rank);
/* A coded shard with these k coefficients (NULL: random). */
struct slice maker_coded(struct maker *m, const uint8_t *coefs, unsigned rank);
/* Whatever one asks for, right or not. */
struct slice maker_shard(struct maker *m, struct slice coefs, struct slice payload, unsigned rank, unsigned flags);
struct slice maker_have(struct maker *m, unsigned rank, struct coded_bits verified);
struct slice maker_want(struct maker *m, unsigned rank, unsigned count, unsigned flags, struct coded_bits verified);

#endif
