/* gw_publish.c: publishing, whoever asks for it */
#include "gateway/gw_publish.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/stash.h"
#include "base/text.h"
#include "crypto/sha256.h"
#include "gateway/gw_impl.h"

#define CHAINS 16384

int gw_publishes_init(struct gw_publishes *p, const uint8_t seed[16])
{
    memset(p, 0, sizeof(*p));
    gw_lock_init(&p->lock);
    memcpy(p->seed, seed, sizeof(p->seed));
    p->chains = calloc(CHAINS, sizeof(struct gw_publish *));
    return p->chains ? 0 : -GW_E_NOMEM;
}

void gw_publishes_fini(struct gw_publishes *p)
{
    free(p->chains);
    pthread_mutex_destroy(&p->lock);
}

/* ---- those under way, under the lock ---- */

static uint64_t hash_of(const struct gw_publishes *all, const struct gw_publish *p)
{
    uint64_t h[2] = {0, siphash13(all->seed, p->topic)};

    memcpy(h, p->id, 8); /* the id is a SHA-256; keyed, since a client may grind for equal starts */
    return siphash13(all->seed, slice_of(h, sizeof(h)));
}

static struct gw_publish **chain_of(struct gw_publishes *all, uint64_t hash)
{
    return &all->chains[hash & (CHAINS - 1)];
}

/* The one that is the same as p. */
static struct gw_publish *find(struct gw_publishes *all, const struct gw_publish *p)
{
    struct gw_publish *u = *chain_of(all, p->hash);

    while (u && (u->hash != p->hash || memcmp(u->id, p->id, GW_ID_BYTES) != 0 || !slice_is_equal(u->topic, p->topic)))
        u = u->next;
    return u;
}

static void add(struct gw_publishes *all, struct gw_publish *p)
{
    struct gw_publish **chain = chain_of(all, p->hash);

    p->next = *chain;
    *chain = p;
    all->count++;
    all->bytes += rpc_msg_len(p->payload);
}

static void take_out(struct gw_publishes *all, struct gw_publish *p)
{
    struct gw_publish **at = chain_of(all, p->hash);

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    all->count--;
    all->bytes -= rpc_msg_len(p->payload);
}

/* ---- answers ---- */

static void count_outcome(struct gateway *gw, const struct gw_outcome *o, size_t bytes)
{
    if (o->err)
        gw_count(&gw->count.publish_errors[o->err < GW_E_COUNT ? o->err : GW_E_REFUSED], 1);
    else if (o->is_duplicate)
        gw_count(&gw->count.deduplicated, 1);
    else {
        gw_count(&gw->count.published, 1);
        gw_count(&gw->count.published_bytes, bytes);
    }
}

static void answer(struct gateway *gw, gw_publish_fn *fn, void *user, struct slice topic, const char *id_hex,
                   const struct gw_outcome *o, size_t bytes)
{
    struct gw_result r = {.outcome = *o, .topic = topic};

    memcpy(r.id_hex, id_hex, strlen(id_hex) + 1);
    count_outcome(gw, o, bytes);
    if (o->err)
        log_debug("\"publish failed\" topic=%.*s id=%s err=\"%s\"", (int)topic.len, (const char *)topic.p, id_hex, gw_err_text(o->err));
    else
        log_debug("\"message published\" topic=%.*s id=%s bytes=%zu duplicate=%d", (int)topic.len, (const char *)topic.p, id_hex,
                  bytes, o->is_duplicate);
    fn(user, &r);
}

/* ---- beginning ---- */

/* Takes payload, also when it fails. */
static struct gw_publish *publish_new(struct gateway *gw, struct slice topic, const uint8_t id[GW_ID_BYTES], struct rpc_msg *payload)
{
    struct gw_publish *p = payload ? stash_get(sizeof(*p)) : NULL;

    if (!p) {
        rpc_msg_unref(payload);
        return NULL;
    }
    memset(p, 0, offsetof(struct gw_publish, topic_text));
    p->gw = gw;
    memcpy(p->topic_text, topic.p, topic.len);
    p->topic = slice_of(p->topic_text, topic.len);
    memcpy(p->id, id, GW_ID_BYTES);
    hex_encode(p->id_hex, slice_of(id, GW_ID_BYTES));
    p->payload = payload;
    return p;
}

struct gw_publish *gw_publish_again(struct gateway *gw, struct slice topic, const uint8_t id[GW_ID_BYTES], struct slice payload)
{
    return publish_new(gw, topic, id, rpc_msg_copy(payload));
}

