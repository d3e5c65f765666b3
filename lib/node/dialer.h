/* dialer.h: whom to dial, and when: the bootstrap list, with back-off
 * Shape:   events (up, down, failed), now -> addresses to dial; one deadline. Sans-IO
 * Owner:   coding role 0
 * Limits:  the list is fixed at init; at most one dial under way per entry
 */
#ifndef NODE_DIALER_H
#define NODE_DIALER_H

#include "base/rng.h"
#include "libp2p/multiaddr.h"

#define DIALER_MAX        64
#define DIALER_FIRST_NS   250000000ull  /* back-off after the first failure, doubled each time */
#define DIALER_MAX_NS     5000000000ull /* and no longer than this: a node that returns is found within it */
#define DIALER_TIMEOUT_NS 8000000000ull /* a dial that nobody answers for is tried again */

struct dialer_entry {
    struct multiaddr addr;
    struct peer_id peer;
    unsigned conns; /* open connections to that peer, whoever dialed */
    bool is_dialing, is_self;
    unsigned failures;
    uint64_t next_ns;
};

struct dialer {
    struct dialer_entry e[DIALER_MAX];
    unsigned count;
    struct rng *rng;
};

/* Entries whose peer is `self` are skipped: operators give all nodes one list. */
void dialer_init(struct dialer *d, const struct multiaddr *addrs, unsigned count, const struct peer_id *self,
                 struct rng *rng, uint64_t now);
/* The next entry to dial now; -1 none. It then counts as being dialed until dialer_failed or dialer_up. */
int dialer_take(struct dialer *d, uint64_t now);
void dialer_failed(struct dialer *d, int entry, uint64_t now);
/* A connection to peer came up or went down. */
void dialer_up(struct dialer *d, const struct peer_id *peer);
void dialer_down(struct dialer *d, const struct peer_id *peer, uint64_t now);
uint64_t dialer_next_deadline(const struct dialer *d);
/* Entries without a connection, ourselves not counted. */
unsigned dialer_waiting(const struct dialer *d);

#endif
