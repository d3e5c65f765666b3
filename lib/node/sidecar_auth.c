/* sidecar_auth.c: tokens of the sidecar's clients, with SIDECAR_AUTH
 * Rules:   a stream's token comes with the call (metadata authorization: Bearer TOKEN) or in any request (jwt_token); the latest good one
 *          holds. Publishes count against its limits. Health and reflection are open
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "base/text.h"
#include "crypto/sha256.h"
#include "http/http_metrics.h"
#include "node/sidecar_impl.h"

int sidecar_auth_start(struct sidecar *s, const struct node_config *cfg, char err[256])
{
    struct auth_guard_config gc = auth_settings_guard(&cfg->auth, true, 0);
    uint8_t seed[16];
    struct rng rng;

    if (!cfg->sidecar_auth)
        return 0;
    rng_init_system(&rng);
    rng_fill(&rng, seed, sizeof(seed));
    s->guard = auth_guard_new(&gc, seed);
    if (!s->guard)
        snprintf(err, 256, "SIDECAR_AUTH: no memory, or no thread");
    return s->guard ? 0 : -1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct slice bearer_of(const struct rpc_call *c)
{
    struct slice v = rpc_call_metadata(c, "authorization");

    return v.len > 7 && strncasecmp((const char *)v.p, "bearer ", 7) == 0 ? slice_of(v.p + 7, v.len - 7) : (struct slice){0};
}

static enum rpc_code code_of(int err)
{
    switch (-err) {
    case AUTH_E_INACTIVE: return RPC_CODE_PERMISSION_DENIED;
    case AUTH_E_NO_KEYS:
    case AUTH_E_ASKING: return RPC_CODE_UNAVAILABLE;
    default: return RPC_CODE_UNAUTHENTICATED;
    }
}

/* In an answer. 401 says "another token": a gateway takes it for its own matter and not its client's. */
static int http_of(int err)
{
    return code_of(err) == RPC_CODE_UNAVAILABLE ? 503 : 401;
}

/* ---- calls ---- */

bool sidecar_auth_call(struct sidecar *s, struct rpc_call *c)
{
    struct auth_grant g;
    int rc = s->guard ? auth_guard_admit(s->guard, bearer_of(c), &g, time(NULL)) : 0;

    if (rc)
        rpc_call_finish(c, code_of(rc), auth_err_name(rc));
    return rc == 0;
}

/* ---- streams ---- */

static int take_token(struct stream *st, struct slice token)
{
    struct auth_grant g;
    int rc = auth_guard_admit(st->sidecar->guard, token, &g, time(NULL));

    if (rc)
        return rc;
    if (!st->grant)
        st->grant = malloc(sizeof(*st->grant));
    if (!st->grant)
        return -AUTH_E_NOMEM;
    pthread_mutex_lock(&st->sidecar->lock);
    *st->grant = g;
    pthread_mutex_unlock(&st->sidecar->lock);
    atomic_store(&st->expires_s, g.expires_s);
    return 0;
}

bool sidecar_auth_open(struct stream *st)
{
    struct slice token;
    int rc;

    atomic_init(&st->expires_s, INT64_MAX);
    if (!st->sidecar->guard)
        return true;
    token = bearer_of(st->call);
    rc = token.len ? take_token(st, token) : 0; /* without one: the first request brings it */
    if (rc)
        rpc_call_finish(st->call, code_of(rc), auth_err_name(rc));
    return rc == 0;
}

bool sidecar_auth_is_over(struct stream *st)
{
    if (time(NULL) < atomic_load(&st->expires_s))
        return false;
    if (atomic_exchange(&st->has_run_out, true)) /* counted, and its end is under way */
        return true;
    auth_guard_refuse(st->sidecar->guard, -AUTH_E_EXPIRED);
    rpc_call_abort(st->call, RPC_CODE_UNAUTHENTICATED, auth_err_name(AUTH_E_EXPIRED));
    return true;
}

static void refuse_publish(struct stream *st, struct slice topic, struct slice payload, int http, enum rpc_code code,
                           const char *why)
{
    uint8_t hash[32];
    char id[65];

    sha256_of(payload, hash); /* a gateway knows its publish by this */
    hex_encode(id, slice_of(hash, sizeof(hash)));
    sidecar_refuse(st, topic, id, http, code, why);
}

bool sidecar_auth_command(struct stream *st, const struct sidecar_command *c)
{
    int rc = 0;

    if (!st->sidecar->guard)
        return true;
    if (c->token.len)
        rc = take_token(st, c->token);
    else if (!st->grant)
        rc = auth_guard_refuse(st->sidecar->guard, -AUTH_E_MISSING);
    else if (sidecar_auth_is_over(st))
        return false;
    if (!rc)
        return true;
    if (c->verb == SIDECAR_PUBLISH || c->verb == SIDECAR_PUBLISH_BATCH)
        refuse_publish(st, c->topic, c->data, http_of(rc), code_of(rc), auth_err_name(rc));
    if (!st->reads_answers || (c->verb != SIDECAR_PUBLISH && c->verb != SIDECAR_PUBLISH_BATCH))
        rpc_call_finish(st->call, code_of(rc), auth_err_name(rc));
    return false;
}

int sidecar_auth_charge(struct sidecar *s, const struct auth_grant *g, size_t bytes, char why[128])
{
    uint32_t retry_s;
    int rc = auth_guard_publish(s->guard, auth_grant_client(g), &g->quota, bytes, &retry_s, now_ns());

    if (rc == -AUTH_E_SIZE)
        snprintf(why, 128, "%s", auth_err_name(rc));
    else if (rc)
        snprintf(why, 128, "%s; try again in %u s", auth_err_name(rc), retry_s);
    return !rc ? 0 : rc == -AUTH_E_SIZE ? 413 : 429;
}

bool sidecar_auth_publish(struct stream *st, struct slice topic, struct slice payload)
{
    char why[128];
    int http;

    if (!st->grant || st->job.is_charged)
        return true;
    http = sidecar_auth_charge(st->sidecar, st->grant, payload.len, why);
    st->job.is_charged = http == 0;
    if (http)
        refuse_publish(st, topic, payload, http, RPC_CODE_RESOURCE_EXHAUSTED, why);
    return http == 0;
}

/* ---- metrics ---- */

void sidecar_auth_metrics(struct sidecar *s, struct metrics *m)
{
    struct auth_guard_stats st;
    uint64_t refused = 0, limited = 0;

    if (!s->guard)
        return;
    auth_guard_stats(s->guard, &st);
    for (unsigned i = 0; i < AUTH_E_COUNT; i++)
        *(i >= AUTH_E_SECOND && i <= AUTH_E_SIZE ? &limited : &refused) += st.refused[i];
    metrics_counter(m, "codecast_sidecar_tokens_accepted_total", "Tokens that were good", st.accepted);
    metrics_counter(m, "codecast_sidecar_tokens_refused_total", "Tokens that were not, and calls without any", refused);
    metrics_counter(m, "codecast_sidecar_limited_total", "Publishes refused by a token's limits", limited);
    metrics_gauge(m, "codecast_sidecar_keys", "Keys of the tokens' issuer", st.issuer.keys);
}
