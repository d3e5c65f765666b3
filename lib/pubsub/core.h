/* core.h: the pub/sub core's insides, shared by the files of the room that make it up (private)
 * Reading order: pubsub.c (the calls), wishes.c (topics that the application wants), peers.c (who is there), backlog.c (what waits for them), control.c (what they say of topics and gossip), relay.c
 *          (messages), relay_verify.c and jobs.c (what is checked elsewhere), heartbeat.c (upkeep), host.c (what the coded router asks)
 * Owner:   one lcore; nothing here is called from another
 */
#ifndef PUBSUB_CORE_H
#define PUBSUB_CORE_H

#include "pubsub/backoff.h"
#include "pubsub/coded.h"
#include "pubsub/events.h"
#include "pubsub/jobs.h"
#include "pubsub/later.h"
#include "pubsub/limits.h"
#include "pubsub/mcache.h"
#include "pubsub/mesh.h"
#include "pubsub/message.h"
#include "pubsub/outq.h"
#include "pubsub/pending.h"
#include "pubsub/promise.h"
#include "pubsub/replay.h"
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
#define FANOUT_CROWDED_NS   (30 * SECOND_NS) /* of more than half of TOPICS_PUBLISHED_MAX topics; messages keep them as long */
#define GRAFT_FLOOD_NS      (10 * SECOND_NS)
#define IHAVE_TOLD_MAX      3000 /* ids told to one peer per heartbeat: go and rust hear ten RPCs with IHAVEs, no more */
#define VALIDATIONS_MAX     4096
#define VALIDATION_NS       (30 * SECOND_NS) /* then a message is ignored */
#define IDONTWANT_MIN_BYTES 1024
#define NEEDY_MAX           2    /* members that a mesh takes because they have nobody else */
#define NEEDY_TICKS         60   /* heartbeats for which they stay, though there may be too many of us */
#define MAY_SPLIT_MAX       4    /* a mesh of more members does not fall into pieces by chance */
#define RETRY_TICKS_MAX     32   /* between two tries of a topic_retry */
#define ASKED_TICKS         10   /* a GRAFT within them answers a need of ours */
#define FRESH_S             2    /* after a PRUNE, messages from before it may still come */
#define OPPORTUNISTIC_TICKS 60   /* heartbeats between looks at a mesh's median score */
#define OPPORTUNISTIC_PEERS 2
#define HOLD_FEW_NS         SECOND_NS         /* a slow peer among others may hold up our publishes for so long */
#define HOLD_RENEW_NS       (SECOND_NS / 10)  /* of it comes back with each heartbeat */
#define HOLD_STILL_NS       (5 * SECOND_NS)   /* no byte taken for so long: not waited for */
#define SLOW_BEATS_MAX      5    /* a peer that stays slow for this many heartbeats leaves our meshes */
#define PX_PEERS            16   /* told in a PRUNE, and believed of one; js drops RPCs with more */
#define PX_RECORD_MAX       2048 /* bytes of a signed record that we pass on; identify keeps its own below 4 KiB */
#define PX_BYTES_MAX        (PX_PEERS * 1024) /* of all the peers in one PRUNE */
#define DOUBT_MIN           0.3  /* a peer in doubt is asked after the others: half a minute for a broken promise */
#define DOUBT_LATE          0.4  /* it was asked and did not answer in two heartbeats */
#define DOUBT_DECAY         0.96 /* per heartbeat; a message that it brings first halves it */
#define FLOOD_SEVERITY      2    /* P7 of going far past a limit, once per limit and heartbeat */
#define PX_DIALS_MAX        64   /* dials asked for between two heartbeats, on the word of all peers together */
#define OFFER_LOOKS_MAX     4096 /* messages looked at for one offer */
#define OFFER_IDS_MAX       IHAVE_CHUNK /* kept messages told to a peer that grafts */
#define OFFER_RELAYED_BYTES (4u << 20) /* of them, relayed ones up to this: a go peer asks everyone who offers */
#define IHAVE_CHUNK         300  /* ids in one IHAVE that we send: with their 46 bytes they fit in OUTQ_RPC_BYTES */

