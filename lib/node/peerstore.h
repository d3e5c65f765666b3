/* peerstore.h: peers that we know of, connected or not: where they are, who said so, how the last sight was
 * Shape:   facts (heard of, record, dialed, failed, up, down), now -> whom to dial and where. Sans-IO
 * Source:  libp2p RFC 0003 for signed records: a higher seq replaces what was signed before
 * Owner:   coding role 0
 * Memory:  one heap block a peer; only addresses that can be dialed are kept, as IP and port
 * Units:   ns monotonic
 * Limits:  PEERSTORE_MAX peers, PEERSTORE_ADDRS addresses each; the least trusted that is not connected makes way, and one
 *          that is merely heard of never replaces one that was seen. Hearsay lives PEERSTORE_HEARD_NS
 */
#ifndef NODE_PEERSTORE_H
#define NODE_PEERSTORE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/rng.h"
#include "libp2p/multiaddr.h"

#define PEERSTORE_MAX       2048
#define PEERSTORE_ADDRS     8
#define PEERSTORE_RECORD    2048 /* bytes of a signed record that is kept */
#define PEERSTORE_HEARD_NS  1800000000000ull  /* from the DHT or identify, unsigned */
#define PEERSTORE_SIGNED_NS 7200000000000ull
#define PEERSTORE_SEEN_NS   86400000000000ull /* an address that we connected to */

/* Who said so: the later ones are worth more. */
enum peerstore_source { PEERSTORE_DHT, PEERSTORE_IDENTIFY, PEERSTORE_SIGNED, PEERSTORE_SEEN, PEERSTORE_BOOTSTRAP };

struct stored_addr {
    uint8_t ip[16];
    uint8_t ip_len;
    uint8_t source; /* enum peerstore_source */
    uint16_t port;
    uint16_t failures; /* in a row */
    uint64_t expires_ns, retry_ns;
};

struct stored_peer {
    struct peer_id id;
    bool is_protected; /* a bootstrap peer: never forgotten, never trimmed */
    bool is_direct;    /* an explicit agreement: the same, though nobody waits for it */
    bool is_dialing;
    bool is_redialed;  /* we hung up to dial it anew */
    uint8_t hang_ups;  /* times that we did */
    uint64_t hung_up_ns;
    uint16_t failures; /* of the peer itself: it broke off soon, or none of its addresses answers */
    unsigned conns;    /* open connections, whoever dialed */
    uint64_t retry_ns, seen_ns, up_ns; /* seen_ns: last connected; 0: never */
    uint64_t rtt_ns;   /* at the last sight */
    double score;      /* at the last sight */
    uint64_t record_seq;
    struct buf *record; /* signed envelope; NULL: none */
    unsigned naddrs, place;
    struct stored_addr addrs[PEERSTORE_ADDRS];
};

static inline bool stored_peer_is_kept(const struct stored_peer *p)
{
    return p->is_protected || p->is_direct;
}

struct peerstore {
    struct map by_id;
    struct stored_peer *all[PEERSTORE_MAX];
    unsigned count;
    struct peer_id self;
    bool has_loopback; /* we are on loopback ourselves: else nobody may send us there */
    uint64_t version;  /* raised when an address comes: there may be someone to dial */
    uint64_t refused;  /* newcomers for whom there was no place */
};

void peerstore_init(struct peerstore *s, const struct peer_id *self, bool has_loopback, const uint8_t seed[16]);
void peerstore_fini(struct peerstore *s);

struct stored_peer *peerstore_find(const struct peerstore *s, const struct peer_id *id);
/* Finds or makes; NULL: ourselves, no memory, or everyone in it is worth more. */
struct stored_peer *peerstore_get(struct peerstore *s, const struct peer_id *id, enum peerstore_source source, uint64_t now);
/* addr: ip4 or ip6 with tcp, perhaps with /p2p/ of this peer; anything else is skipped. True: it is kept now. */
bool peerstore_add_addr(struct peerstore *s, const struct peer_id *id, struct slice addr, enum peerstore_source source, uint64_t now);
/* A signed record that somebody passed on: verified, and kept if it is of `id` and newer. 0, or -1: not a record of it. */
int peerstore_add_record(struct peerstore *s, const struct peer_id *id, struct slice envelope, uint64_t now);
/* Addresses for telling others: those that proved right first; not those that fail. Returns how many. */
unsigned peerstore_addrs(const struct peerstore *s, const struct peer_id *id, struct multiaddr *out, unsigned cap, uint64_t now);
/* The address to dial now: due, the fewest failures, the most trusted; NULL none. */
struct stored_addr *peerstore_due_addr(struct stored_peer *p, uint64_t now);
/* When an address of p is due at the earliest; TIMER_NEVER: it has none. */
uint64_t peerstore_due_ns(const struct stored_peer *p, uint64_t now);
/* The address of a's bytes, with /p2p/. */
void peerstore_format_addr(const struct stored_addr *a, const struct peer_id *id, struct multiaddr *out);
/* The same address of p; NULL none. */
struct stored_addr *peerstore_same_addr(struct stored_peer *p, const uint8_t *ip, uint8_t ip_len, uint16_t port);

#endif
