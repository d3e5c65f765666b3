/* pubsub.h: publish/subscribe core: gossipsub, and the coded router that shares its mesh
 * Shape:   peers, RPC frames, publishes, now -> RPCs to send, deliveries, traces, dials; one deadline
 * Source:  libp2p specs pubsub/gossipsub v1.0-v1.3; docs/PROTOCOL.md for the coded part
 * Owner:   one coding lcore (the router), or one simulated node
 * Memory:  frames and payloads come in as buffers whose one reference passes to the core; outputs give references away
 * Units:   ns monotonic; sizes in bytes
 * Errors:  0 or -PUBSUB_E...; a peer's misbehaviour is scored, counted and may end in a DISCONNECT output
 * Limits:  every list, cache and queue is bounded by pubsub_config; each drop has a counter
 */
#ifndef PUBSUB_PUBSUB_H
#define PUBSUB_PUBSUB_H

#include "base/buf.h"
#include "base/durations.h"
#include "base/rng.h"
#include "libp2p/keys.h"
#include "libp2p/peer_id.h"
#include "pubsub/limits.h"
#include "pubsub/score_params.h"

#define PUBSUB_TOPIC_MAX  256 /* bytes of a topic name */
/* Topics that a peer may be in, hence that we may be in: each takes so many of another, and what is beyond would never arrive. */
#define PUBSUB_TOPICS_MAX 2048
#define PUBSUB_MAX_PIECES 4

enum pubsub_err {
    PUBSUB_ETOPIC = 1,
    PUBSUB_ESIZE,
    PUBSUB_EDUP,
    PUBSUB_EFULL,
    PUBSUB_EMEM,
    PUBSUB_ENOPEER,
    PUBSUB_ERECORD,
    PUBSUB_ETOKEN
};
const char *pubsub_err_name(int err);

enum pubsub_mode { PUBSUB_GOSSIP, PUBSUB_CODED };
/* Plain messages: signed by their author, id from || seqno; or without author, seqno and signature, id SHA-256 of the
 * payload. All nodes of a topic must agree. (The coded router always signs its headers.) */
enum pubsub_signing { PUBSUB_STRICT_SIGN, PUBSUB_STRICT_NO_SIGN };
/* Ids of plain messages: from || seqno as the specification has it (without signatures there is neither: SHA-256 then),
 * SHA-256 of the payload, or the caller's function. All nodes of a topic must agree. */
enum pubsub_id_rule { PUBSUB_ID_SPEC, PUBSUB_ID_SHA256, PUBSUB_ID_CUSTOM };
struct pubsub_id_input {
    struct slice from, seqno, topic, data; /* seqno: 8 bytes big-endian, or empty */
};
#define PUBSUB_ID_MAX 64
/* What the application says of a message (PUBSUB_VALIDATE): pass on and deliver; neither, and blame nobody; neither, and
 * it counts as invalid (P4) against everyone who brought it. */
enum pubsub_verdict { PUBSUB_ACCEPT, PUBSUB_IGNORE, PUBSUB_REJECT };
/* What a peer's stream speaks; the order is also that of preference. */
enum pubsub_proto { PUBSUB_CODED_1, PUBSUB_MESHSUB_13, PUBSUB_MESHSUB_12, PUBSUB_MESHSUB_11, PUBSUB_PROTO_COUNT };
extern const char *const pubsub_proto_ids[PUBSUB_PROTO_COUNT]; /* "/codecast/rlnc/1.0.0", "/meshsub/1.3.0", ... */

/* Chosen by the caller; the coding lcore maps it to a connection. 0 is none. */
typedef uint32_t pubsub_peer;

struct pubsub_topic_score {
    const char *topic;
    struct score_topic_params params;
};

