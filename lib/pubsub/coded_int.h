/* coded_int.h: the coded router's insides, shared by the coded*.c files alone
 * Owner:   the pub/sub core
 * Rule:    host->penalize may call coded_peer_down before it returns: it is the last thing a function does with a peer
 */
#ifndef PUBSUB_CODED_INT_H
#define PUBSUB_CODED_INT_H

#include "base/map.h"
#include "pubsub/coded.h"
#include "pubsub/coded_pace.h"
#include "pubsub/coded_size.h"
#include "pubsub/generation.h"
#include "pubsub/seen.h"

#define CODED_MS 1000000ull

enum {
    CODED_UNDECODED_MAX = 4096,       /* undecoded generations in all */
    CODED_UNDECODED_PER_PEER = 512,   /* brought by one peer */
    CODED_SEEN_MAX = 1 << 17,         /* ids of finished generations, 120 s */
    CODED_MESH_MAX = 64,              /* peers of one topic that we look at */
    CODED_PEERS_MAX = 4096,
    CODED_ASKS_PER_SECOND = 64,       /* headers we ask one peer for */
    CODED_NEAR_TOPICS = 8,            /* neighbour lists kept per peer, and topics we tell ours for times 8 */
    CODED_OFFER_MAX = 256,            /* generations offered on GRAFT */
    CODED_GOSSIP_LOOK = 1024,         /* generations of each kind looked at per heartbeat, to tell of them */
    CODED_GOSSIP_TOLD = 8192,         /* words about them per heartbeat */
    CODED_GOSSIP_BEATS = 5,           /* heartbeats in which all outside the mesh have heard of each */
    CODED_ASK_WIDTH = 3,              /* peers with the whole message that share one repair */
    CODED_PROBE_WIDTH = 16,           /* peers asked what they have */
    CODED_HOPS = 16,                  /* hops that are told apart in the statistics of pushes */
    CODED_SPOKEN_MAX = 128,           /* unknown ids remembered, so that a header is asked for once */
};
#define CODED_STALE_NS  (30000 * CODED_MS) /* undecoded without progress: given up */
#define CODED_YIELD_NS  (2000 * CODED_MS)  /* without progress for this long: may be evicted for a newer one */
#define CODED_SEEN_NS   (120000 * CODED_MS)
#define CODED_NEAR_NS   (20 * CODED_MS)    /* mesh changes are told together */
#define CODED_HINT_NS   (2 * CODED_MS)     /* new shards are told together */
#define CODED_DOUBT_BYTES (256ull << 20)   /* a second, for finding out which rows are forged */

struct coded_near_list {
    uint64_t topic; /* hash of the topic; 0: free */
    uint8_t count;
    uint32_t tags[CODED_NEAR_MAX];
};

struct coded_peer {
    pubsub_peer p;
    uint32_t tag;
    uint32_t undecoded; /* generations charged to it */
    uint64_t bytes;     /* that they hold */
    uint64_t asks_since_ns;
    uint32_t asks;
    uint32_t next_near;
    struct coded_near_list near[CODED_NEAR_TOPICS];
};

/* A topic whose mesh we tell our mesh. */
struct coded_topic {
    char name[CODED_TOPIC_MAX];
    uint16_t len;
    uint64_t told; /* hash of the list told last; 0: somebody has not heard it */
};

struct coded_spoken {
    uint8_t id[CODED_ID_BYTES];
    uint64_t asked_ns;
};

struct coded {
    struct pubsub_config cfg;
    struct coded_host host;
    struct peer_id self;
    uint32_t self_tag;
    uint64_t hash_seed[2];
    struct msgkey_seed key_seed;
    struct map generations;              /* id -> struct generation */
    struct list undecoded, kept;         /* by last progress; by age */
    uint32_t undecoded_count, kept_count;
    uint64_t rows_bytes, kept_bytes;
    struct seen done;                    /* ids that need nothing more */
    struct map peers;                    /* pubsub_peer -> struct coded_peer */
    struct timerq timers;
    struct coded_pace arrivals;          /* between useful shards that come unasked */
    uint32_t loss;                       /* share of what peers were to send that got lost, of CODED_SHARE_ALL */
    struct coded_pace answers, gaps;     /* from asking to the first shard; between the shards of an answer */
    uint32_t push_use[CODED_SIZE_CLASSES][CODED_HOPS]; /* by hops: share of the pushed shards that were useful here, of 1 << 20 */
    struct coded_topic topics[CODED_NEAR_TOPICS * 8];
    unsigned topic_count;
    uint64_t near_at_ns;
    uint64_t doubt_since_ns, doubt_spent;
    bool has_ahead; /* some generation may be solved ahead */
    struct coded_spoken spoken[CODED_SPOKEN_MAX];
    struct pubsub_trace trace; /* large, so it does not live on the stack */
    uint8_t *scratch;          /* generation_decode_bytes */
};

