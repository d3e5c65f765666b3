/* observed.h: our addresses as peers see them, and which of these we believe
 * Shape:   who said which address, connections that ended, now -> a set of confirmed addresses
 * Source:  libp2p identify's observedAddr, go's rule of several observers in different groups; sans-IO
 * Owner:   the coding role
 * Limits:  OBSERVED_MAX observers, OBSERVED_GROUP_MAX of one group (IPv4 /24, IPv6 /48); each has one word. An address counts
 *          once for each group: whoever wants us to announce a false one needs addresses in OBSERVED_CONFIRM groups
 * Note:    a peer that dialed us says which address and port of ours it dialed. One that we dialed saw a port that the kernel or
 *          a NAT chose for this connection, so only the IP is taken, with the port that we listen on
 */
#ifndef NODE_OBSERVED_H
#define NODE_OBSERVED_H

#include "libp2p/multiaddr.h"

#define OBSERVED_MAX       256
#define OBSERVED_GROUP_MAX 4
#define OBSERVED_CONFIRM   4 /* groups that must agree; go wants as many observers */
#define OBSERVED_KEEP      2 /* an address that was believed stays while so many do */
#define OBSERVED_ADDRS     2 /* believed at a time */
#define OBSERVED_TTL_NS    2400000000000ull /* a word holds while the connection does, and 40 minutes longer */

struct observed_addr {
    uint8_t ip_len; /* 4 or 16 */
    uint16_t port;
    uint8_t ip[16];
};

struct observed_word {
    struct peer_id who;
    struct observed_addr group, addr; /* group: of the observer, its first 24 or 48 bits alone */
    uint64_t until_ns;                /* UINT64_MAX: connected */
};

struct observed {
    uint16_t listen_port;
    bool is_changed; /* there are words that observed_update has not weighed */
    unsigned count, nbelieved;
    struct observed_word words[OBSERVED_MAX];
    struct observed_addr believed[OBSERVED_ADDRS];
    uint64_t refused; /* words for which there was no place, or of addresses that nobody can dial */
};

void observed_init(struct observed *o, uint16_t listen_port);
/* A peer at `theirs`, which we dialed or which dialed us, says that it sees us at `addr` (may end in /p2p/<us>). */
void observed_said(struct observed *o, const struct peer_id *who, const struct multiaddr *theirs, bool is_dialer,
                   const struct multiaddr *addr, uint64_t now);
/* The last connection with that peer is gone. */
void observed_gone(struct observed *o, const struct peer_id *who, uint64_t now);
/* Weighs what was said. True: the believed addresses are others now. */
bool observed_update(struct observed *o, uint64_t now);
/* The i-th believed one. */
void observed_format(const struct observed *o, unsigned i, struct multiaddr *out);

#endif
