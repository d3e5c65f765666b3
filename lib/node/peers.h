/* peers.h: connections and the peers behind them, as the coding role keeps them
 * Shape:   a peer may have several connections (both sides dialed); one of them carries our pub/sub stream
 * Owner:   coding role 0
 * Limits:  PEERS_MAX peers, PEERS_MAX_CONNS connections, PEERS_CONNS_EACH of one peer; frames that arrive before our own
 *          stream is ready are held: PEERS_HELD and PEERS_HELD_BYTES per peer (one frame may be longer), PEERS_ALL_BYTES
 */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "base/list.h"
#include "base/map.h"
#include "net/net.h"
#include "node/mute.h"
#include "pubsub/pubsub.h"

#define PEERS_MAX        1024
#define PEERS_MAX_CONNS  2048
#define PEERS_CONNS_EACH 16
#define PEERS_OPENS      4 /* times that our stream is opened on one connection */
#define PEERS_HELD       64
#define PEERS_HELD_BYTES (1u << 20)
#define PEERS_ALL_BYTES  (64u << 20)

struct peer {
    pubsub_peer handle; /* index + 1; also its place in peers.slots */
    struct peer_id id;
    struct list conns;
    net_conn_id stream;  /* the connection of our pub/sub stream; 0: none ready */
    net_conn_id opening; /* where one is being opened; 0: none */
    net_conn_id moving;  /* where our stream is being moved to; 0: none */
    bool is_codecast;    /* says its agent */
    bool is_known;       /* pubsub_peer_up was called */
    bool is_warned;      /* of another NODE_MODE */
    unsigned protocol;
    struct mute mute;
    char agent[64];
    uint64_t rtt_ns, queue_bytes, connected_ns;
    uint64_t rpc_in, rpc_out, bytes_in, bytes_out; /* of pub/sub */
    uint64_t used_ns; /* it last asked something or was asked */
    uint64_t identified_ns; /* up to when what it said of itself is paid for */
    struct buf *record; /* its signed peer record, as identify brought it; NULL: none */
    struct buf *held; /* oldest first, linked by buf.next */
    struct buf *held_last;
    unsigned nheld, nconns;
    uint64_t held_bytes;
};

struct peer_conn {
    struct list node; /* in peer.conns */
    struct peer *peer;
    net_conn_id id;
    struct multiaddr addr;
    bool is_dialer, has_no_pubsub;
    unsigned opens; /* of our stream, here */
    uint64_t sent_bytes;              /* of RPCs, into the ring */
    uint64_t reported_bytes, taken_bytes; /* X_QUEUE, as it last came */
    uint64_t since_ns;
};

struct peers {
    struct peer *slots[PEERS_MAX];
    struct map by_id, by_conn;
    unsigned count;
    uint64_t held_bytes; /* of all peers */
};

void peers_init(struct peers *p, const uint8_t seed[16]);
/* Releases held frames and records. */
void peers_fini(struct peers *p);
/* NULL: a limit is reached or there is no memory. */
struct peer_conn *peers_add(struct peers *p, const struct peer_id *id, net_conn_id conn, uint64_t now);
struct peer *peers_find(const struct peers *p, const struct peer_id *id);
struct peer_conn *peers_conn(const struct peers *p, net_conn_id conn);
struct peer *peers_at(const struct peers *p, pubsub_peer handle);
/* Takes the connection away. True when the peer has no other; the peer itself lives until peers_drop. */
bool peers_remove(struct peers *p, struct peer_conn *c);
void peers_drop(struct peers *p, struct peer *peer);
/* Keeps a frame until the peer's stream is ready; its reference passes on true. False: a bound is reached. */
bool peers_hold(struct peers *p, struct peer *peer, struct buf *frame);
/* Takes the oldest held frame; NULL none. */
struct buf *peers_next_held(struct peers *p, struct peer *peer);
/* Drops what is held; returns how many. */
unsigned peers_drop_held(struct peers *p, struct peer *peer);
/* A connection of the peer that may carry the stream; NULL none. */
struct peer_conn *peers_other_conn(const struct peer *peer);

#endif
