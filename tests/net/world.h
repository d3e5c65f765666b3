/* world.h: several net roles in one process, for the tests: over kernel sockets on 127.0.0.x, or over our TCP on a cable in
 * memory with a clock of its own
 * Shape:   world_init; world_step until something holds; each node logs its events and hashes what it receives
 */
#ifndef TESTS_NET_WORLD_H
#define TESTS_NET_WORLD_H

#include "crypto/sha256.h"
#include "drivers/mempair.h"
#include "net/net.h"

#define WORLD_NODES 8
#define WORLD_CONNS 16

struct wconn {
    net_conn_id id;
    struct peer_id peer;
    bool is_dialer, is_up, is_identified, is_ready, has_no_pubsub, is_down, is_closed_stream;
    unsigned opened_by_peer;
    unsigned protocol;
    const char *reason, *request_reason;
    unsigned requests, answers, requests_failed;
    uint64_t request, token; /* of the last REQUEST; of the last ANSWER or REQUEST_FAILED */
    char message[64];        /* the last, cut */
    uint32_t message_len;
    struct net_identity *identity;
    uint64_t frames, bytes, writables;
    uint64_t hash; /* over the frames in order */
};

struct wnode {
    struct world *world;
    struct net *net;
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    struct peer_id id;
    struct rng rng;
    struct multiaddr addr;
    struct wconn conns[WORLD_CONNS];
    unsigned nconns;
    unsigned dials_failed;
    const char *dial_reason;
    uint64_t dial_token;
    unsigned lives;
    bool is_paused;  /* not polled at all */
    bool is_stuffed; /* polled, but its events are not taken */
};

struct world {
    bool is_mem;
    struct mempair *cable;
    uint64_t now, offset;
    unsigned count;
    struct wnode nodes[WORLD_NODES];
};

/* What a test may change of a node before it is made. */
typedef void (*world_tweak)(unsigned i, struct net_config *cfg);

void world_init(struct world *w, bool is_mem, unsigned count, const struct mempair_config *cable, world_tweak tweak);
void world_fini(struct world *w);
/* Node i dies without a word and lives again: the same identity, address and cable (one that loses nothing), other random
 * numbers. */
void world_relive(struct world *w, unsigned i, world_tweak tweak);
/* Every node one turn; time goes on. */
void world_step(struct world *w);
/* Runs until cond(arg) or `ms` of the world's time; returns whether it came true. */
bool world_run(struct world *w, bool (*cond)(struct world *w, void *arg), void *arg, unsigned ms);
/* Turns until cond holds; the test fails when it does not within five seconds of the world's time. */
#define WORLD_WAIT(w, cond)                                              \
    do {                                                                 \
        uint64_t wait_until = (w)->now + 5000000000ull;                  \
        while (!(cond)) {                                                \
            if ((w)->now > wait_until)                                   \
                fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #cond); \
            world_step(w);                                               \
        }                                                                \
    } while (0)
/* Dials and waits until both sides have identified each other; conn numbers in *a_conn, *b_conn (may be NULL). */
void world_connect(struct world *w, unsigned a, unsigned b, unsigned *a_conn, unsigned *b_conn);
/* Opens the pub/sub stream of node a's connection and waits for it. */
void world_open_stream(struct world *w, unsigned a, unsigned conn);
/* The connection of node a with node b; fails the test when there is none. */
struct wconn *world_conn(struct world *w, unsigned a, unsigned b);

/* Frame number i of a length, as every test makes them; one reference. */
struct buf *world_frame(uint64_t i, uint32_t len);
/* The hash that a receiver of these frames, in order, comes to. Start with 0. */
uint64_t world_hash(uint64_t h, const struct buf *b);
/* Sends frame i; the error of net_send. */
int world_send(struct world *w, unsigned node, struct wconn *c, uint64_t i, uint32_t len);

#endif