struct pubsub_config {
    enum pubsub_mode mode;
    enum pubsub_signing signing;
    const struct key_pair *key;      /* ours: signs messages and headers; borrowed for the core's life */
    uint32_t mesh_target, mesh_min, mesh_max, mesh_out; /* D, Dlo, Dhi, Dout */
    double gossip_factor;            /* share of the peers outside a mesh that hear of its messages, at least D; 0: 0.25 */
    uint32_t max_msg_bytes;          /* payload */
    uint64_t heartbeat_ns;           /* 0: 1 s */
    uint32_t k;                      /* shard factor, 1..255 */
    double mult, threshold;
    uint32_t small_bytes;            /* coded mode: payloads up to this go plain, those above it up to 16 times it with
                                      * more redundancy and fewer shards (docs/PROTOCOL.md 6); 0: 16384 */
    uint64_t keep_ns, keep_bytes;    /* messages kept for late mesh peers: 0: 30 s, 64 MiB */
    uint64_t rows_bytes;             /* bytes in rows of undecoded generations, all peers together; 0: 256 MiB */
    uint64_t queue_bytes;            /* a peer for which more bytes wait is slow. Past a fourth of it messages wait as references
                                      * to those kept, past half of it our own publishes should wait (pubsub_publish_waits);
                                      * 0: 8 MiB + 4 * max_msg_bytes. The connection's own bound must be higher */
    uint32_t seen_max;               /* ids remembered for 120 s; 0: 1 Mi (memory is touched as it fills) */
    bool is_flood_publish;           /* our own messages go to every subscriber, not to the mesh alone */
    bool has_test_extension;         /* tell v1.3 peers that we know the test extension, and use it */
    bool has_px;                     /* our PRUNEs name other peers */
    bool has_replay_guard;           /* StrictSign: seqnos that their author has used up long ago are not passed on (replay.h) */
    bool has_validation;             /* plain messages wait for pubsub_validated */
    uint32_t validation_max;         /* that wait at a time, and no more bytes than keep_bytes; 0: 4096. More are dropped,
                                      * and may come again */
    unsigned jobs;                   /* WORK outputs that may be out at a time; 0: none are made, all is done at once */
    enum pubsub_id_rule id_rule;
    size_t (*message_id)(void *ctx, const struct pubsub_id_input *in, uint8_t out[PUBSUB_ID_MAX]); /* CUSTOM: 0 refuses */
    void *message_id_ctx;
    const struct score_params *score;          /* NULL: score_defaults; copied */
    const struct score_thresholds *thresholds; /* NULL: score_threshold_defaults; copied */
    const struct pubsub_topic_score *topic_scores; /* topics with parameters of their own; borrowed for the core's life */
    unsigned ntopic_scores;
    /* 0: payloads are whole. Only in simulations: of each shard, and of a plain payload, the first so many bytes are there,
     * hashed, signed and mixed; the rest counts in every length and is never read. */
    uint32_t elide_bytes;
    bool has_trace;                  /* make TRACE outputs from the start; see pubsub_trace_enable */
    struct buf *(*alloc)(void *ctx, uint32_t cap); /* payload memory; NULL: heap */
    void *alloc_ctx;
};

struct pubsub;
struct pubsub_job;

struct pubsub *pubsub_new(const struct pubsub_config *cfg, struct rng *rng, uint64_t now, uint64_t unix_ns);
void pubsub_free(struct pubsub *ps);

/* A peer's stream is ready both for sending and receiving. addr: its IP bytes (4 or 16), for colocation scores. */
int pubsub_peer_up(struct pubsub *ps, pubsub_peer p, const struct peer_id *id, enum pubsub_proto proto, bool is_outbound,
                   struct slice addr, uint64_t now);
void pubsub_peer_down(struct pubsub *ps, pubsub_peer p, uint64_t now);
/* Bytes waiting in the peer's output queue: the core sends less (and counts) to peers that are slow. */
void pubsub_peer_queue(struct pubsub *ps, pubsub_peer p, uint64_t queued_bytes, uint64_t now);
/* Its signed peer record (an envelope), from identify: told to others when we prune them (PX). 0, also for one that is not
 * newer; -PUBSUB_ERECORD: not good, not of this peer, or too large; -PUBSUB_ENOPEER. */