/* The fields of one RPC to one peer, before the payload. */
struct coded_body {
    struct wr w;
    uint8_t bytes[CODED_HEADER_MAX + 4 * CODED_SMALL_MAX];
};

/* coded_table.c: generations by id, limits, ages */
struct generation *coded_find(const struct coded *c, const uint8_t *id);
bool coded_is_done(const struct coded *c, const uint8_t *id, uint64_t now);
/* May p bring another undecoded generation of that size? Makes room when it can; else counts the refusal. */
bool coded_may_add(struct coded *c, const struct coded_peer *peer, const struct rlnc_shape *shape, uint64_t now);
/* Do so many more bytes fit in the share of one peer? What is only there to save time gives way. */
bool coded_has_share(struct coded *c, const struct coded_peer *peer, uint64_t bytes);
/* Do so many more bytes fit in rows? What made no progress lately gives way to them, but for `keep`. */
bool coded_make_room(struct coded *c, uint64_t bytes, const struct generation *keep, uint64_t now);
/* Takes g; 0, or -1 without memory (g is freed). peer: who is charged; NULL for our own. */
int coded_add(struct coded *c, struct generation *g, struct coded_peer *peer, uint64_t now);
void coded_drop(struct coded *c, struct generation *g);
/* g's bytes changed since `before`. */
void coded_charge(struct coded *c, struct generation *g, uint32_t before);
void coded_progress(struct coded *c, struct generation *g, uint64_t now);
/* g has its payload now: moves from the undecoded to the kept. */
void coded_decoded(struct coded *c, struct generation *g, uint64_t now);
void coded_expire(struct coded *c, uint64_t now);
/* The heartbeat: links of peers that have a kept message shrink, what is left of all is charged. Nobody holds a link meanwhile. */
void coded_settle_links(struct coded *c);
/* Puts g's timer at its earliest deadline. */
void coded_reschedule(struct coded *c, struct generation *g);
struct buf *coded_alloc(struct coded *c, uint32_t len);

/* coded_gossip.c: (generation, rank) to those who may not have heard */
void coded_gossip_beat(struct coded *c);
/* To the first of those outside the mesh: when there is no mesh that could spread it. */
void coded_gossip_now(struct coded *c, struct generation *g);
/* Up to cap peers that subscribe, at random: of the mesh first, and some others. Returns how many. */
unsigned coded_some_peers(struct coded *c, struct slice topic, pubsub_peer *out, unsigned cap);

/* coded_input.c */
struct coded_peer *coded_peer_find(const struct coded *c, pubsub_peer p);
void coded_try_decode(struct coded *c, struct generation *g, uint64_t now);
/* g has its payload, verified, since just now: it is delivered, and who forged of it is named. */
void coded_take(struct coded *c, struct generation *g, uint64_t now);
void coded_trace(struct coded *c, enum pubsub_trace_type type, const struct generation *g, pubsub_peer p, struct slice coefs);

/* coded_doubt.c: which coded rows are forged? */
enum generation_verdict coded_add_row(struct coded *c, struct generation *g, const struct coded_peer *peer,
                                      const struct coded_shard *s, struct buf *frame);
/* A row came while in doubt. */
void coded_doubt_aside(struct coded *c, struct generation *g, uint64_t now);
/* Tries what can be tried: g may have its payload afterwards. */
void coded_doubt_run(struct coded *c, struct generation *g, uint64_t now);

/* coded_ahead.c: while the last row is awaited. A row came: is there something to do? */
void coded_ahead_arm(struct generation *g, uint64_t now);
void coded_ahead_run(struct coded *c, struct generation *g);
/* All give their memory back; false: none had any. */
bool coded_ahead_yield(struct coded *c);

