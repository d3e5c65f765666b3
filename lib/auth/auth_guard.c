/* auth_guard.c: who may come in, and how much of it */
#include "auth/auth_guard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/auth_cache.h"
#include "auth/auth_meter.h"
#include "auth/auth_token.h"
#include "crypto/sha256.h"

#define LEEWAY_S    30
#define MAX_CLIENTS 100000
#define DOMAIN_MAX  200

struct auth_guard {
    struct auth_policy policy;
    char issuer_text[DOMAIN_MAX + 16];
    char *audience;
    struct auth_issuer *issuer; /* NULL: no tokens */
    pthread_mutex_t lock;       /* guards what follows */
    struct auth_cache cache;
    struct auth_meter meter;
    uint64_t accepted, from_cache, refused[AUTH_E_COUNT];
};

/* Without the scheme and the last slash. */
static struct slice bare_domain(const char *domain)
{
    struct slice s = slice_str(domain);

    if (strncasecmp(domain, "https://", 8) == 0)
        s = slice_of(s.p + 8, s.len - 8);
    while (s.len && s.p[s.len - 1] == '/')
        s.len--;
    return s;
}

bool auth_domain_is_valid(const char *domain)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/[]";
    struct slice s = bare_domain(domain);

    if (s.len == 0 || s.len > DOMAIN_MAX || s.p[0] == '/' || memmem(s.p, s.len, "//", 2))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(allowed, s.p[i], sizeof(allowed) - 1))
            return false;
    return true;
}

static bool start_issuer(struct auth_guard *g, const struct auth_guard_config *cfg)
{
    struct slice d = bare_domain(cfg->domain);
    char url[DOMAIN_MAX + 48];
    struct auth_issuer_config ic = {.url = url, .ca_file = cfg->ca_file, .refresh_s = cfg->refresh_s};

    snprintf(g->issuer_text, sizeof(g->issuer_text), "https://%.*s", (int)d.len, (const char *)d.p);
    snprintf(url, sizeof(url), "%s/.well-known/jwks.json", g->issuer_text);
    g->audience = strdup(cfg->audience);
    g->policy = (struct auth_policy){g->issuer_text, g->audience, LEEWAY_S, cfg->defaults};
    if (!g->audience || auth_cache_init(&g->cache) < 0)
        return false;
    g->issuer = auth_issuer_new(&ic);
    return g->issuer != NULL;
}

struct auth_guard *auth_guard_new(const struct auth_guard_config *cfg, const uint8_t seed[16])
{
    struct auth_guard *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    pthread_mutex_init(&g->lock, NULL);
    auth_meter_init(&g->meter, cfg->max_clients ? cfg->max_clients : MAX_CLIENTS, seed);
    if (!cfg->domain || !cfg->domain[0] || start_issuer(g, cfg))
        return g;
    auth_guard_free(g);
    return NULL;
}

void auth_guard_free(struct auth_guard *g)
{
    if (!g)
        return;
    auth_issuer_free(g->issuer);
    auth_cache_fini(&g->cache);
    auth_meter_fini(&g->meter);
    pthread_mutex_destroy(&g->lock);
    free(g->audience);
    free(g);
}

bool auth_guard_has_tokens(const struct auth_guard *g)
{
    return g->issuer != NULL;
}

/* Not under the lock: a signature takes its time. */
static int verify(struct auth_guard *g, struct slice text, const struct auth_keys *keys, struct auth_grant *out,
                  int64_t now_s)
{
    const struct auth_key *key;
    struct auth_token t;
    int rc = auth_token_read(&t, text);

    if (rc)
        return rc;
    if (!keys)
        return -AUTH_E_NO_KEYS;
    key = auth_keys_find(keys, slice_of(t.kid, t.kid_len));
    if (!key)
        return auth_issuer_ask(g->issuer) ? -AUTH_E_ASKING : -AUTH_E_KEY;
    return auth_token_verify(&t, key, &g->policy, out, now_s);
}

int auth_guard_refuse(struct auth_guard *g, int err)
{
    pthread_mutex_lock(&g->lock);
    g->refused[err < 0 ? -err : err]++;
    pthread_mutex_unlock(&g->lock);
    return err;
}

int auth_guard_admit(struct auth_guard *g, struct slice token, struct auth_grant *out, int64_t now_s)
{
    struct auth_keys *keys;
    uint64_t generation;
    uint8_t hash[32];
    bool is_known;
    int rc = 0;

    if (token.len == 0 || token.len > AUTH_TOKEN_MAX)
        return auth_guard_refuse(g, token.len ? -AUTH_E_LONG : -AUTH_E_MISSING);
    keys = auth_issuer_keys(g->issuer, &generation);
    sha256_of(token, hash);
    pthread_mutex_lock(&g->lock);
    is_known = auth_cache_get(&g->cache, hash, generation, out, now_s);
    g->from_cache += is_known;
    g->accepted += is_known;
    pthread_mutex_unlock(&g->lock);
    if (!is_known) {
        rc = verify(g, token, keys, out, now_s);
        pthread_mutex_lock(&g->lock);
        if (rc == 0) {
            auth_cache_put(&g->cache, hash, generation, out);
            g->accepted++;
        } else {
            g->refused[-rc]++;
        }
        pthread_mutex_unlock(&g->lock);
    }
    auth_keys_unref(keys);
    return rc;
}

int auth_guard_publish(struct auth_guard *g, struct slice client, const struct auth_quota *q, uint64_t bytes,
                       uint32_t *retry_s, uint64_t now)
{
    uint64_t retry_ns;
    int rc;

    pthread_mutex_lock(&g->lock);
    rc = auth_meter_take(&g->meter, client, q, bytes, &retry_ns, now);
    if (rc)
        g->refused[-rc]++;
    pthread_mutex_unlock(&g->lock);
    *retry_s = (uint32_t)((retry_ns + 999999999) / 1000000000);
    if (*retry_s == 0)
        *retry_s = 1;
    return rc;
}

void auth_guard_stats(struct auth_guard *g, struct auth_guard_stats *out)
{
    *out = (struct auth_guard_stats){0};
    pthread_mutex_lock(&g->lock);
    out->accepted = g->accepted;
    out->from_cache = g->from_cache;
    memcpy(out->refused, g->refused, sizeof(out->refused));
    out->clients = g->meter.clients.count;
    out->forgotten = g->meter.forgotten;
    pthread_mutex_unlock(&g->lock);
    if (g->issuer)
        auth_issuer_stats(g->issuer, &out->issuer);
}
