/* syncookie.h: a SYN answered without remembering it
 * Shape:   what a SYN said -> our sequence number and timestamp; what the ACK echoes -> what the SYN said
 * Source:  RFC 4987 3.6. The number is 28 bits of a keyed hash, one bit that names the secret, three of the packet size;
 *          the timestamp's low bits carry window scale, SACK and ECN, the hash covers them too. Half of the hash leaves out
 *          the SYN's number: so data that overtake the ACK are known for what they are, though not where they belong
 * Owner:   the stack
 * Limits:  a secret lives for two periods of 64 s; a guess succeeds once in 2^28, and only while cookies are being given
 */
#ifndef TCP_SYNCOOKIE_H
#define TCP_SYNCOOKIE_H

#include "base/rng.h"
#include "tcp/ip_addr.h"

struct syncookie {
    uint64_t secret[2][2]; /* of even and odd periods */
    uint64_t period;       /* of the newer one; 0: none yet */
    uint64_t last_ns;      /* one was given */
};

/* Of a SYN. */
struct syncookie_facts {
    struct ip_endpoint remote;
    uint16_t local_port;
    uint32_t irs;
    uint16_t mss; /* rounded down to what the cookie can say */
    bool has_ts;  /* without it neither scale nor SACK nor ECN survive */
    bool has_sack, has_wscale, has_ecn;
    uint8_t wscale;
};

/* Our sequence number. Rounds f->mss, and clears what cannot be carried. */
uint32_t syncookie_make(struct syncookie *c, struct syncookie_facts *f, struct rng *rng, uint64_t now);
/* Our timestamp: not above ts, so that later ones are not below it. */
uint32_t syncookie_timestamp(const struct syncookie_facts *f, uint32_t ts);
enum syncookie_verdict {
    SYNCOOKIE_FORGED,
    SYNCOOKIE_EARLY, /* given to this peer, but irs is not its SYN's: this is not what it sent first */
    SYNCOOKIE_OURS,  /* *f is filled in */
};

/* remote, local_port, irs and has_ts are given; cookie and ts_ecr come from the ACK. */
enum syncookie_verdict syncookie_check(struct syncookie *c, struct syncookie_facts *f, uint32_t cookie, uint32_t ts_ecr,
                                       struct rng *rng, uint64_t now);
/* Cookies were given so lately that an ACK may carry one. */
bool syncookie_is_active(const struct syncookie *c, uint64_t now);

#endif
