/* core.h: the pub/sub core's insides, shared by the files of the room that make it up (private)
 * Reading order: pubsub.c (the calls), peers.c (who is there), control.c (what they say of topics and gossip), relay.c
 *          (messages), heartbeat.c (upkeep), host.c (what the coded router asks)
 * Owner:   one lcore; nothing here is called from another
 */
#ifndef PUBSUB_CORE_H
#define PUBSUB_CORE_H

#include "pubsub/backoff.h"
#include "pubsub/coded.h"
#include "pubsub/events.h"
#include "pubsub/mcache.h"
#include "pubsub/mesh.h"
#include "pubsub/message.h"
#include "pubsub/outq.h"
#include "pubsub/promise.h"
#include "pubsub/rpc.h"
#include "pubsub/score.h"
#include "pubsub/seen.h"
#include "pubsub/topics.h"
#include "pubsub/unwanted.h"
#include "pubsub/want.h"

#define SECOND_NS 1000000000ull

/* go's names and values, where it has them. */
#define SEEN_TTL_NS         (120 * SECOND_NS)
#define FANOUT_TTL_NS       (60 * SECOND_NS)
#define GRAFT_FLOOD_NS      (10 * SECOND_NS)
#define IHAVE_RPCS_MAX      10   /* per peer and heartbeat */
#define IHAVE_IDS_MAX       5000 /* asked of one peer per heartbeat, and told to one */
#define IWANT_IDS_MAX       5000 /* looked up for one peer per heartbeat */
#define IDONTWANT_RPCS_MAX  1000 /* per peer and heartbeat */
#define IDONTWANT_IDS_MAX   512  /* per peer and heartbeat */
#define IDONTWANT_MIN_BYTES 1024
#define SUBSCRIPTIONS_MAX   4096 /* changes per peer and heartbeat */
#define MESH_CHANGES_MAX    2048 /* GRAFTs and PRUNEs of one peer per heartbeat */
#define OFFERS_MAX          64   /* times that kept messages are looked through for one peer, per heartbeat */
#define OFFER_LOOKS_MAX     4096 /* messages looked at each time */
#define OFFER_IDS_MAX       500  /* kept messages told to a peer that grafts */
#define OFFER_RELAYED_BYTES (4u << 20) /* of them, relayed ones up to this: a go peer asks everyone who offers */
#define IHAVE_CHUNK         500  /* ids in one IHAVE that we send */

struct peer {
    pubsub_peer handle;
    struct peer_id id;
    enum pubsub_proto proto;
    bool is_outbound;
    bool has_lost;  /* it was slow and missed messages: tell it of them by gossip, though it is in the mesh */
    bool is_closing;
    bool has_new; /* links announced in the RPC at hand */
    struct list node, links;
    unsigned nlinks;
    struct score *score;
    struct outq out;
    uint64_t queued_bytes; /* as the connection last said */
    struct unwanted unwanted;
    /* since the last heartbeat */
    uint32_t ihave_rpcs, ihave_ids, iwant_ids, idontwant_rpcs, idontwant_ids, sub_changes, mesh_changes, offers;
};

struct pubsub {
    struct pubsub_config cfg;
    struct peer_id self;
    struct rng *rng;
    uint64_t now; /* of the call at hand */
    struct msgkey_seed seed;
    struct map peers; /* by handle */
    struct list peer_list;
    struct topics topics;
    struct mesh_params mesh;
    struct seen seen;      /* message ids */
    struct seen published; /* (topic, payload) of what we published */
    struct mcache mcache;
    struct backoff backoff;
    struct promises promises;
    struct wants wants;
    struct scores scores;
    struct message_pool *pool;
    struct message_scratch scratch;
    struct seqno seqno;
    struct list dirty; /* peers with output */
    struct events events;
    struct coded *coded; /* NULL in gossip mode */
    uint32_t tick;
    uint64_t heartbeat_at;
    bool is_leaving;
    struct mesh_candidate *cand; /* scratch of heartbeats and publishes */
    unsigned cand_cap;
    struct pubsub_counters c;
};

