/* auth_issuer.h: asking the issuer for its keys, now and again, on a thread of its own
 * Shape:   an address -> the latest key set
 * Owner:   any thread may ask for the keys; nothing here waits for the network but our thread
 * Rules:   asked at the start, every refresh_s, soon again after a failure (1 s, doubling to 30 s), and when a token names an
 *          unknown key: that at most every AUTH_ASK_GAP_S, for anyone can make up names. A good set is kept until a better
 *          one comes, however long the issuer is away; a key that the issuer no longer lists is gone with the next set
 * Limits:  https alone, verified; no redirects; AUTH_JWKS_MAX bytes; 10 s
 * Errors:  auth_issuer_new: NULL, no memory or no thread
 */
#ifndef AUTH_AUTH_ISSUER_H
#define AUTH_AUTH_ISSUER_H

#include "auth/auth_keys.h"

#define AUTH_ASK_GAP_S 30

struct auth_issuer;

struct auth_issuer_config {
    const char *url;     /* of the JWKS */
    const char *ca_file; /* PEM; NULL or "": the system's */
    uint32_t refresh_s;  /* 0: 600 */
};

struct auth_issuer_stats {
    uint64_t fetched, failed;
    unsigned keys;
    int64_t age_s; /* of the key set; -1: there is none */
    uint64_t generation; /* grows with every set */
};

/* cfg is copied. */
struct auth_issuer *auth_issuer_new(const struct auth_issuer_config *cfg);
void auth_issuer_free(struct auth_issuer *i); /* at once, also in the middle of an answer; NULL is allowed */
/* A reference for the caller; NULL: none yet. generation: may be NULL. */
struct auth_keys *auth_issuer_keys(struct auth_issuer *i, uint64_t *generation);
/* A key is unknown: true when the issuer is being asked now, false when it was asked lately. */
bool auth_issuer_ask(struct auth_issuer *i);
void auth_issuer_stats(struct auth_issuer *i, struct auth_issuer_stats *out);

#endif
