/* generation.h: one coded message at one node: rows that arrived, rank, who has what; later the whole payload
 * Shape:   header -> generation; shards -> verdicts; rank k -> payload, verified or not
 * Owner:   the coded router
 * Memory:  one block per generation, sized by k; rows hold references of the frames that they arrived in (or copies, when a
 *          frame is mostly something else); nothing is allocated per shard
 * Errors:  verdicts (enum generation_verdict); -GENERATION_E... from decode
 * Limits:  at most k source rows, k coded rows, and 3k dropped rows (generation_doubt.h); links: GENERATION_LINKS_MAX
 */
#ifndef PUBSUB_GENERATION_H
#define PUBSUB_GENERATION_H

#include "base/list.h"
#include "base/timerq.h"
#include "pubsub/coded_wire.h"
#include "pubsub/pubsub.h"

#define GENERATION_LINKS_FIRST 8 /* their room is part of the generation's block, as it is charged */
#define GENERATION_SETTLED_MAX 1024
#define GENERATION_LINKS_MAX 256 /* peers whose state we keep per generation; those that have the message give way */

/* What a peer is known to hold of this generation, and what passed between us. */
struct generation_link {
    pubsub_peer peer;
    uint8_t rank;             /* it told */
    uint8_t told_rank;        /* we told; k once it knows that we are done */
    uint8_t pushed;           /* shards sent unasked */
    bool is_done;             /* it has the message */
    bool has_header;          /* it has the header: it sent it, or we did */
    bool is_answering;        /* some of what was asked has come */
    bool is_failing;          /* it promised shards, and none came in time */
    bool has_kept;            /* a shard came that it had promised */
    bool is_row_asked;        /* it was asked for second-hand rows: it may send such */
    uint8_t failed;           /* times it did not answer what was asked */
    uint8_t headers;          /* sent again because it asked */
    uint8_t row_pauses;       /* times that it asked for unverified rows and there was no other one */
    uint32_t row_at;          /* number of the last one sent to it */
    uint16_t served;          /* shards sent in all, but for unverified rows */
    uint16_t rows_sent;       /* those */
    struct coded_bits has;    /* it told */
    struct coded_bits coming; /* of those, what others are sending us, it told */
    struct coded_bits sent;   /* we, or others by their word, sent it these */
    struct coded_bits asked;  /* asked of it, not arrived */
    struct coded_bits told;   /* we told that we have these */
    struct coded_bits promised;  /* it pushes us these, it told */
    struct coded_bits lost;      /* it promised these, and they did not come */
    struct coded_bits asked_before, promised_before; /* of those, all but what was asked or promised last */
    uint64_t asked_ns;        /* since when we wait for it; 0: nothing asked */
    uint64_t promised_ns;     /* the same for what it promised */
    uint64_t heard_ns;        /* when it last told its state */
};

/* A peer that has the message too, and knows that we have it: what is left of its link. */
struct generation_settled {
    pubsub_peer peer;
    uint16_t served, rows_sent;
    uint8_t headers;
};

/* Tags of those through whose hands a coded row went, the last first, as far as each told of the one before. */
#define GENERATION_HANDS_MAX 8

struct generation_row {
    struct buf *buf; /* NULL: no row */
    const uint8_t *p, *coefs;
    uint32_t len;
    pubsub_peer from; /* 0: gone */
    bool is_second_hand;
    uint8_t hand_count;
    uint32_t number;                      /* in the order in which coded rows came, from 1 */
    uint32_t hands[GENERATION_HANDS_MAX]; /* hands[0]: of who gave it to us */
    uint64_t mask;                        /* of them as suspects, once in doubt */
};

/* A coded shard that came. */
struct generation_arrival {
    struct slice coefs, payload; /* k coefficients, shard_bytes of payload */
    struct buf *frame;           /* they lie in it */
    pubsub_peer from;
    bool is_second_hand;
    uint8_t hand_count;
    uint32_t hands[GENERATION_HANDS_MAX];
};

enum generation_verdict {
    GENERATION_NEW,       /* raised the rank */
    GENERATION_VERIFIED,  /* dependent, but now a verified source shard */
    GENERATION_DUPLICATE, /* we have that source shard */
    GENERATION_UNHELPFUL, /* dependent */
    GENERATION_ASIDE,     /* kept among those of which some are forged */
    GENERATION_FORGED,    /* a source shard that does not hash to what the header says */
};

enum generation_err { GENERATION_E_FORGED = 1 /* decoded, but not to what the header says */ };