struct peer {
    pubsub_peer handle;
    struct peer_id id;
    enum pubsub_proto proto;
    bool is_outbound;
    bool is_direct; /* an explicit agreement: gets all messages of its topics, is in no mesh, and never ignored */
    bool has_lost;  /* it was slow and missed messages: tell it of them by gossip, though it is in the mesh */
    uint8_t told_beats; /* heartbeats at which it was told since */
    bool is_closing;
    bool has_spoken;     /* an RPC of it was read */
    bool has_extensions; /* it sent its Extensions */
    bool has_new; /* links announced in the RPC at hand */
    struct list node, links;
    unsigned nlinks;
    struct score *score;
    struct outq out;
    struct later later;    /* put off until out and the connection have room */
    uint64_t queued_bytes; /* as the connection last said */
    uint64_t moved_ns;     /* when it last said less than before, or was short */
    uint64_t held_ns;      /* of HOLD_FEW_NS, used */
    struct unwanted unwanted;
    struct limits limits;
    unsigned slow_beats; /* heartbeats in a row that found it slow */
    struct buf *record;  /* its signed peer record, checked; NULL: we have none */
    uint64_t record_seq;
    double doubt;        /* promises broken lately */
    bool has_promised;   /* since the last heartbeat, by an offer that was taken up late */
    unsigned npending;   /* its messages that wait for the application */
    bool has_whole, has_part; /* scratch of pubsub_holders */
};

struct pubsub {
    struct pubsub_config cfg;
    struct peer_id self;
    struct rng *rng;
    uint64_t now; /* of the call at hand */
    struct msgkey_seed seed;
    struct map peers; /* by handle */
    struct list peer_list;
    unsigned ndirect;
    struct topics topics;
    struct mesh_params mesh;
    struct seen seen;      /* message ids */
    struct seen published; /* (topic, payload) of what we published */
    struct mcache mcache;
    struct backoff backoff;
    struct promises promises;
    struct wants wants;
    struct scores scores;
    struct score_thresholds thresholds;
    struct pending pending;
    struct jobs jobs;
    uint32_t px_dials; /* since the last heartbeat */
    struct message_pool *pool;
    struct message_ids ids;
    struct message_scratch scratch;
    struct seqno seqno;
    struct replay replay; /* has_replay_guard and StrictSign: else not asked */
    struct list dirty; /* peers with output */
    struct list to_join, to_leave; /* topics whose turn to change has not come (wishes.c) */
    unsigned changes, nwanted;     /* made since the last heartbeat; topics that the application wants */
    struct events events;
    struct coded *coded; /* NULL in gossip mode */
    uint32_t tick;
    uint64_t heartbeat_at;
    uint64_t held_at_ns; /* the last look at a publish found a few peers that it waits for; 0: none */
    bool is_leaving;
    struct mesh_candidate *cand; /* scratch of heartbeats and publishes */
    unsigned cand_cap;
    struct pubsub_counters c;
};

/* peers.c */
struct peer *peer_find(const struct pubsub *ps, pubsub_peer p);
double peer_score(const struct pubsub *ps, const struct peer *p);
/* Are its RPCs ignored? */
bool peer_is_graylisted(const struct pubsub *ps, const struct peer *p);
/* Takes n of the peer's limit. False: past it (counted; a flood costs score). */
bool peer_take(struct pubsub *ps, struct peer *p, enum pubsub_limit limit, uint32_t n);
void peer_penalize(struct pubsub *ps, struct peer *p, double severity);
/* Queues a DISCONNECT, once; its RPCs are ignored from now. reason: static text. */
void peer_cut(struct pubsub *ps, struct peer *p, const char *reason);
void peer_mark_dirty(struct pubsub *ps, struct peer *p);
void peer_send_subscription(struct pubsub *ps, struct peer *p, struct slice topic, bool is_subscribe);
void peer_send_graft(struct pubsub *ps, struct peer *p, struct slice topic);
void peer_send_need(struct pubsub *ps, struct peer *p, struct slice topic);
/* px: with other peers of the topic (px.c), when exchange is on. */
void peer_send_prune(struct pubsub *ps, struct peer *p, struct slice topic, uint64_t backoff_s, bool has_px);
/* One IHAVE, IWANT or IDONTWANT entry; ids one after the other. topic is IHAVE's. */
void peer_send_ids(struct pubsub *ps, struct peer *p, enum control_field field, struct slice topic,
                   const struct slice *ids, unsigned n);

/* backlog.c */
/* More waits for it than queue_bytes. */
bool peer_is_slow(const struct pubsub *ps, const struct peer *p);
/* It sent or wrote it, or said that it has it. */
bool peer_may_have(const struct pubsub *ps, const struct peer *p, const struct message *m);
/* Queues a message, or puts it off while the peer's queue is long: then m must be in mcache before the next output is taken. False when
 * too many are put off or there is no memory (counted). */
bool peer_send_message(struct pubsub *ps, struct peer *p, struct message *m);
/* Sends of what was put off what there is room for. */
void peer_feed(struct pubsub *ps, struct peer *p);
/* p leaves: nothing waits for it any more. */
void peer_forget_later(struct pubsub *ps, struct peer *p);
void backlog_heartbeat(struct pubsub *ps);