void gw_publish_free(struct gw_publish *p)
{
    rpc_msg_unref(p->payload);
    rpc_msg_unref(p->request);
    stash_put(p, sizeof(*p));
}

enum verdict { START, JOINED, DUPLICATE, BUSY, NOMEM };

/* The waiter of p waits for this one, which is the same. */
static enum verdict join(struct gw_publish *under_way, const struct gw_publish *p)
{
    struct gw_waiter **end = &under_way->waiters, *w = malloc(sizeof(*w));

    if (!w)
        return NOMEM;
    *w = *p->waiters;
    while (*end)
        end = &(*end)->next;
    *end = w;
    return JOINED;
}

/* Under the lock. p is under way when it says START, else the caller's. */
static enum verdict admit(struct gateway *gw, struct gw_publish *p)
{
    struct gw_publishes *all = &gw->publishes;
    struct gw_publish *under_way = find(all, p);
    struct gw_seen_entry *e;

    if (under_way)
        return join(under_way, p);
    e = gw_seen_get(&gw->seen, p->topic, p->id, p->start_ns);
    if (e && e->flags)
        return DUPLICATE;
    if (all->count >= GW_PUBLISH_MAX || (all->bytes + rpc_msg_len(p->payload) > GW_PUBLISH_BYTES_MAX && all->bytes))
        return BUSY;
    add(all, p);
    return START;
}

static bool is_too_large(struct gateway *gw, struct rpc_msg *payload)
{
    return rpc_msg_len(payload) > gw_max_message_bytes(gw);
}

void gw_publish_start(struct gateway *gw, struct slice topic, struct rpc_msg *payload, gw_publish_fn *fn,
                      void *user)
{
    static const struct gw_outcome outcomes[] = {[DUPLICATE] = {GW_OK, true, NULL, 0},
                                                 [BUSY] = {GW_E_BUSY, false, NULL, 0},
                                                 [NOMEM] = {GW_E_NOMEM, false, NULL, 0}};
    uint8_t id[GW_ID_BYTES];
    enum verdict v = NOMEM;
    struct gw_publish *p;

    if (is_too_large(gw, payload)) {
        answer(gw, fn, user, topic, "", &(struct gw_outcome){GW_E_TOO_LARGE, false, NULL, 0}, 0);
        return;
    }
    sha256_of(rpc_msg_slice(payload), id);
    p = publish_new(gw, topic, id, rpc_msg_ref(payload));
    if (p) {
        p->start_ns = gw_now_ns();
        p->hash = hash_of(&gw->publishes, p);
        p->first = (struct gw_waiter){.fn = fn, .user = user};
        p->waiters = &p->first;
        pthread_mutex_lock(&gw->publishes.lock);
        v = admit(gw, p);
        pthread_mutex_unlock(&gw->publishes.lock);
    }
    if (v == START) {
        gw_pool_publish(gw->pool, p);
        return;
    }
    if (v != JOINED)
        answer(gw, fn, user, topic, p ? p->id_hex : "", &outcomes[v], 0);
    if (p)
        gw_publish_free(p);
}

void gw_publish_tell(struct gw_publish *p, const struct gw_outcome *o)
{
    struct gateway *gw = p->gw;
    struct gw_outcome mine = *o, others = *o;
    uint64_t now = gw_now_ns();
    struct gw_waiter *w;

    pthread_mutex_lock(&gw->publishes.lock);
    take_out(&gw->publishes, p);
    if (!o->err) {
        struct gw_seen_entry *e = gw_seen_put(&gw->seen, p->topic, p->id, now);

        if (e) {
            e->flags |= GW_SEEN_PUBLISHED;
            e->published_ns = e->published_ns ? e->published_ns : p->start_ns;
        }
    }
    w = p->waiters;
    pthread_mutex_unlock(&gw->publishes.lock);
    if (!o->err)
        gw_tracer_published(&gw->tracer, p->topic, p->id, rpc_msg_len(p->payload), p->start_ns);
    others.is_duplicate |= !others.err;
    while (w) {
        struct gw_waiter *next = w->next;

        answer(gw, w->fn, w->user, p->topic, p->id_hex, &mine, rpc_msg_len(p->payload));
        if (w != &p->first)
            free(w);
        w = next;
        mine = others;
    }
    p->waiters = NULL;
}

void gw_publish_done(struct gw_publish *p, const struct gw_outcome *o)
{
    if (!p->is_repeat)
        gw_publish_tell(p, o);
    else if (o->err)
        gw_count(&p->gw->count.repeats_failed, 1);
    gw_publish_free(p);
}
