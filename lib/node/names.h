/* names.h: bootstrap peers that are named, not numbered (dns, dns4, dns6, dnsaddr): when to resolve which
 * Shape:   bootstrap list, answers, who is connected, now -> what to resolve. Sans-IO; resolver.c does it
 * Owner:   coding role 0
 * Limits:  NAMES_MAX names, one question under way each; back-off doubled after each, so that a name server that is down, or
 *          a name that never helps, is asked seldom
 */
#ifndef NODE_NAMES_H
#define NODE_NAMES_H

#include "base/rng.h"
#include "libp2p/multiaddr.h"

#define NAMES_MAX       64
#define NAMES_FIRST_NS  1000000000ull
#define NAMES_MAX_NS    60000000000ull
#define NAMES_ASKED_NS  30000000000ull /* a question of whose end nobody told */
#define NAMES_ADDRS_MAX 16             /* addresses of one answer */

struct name {
    struct multiaddr addr;
    struct peer_id peer; /* len 0: a dnsaddr of several */
    bool is_asking, is_told; /* is_told: its failure was logged, and has not changed since */
    unsigned asked;          /* since it last helped */
    uint64_t next_ns;
};

struct names {
    struct name n[NAMES_MAX];
    unsigned count;
    struct rng *rng;
};

/* What can be dialed as it is, and names of ourselves, are skipped. */
void names_init(struct names *s, const struct multiaddr *addrs, unsigned count, const struct peer_id *self, struct rng *rng, uint64_t now);
/* A name that is due and whose peer is_connected (user, peer) denies; -1 none. For several peers peer is NULL. */
int names_take(struct names *s, bool (*is_connected)(void *user, const struct peer_id *peer), void *user, uint64_t now);
/* Its answer has come, good or not. */
void names_done(struct names *s, unsigned i, uint64_t now);
uint64_t names_next_deadline(const struct names *s);

#endif
