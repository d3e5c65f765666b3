/* xcore.h: how roles talk: rings of messages by value, and doorbells
 * Shape:   fixed-size messages through rte_ring; one producer and one consumer each. A message carries ownership of what
 *          it points to; what must go back goes back by a message of its own (the *_HOME kinds)
 * Owner:   each ring end belongs to one role; the control side's producer end is under the hub's mutex
 * Source:  DPDK rte_ring with elements of our own size
 * Limits:  a full ring takes nothing: the producer keeps the message and tries again next turn (counted)
 *
 *            events, frames, RPC bufs home            deliveries, traces, answers
 *   net role ------------------------------> coding role ------------------------> control (hub thread)
 *            <------------------------------             <------------------------
 *            sends, dials, frames home                   publishes, subscriptions, payloads home
 */
#ifndef NODE_XCORE_H
#define NODE_XCORE_H

#include "net/allowlist.h"
#include "net/net.h"
#include "node/observed.h"
#include "node/self_record.h"
#include "pubsub/pubsub.h"

#define XMSG_HOMES 8 /* buffers that one *_HOME message carries */

enum xmsg_type {
    /* net -> coding */
    X_EVENT,      /* event: a net_event other than RPC, on the heap; the receiver frees it */
    X_RPC,        /* conn, protocol, buf: a frame; goes home by X_FRAMES_HOME */
    X_SENT_HOME,  /* bufs: buffers that X_SEND lent are done with */
    X_QUEUE,      /* conn, queue: bytes waiting in its output, and bytes of X_SEND taken so far */
    /* coding -> net */
    X_SEND,        /* conn, pieces: references are lent until X_SENT_HOME */
    X_DIAL,        /* dial, on the heap; the receiver frees it */
    X_PUBSUB_OPEN, /* conn */
    X_PUBSUB_CLOSE, /* conn: drop our stream */
    X_PUBSUB_FINISH, /* conn: end our stream behind what is queued: another connection has it now */
    X_CLOSE,       /* conn, number: 1 polite, 2 polite and only if idle */
    X_REQUEST,     /* conn, exchange: ask the peer; the receiver frees it. Ends in NET_EV_ANSWER or _REQUEST_FAILED */
    X_ANSWER,      /* conn, exchange: of NET_EV_REQUEST; the receiver frees it */
    X_ALLOW,       /* allow: from control, passed on by coding; net's from then on */
    X_FRAMES_HOME, /* bufs */
    X_SELF,        /* self, on the heap: what identify says from now on; the receiver keeps it */
    /* control -> coding */
    X_PUBLISH,       /* publish; comes back as X_PUBLISHED */
    X_SUBSCRIBE,     /* publish->topic alone; comes back as X_PUBLISHED */
    X_RELAY,         /* the same: a member of the topic, but nothing of it is delivered */
    X_UNSUBSCRIBE,   /* the same */
    X_PAYLOADS_HOME, /* bufs that X_DELIVER lent */
    X_TRACE_HOME,    /* trace */
    X_DELIVERY_HOME, /* delivery */
    X_RESOLVED,      /* resolved, on the heap; the receiver frees it */
    X_LEAVE,         /* leave the mesh and close every connection; answered by X_LEFT */
    /* coding -> control */
    X_PUBLISHED,    /* publish with its err set */
    X_SOURCES_HOME, /* bufs: payloads that control published */
    X_DELIVER,      /* delivery; comes back as X_DELIVERY_HOME, its payload by X_PAYLOADS_HOME */
    X_TRACE,        /* trace; comes back as X_TRACE_HOME */
    X_NOTE,         /* note, on the heap: a line to log; the receiver frees it */
    X_LEFT,
    X_RESOLVE,      /* name, on the heap; the receiver frees it. Answered by X_RESOLVED */
    /* router -> helper and back */
    X_JOB, /* job: the helper's until it comes back with its result */
    /* any direction, round trip */
    X_SNAPSHOT, /* snapshot: each role fills its part and passes it on; ends at control */
};

#define XSELF_ADDRS 12 /* configured or the listener's, and those that peers have confirmed */
struct xself {
    unsigned naddrs;
    uint32_t record_len; /* 0: none */
    struct multiaddr addrs[XSELF_ADDRS];
    uint8_t record[SELF_RECORD_MAX];
};

struct xdial {
    struct multiaddr addr;
    struct peer_id expect;
    uint64_t token;
};

struct xname {
    unsigned index;
    struct multiaddr addr;
};

struct xexchange {
    uint64_t token;
    bool is_reset; /* of an answer: the stream is reset */
    uint32_t len;
    uint8_t bytes[];
};

struct xpublish { /* made by control, comes home to control */
    struct xpublish *next; /* the coding role's, while it waits there */
    char topic[PUBSUB_TOPIC_MAX + 1];
    struct buf *payload;
    uint8_t sha256[32];
    int err;
    uint32_t bytes; /* of the payload */
    enum xmsg_type kind;
    uint16_t hashes_len;
    uint8_t hashes[]; /* of the source shards: made by control, so that the lcore need not read the payload */
};

