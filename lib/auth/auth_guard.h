/* auth_guard.h: who may come in, and how much of it
 * Shape:   a token -> what its client may do; a client and bytes -> may publish now, or when
 * Owner:   any thread; a lock inside, held for no longer than a look-up
 * Errors:  0 or -AUTH_E_...; every refusal is counted by its reason
 */
#ifndef AUTH_AUTH_GUARD_H
#define AUTH_AUTH_GUARD_H

#include "auth/auth_grant.h"
#include "auth/auth_issuer.h"

struct auth_guard;

struct auth_guard_config {
    const char *domain; /* HOST[:PORT][/PATH], with or without https:// and a last "/"; NULL or "": no tokens, limits alone */
    const char *audience, *ca_file;
    uint32_t refresh_s;
    uint32_t max_clients;
    struct auth_quota defaults; /* for claims that are absent */
};

struct auth_guard_stats {
    uint64_t accepted, from_cache, refused[AUTH_E_COUNT]; /* refused: by enum auth_err, tokens and publishes alike */
    uint64_t clients, forgotten;                          /* clients: gauge */
    struct auth_issuer_stats issuer;                      /* zeroes without tokens */
};

/* Is this a domain to ask for keys? */
bool auth_domain_is_valid(const char *domain);
/* NULL: no memory, or no thread. */
struct auth_guard *auth_guard_new(const struct auth_guard_config *cfg, const uint8_t seed[16]);
void auth_guard_free(struct auth_guard *g); /* NULL is allowed */
bool auth_guard_has_tokens(const struct auth_guard *g);
/* now_s: since 1970. */
int auth_guard_admit(struct auth_guard *g, struct slice token, struct auth_grant *out, int64_t now_s);
/* Counts a refusal that somebody else decided on: no token at all, one that ran out. Returns err. */
int auth_guard_refuse(struct auth_guard *g, int err);
/* May this client publish so many bytes? Then it has. *retry_s: when to ask again, for _SECOND, _HOUR, _DAY; at least 1. now: monotonic. */
int auth_guard_publish(struct auth_guard *g, struct slice client, const struct auth_quota *q, uint64_t bytes,
                       uint32_t *retry_s, uint64_t now);
void auth_guard_stats(struct auth_guard *g, struct auth_guard_stats *out);

#endif
