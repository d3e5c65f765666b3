/* coded.h: the coded router inside the pub/sub core: generations, shards, repair (docs/PROTOCOL.md)
 * Shape:   called by pubsub.c with what a peer sent (already split by the RPC codec) and with publishes; it puts its
 *          own messages into the core's output queue and hands decoded payloads back
 * Owner:   the pub/sub core
 * Seam:    below this line two files of the room meet. pubsub.c knows meshes, scores, peers and the output queue;
 *          coded.c knows generations. coded.c asks the core only through struct coded_host
 */
#ifndef PUBSUB_CODED_H
#define PUBSUB_CODED_H

#include "pubsub/pubsub.h"

struct coded;

/* What the coded router needs of the core; each function is implemented in pubsub.c. */
struct coded_host {
    void *core;
    /* Peers in our mesh of topic that speak the coded protocol; while the topic has no mesh yet, fanout peers. */
    unsigned (*mesh)(void *core, struct slice topic, pubsub_peer *out, unsigned cap);
    /* All connected coded peers that subscribe to topic (gossip and repair candidates). */
    unsigned (*subscribers)(void *core, struct slice topic, pubsub_peer *out, unsigned cap);
    const struct peer_id *(*peer_id)(void *core, pubsub_peer p);
    uint64_t (*queued_bytes)(void *core, pubsub_peer p);
    bool (*is_subscribed)(void *core, struct slice topic);
    /* Queues `body` (encoded fields of the coded extension of one RPC, made by coded_wire) for peer p, followed by
     * payload bytes [off, off+len) of `shard` as the last field's content when shard is not NULL (a reference is taken). */
    void (*send)(void *core, pubsub_peer p, struct slice body, struct buf *shard, uint32_t off, uint32_t len);
    /* Does our application want this topic's messages? Else they are not put together, only passed on. NULL: it wants all. */
    bool (*has_reader)(void *core, struct slice topic);
    /* A whole, verified message of size bytes: the core dedups and delivers. The payload's reference passes; NULL: of a topic without a
     * reader. since_ns: when we first had a part of it. */
    void (*deliver)(void *core, struct slice topic, const struct peer_id *from, uint64_t seqno, struct buf *payload, uint32_t size,
                    pubsub_peer upstream, uint8_t k, uint64_t since_ns);
    /* p was the first to tell of a whole message that came, and is not its publisher. NULL: nobody asks. */
    void (*first_told)(void *core, pubsub_peer p, struct slice topic);
    /* The peer broke the named rule; severity in units of the behaviour penalty, INFINITY cuts it off. */
    void (*penalize)(void *core, pubsub_peer p, double severity, const char *rule);
    /* It sent that share of a message (1/k for a shard that raised the rank): P2. */
    void (*useful)(void *core, pubsub_peer p, struct slice topic, double share);
    /* It sent what provably was not what the header says: P4 in that topic, and it is cut off. Like penalize the last
     * thing a function does with a peer. */
    void (*forged)(void *core, pubsub_peer p, struct slice topic, const char *rule);
    void (*trace)(void *core, const struct pubsub_trace *t);
    /* The seqno of the next message of ours. Plain and coded messages share one sequence: ids are from || seqno, and
     * the core dedups both kinds in one cache. */
    uint64_t (*next_seqno)(void *core);
    /* A hash to be made elsewhere (jobs.h). NULL: none can be, or not now. job_send answers by coded_hashed; false: it is taken back. */
    struct pubsub_job *(*job_new)(void *core, struct buf *frame, pubsub_peer source);
    bool (*job_send)(void *core, struct pubsub_job *job);
    struct pubsub_counters *counters;
    struct rng *rng;
};

/* cfg and host are copied; what they point to outlives the router. NULL: no memory. */
struct coded *coded_new(const struct pubsub_config *cfg, const struct coded_host *host, uint64_t unix_ns);
void coded_free(struct coded *c);
/* Shard events are made only while they are on; from cfg.has_trace at first. */
void coded_trace_enable(struct coded *c, bool is_on);

/* Cuts and sends a payload larger than the small-message rule allows. The payload's reference passes on 0. The core
 * calls it also for topics that nobody is known to want yet: the message is kept and offered. On 0 the router has called
 * host->deliver for it (upstream 0), so that our own subscribers and the dedup cache have it too. */
int coded_publish(struct coded *c, struct slice topic, struct buf *payload, const uint8_t sha256[32], uint64_t now);
/* The same with the hashes that pubsub_hash_shards made, or none. */
int coded_publish_hashed(struct coded *c, struct slice topic, struct buf *payload, struct slice hashes, uint64_t now);
/* True when a payload of this size goes as a plain message. */
bool coded_is_small(const struct coded *c, uint32_t size);

/* One coded-extension field of an RPC (its content, numbered as docs/PROTOCOL.md says), inside `frame`; the router may
 * take references of frame for rows. */
void coded_input(struct coded *c, pubsub_peer p, uint32_t field, struct slice content, struct buf *frame, uint64_t now);

/* The digest of a source shard is there; the job stays the caller's. */
void coded_hashed(struct coded *c, struct pubsub_job *job, uint64_t now);

void coded_peer_up(struct coded *c, pubsub_peer p, uint64_t now);
void coded_peer_down(struct coded *c, pubsub_peer p, uint64_t now);
/* p entered our mesh of topic: offer what is kept. */
void coded_grafted(struct coded *c, pubsub_peer p, struct slice topic, uint64_t now);
/* The heartbeat: gossip of (generation, rank) to a few non-mesh peers, expiry. */
void coded_heartbeat(struct coded *c, uint64_t now);

uint64_t coded_next_deadline(const struct coded *c);
void coded_on_deadline(struct coded *c, uint64_t now);

/* What undecoded generations hold now: all together, the largest one, the peer that pays for most; and the limits. */
void coded_memory(const struct coded *c, struct pubsub_counters *out);

/* For /api/v1/p2p-snapshot and /debug/messages: undecoded ones first, of both kinds the latest first. */
struct coded_generation_info {
    uint8_t id[16];
    uint8_t k, rank;
    bool is_decoded;
    uint32_t size_bytes;
    uint64_t born_ns;
    char topic[PUBSUB_TOPIC_MAX + 1];
};
unsigned coded_generations(const struct coded *c, struct coded_generation_info *out, unsigned cap);
/* Calls each for every peer that is known to have one of the latest `most` generations of each list, or part of it; a peer may come often. */
void coded_holders(const struct coded *c, unsigned most, void (*each)(void *user, pubsub_peer p, bool is_whole), void *user);

#endif