/* control.c */
struct link *link_find(const struct peer *p, const struct topic *tp);
void control_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, bool is_first_of_type);
/* The RPC field need. */
void control_need(struct pubsub *ps, struct peer *p, struct slice body);
/* After a whole RPC: what its new subscriptions bring about. */
void control_announced(struct pubsub *ps, struct peer *p);

/* members.c */
/* Puts a link into the mesh; is_asked: the peer sent the GRAFT, else we tell it. Then offers what is kept. */
void mesh_graft(struct pubsub *ps, struct link *l, bool is_asked);
/* Takes it out, with a backoff and a PRUNE. */
void mesh_prune(struct pubsub *ps, struct link *l, uint64_t backoff_s, bool has_px);
/* Takes it out without a word: it pruned us, unsubscribed or is gone. Was it in? */
bool mesh_lost(struct pubsub *ps, struct link *l);
/* Could we graft it now? */
bool mesh_is_candidate(const struct pubsub *ps, const struct link *l);
/* A member has left: asks another, for messages do not wait for the next heartbeat. Those who refuse (a PRUNE) are followed by others, Dhi of
 * them between two heartbeats. No-op when there are enough. */
void mesh_refill(struct pubsub *ps, struct topic *tp);
/* Is there room for one more, who takes no place for those in need? If not, and there are more than D, the newest makes room, once a heartbeat:
 * who asks has too few, and we do not need them all. */
bool mesh_make_room(struct pubsub *ps, struct topic *tp, const struct peer *p);
/* p, outside the mesh, brought a message first, and is not its author: it was asked for what it told of by gossip. Our mesh may be in pieces
 * in which nobody has too few; then p is in another one, and becomes a member. */
void mesh_missed(struct pubsub *ps, struct topic *tp, struct peer *p);
/* p asks for a place because it has too few and may graft nobody: gets one of NEEDY_MAX, for NEEDY_TICKS, not twice running; or nothing, not even
 * an answer. */
void mesh_give_place(struct pubsub *ps, struct link *l);
/* Did we ask it so a moment ago? */
bool mesh_has_asked(const struct pubsub *ps, const struct link *l);
/* It has grafted us. */
void mesh_got_place(struct pubsub *ps, struct link *l);
/* Once a heartbeat: members that are no good leave, then too few become D, and too many. */
void mesh_upkeep(struct pubsub *ps, struct topic *tp);
void topic_join(struct pubsub *ps, struct topic *tp);
void topic_leave(struct pubsub *ps, struct topic *tp);
/* Candidates of a topic into ps->cand: links that want() accepts. It may move ps->cand: read that after the call. */
unsigned topic_candidates(struct pubsub *ps, const struct topic *tp,
                          bool (*want)(const struct pubsub *ps, const struct link *l));

/* relay.c */
void relay_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, struct buf *frame);
int relay_publish(struct pubsub *ps, struct topic *tp, struct buf *payload);
void relay_deliver(struct pubsub *ps, struct slice topic, const struct peer_id *from, const struct peer_id *upstream,
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
/* The verdict on a message that waited for it. */
void relay_judged(struct pubsub *ps, struct pending_message *pm, enum pubsub_verdict verdict);

/* Counts and scores a message that is not as it should be. */
void relay_reject(struct pubsub *ps, struct peer *p, const struct message_fields *f, int err);
/* An author's message from long ago: done with. p may be NULL. */
bool relay_is_replay(struct pubsub *ps, struct peer *p, const struct incoming *in);
/* Its signature is good, and it is new. p: who brought it; NULL: he left since. */
void relay_arrived(struct pubsub *ps, struct peer *p, const struct peer_id *upstream, const struct incoming *in, struct message *m,
                   uint64_t since_ns);

/* relay_verify.c. True: the signature is being checked elsewhere, and relay_verified follows. */
bool relay_verify_later(struct pubsub *ps, struct peer *p, const struct incoming *in, const struct rpc_item *it, struct buf *frame);
void relay_verified(struct pubsub *ps, struct pubsub_job *job);

/* pubsub.c. False: no memory for the output. */
bool jobs_send(struct pubsub *ps, struct pubsub_job *job);

/* px.c: peer exchange */
/* Appends the peers of a PRUNE for p: links of the topic that may be recommended. */
void px_put(struct pubsub *ps, const struct peer *p, const struct topic *tp, struct wr *prune);
/* The peers of a PRUNE that came: asks for dials when its sender may be believed. */
void px_input(struct pubsub *ps, struct peer *p, struct slice prune);

/* wishes.c: a heartbeat has passed. */
void wishes_heartbeat(struct pubsub *ps);

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
