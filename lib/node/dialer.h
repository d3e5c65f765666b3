/* dialer.h: whom to dial, where, and when
 * Shape:   events (wanted, up, down, failed), now -> dials to make; one deadline. Sans-IO
 * Source:  the bootstrap list is always wanted; peers that PX or a DHT lookup named are, for a while; and while fewer than
 *          `low` peers are connected, anyone we know of
 * Owner:   coding role 0
 * Units:   ns monotonic
 * Limits:  DIALER_DIALS under way, one a peer, DIALER_KEPT of them for peers that the operator named alone and as many for
 *          the others alone: neither can hold up the other. DIALER_WANTED wishes. Back-off for each address and each peer: doubled, with
 *          a quarter of jitter so that nodes started together do not dial in step
 */
#ifndef NODE_DIALER_H
#define NODE_DIALER_H

#include "node/peerstore.h"

#define DIALER_DIALS      16
#define DIALER_KEPT       4
#define DIALER_WANTED     64
#define DIALER_FIRST_NS   250000000ull    /* back-off after the first failure, doubled each time */
#define DIALER_MAX_NS     5000000000ull   /* of a bootstrap peer, no longer: a node that returns is found within it */
#define DIALER_OTHERS_NS  300000000000ull /* of any other, and of a bootstrap peer while enough others are connected: */
#define DIALER_ENOUGH_NS  60000000000ull  /* this */
#define DIALER_TIMEOUT_NS 15000000000ull  /* a dial of whose end nobody told */
#define DIALER_WANT_NS    30000000000ull  /* a wish is forgotten */
#define DIALER_FORGIVE_NS 600000000000ull /* for so long one whose score was bad at the last sight is not dialed for need */
#define DIALER_TRUST      3               /* failures in a row of one that was seen before that count as none */
#define DIALER_SOON_NS    10000000000ull  /* a connection that ends sooner counts as a failure of the peer */

struct dialer_dial {
    uint64_t token; /* 0: free */
    struct peer_id peer;
    bool is_kept; /* of a peer that the operator named */
    uint8_t ip[16], ip_len;
    uint16_t port;
    uint64_t until_ns;
};

struct dialer_wish {
    struct peer_id peer;
    uint64_t until_ns; /* 0: free */
};

struct dialer {
    struct peerstore *store;
    struct rng *rng;
    unsigned low;       /* peers wanted in any case */
    unsigned connected; /* peers, whoever dialed */
    uint64_t next_token;
    bool has_changed;
    uint64_t due_ns, version; /* nobody is due before, as far as that version of the store and without a change here */
    struct dialer_dial dials[DIALER_DIALS];
    struct dialer_wish wishes[DIALER_WANTED];
    uint64_t dialed, failed;
};

struct dialer_order {
    struct multiaddr addr;
    struct peer_id peer;
    uint64_t token;
};

void dialer_init(struct dialer *d, struct peerstore *store, unsigned low, struct rng *rng);
/* A bootstrap peer at ip4|ip6/tcp/p2p: protected and always wanted. Ourselves is skipped: operators give all nodes one
 * list. */
void dialer_bootstrap(struct dialer *d, const struct multiaddr *addr, uint64_t now);
/* Dial it once if it is not connected, as soon as its back-off allows. False: no address is known, or no place. */
bool dialer_want(struct dialer *d, const struct peer_id *peer, uint64_t now);
/* The next dial to make now; false none. It ends in dialer_failed, or in dialer_up of that peer. */
bool dialer_take(struct dialer *d, struct dialer_order *out, uint64_t now);
/* Returns the peer that was dialed; NULL: no such dial. Borrowed until the next call. */
const struct peer_id *dialer_failed(struct dialer *d, uint64_t token, uint64_t now);
/* A connection came up (token: of our dial, 0: theirs) or went down. */
void dialer_up(struct dialer *d, const struct peer_id *peer, uint64_t token, uint64_t now);
void dialer_down(struct dialer *d, const struct peer_id *peer, uint64_t now);
bool dialer_is_dialing(const struct dialer *d, const struct peer_id *peer);
uint64_t dialer_next_deadline(struct dialer *d, uint64_t now);
/* Bootstrap peers without a connection, and with. */
unsigned dialer_waiting(const struct dialer *d);
unsigned dialer_bootstrap_up(const struct dialer *d);

#endif