int pubsub_peer_record(struct pubsub *ps, pubsub_peer p, struct slice envelope, uint64_t now);
/* An explicit peering agreement, for the life of this connection: it gets every message of the topics that it and we are
 * in, outside any mesh, and its RPCs are taken whatever its score. Both sides must agree; call it when the peer comes. */
void pubsub_peer_direct(struct pubsub *ps, pubsub_peer p, bool is_direct);
/* What the application thinks of the peer (P5), for the life of this connection. */
void pubsub_peer_app_score(struct pubsub *ps, pubsub_peer p, double score);
/* One RPC frame; the reference passes to the core, which may keep it (shard rows point into it). */
void pubsub_rpc(struct pubsub *ps, pubsub_peer p, struct buf *frame, uint64_t now);

int pubsub_subscribe(struct pubsub *ps, struct slice topic, uint64_t now);
/* A member of the topic as by subscribe, but nothing of it is delivered: for a node that only passes on. Each of the two takes the place
 * of the other; unsubscribe ends both. */
int pubsub_relay(struct pubsub *ps, struct slice topic, uint64_t now);
int pubsub_unsubscribe(struct pubsub *ps, struct slice topic, uint64_t now);
/* sha256: of the payload, made where it entered (the client's message id). The payload's reference passes to the core
 * on 0 only. -PUBSUB_ESIZE: larger than max_msg_bytes. */
int pubsub_publish(struct pubsub *ps, struct slice topic, struct buf *payload, const uint8_t sha256[32], uint64_t now);
/* A coded publish hashes the whole payload once more, as source shards. Any thread can do that beforehand: the hashes for a core with
 * this cfg into out, their length returned; 0: none are needed. */
#define PUBSUB_HASHES_MAX (255 * 32)
size_t pubsub_hash_shards(const struct pubsub_config *cfg, struct slice payload, uint8_t out[PUBSUB_HASHES_MAX]);
/* hashes: what that made of this very payload; of another length they are made anew. */
int pubsub_publish_hashed(struct pubsub *ps, struct slice topic, struct buf *payload, const uint8_t sha256[32],
                          struct slice hashes, uint64_t now);

/* Should a publish to topic wait, because those it goes to are behind with what they have got? Ask again while the answer is yes, when a
 * queue got shorter (pubsub_peer_queue) and every now and then: a few slow peers hold it up for a second at most, many as long as
 * they take something. Publishing all the same is allowed: what finds no room is put off, and in the end dropped (counted). */
bool pubsub_publish_waits(struct pubsub *ps, struct slice topic, uint64_t now);

/* The verdict on a VALIDATE output. -PUBSUB_ETOKEN: it took too long, and was given up. */
int pubsub_validated(struct pubsub *ps, uint64_t token, enum pubsub_verdict verdict, uint64_t now);

/* Work that needs nothing of the core's state (signatures, hashes of shards) can be done by other lcores, each with a helper of its
 * own: WORK -> pubsub_job_run there -> pubsub_job_done here. Every job must come back, in any order. Before pubsub_free nobody may run
 * one any more; those that are out then are let go. */
struct pubsub_helper;
struct pubsub_helper *pubsub_helper_new(void); /* NULL: no memory */
void pubsub_helper_free(struct pubsub_helper *h);
void pubsub_job_run(struct pubsub_helper *h, struct pubsub_job *job);
void pubsub_job_done(struct pubsub *ps, struct pubsub_job *job, uint64_t now);
/* Further jobs that can go out. While there are none the core does the work itself, ahead of what is out. */
unsigned pubsub_jobs_free(const struct pubsub *ps);

/* Leaves for good: unsubscribes everywhere, without PRUNE, whose backoff would outlive us; drain outputs, then close. */
void pubsub_leave(struct pubsub *ps, uint64_t now);

uint64_t pubsub_next_deadline(const struct pubsub *ps);
void pubsub_on_deadline(struct pubsub *ps, uint64_t now);

