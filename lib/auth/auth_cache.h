/* auth_cache.h: tokens that were verified lately
 * Why:     a signature costs 25 us, and REST clients send the same token with every request
 * Shape:   SHA-256 of the token, the key set's generation, the time -> its grant; sans-IO
 * Owner:   whoever holds the lock around it
 * Limits:  AUTH_CACHE_SLOTS; two tokens of one slot push each other out
 */
#ifndef AUTH_AUTH_CACHE_H
#define AUTH_AUTH_CACHE_H

#include "auth/auth_grant.h"

#define AUTH_CACHE_SLOTS 1024

struct auth_cache_slot {
    uint8_t hash[32];
    uint64_t generation; /* 0: empty */
    struct auth_grant grant;
};

struct auth_cache {
    struct auth_cache_slot *slots;
};

int auth_cache_init(struct auth_cache *c); /* 0 or -AUTH_E_NOMEM */
void auth_cache_fini(struct auth_cache *c);
bool auth_cache_get(const struct auth_cache *c, const uint8_t hash[32], uint64_t generation, struct auth_grant *out,
                    int64_t now_s);
void auth_cache_put(struct auth_cache *c, const uint8_t hash[32], uint64_t generation, const struct auth_grant *g);

#endif
