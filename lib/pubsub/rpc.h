/* rpc.h: gossipsub's RPC frame: read in place, item by item, and written
 * Shape:   frame -> check (whole, changes nothing) -> items in wire order; items -> bytes
 * Source:  libp2p pubsub spec, gossipsub v1.0-v1.2 (pubsub_wire.h)
 * Memory:  items point into the frame
 * Errors:  -RPC_E...; after a good check the readers cannot fail
 * Limits:  RPC_ITEMS_MAX and RPC_IDS_MAX per frame, so a frame costs at most its length
 */
#ifndef PUBSUB_RPC_H
#define PUBSUB_RPC_H

#include "base/pb.h"
#include "pubsub/pubsub_wire.h"

enum rpc_err { RPC_EFORMAT = 1, RPC_ELIMIT };
const char *pubsub_rpc_err_name(int err);

enum rpc_item_type {
    RPC_SUBSCRIBE,   /* topic */
    RPC_UNSUBSCRIBE, /* topic */
    RPC_MESSAGE,     /* body; whole = the same with its tag and length, as it may be sent on */
    RPC_IHAVE,       /* topic, ids */
    RPC_IWANT,       /* ids */
    RPC_GRAFT,       /* topic */
    RPC_PRUNE,       /* topic, backoff_s (0: none given), body for rpc_px_next */
    RPC_IDONTWANT,   /* ids */
    RPC_EXTENSIONS,  /* body: the Extensions control message */
    RPC_EXTENSION    /* number, body: a field of the RPC */
};

struct rpc_ids { /* the message ids of one IHAVE, IWANT or IDONTWANT */
    struct rd rd;
    uint32_t field;
};

struct rpc_item {
    enum rpc_item_type type;
    struct slice topic, body, whole;
    struct rpc_ids ids;
    uint64_t backoff_s;
    uint32_t number;
};

struct rpc_px {
    struct slice peer_id, record; /* record may be empty */
};

struct rpc_reader {
    struct rd rpc, control;
};

/* Reads the frame through, down to ids and PX entries (Message and extension bodies excepted). 0, -RPC_EFORMAT
 * (malformed protobuf; a field of a known number and another wire type is skipped like an unknown one), -RPC_ELIMIT. */
int rpc_check(struct slice frame);

struct rpc_reader rpc_reader_of(struct slice frame);
/* The next item; false at the end (or, without a check before, at the first malformed field). */
bool rpc_next(struct rpc_reader *r, struct rpc_item *it);
bool rpc_ids_next(struct rpc_ids *ids, struct slice *id);
/* Peers of a PRUNE: start with rd_of(item.body). */
bool rpc_px_next(struct rd *prune, struct rpc_px *px);

/* Writers: each appends one whole field of the RPC, or of a ControlMessage (rpc_put_control_* ). */
void rpc_put_subscription(struct wr *w, struct slice topic, bool is_subscribe);
void rpc_put_graft(struct wr *control, struct slice topic);
/* One entry of a PRUNE's peers. record may be empty. */
void rpc_put_px(struct wr *peers, const struct rpc_px *px);
/* A whole control field that holds the Extensions message alone. */
void rpc_put_extensions(struct wr *w, bool has_test);
/* The RPC field need (docs/PROTOCOL.md 3). Read: its topic, as it came; false: malformed. */
void rpc_put_need(struct wr *w, struct slice topic);
bool rpc_need_read(struct slice body, struct slice *topic);
/* Does an Extensions body name the test extension? */
bool rpc_extensions_has_test(struct slice body);
/* peers: entries of rpc_put_px, or empty. backoff_s 0: left out, as v1.0 peers expect. */
void rpc_put_prune_px(struct wr *control, struct slice topic, struct slice peers, uint64_t backoff_s);
static inline void rpc_put_prune(struct wr *control, struct slice topic, uint64_t backoff_s)
{
    rpc_put_prune_px(control, topic, (struct slice){0}, backoff_s);
}

#endif
