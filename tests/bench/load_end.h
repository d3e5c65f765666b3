/* load_end.h: one light peer of a node under load: a net of its own on kernel sockets, one connection (for benches)
 * Shape:   dial -> ready, RPC frames in and out. With a pub/sub core (coded) it is a whole peer; without one the caller speaks
 *          gossipsub itself, so that the load costs less than what it loads
 * Owner:   the program's one thread
 */
#ifndef BENCH_LOAD_END_H
#define BENCH_LOAD_END_H

#include "base/bufpool.h"
#include "bench/clock.h"
#include "net/net.h"
#include "pubsub/pubsub.h"

#define LOAD_TOPIC "bench"

struct load_end {
    struct key_pair key;
    struct peer_id self, peer; /* peer: who it is connected to. A relay goes by its peers' word of whom they sent what */
    struct noise_identity noise;
    struct session_local local;
    const char *protocols[3];
    struct bufpool frames;
    struct net *net;
    struct pubsub *ps; /* NULL: none */
    net_conn_id conn;
    bool is_ready;
    uint64_t messages, bytes, last_ns; /* that came, and when the last one did */
};

_Noreturn void load_die(const char *what);

/* cfg: of its core; NULL: none. Binds and dials from ip. */
void load_end_open(struct load_end *e, uint8_t seed, const char *ip, const struct pubsub_config *cfg, struct rng *rng);
void load_end_close(struct load_end *e);
void load_end_dial(struct load_end *e, const char *addr);
/* One turn; the amount of work. */
unsigned load_end_turn(struct load_end *e, uint64_t now);
/* Takes the reference when it is sent; false: not now. */
bool load_end_send(struct load_end *e, struct buf *frame, uint64_t now);
/* Without a core: subscribes to LOAD_TOPIC and grafts. */
void load_end_join(struct load_end *e, uint64_t now);
/* Sleeps until something comes to one of them, at most for ns. */
void load_end_wait(struct load_end *const *ends, unsigned count, uint64_t ns);

#endif
