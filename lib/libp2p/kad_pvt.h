/* kad_pvt.h: what kad.c and kad_serve.c share (inside lib/libp2p only)
 * Owner:   one kad core
 */
#ifndef LIBP2P_KAD_PVT_H
#define LIBP2P_KAD_PVT_H

#include "base/buf.h"
#include "libp2p/kad.h"
#include "libp2p/kad_query.h"
#include "libp2p/kad_store.h"
#include "libp2p/kad_table.h"

#define KAD_ASKS (KAD_QUERIES * KAD_ALPHA)

struct kad_run {
    bool is_on;
    uint8_t key_len;
    uint8_t key[KAD_KEY_MAX - 1];
    uint64_t serial; /* tells it from the run that had this place before */
    struct kad_query query;
};

struct kad_ask {
    uint64_t token; /* 0: free */
    unsigned run;
    uint64_t serial; /* of the run */
    struct peer_id peer;
    uint64_t deadline_ns;
};

struct kad {
    struct kad_config cfg;
    struct kad_table table;
    struct kad_store store;
    struct kad_run runs[KAD_QUERIES];
    struct kad_ask asks[KAD_ASKS];
    uint64_t now_ns, next_token, next_serial, next_walk_ns, walk_ns;
    bool found_new; /* by the lookups under way: somebody who answered and was not in the table */
    struct buf *heard; /* the last message; heard_peers point into it */
    unsigned nheard, heard_at;
    struct kad_peer heard_peers[KAD_PEERS_MAX];
    uint8_t request[KAD_KEY_MAX + 16];
    struct kad_counters counters;
};

/* Decodes a copy that outputs may point into. False: malformed, or no memory. */
bool kad_keep_message(struct kad *k, struct slice in, struct kad_msg *m);
/* Peers of the kept message become KAD_FOUND outputs. */
void kad_hear(struct kad *k, const struct kad_peer *peers, unsigned count);

#endif
