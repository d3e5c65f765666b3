/* auth_cache.c: tokens that were verified lately */
#include "auth/auth_cache.h"

#include <stdlib.h>

#include "auth/auth_err.h"

int auth_cache_init(struct auth_cache *c)
{
    c->slots = calloc(AUTH_CACHE_SLOTS, sizeof(*c->slots));
    return c->slots ? 0 : -AUTH_E_NOMEM;
}

void auth_cache_fini(struct auth_cache *c)
{
    free(c->slots);
    c->slots = NULL;
}

static struct auth_cache_slot *slot_of(const struct auth_cache *c, const uint8_t hash[32])
{
    return &c->slots[(hash[0] | (unsigned)hash[1] << 8) % AUTH_CACHE_SLOTS];
}

bool auth_cache_get(const struct auth_cache *c, const uint8_t hash[32], uint64_t generation, struct auth_grant *out,
                    int64_t now_s)
{
    const struct auth_cache_slot *s = slot_of(c, hash);

    if (!generation || s->generation != generation || now_s >= s->grant.expires_s || memcmp(s->hash, hash, 32) != 0)
        return false;
    *out = s->grant;
    return true;
}

void auth_cache_put(struct auth_cache *c, const uint8_t hash[32], uint64_t generation, const struct auth_grant *g)
{
    struct auth_cache_slot *s = slot_of(c, hash);

    memcpy(s->hash, hash, 32);
    s->generation = generation;
    s->grant = *g;
}
