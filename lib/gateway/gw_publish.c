/* gw_publish.c: publishing, whoever asks for it */
#include "gateway/gw_publish.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/sha256.h"
#include "gateway/gw_impl.h"

#define KEY_MAX (GW_ID_BYTES + GW_NAME_MAX)

static struct slice key_of(uint8_t buf[KEY_MAX], struct slice topic, const uint8_t id[GW_ID_BYTES])
{
    memcpy(buf, id, GW_ID_BYTES);
    memcpy(buf + GW_ID_BYTES, topic.p, topic.len);
    return slice_of(buf, GW_ID_BYTES + topic.len);
}

/* A publish and its first waiter, in one block. */
struct started {
    struct gw_publish publish; /* first */
    struct gw_waiter waiter;
};

void gw_publishes_init(struct gw_publishes *p, const uint8_t seed[16])
{
    gw_lock_init(&p->lock);
    map_init(&p->by_key, GW_PUBLISH_MAX, seed);
    p->bytes = 0;
}

void gw_publishes_fini(struct gw_publishes *p)
{
    map_fini(&p->by_key);
    pthread_mutex_destroy(&p->lock);
}

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
    fn(user, &r);
}

static struct gw_publish *publish_new(struct gateway *gw, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                      struct rpc_msg *payload, struct gw_waiter waiter)
{
    struct started *s = calloc(1, sizeof(*s));
    struct gw_publish *p = &s->publish;

    if (!s)
        return NULL;
    p->gw = gw;
    memcpy(p->topic_text, topic.p, topic.len);
    p->topic = slice_of(p->topic_text, topic.len);
    memcpy(p->id, id, GW_ID_BYTES);
    hex_encode(p->id_hex, slice_of(id, GW_ID_BYTES));
    p->payload = rpc_msg_ref(payload);
    p->start_ns = gw_now_ns();
    s->waiter = waiter;
    p->waiters = &s->waiter;
    return p;
}

void gw_publish_free(struct gw_publish *p)
{
    rpc_msg_unref(p->payload);
    rpc_msg_unref(p->request);
    free(p);
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
    uint8_t buf[KEY_MAX];
    struct slice key = key_of(buf, p->topic, p->id);
    struct gw_publish *under_way = map_get(&gw->publishes.by_key, key);
    struct gw_seen_entry *e;

    if (under_way)
        return join(under_way, p);
    e = gw_seen_get(&gw->seen, p->topic, p->id, p->start_ns);
    if (e && e->flags)
        return DUPLICATE;
    if (gw->publishes.bytes + rpc_msg_len(p->payload) > GW_PUBLISH_BYTES_MAX && gw->publishes.bytes)
        return BUSY;
    if (map_put(&gw->publishes.by_key, key, p) < 0)
        return BUSY;
    gw->publishes.bytes += rpc_msg_len(p->payload);
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
    p = publish_new(gw, topic, id, payload, (struct gw_waiter){.fn = fn, .user = user});
    if (p) {
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
    struct gw_waiter *first = &CONTAINER_OF(p, struct started, publish)->waiter;
    uint64_t now = gw_now_ns();
    uint8_t buf[KEY_MAX];
    struct gw_waiter *w;

    pthread_mutex_lock(&gw->publishes.lock);
    map_del(&gw->publishes.by_key, key_of(buf, p->topic, p->id));
    gw->publishes.bytes -= rpc_msg_len(p->payload);
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
        if (w != first)
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