/* peers.c */
struct peer *peer_find(const struct pubsub *ps, pubsub_peer p);
double peer_score(const struct pubsub *ps, const struct peer *p);
bool peer_is_slow(const struct pubsub *ps, const struct peer *p);
void peer_penalize(struct pubsub *ps, struct peer *p, double severity);
/* Queues a DISCONNECT, once; its RPCs are ignored from now. reason: static text. */
void peer_cut(struct pubsub *ps, struct peer *p, const char *reason);
void peer_mark_dirty(struct pubsub *ps, struct peer *p);
void peer_send_subscription(struct pubsub *ps, struct peer *p, struct slice topic, bool is_subscribe);
void peer_send_graft(struct pubsub *ps, struct peer *p, struct slice topic);
void peer_send_prune(struct pubsub *ps, struct peer *p, struct slice topic, uint64_t backoff_s);
/* One IHAVE, IWANT or IDONTWANT entry; ids one after the other. topic is IHAVE's. */
void peer_send_ids(struct pubsub *ps, struct peer *p, enum control_field field, struct slice topic,
                   const struct slice *ids, unsigned n);
/* Queues a message; false when the peer is slow or there is no memory (counted). */
bool peer_send_message(struct pubsub *ps, struct peer *p, struct message *m);

/* control.c */
struct link *link_find(const struct peer *p, const struct topic *tp);
void control_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, bool is_first_of_type);
/* After a whole RPC: what its new subscriptions bring about. */
void control_announced(struct pubsub *ps, struct peer *p);
/* Puts a link into the mesh; is_asked: the peer sent the GRAFT, else we tell it. Then offers what is kept. */
void mesh_graft(struct pubsub *ps, struct link *l, bool is_asked);
/* Takes it out, with a backoff and a PRUNE. */
void mesh_prune(struct pubsub *ps, struct link *l, uint64_t backoff_s);
/* Could we graft it now? */
bool mesh_is_candidate(const struct pubsub *ps, const struct link *l);
void topic_join(struct pubsub *ps, struct topic *tp);
void topic_leave(struct pubsub *ps, struct topic *tp);
/* Candidates of a topic into ps->cand: links that want() accepts. It may move ps->cand: read that after the call. */
unsigned topic_candidates(struct pubsub *ps, const struct topic *tp,
                          bool (*want)(const struct pubsub *ps, const struct link *l));

/* relay.c */
void relay_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, struct buf *frame);
int relay_publish(struct pubsub *ps, struct topic *tp, struct buf *payload);
void relay_deliver(struct pubsub *ps, struct slice topic, const struct peer_id *from, const struct peer *upstream,
                   struct buf *payload, uint8_t k);
/* Sends or tells of kept messages of the link's topic; only_ours: of those we published. */
void relay_offer(struct pubsub *ps, struct link *l, bool only_ours);
void relay_evict(struct pubsub *ps);
/* The topic's kept messages from the newest to older ones: start with NULL; NULL at the end. */
struct message *kept_older(const struct topic *tp, const struct message *m);
/* The fanout of a topic that we publish to, filled up to D. */
void fanout_fill(struct pubsub *ps, struct topic *tp);
bool fanout_is_candidate(const struct pubsub *ps, const struct link *l);
struct msgkey key_of_id(const struct pubsub *ps, struct slice id);

/* heartbeat.c */
void heartbeat_run(struct pubsub *ps);

/* host.c */
struct coded_host coded_host_of(struct pubsub *ps);

/* trace.c: no-ops when nobody wants traces. */
void trace_peer(struct pubsub *ps, enum pubsub_trace_type type, const struct peer *p, struct slice topic);
void trace_message(struct pubsub *ps, enum pubsub_trace_type type, const struct peer *p, struct slice topic,
                   struct slice id, const char *reason, uint64_t length);
void trace_push(struct pubsub *ps, const struct pubsub_trace *t);

struct buf *core_alloc(void *ps, uint32_t cap);

#endif
