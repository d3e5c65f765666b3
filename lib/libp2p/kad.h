/* kad.h: the Kademlia DHT of one node: server, lookups, random walks
 * Shape:   peers that serve, requests, answers, now -> answers, whom to ask, whom it heard of; one deadline. Sans-IO
 * Source:  libp2p specs kad-dht r2
 * Owner:   one coding lcore (the router), or one simulated node
 * Memory:  heap object; input is borrowed until return; an output's slices live until the next call that takes the kad
 * Units:   ns monotonic
 * Errors:  kad_serve: -1, reset the stream. Nothing else can fail
 * Limits:  KAD_QUERIES lookups at a time, KAD_ALPHA questions each; table, store and messages bounded by their headers.
 *          A peer that answers falsely costs a lookup at most KAD_ASKED_MAX questions, and never a place of those that answer
 */
#ifndef LIBP2P_KAD_H
#define LIBP2P_KAD_H

#include "base/rng.h"
#include "libp2p/kad_wire.h"
#include "libp2p/multiaddr.h"

#define KAD_QUERIES  4
#define KAD_WALK_NS  1000000000ull   /* between walks while they still find someone new; doubled when not */
#define KAD_SMALL_NS 60000000000ull  /* and no longer than this while the table holds fewer than KAD_K */

struct kad_config {
    struct peer_id self;
    bool is_server;      /* answers requests; else it only asks */
    uint64_t refresh_ns; /* between walks in the long run. 0: 10 min */
    uint64_t ask_ns;     /* for an answer, dialing included. 0: 10 s */
    struct rng *rng;     /* borrowed */
    /* Addresses known of a peer (of ourselves too), for answers to others; returns how many. */
    unsigned (*addrs)(void *ctx, const struct peer_id *id, struct multiaddr *out, unsigned cap);
    void *addrs_ctx;
};

struct kad;

struct kad *kad_new(const struct kad_config *cfg, uint64_t now);
void kad_free(struct kad *k);

/* A connected peer lists the protocol in identify, or no longer does. */
void kad_peer_serves(struct kad *k, const struct peer_id *id, uint64_t now);
void kad_peer_left(struct kad *k, const struct peer_id *id);
/* A request on a peer's stream: the bytes of the answer in out, 0 when none is due (ADD_PROVIDER), -1: reset. Peers that
 * it names may come out as KAD_FOUND. */
ssize_t kad_serve(struct kad *k, const struct peer_id *from, struct slice request, uint8_t *out, size_t cap, uint64_t now);
/* What became of a KAD_ASK; any other token is ignored. */
void kad_answer(struct kad *k, uint64_t token, struct slice answer, uint64_t now);
void kad_failed(struct kad *k, uint64_t token, uint64_t now);
/* It could not be put, for reasons of our own (memory, a limit): this lookup goes on without it, and nothing is held against the peer. */
void kad_unasked(struct kad *k, uint64_t token, uint64_t now);
/* Looks a key up now. False: KAD_QUERIES are under way, or nobody is known to ask. */
bool kad_lookup(struct kad *k, struct slice key, uint64_t now);

enum kad_output_type {
    KAD_ASK,   /* peer, token, request: send it, dial first if need be; then kad_answer, kad_failed or kad_unasked */
    KAD_FOUND, /* peer, addrs: somebody said so; nothing of it is proven */
};
struct kad_output {
    enum kad_output_type type;
    struct peer_id peer;
    uint64_t token;
    struct slice request;
    unsigned naddrs;
    struct slice addrs[KAD_ADDRS_MAX];
};
bool kad_next_output(struct kad *k, struct kad_output *out);

uint64_t kad_next_deadline(const struct kad *k);
void kad_on_deadline(struct kad *k, uint64_t now);

struct kad_counters {
    uint64_t served, refused; /* requests answered, reset */
    uint64_t asked, answers, failures, unasked, answers_bad;
    uint64_t walks, found; /* lookups finished; peers heard of with addresses */
    unsigned table_now, queries_now;
};
void kad_counters_get(const struct kad *k, struct kad_counters *out);
/* Is it in the routing table? */
bool kad_has(const struct kad *k, const struct peer_id *id);

#endif