struct xtrace {
    struct xtrace *next;
    uint64_t unix_ns;
    struct pubsub_trace t;
};

struct xdelivery { /* of the coding role's fixed stock; comes home as X_DELIVERY_HOME */
    struct xdelivery *next;
    char topic[PUBSUB_TOPIC_MAX + 1];
    struct buf *payload;
    struct peer_id from, upstream;
    uint8_t k;
};

struct xnote {
    int level;
    char record[640]; /* log_pack's */
};

struct snapshot; /* snapshot.h */

struct xmsg {
    enum xmsg_type type;
    uint32_t protocol;
    net_conn_id conn;
    union {
        uint64_t number;
        struct buf *buf;
        struct net_event *event;
        struct xdial *dial;
        struct xself *self;
        struct xexchange *exchange;
        struct allowlist *allow;
        struct xname *name;
        struct xresolved *resolved; /* resolver.h */
        struct xpublish *publish;
        struct xtrace *trace;
        struct xdelivery *delivery;
        struct snapshot *snapshot;
        struct xnote *note;
        struct pubsub_job *job;
        struct {
            uint64_t bytes, taken_bytes;
        } queue;
        struct {
            struct buf *buf[XMSG_HOMES];
            uint32_t count;
        } homes;
        struct {
            struct net_piece piece[NET_MAX_PIECES];
            uint32_t count;
        } send;
    };
};

/* A sleeper's bell: an eventfd that producers write only when its owner has said that it sleeps. */
struct xdoor {
    int fd;
    uint32_t is_asleep; /* the one flag that two threads touch: stores and loads in xcore.c alone. 2: needs even what comes home */
};

int xdoor_init(struct xdoor *d);
void xdoor_fini(struct xdoor *d);
void xdoor_ring(struct xdoor *d);
/* The owner says it is about to sleep; it must then look at its rings once more before it waits on fd. needs_home: it cannot go on without
 * what comes home, and shall be woken for that, too. */
void xdoor_sleep(struct xdoor *d, bool needs_home);
void xdoor_wake(struct xdoor *d);

struct rte_ring;
struct xring {
    struct rte_ring *ring;
    struct xdoor *door; /* of the consumer */
    char name[24];
    /* the producer's */
    uint64_t pushed;
    uint64_t full;    /* times that a message was not taken: its producer kept it */
    uint64_t dropped; /* messages that the producer did without, because there was no room for them */
    uint32_t peak;
    /* the consumer's, on a cache line of their own */
    uint64_t popped __attribute__((aligned(64)));
    uint64_t batches; /* runs of messages until the ring was empty */
    uint64_t run, batch_peak;
};

/* name: of the metrics, unique in the process. depth: a power of two. 0 or -1 (no memory). */
int xring_init(struct xring *r, const char *name, unsigned depth, struct xdoor *consumer);
void xring_fini(struct xring *r);
/* Single producer. False: full, the message stays the caller's. */
bool xring_push_sp(struct xring *r, const struct xmsg *m);
/* The same of what its owner can wait for: buffers and stock on their way home. A sleeper is not woken for it, unless it needs it or a quarter
 * of the ring is full; it sleeps a second at most. */
bool xring_push_home_sp(struct xring *r, const struct xmsg *m);
/* Single consumer. */
bool xring_pop_sc(struct xring *r, struct xmsg *m);
bool xring_is_empty(const struct xring *r);
unsigned xring_count(const struct xring *r);
unsigned xring_capacity(const struct xring *r);
unsigned xring_room(const struct xring *r);

/* A producer's end with a few messages kept back while the ring is full, so that rare messages (dials, closes, answers)
 * are never lost. A role takes new input only while nothing is kept back. */
#define XOUT_HELD 128 /* more than the dials and snapshots that can be under way */
struct xout {
    struct xring *ring;
    struct xmsg held[XOUT_HELD];
    unsigned nheld;
    uint64_t bell_at_ns; /* when the consumer is told of what was sent quietly; 0: it knows */
};
/* False: the ring is full and so is the store (a role that follows the rule above never sees it). */
bool xout_send(struct xout *o, const struct xmsg *m);
/* The same of what has time: the consumer is woken by what comes after it, or XOUT_QUIET_NS later by xout_bell, or when there are many. So a
 * run of traces costs one wake-up. */
#define XOUT_QUIET_NS   10000000ull
#define XOUT_QUIET_MANY 256
bool xout_send_quiet(struct xout *o, const struct xmsg *m, uint64_t now);
/* The same of what shall be told by the next xout_bell: after what goes out to peers first, for who is woken may take our CPU. */
bool xout_send_soon(struct xout *o, const struct xmsg *m, uint64_t now);
void xout_bell(struct xout *o, uint64_t now);
/* Sends what is kept back. True when nothing is left. */
bool xout_flush(struct xout *o);

/* Buffers on their way home, kept in a list (buf->next) until the ring takes them. */
struct xhomes {
    struct buf *head, *tail;
};
void xhomes_add(struct xhomes *h, struct buf *b);
/* Sends as many as the ring takes. True when none are left. */
bool xhomes_flush_sp(struct xhomes *h, struct xring *r, enum xmsg_type type);

#endif