/* coded_send.c: messages to one peer */
void coded_body_init(struct coded_body *b);
/* The header, unless the peer has it. */
void coded_body_header(struct coded_body *b, const struct generation *g, struct generation_link *l);
void coded_body_have(struct coded_body *b, const struct generation *g, struct generation_link *l);
/* The same, ahead of the shards that are pushed to it now. */
void coded_body_promise(struct coded_body *b, const struct generation *g, struct generation_link *l, struct coded_bits sending);
void coded_body_send(struct coded *c, struct coded_body *b, pubsub_peer p);
bool coded_is_slow(const struct coded *c, pubsub_peer p);
/* hops, sent: of a push; 0 and none in answers. */
void coded_send_source(struct coded *c, const struct generation *g, struct generation_link *l, unsigned index, unsigned hops,
                       struct slice sent);
/* n fresh mixtures of verified rows. */
void coded_send_mixed(struct coded *c, const struct generation *g, struct generation_link *l, unsigned n);
/* A row as it came, with those through whose hands it went. */
void coded_send_second_hand(struct coded *c, const struct generation *g, struct generation_link *l, const struct generation_row *r);

/* coded_push.c: what goes out unasked */
void coded_push_published(struct coded *c, struct generation *g);
/* Source shard index was verified just now; it came pushed from `from`, which told that `sent` have it too. */
void coded_push_source(struct coded *c, struct generation *g, unsigned index, pubsub_peer from, unsigned hops, struct slice sent);
void coded_push_init(struct coded *c);
/* A shard of such a payload came that had been pushed over so many hops: was it of use? */
void coded_push_note(struct coded *c, uint32_t size_bytes, unsigned hops, bool is_useful);
/* The heartbeat: what was learned fades. */
void coded_push_beat(struct coded *c);
void coded_push_hints(struct coded *c, struct generation *g);
void coded_push_done(struct coded *c, struct generation *g);

/* coded_pull.c: what is asked for at once */
/* Asks for what is missing and offered, of as many peers as offer it. */
void coded_pull(struct coded *c, struct generation *g, uint64_t now);
/* Asks l for `give`, which it has; the other missing ones are named as expected elsewhere. */
void coded_pull_ask(struct coded *c, struct generation *g, struct generation_link *l, struct coded_bits give, uint64_t now);
void coded_pull_send(struct coded *c, struct generation_link *l, const struct coded_want *w, unsigned k);
/* What is missing, asked of nobody and promised by nobody; *need: the rank still missing after what is. */
struct coded_bits coded_pull_left(const struct generation *g, unsigned *need);
/* n of them at random. */
struct coded_bits coded_pull_some(struct coded *c, const struct generation *g, struct coded_bits from, unsigned n);
bool coded_is_publisher(const struct coded *c, const struct generation *g, pubsub_peer p);
enum { CODED_SOURCE_ONLY_ROUNDS = 4 }; /* after a forgery: rounds in which only source shards are asked for */

/* coded_repair.c: what is asked for and answered */
void coded_repair_arm(struct coded *c, struct generation *g, uint64_t now);
void coded_repair_run(struct coded *c, struct generation *g, uint64_t now);
/* Rank k did not verify: the coded rows are doubted now. */
void coded_repair_forged(struct coded *c, struct generation *g, uint64_t now);
void coded_on_have(struct coded *c, pubsub_peer p, struct slice content, uint64_t now);
void coded_on_want(struct coded *c, pubsub_peer p, struct slice content, uint64_t now);
void coded_ask_header(struct coded *c, struct coded_peer *peer, const uint8_t *id, uint64_t now);

/* coded_near.c: who is next to whom */
uint32_t coded_tag_of(const struct peer_id *id);
/* We have to do with this topic, so our mesh will be told of our mesh. NULL: one topic too many. */
struct coded_topic *coded_near_topic(struct coded *c, struct slice topic, uint64_t now);
/* Tells each topic's mesh, if it is not what was told last. */
void coded_near_tell(struct coded *c);
void coded_on_near(struct coded *c, pubsub_peer p, struct slice content);
/* docs/PROTOCOL.md 6: all must compute the same. */
uint64_t coded_near_lot(const uint8_t *id, unsigned index, uint32_t tag);
/* Of all that have source shard index and are next to u, are we the one to send it? */
bool coded_near_is_ours(const struct coded *c, const struct generation *g, unsigned index, const struct coded_peer *u,
                        struct slice sent);
static inline uint32_t coded_tag_read(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void coded_tag_write(uint8_t *p, uint32_t tag)
{
    p[0] = (uint8_t)(tag >> 24);
    p[1] = (uint8_t)(tag >> 16);
    p[2] = (uint8_t)(tag >> 8);
    p[3] = (uint8_t)tag;
}
bool coded_tags_have(struct slice tags, uint32_t tag);

#endif
