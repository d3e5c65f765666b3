/* coded_wire.h: the coded extension's messages on the wire (docs/PROTOCOL.md 3)
 * Shape:   one RPC field's content <-> struct; readers check form and limits, not state
 * Memory:  slices point into the input
 * Errors:  0 or -CODED_E...; coded_err_name's text is the rule that the peer broke
 * Limits:  every list and number is bounded here; content is read once, front to back
 */
#ifndef PUBSUB_CODED_WIRE_H
#define PUBSUB_CODED_WIRE_H

#include "base/pb.h"
#include "pubsub/coded_bits.h"
#include "rlnc/rlnc.h"

#define CODED_ID_BYTES    16
#define CODED_HASH_BYTES  32
#define CODED_SIG_MAX     72 /* Ed25519 makes 64, Secp256k1 up to 72 */
#define CODED_TAG_BYTES   4
#define CODED_K_MIN       2  /* k = 1 is the plain message */
#define CODED_SENT_MAX    32 /* tags in a shard's "sent to" list */
#define CODED_NEAR_MAX    64 /* tags in a neighbour list */
#define CODED_TOPIC_MAX   256
#define CODED_FROM_MAX    44
/* Longest content that the writers below make: a header with k = 255, with its tag and length. */
#define CODED_HEADER_MAX  (CODED_TOPIC_MAX + CODED_FROM_MAX + RLNC_K_MAX * CODED_HASH_BYTES + CODED_SIG_MAX + 64)
#define CODED_SMALL_MAX   512 /* any of the others, payload excepted */

/* Fields of the RPC. */
enum coded_field { CODED_HEADER = 100, CODED_SHARD = 101, CODED_HAVE = 102, CODED_WANT = 103, CODED_NEAR = 104 };

enum coded_err {
    CODED_E_FORMAT = 1, /* not protobuf, a required field is missing, or of a wrong type */
    CODED_E_CANONICAL,  /* header fields out of order, repeated, unknown or not minimal */
    CODED_E_TOPIC,
    CODED_E_FROM,
    CODED_E_K,
    CODED_E_SIZE,         /* size 0 */
    CODED_E_SHARD_LENGTH, /* shard length is not ceil(size/k), or the last shard would be empty */
    CODED_E_HASHES,
    CODED_E_SIGNATURE,
    CODED_E_ID,
    CODED_E_RANK,
    CODED_E_COEFS,
    CODED_E_PAYLOAD, /* the payload is not the last field */
    CODED_E_LIST,    /* a list or set too long, or not a multiple of its items */
};
const char *coded_err_name(int err);

struct coded_header {
    struct slice topic, from; /* from: peer id bytes */
    uint64_t seqno;
    struct rlnc_shape shape;
    struct slice hashes;    /* k x 32 */
    struct slice signature;
    struct slice core;      /* what the id and the signature cover: all fields before the signature */
};

enum coded_shard_flag { CODED_SHARD_SECOND_HAND = 1 /* an unverified row passed on as received, on request */ };

struct coded_shard {
    const uint8_t *id;
    struct slice coefs; /* 1 byte: index; k bytes: coefficients */
    struct slice sent;  /* tags of peers that have this shard or are being sent it too */
    struct slice payload;
    uint8_t rank; /* the sender's */
    uint8_t flags;
    uint8_t hops; /* of a source shard sent unasked: 1 from its publisher, one more from each relay; 0: an answer */
};

/* What the sender holds. rank == k: it has the whole message, verified, and wants no shard of it. */
struct coded_have {
    const uint8_t *id;
    struct coded_bits verified; /* source shards it can serve; not sent when rank == k */
    struct coded_bits coming;   /* of those, what others are sending the receiver, as far as the sender knows */
    struct coded_bits sending;  /* what the sender is sending the receiver now */
    uint8_t rank;
};

enum coded_want_flag {
    CODED_WANT_HEADER = 1,      /* send the header first */
    CODED_WANT_SECOND_HAND = 2, /* unverified rows as received are welcome */
    CODED_WANT_SOURCE_ONLY = 4, /* no coded shards: a forged one is suspected */
};

struct coded_want {
    const uint8_t *id;
    struct coded_bits verified; /* source shards the sender has */
    struct coded_bits skip;     /* and those it expects from others */
    uint8_t rank, count, flags; /* count 0: only tell what you have */
};

/* The sender's mesh in a topic, as tags. */
struct coded_near {
    struct slice topic, tags;
};

int coded_header_read(struct slice in, struct coded_header *h);
int coded_shard_read(struct slice in, struct coded_shard *s);
int coded_have_read(struct slice in, struct coded_have *h);
int coded_want_read(struct slice in, struct coded_want *w);
int coded_near_read(struct slice in, struct coded_near *n);

/* The header's core, canonical, without the RPC's tag and length. */
void coded_header_core_put(struct wr *w, const struct coded_header *h);
/* The following write whole RPC fields: tag, length, content. */
void coded_header_put(struct wr *w, struct slice core, struct slice signature);
/* All but the payload's bytes, which the caller sends next: s->payload.p is not read. */
void coded_shard_put(struct wr *w, const struct coded_shard *s);
void coded_have_put(struct wr *w, const struct coded_have *h, unsigned k);
void coded_want_put(struct wr *w, const struct coded_want *wa, unsigned k);
void coded_near_put(struct wr *w, const struct coded_near *n);

#endif
