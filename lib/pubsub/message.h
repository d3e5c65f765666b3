/* message.h: one gossipsub Message: parsed, checked, signed, and held by reference
 * Shape:   body bytes -> fields -> verdict; our payload -> signed message as pieces around the untouched payload
 * Source:  libp2p pubsub spec, sections The Message and Message Signing (StrictSign, StrictNoSign)
 * Memory:  fields point into the body. A struct message holds references of the buffers its pieces lie in: a canonical
 *          message is sent on from the very bytes it came in, any other is encoded anew
 * Errors:  -MESSAGE_E..., the rule that was broken
 * Limits:  ids up to MESSAGE_ID_MAX bytes
 */
#ifndef PUBSUB_MESSAGE_H
#define PUBSUB_MESSAGE_H

#include "base/list.h"
#include "pubsub/pubsub.h"
#include "pubsub/pubsub_wire.h"
#include "pubsub/seen.h"

enum message_err {
    MESSAGE_EFORMAT = 1, /* not a protobuf */
    MESSAGE_EFROM,       /* no author, or not a peer id */
    MESSAGE_ESEQNO,      /* not 8 bytes */
    MESSAGE_ETOPIC,      /* none, or too long */
    MESSAGE_EKEY,        /* the key is not the author's, or none can be had */
    MESSAGE_ESIGNATURE,  /* missing or wrong */
    MESSAGE_EUNEXPECTED, /* author, seqno, signature or key where StrictNoSign wants none */
    MESSAGE_EID,         /* it can have no id */
    MESSAGE_EMEM
};
const char *message_err_name(int err);

struct message_fields {
    struct slice from, data, seqno, topic, signature, key;
    uint8_t has;        /* bit per field number: an empty field is not an absent one, and is signed */
    bool is_canonical;  /* in order, minimal, nothing unknown: may be sent on as it is */
};

/* Reads a Message; of a repeated field the last counts. -MESSAGE_EFORMAT. */
int message_parse(struct message_fields *m, struct slice body);
/* All but the signature itself: cheap. *from gets the author (len 0 under StrictNoSign). */
int message_check(const struct message_fields *m, enum pubsub_signing signing, struct peer_id *from);
/* The signature, under StrictSign. Call after message_check. scratch: memory that grows as needed. */
struct message_scratch {
    uint8_t *p;
    size_t cap;
    uint32_t elide_bytes; /* pubsub_config's: payload bytes past these are not there to be signed; 0: all are */
};
void message_scratch_fini(struct message_scratch *s);
int message_verify(const struct message_fields *m, const struct peer_id *from, struct message_scratch *scratch);

/* from || seqno; returns the length, 0 when it would not fit. */
size_t message_id(uint8_t out[MESSAGE_ID_MAX], struct slice from, uint64_t seqno);
/* How ids are made. */
struct message_ids {
    enum pubsub_id_rule rule;
    size_t (*custom)(void *ctx, const struct pubsub_id_input *in, uint8_t out[PUBSUB_ID_MAX]);
    void *ctx;
};
/* The id of a message that message_check accepted; its length, 0 when it can have none. */
size_t message_fields_id(uint8_t out[MESSAGE_ID_MAX], const struct message_fields *m, const struct message_ids *ids);

struct topic;

/* One asked for by IWANT: how often a peer got it, so that nobody can have it resent without end. */
struct message_served {
    pubsub_peer peer;
    uint16_t count;
    bool has_brought; /* it sent us a copy that counted in P3 */
};

struct message {
    uint32_t refs;
    struct message_pool *pool;
    struct message *next_free;
    struct buf view;      /* the payload as a buffer; holds one reference of the message while it is out */
    struct topic *topic;  /* valid while mcache holds the message */
    struct list by_topic; /* among the topic's kept messages, oldest first */
    struct peer_id from;
    uint64_t seqno;
    struct msgkey key;    /* of its id */
    uint8_t id[MESSAGE_ID_MAX];
    uint8_t id_len;
    bool is_ours;
    pubsub_peer source;   /* who sent it to us; 0: ourselves */
    struct pubsub_piece pieces[3]; /* the RPC's whole publish field */
    uint8_t npieces;
    struct pubsub_piece payload;   /* inside one of them */
    uint32_t bytes;                /* of all pieces */
    uint32_t sent;                 /* peers it was queued for */
    uint32_t awaited;              /* peers for which it is put off (later.h) */
    /* mcache's */
    struct list by_age;
    struct message *next_hash;
    uint64_t at_ns, held_bytes;
    uint32_t tick;
    struct message_served *served;
    uint16_t nserved;
};

/* Where message structs come from and go back to, so that a running node does not reach malloc for them. It outlives
 * message_pool_close until the last of its messages is gone (payloads may still be with clients). */
struct message_pool;
struct message_pool *message_pool_new(struct buf *(*alloc)(void *ctx, uint32_t cap), void *ctx);
void message_pool_close(struct message_pool *p);
/* How the ids of our own messages are made; the specification's until it is called. */
void message_pool_ids(struct message_pool *p, const struct message_ids *ids);

/* A message of ours, payload by reference (a reference is taken): signed, or for StrictNoSign just the payload and its
 * topic. NULL: no memory. */
struct message *message_new_signed(struct message_pool *pool, const struct key_pair *key, const struct peer_id *self,
                                   uint64_t seqno, struct slice topic, struct buf *payload,
                                   struct message_scratch *scratch);
struct message *message_new_unsigned(struct message_pool *pool, struct slice topic, struct buf *payload);
/* A received one. whole: the publish field inside frame, tag included. By reference when it is canonical and fills a
 * good part of the frame's block, else copied, so that a small message never holds a large block. NULL: no memory. */
struct message *message_new_received(struct message_pool *pool, const struct message_fields *m,
                                     const struct peer_id *from, struct slice id, struct slice whole,
                                     struct buf *frame);
struct message *message_ref(struct message *m);
void message_unref(struct message *m);

/* The payload as a buffer of its own, which refers to the message's bytes. The reference is the caller's. */
struct buf *message_payload(struct message *m);

/* Seqnos: unix ns at start, then increasing, so that no restart repeats one. */
struct seqno {
    uint64_t last, base_unix_ns, base_now;
};
void seqno_init(struct seqno *s, uint64_t unix_ns, uint64_t now);
uint64_t seqno_next(struct seqno *s, uint64_t now);

#endif