enum pubsub_output_type { PUBSUB_SEND, PUBSUB_DELIVER, PUBSUB_TRACE, PUBSUB_DIAL, PUBSUB_DISCONNECT, PUBSUB_VALIDATE, PUBSUB_WORK };

struct pubsub_piece {
    struct buf *buf;
    uint32_t off, len;
};

/* Trace event types: numbers of compat/API.md 2. */
enum pubsub_trace_type {
    TRACE_PUBLISH_MESSAGE, TRACE_REJECT_MESSAGE, TRACE_DUPLICATE_MESSAGE, TRACE_DELIVER_MESSAGE, TRACE_ADD_PEER,
    TRACE_REMOVE_PEER, TRACE_RECV_RPC, TRACE_SEND_RPC, TRACE_DROP_RPC, TRACE_JOIN, TRACE_LEAVE, TRACE_GRAFT,
    TRACE_PRUNE, TRACE_DUPLICATE_SHARD, TRACE_UNHELPFUL_SHARD, TRACE_UNNECESSARY_SHARD, TRACE_NEW_SHARD
};

struct pubsub_trace {
    enum pubsub_trace_type type;
    pubsub_peer peer;
    struct peer_id peer_id;
    uint8_t msg_id[64];         /* wire id of the message or generation */
    uint8_t msg_id_len;
    uint8_t coefs[256];         /* of a shard event */
    uint16_t coefs_len;
    char topic[PUBSUB_TOPIC_MAX + 1];
    const char *reason;
    uint64_t length;
};

struct pubsub_output {
    enum pubsub_output_type type;
    pubsub_peer peer;
    struct pubsub_piece pieces[PUBSUB_MAX_PIECES]; /* SEND: one RPC in parts; references belong to the receiver */
    unsigned npieces;
    struct buf *payload;        /* DELIVER, VALIDATE: whole payload; the reference belongs to the receiver */
    char topic[PUBSUB_TOPIC_MAX + 1];
    struct peer_id from;        /* DELIVER, VALIDATE: publisher; DIAL: whom */
    struct peer_id upstream;    /* DELIVER, VALIDATE: who completed it; len 0 when we published it ourselves. DIAL: who
                                 * told of it */
    uint64_t token;             /* VALIDATE: for pubsub_validated */
    uint8_t k;                  /* DELIVER: shards it was cut into, 1 = plain */
    struct buf *record;         /* DIAL: its signed peer record, an envelope already checked to be its own (libp2p's
                                 * peer_record.h opens it), or NULL: dial it if you know where. The receiver's */
    struct pubsub_trace *trace; /* TRACE: valid until the next call into the core */
    const char *reason;         /* DISCONNECT: static text */
    struct pubsub_job *job;     /* WORK: the receiver's until pubsub_job_done */
};

/* Traces cost a copy each: switch them off while nobody reads them. */
void pubsub_trace_enable(struct pubsub *ps, bool is_on);

/* The next output; false when there is none. Drain after each call that gives input. Our own publishes are delivered to
 * us too when we are subscribed (the caller tells the publisher's client apart). */
bool pubsub_next_output(struct pubsub *ps, struct pubsub_output *out);

/* Snapshots for /debug/peers, metrics and the p2p snapshot: plain structs, filled by copy. */
struct pubsub_peer_info {
    pubsub_peer peer;
    struct peer_id id;
    enum pubsub_proto proto;
    bool is_outbound;
    double score, score_parts[7]; /* the weighted P1..P7 */
    unsigned topics, meshes; /* topics it subscribes to; meshes it shares with us */
};
struct pubsub_topic_info {
    char topic[PUBSUB_TOPIC_MAX + 1];
    bool is_subscribed; /* by us, or about to be */
    unsigned peers, mesh;
};
unsigned pubsub_peers(const struct pubsub *ps, struct pubsub_peer_info *out, unsigned cap);
/* Our own first: at most PUBSUB_TOPICS_MAX. */
unsigned pubsub_topics(const struct pubsub *ps, struct pubsub_topic_info *out, unsigned cap);
/* One of them; false: not known. */
bool pubsub_topic(const struct pubsub *ps, struct slice topic, struct pubsub_topic_info *out);
/* Is p in our mesh of topic? */
bool pubsub_mesh_has(const struct pubsub *ps, struct slice topic, pubsub_peer p);

