/* raw.h: a peer played by the test: writes RPCs by hand, notes what the core sends it */
#ifndef TESTS_PUBSUB_RAW_H
#define TESTS_PUBSUB_RAW_H

#include "pubsub/message.h"
#include "pubsub/netsim.h"
#include "pubsub/rpc.h"

#define RAW_NOTES_MAX 4096

struct raw_note {
    enum rpc_item_type type;
    uint64_t at_ns, backoff_s;
    char topic[64];
    uint32_t number, nids, len, rpc; /* rpc: which frame it came in; nids: of a PRUNE, the peers that it names */
    uint32_t nrecords;
    uint64_t hash; /* of a message's payload */
    uint8_t id[MESSAGE_ID_MAX]; /* the first id; of a message, its id */
    uint8_t id_len;
};

struct raw {
    struct netsim *s;
    unsigned node;
    struct raw_note *notes;
    unsigned count, rpcs;
};

/* A raw node that is connected to node `to`, as the side that was dialed unless is_dialer. */
struct raw *raw_new(struct netsim *s, unsigned to, enum pubsub_proto proto, bool is_dialer);
void raw_free(struct raw *r);
/* Notes of this type since the start (or the last raw_forget). */
unsigned raw_count(const struct raw *r, enum rpc_item_type type);
const struct raw_note *raw_last(const struct raw *r, enum rpc_item_type type);
void raw_forget(struct raw *r);

/* Each sends one RPC to node `to` and runs the network for 10 ms. */
void raw_subscribe(struct raw *r, unsigned to, const char *topic, bool is_subscribe);
void raw_graft(struct raw *r, unsigned to, const char *topic);
/* The coded RPC field need. */
void raw_need(struct raw *r, unsigned to, const char *topic);
void raw_prune(struct raw *r, unsigned to, const char *topic, uint64_t backoff_s);
/* With peers of other raw nodes or cores: their ids, and envelopes where there are (may be NULL). */
void raw_prune_px(struct raw *r, unsigned to, const char *topic, const struct rpc_px *px, unsigned n);
void raw_ids(struct raw *r, unsigned to, enum control_field field, const char *topic, const struct slice *ids, unsigned n);
void raw_send(struct raw *r, unsigned to, struct slice frame);
/* A signed message of this raw node; damage: flips a bit of its signature. */
void raw_message(struct raw *r, unsigned to, const char *topic, uint64_t seqno, struct slice payload, bool is_damaged);
/* The publish field of such a message, signed by `key`, into a heap buffer. */
struct buf *raw_field(const struct key_pair *key, const char *topic, uint64_t seqno, struct slice payload,
                      bool is_damaged);
/* A random-looking id made of a number. */
struct slice raw_id(uint8_t space[46], uint64_t n);

#endif