struct generation {
    uint8_t id[CODED_ID_BYTES];
    struct timer timer;
    struct list order; /* the router's: undecoded by last progress, decoded by age */
    struct rlnc_shape shape;
    struct rlnc_shape work; /* what is there of it to hash and mix: the same, but in simulations that elide payloads */
    struct slice topic;     /* into header */
    const uint8_t *hashes;  /* into header */
    struct peer_id from;
    uint64_t seqno;
    struct buf *header; /* the RPC field, as we send it on */
    struct buf *payload; /* once decoded (or published) */
    bool is_whole;       /* or instead of it: all source rows are there and stay, for nobody here reads the message */
    struct coded_bits have; /* verified source shards */
    struct coded_bits hashing; /* source shards that came and are being hashed elsewhere */
    struct rlnc_rank rank;  /* of all rows */
    struct generation_row *source, *coded; /* k each */
    struct generation_row *dropped;        /* in the block of doubt: of these some are forged */
    struct generation_doubt *doubt;        /* NULL: none yet */
    struct generation_ahead *ahead;        /* NULL: not solved ahead */
    uint16_t coded_count, dropped_count;
    uint32_t row_number; /* of the coded row that came last */
    struct generation_link *links;
    uint16_t link_count, link_cap, link_turn;
    struct generation_settled *settled;
    uint16_t settled_count, settled_cap;
    bool is_link_due;     /* links were made or looked up for writing since they were settled last */
    uint32_t links_bytes; /* of them what is charged, beyond the block */
    uint32_t bytes;       /* all that this generation holds, as charged */
    uint32_t block_bytes; /* of which its own block */
    pubsub_peer charged;  /* who brought the header; 0: nobody, or gone */
    pubsub_peer last_from; /* who sent the last useful shard */
    uint8_t failures;      /* decodings that did not verify */
    uint8_t round;         /* repair rounds without progress */
    bool is_gate_open;     /* recoding is allowed: rank reached the threshold */
    bool is_ahead_tried;   /* once is enough */
    pubsub_peer gossip_after; /* the last one outside the mesh that had its turn to hear of it */
    uint64_t born_ns, progress_ns;
    uint64_t hint_at_ns, repair_at_ns, ahead_at_ns, expire_at_ns;
};

/* header_field: the whole RPC field; a reference is taken. header was read from its content.
 * elide_bytes: pubsub_config's. NULL: no memory. */
struct generation *generation_new(const struct coded_header *header, struct buf *header_field, uint32_t elide_bytes);
void generation_free(struct generation *g);

/* A source shard (index < k, length as the header says): hashed, kept when right. Takes a reference of frame unless it copies;
 * on any verdict but NEW and VERIFIED nothing is kept. */
enum generation_verdict generation_add_source(struct generation *g, unsigned index, struct slice payload, struct buf *frame,
                                              pubsub_peer from);
/* The same with a digest that was made of that payload elsewhere; NULL: makes it. */
enum generation_verdict generation_add_hashed(struct generation *g, unsigned index, struct slice payload, const uint8_t *digest,
                                              struct buf *frame, pubsub_peer from);
/* A coded shard, unverified. */
enum generation_verdict generation_add_coded(struct generation *g, const struct generation_arrival *a);
/* Are these bytes source shard index? */
bool generation_is_genuine(const struct generation *g, unsigned index, struct slice payload);

/* Scratch that generation_decode needs, for any k. */
size_t generation_decode_bytes(void);
/* At full rank: decodes into payload (size bytes of room) and checks what was computed. On 0 the payload's reference passes, and
 * coded rows are released. -GENERATION_E_FORGED: the coded rows moved to `dropped`, rank fell to the verified rows, and further coded ones
 * are for generation_doubt_add. */
int generation_decode(struct generation *g, struct buf *payload, void *scratch);

/* All source rows are there: the message is decoded as they lie, and coded rows are released. False, and nothing is done: it is not so, or dropped
 * rows are to be judged by the payload, or the rows hold more memory than the message has. */
bool generation_keep_rows(struct generation *g);

/* After decoding: was dropped row i what it claimed to be? scratch: shard_bytes. */
bool generation_dropped_is_genuine(const struct generation *g, unsigned i, uint8_t *scratch);
void generation_release_dropped(struct generation *g);

/* Where source shard i lies (verified, or decoded). */
struct pubsub_piece generation_source_piece(const struct generation *g, unsigned i);

/* n coded shards of what is verified (at least one row), coefficients into coefs (n x k), payloads into out. */
void generation_recode(const struct generation *g, struct rng *rng, uint8_t *coefs, uint8_t *const *out, unsigned n);

/* The link to p, made when make is set; NULL: none, or no room. Links move when another is made. Once the message is decoded, a peer
 * that has it too gives its place to one that may need it. */
struct generation_link *generation_link(struct generation *g, pubsub_peer p, bool make);
/* Has p the message, and knows that we have it? It has no link then, until one is made for it. */
bool generation_is_settled(const struct generation *g, pubsub_peer p);
/* Of a decoded generation: turns links of such peers into that. Links move. Of any: what links take beyond the block now. */
uint32_t generation_links_settle(struct generation *g);
/* Forgets p everywhere. */
void generation_peer_gone(struct generation *g, pubsub_peer p);

static inline bool generation_is_decoded(const struct generation *g)
{
    return g->payload != NULL || g->is_whole;
}

/* What we tell others: k only when decoded (all rows may be here while memory to decode them is not). Doubted rows count, for they can
 * be asked for. */
static inline unsigned generation_rank(const struct generation *g)
{
    unsigned rank = g->rank.rank + g->dropped_count;

    return generation_is_decoded(g) ? g->shape.k : rank < g->shape.k ? rank : g->shape.k - 1u;
}

/* What a link's peer surely or probably holds. */
static inline struct coded_bits generation_link_holds(const struct generation_link *l)
{
    return coded_bits_or(l->has, l->sent);
}

#endif