/* Generations that the coded router knows (coded.h); none in gossip mode. */
struct coded_generation_info;
unsigned pubsub_generations(const struct pubsub *ps, struct coded_generation_info *out, unsigned cap);

/* Connected peers that are known to have one of the latest messages, and those known to have some shards of one and not all. A peer may
 * count in both. */
void pubsub_holders(struct pubsub *ps, unsigned *whole, unsigned *part);

struct pubsub_counters {
    uint64_t published, delivered, delivered_bytes, delivered_shards /* k of each */, duplicates, rejected, invalid_rpc, oversize;
    struct durations delays; /* of what others published: from the first part that we had of it (header, shard, whole) to its delivery */
    uint64_t rpc_in, rpc_out, rpc_in_bytes, rpc_out_bytes, rpc_dropped;
    uint64_t graft_in, graft_out, prune_in, prune_out, ihave_in, ihave_out, iwant_in, iwant_out, idontwant_in,
        idontwant_out, iwant_served, control_ignored;
    uint64_t shards_in, shards_out, shards_new, shards_duplicate, shards_unhelpful, shards_unnecessary, shards_forged,
        shards_refused, shards_in_bytes, shards_out_bytes, headers_in, headers_bad, decoded, decode_failed,
        repairs_asked, repairs_served, generations_expired, generations_refused;
    uint64_t solved_ahead, decoded_ahead; /* but for one row, while that was awaited; of those decoded, finished from there */
    uint64_t shards_aside, doubt_tries, doubt_solved, doubt_deferred; /* rows of which some are forged, and what was tried with them */
    uint64_t gossip_out_bytes, gossip_deferred; /* coded: of words about generations; turns put off to the next heartbeat */
    uint64_t kept_bytes, rows_bytes, generations_now, seen_now;
    uint64_t topics_now, topics_ours_now; /* known; of these, subscribed to by us */
    uint64_t undecoded_now, undecoded_bytes_max, peer_rows_bytes_max; /* the largest of one message, of one peer */
    uint64_t rows_bytes_limit, peer_rows_bytes_limit;
    uint64_t graylisted;          /* RPCs, or the rest of one, ignored (but for subscriptions) for their sender's score, or because it is cut off */
    uint64_t unsubscribed;        /* messages of topics that we are not in */
    uint64_t bad_signatures;      /* of those rejected */
    uint64_t promises_broken, backoff_violations, slow_drops, lists_cut;
    uint64_t put_off, spared;     /* messages that waited for a peer to have room; of them, not sent because it had them by then */
    uint64_t jobs_verify, jobs_hash; /* signatures, shards that were given out as jobs */
    uint64_t limits[PUBSUB_LIMIT_COUNT]; /* things past a peer's limit */
    uint64_t floods;              /* times that a peer went so far past one that it cost score */
    uint64_t extensions_in, extensions_bad, test_extensions_in;
    uint64_t px_in, px_out, px_ignored, px_bad_records, px_dials;
    uint64_t opportunistic_grafts, slow_pruned;
    uint64_t refills, missed_grafts, made_room; /* members asked for between heartbeats; who brought what the mesh missed; members that made room */
    uint64_t needy_out, needy_in, needy_taken, needy_refused; /* places asked for; of others: asked for, given one, none was left */
    uint64_t validation_rejected, validation_ignored, validation_throttled, validation_expired, validations_now;
    uint64_t replayed, authors_now, authors_evicted; /* of the replay guard; evicted: forgotten for others, or no memory */
    uint64_t seen_evicted, mcache_evicted, traces_dropped, no_memory;
};
void pubsub_counters_get(const struct pubsub *ps, struct pubsub_counters *out);

#endif
