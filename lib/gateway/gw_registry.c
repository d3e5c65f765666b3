/* gw_registry.c: clients, what they subscribed to, and where they are connected */
#include "gateway/gw_registry.h"

#include <stdlib.h>

#include "base/log.h"
#include "gateway/gw_link.h"

#define TOPICS_OF_OWNER_MAX (GW_TOPICS_MAX / 2)
#define EXPIRE_BATCH 256 /* clients forgotten a turn; the rest wait for the next */

struct gw_topic {
    struct list subs;   /* of clients that are connected: a delivery walks these alone */
    struct list absent; /* of the others */
    unsigned n_subs;    /* of both */
    const struct gw_client *marked; /* copy_subs: it has this topic */
    size_t len;
    uint8_t name[];
};

struct gw_sub {
    struct list of_topic, of_client;
    struct gw_topic *topic;
    struct gw_client *client;
    double threshold;
};

/* Of clients that share one bound. */
struct gw_owner {
    unsigned n_clients;
    struct map topics; /* to how many subscriptions there are */
    size_t len;
    uint8_t name[];
};

struct gw_client {
    struct gw_owner *owner; /* NULL: its own */
    struct list subs, sinks;
    unsigned n_subs, n_sinks;
    bool forget_at_once;
    _Atomic uint64_t touched_ns, published;
    size_t len;
    uint8_t id[];
};

static struct slice client_id(const struct gw_client *c)
{
    return slice_of(c->id, c->len);
}

static struct slice topic_name(const struct gw_topic *t)
{
    return slice_of(t->name, t->len);
}

void gw_registry_init(struct gw_registry *r, const struct gw_registry_config *cfg, const uint8_t seed[16])
{
    pthread_rwlockattr_t attr;

    memset(r, 0, sizeof(*r));
    r->cfg = *cfg;
    if (!r->cfg.max_clients)
        r->cfg.max_clients = 100000;
    if (!r->cfg.max_topics)
        r->cfg.max_topics = GW_TOPICS_MAX;
    if (!r->cfg.max_topics_per_owner)
        r->cfg.max_topics_per_owner = TOPICS_OF_OWNER_MAX;
    if (!r->cfg.idle_ns)
        r->cfg.idle_ns = 3600ull * 1000000000;
    /* deliveries overlap without end on a busy gateway: a subscription must not wait for a gap between them */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&r->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    map_init(&r->clients, r->cfg.max_clients, seed);
    map_init(&r->topics, 0, seed);
    map_init(&r->owners, 0, seed);
}

void gw_registry_loaded(struct gw_registry *r, uint32_t max_topics_per_owner, bool (*has_room)(void *user, struct slice topic))
{
    pthread_rwlock_wrlock(&r->lock);
    r->cfg.max_topics_per_owner = max_topics_per_owner ? max_topics_per_owner : TOPICS_OF_OWNER_MAX;
    r->cfg.has_room = has_room;
    pthread_rwlock_unlock(&r->lock);
}

/* ---- under the write lock ---- */

static int topic_get(struct gw_registry *r, struct slice name, struct gw_topic **out)
{
    struct gw_topic *t = *out = map_get(&r->topics, name);

    if (t)
        return 0;
    if (r->cfg.has_room ? !r->cfg.has_room(r->cfg.user, name) : r->topics.count >= r->cfg.max_topics)
        return -GW_E_TOPICS;
    t = calloc(1, sizeof(*t) + name.len);
    if (!t)
        return -GW_E_NOMEM;
    list_init(&t->subs);
    list_init(&t->absent);
    t->len = name.len;
    memcpy(t->name, name.p, name.len);
    if (map_put(&r->topics, name, t) < 0) {
        free(t);
        return -GW_E_NOMEM;
    }
    *out = t;
    return 0;
}

/* One client more. NULL: no memory. */
static struct gw_owner *owner_ref(struct gw_registry *r, struct slice name)
{
    struct gw_owner *o = map_get(&r->owners, name);

    if (!o) {
        o = calloc(1, sizeof(*o) + name.len);
        if (!o)
            return NULL;
        map_init(&o->topics, 0, (const uint8_t *)r->owners.seed);
        o->len = name.len;
        memcpy(o->name, name.p, name.len);
        if (map_put(&r->owners, name, o) < 0) {
            free(o);
            return NULL;
        }
    }
    o->n_clients++;
    return o;
}

static void owner_unref(struct gw_registry *r, struct gw_owner *o)
{
    if (!o || --o->n_clients)
        return;
    map_del(&r->owners, slice_of(o->name, o->len));
    map_fini(&o->topics);
    free(o);
}

static uintptr_t owner_subs(const struct gw_owner *o, struct slice topic)
{
    return (uintptr_t)map_get(&o->topics, topic);
}

static int owner_set_subs(struct gw_owner *o, struct slice topic, uintptr_t n)
{
    if (n)
        return map_put(&o->topics, topic, (void *)n);
    map_del(&o->topics, topic);
    return 0;
}

static struct gw_client *client_get(struct gw_registry *r, struct slice id)
{
    struct gw_client *c = map_get(&r->clients, id);

    if (c)
        return c;
    c = calloc(1, sizeof(*c) + id.len);
    if (!c)
        return NULL;
    list_init(&c->subs);
    list_init(&c->sinks);
    c->len = id.len;
    memcpy(c->id, id.p, id.len);
    if (r->cfg.owner_of && !(c->owner = owner_ref(r, r->cfg.owner_of(id)))) {
        free(c);
        return NULL;
    }
    if (map_put(&r->clients, id, c) < 0) {
        owner_unref(r, c->owner);
        free(c);
        return NULL;
    }
    return c;
}

static void topic_drop_if_unused(struct gw_registry *r, struct gw_topic *t)
{
    if (t->n_subs)
        return;
    map_del(&r->topics, topic_name(t));
    free(t);
}

static struct gw_sub *sub_find(const struct gw_client *c, struct slice topic)
{
    LIST_EACH(it, (struct list *)&c->subs)
    {
        struct gw_sub *s = CONTAINER_OF(it, struct gw_sub, of_client);

        if (slice_is_equal(topic_name(s->topic), topic))
            return s;
    }
    return NULL;
}

static void changed(struct gw_registry *r)
{
    atomic_fetch_add_explicit(&r->changes, 1, memory_order_relaxed);
}

static void sub_drop(struct gw_registry *r, struct gw_sub *s)
{
    struct gw_topic *t = s->topic;
    struct gw_owner *o = s->client->owner;

    list_del(&s->of_topic);
    list_del(&s->of_client);
    s->client->n_subs--;
    if (o)
        owner_set_subs(o, topic_name(t), owner_subs(o, topic_name(t)) - 1);
    r->n_subs--;
    changed(r);
    free(s);
    if (--t->n_subs == 0 && r->cfg.on_topic)
        r->cfg.on_topic(r->cfg.user, topic_name(t), false);
    topic_drop_if_unused(r, t);
}

static void client_drop(struct gw_registry *r, struct gw_client *c)
{
    LIST_EACH(it, &c->subs)
    sub_drop(r, CONTAINER_OF(it, struct gw_sub, of_client));
    map_del(&r->clients, client_id(c));
    owner_unref(r, c->owner);
    free(c);
}

/* It was refused what it was made for. */
static void client_drop_if_unused(struct gw_registry *r, struct gw_client *c)
{
    if (!c->n_subs && !c->n_sinks)
        client_drop(r, c);
}

/* Topics that count for the client's bound. */
static size_t topics_of(const struct gw_client *c)
{
    return c->owner ? c->owner->topics.count : c->n_subs;
}

/* The client has no subscription to it. */
static bool is_new_to(const struct gw_client *c, struct slice topic)
{
    return !c->owner || !owner_subs(c->owner, topic);
}

/* Whatever its bound. */
static int sub_add(struct gw_registry *r, struct gw_client *c, struct slice topic, double threshold)
{
    struct gw_owner *o = c->owner;
    struct gw_topic *t;
    struct gw_sub *s;
    int rc = topic_get(r, topic, &t);

    if (rc)
        return rc;
    s = calloc(1, sizeof(*s));
    if (!s || (o && owner_set_subs(o, topic, owner_subs(o, topic) + 1) < 0)) {
        free(s);
        topic_drop_if_unused(r, t);
        return -GW_E_NOMEM;
    }
    s->topic = t;
    s->client = c;
    s->threshold = threshold;
    list_push_back(c->n_sinks ? &t->subs : &t->absent, &s->of_topic);
    list_push_back(&c->subs, &s->of_client);
    c->n_subs++;
    r->n_subs++;
    changed(r);
    if (t->n_subs++ == 0 && r->cfg.on_topic)
        r->cfg.on_topic(r->cfg.user, topic, true);
    return 0;
}

/* ---- any thread ---- */

void gw_registry_fini(struct gw_registry *r)
{
    struct gw_client *c;
    size_t it = 0;

    r->cfg.on_topic = NULL;
    while ((c = map_next(&r->clients, &it, NULL))) {
        LIST_EACH(s, &c->subs)
        sub_drop(r, CONTAINER_OF(s, struct gw_sub, of_client));
        owner_unref(r, c->owner);
        free(c);
    }
    map_fini(&r->clients);
    map_fini(&r->topics);
    map_fini(&r->owners);
    pthread_rwlock_destroy(&r->lock);
}

int gw_registry_subscribe(struct gw_registry *r, struct slice client, struct slice topic, double threshold,
                          uint64_t now)
{
    struct gw_client *c;
    struct gw_sub *s;
    int rc = 0;

    pthread_rwlock_wrlock(&r->lock);
    c = client_get(r, client);
    s = c ? sub_find(c, topic) : NULL;
    if (!c)
        rc = -GW_E_FULL;
    else if (s) {
        if (s->threshold != threshold)
            changed(r);
        s->threshold = threshold;
    } else if (is_new_to(c, topic) && topics_of(c) >= r->cfg.max_topics_per_owner)
        rc = -GW_E_CLIENT_TOPICS;
    else
        rc = sub_add(r, c, topic, threshold);
    if (c)
        c->touched_ns = now;
    if (c && rc)
        client_drop_if_unused(r, c);
    pthread_rwlock_unlock(&r->lock);
    log_debug("\"%s\" client=%.*s topic=%.*s threshold=%g", rc ? "subscribe refused" : "subscribe", (int)client.len,
              (const char *)client.p, (int)topic.len, (const char *)topic.p, threshold);
    return rc;
}

void gw_registry_unsubscribe(struct gw_registry *r, struct slice client, struct slice topic, uint64_t now)
{
    struct gw_client *c;
    struct gw_sub *s;

    pthread_rwlock_wrlock(&r->lock);
    c = map_get(&r->clients, client);
    s = c ? sub_find(c, topic) : NULL;
    if (s)
        sub_drop(r, s);
    if (c)
        c->touched_ns = now;
    pthread_rwlock_unlock(&r->lock);
    log_debug("\"unsubscribe\" client=%.*s topic=%.*s", (int)client.len, (const char *)client.p, (int)topic.len,
              (const char *)topic.p);
}

bool gw_registry_has_topic(struct gw_registry *r, struct slice topic)
{
    bool has;

    pthread_rwlock_rdlock(&r->lock);
    has = map_get(&r->topics, topic) != NULL;
    pthread_rwlock_unlock(&r->lock);
    return has;
}

/* The client came or went. */
static void place_subs(struct gw_client *c)
{
    LIST_EACH(it, &c->subs)
    {
        struct gw_sub *s = CONTAINER_OF(it, struct gw_sub, of_client);

        list_del(&s->of_topic);
        list_push_back(c->n_sinks ? &s->topic->subs : &s->topic->absent, &s->of_topic);
    }
}

/* Under the write lock. */
static int sink_attach(struct gw_registry *r, struct slice client, struct gw_sink *s, bool forget_at_once, uint64_t now)
{
    struct gw_client *c = client_get(r, client);

    if (!c)
        return -GW_E_FULL;
    s->client = c;
    list_push_back(&c->sinks, &s->link);
    if (c->n_sinks++ == 0)
        place_subs(c);
    c->forget_at_once = forget_at_once;
    c->touched_ns = now;
    atomic_fetch_add_explicit(&r->sinks, 1, memory_order_relaxed);
    return 0;
}

static void sink_detach(struct gw_registry *r, struct gw_sink *s, uint64_t now)
{
    struct gw_client *c = s->client;

    if (!c)
        return;
    list_del(&s->link);
    s->client = NULL;
    c->touched_ns = now;
    atomic_fetch_sub_explicit(&r->sinks, 1, memory_order_relaxed);
    if (--c->n_sinks)
        return;
    if (c->forget_at_once || c->n_subs == 0)
        client_drop(r, c);
    else
        place_subs(c);
}

int gw_registry_attach(struct gw_registry *r, struct slice client, struct gw_sink *s, bool forget_at_once,
                       uint64_t now)
{
    int rc;

    pthread_rwlock_wrlock(&r->lock);
    rc = sink_attach(r, client, s, forget_at_once, now);
    pthread_rwlock_unlock(&r->lock);
    return rc;
}

void gw_registry_detach(struct gw_registry *r, struct gw_sink *s, uint64_t now)
{
    pthread_rwlock_wrlock(&r->lock);
    sink_detach(r, s, now);
    pthread_rwlock_unlock(&r->lock);
}

static void mark_topics(const struct gw_client *c, const struct gw_client *mark)
{
    LIST_EACH(it, (struct list *)&c->subs)
    CONTAINER_OF(it, struct gw_sub, of_client)->topic->marked = mark;
}

/* Topics of `from` that would count for the bound of `to`, whose own are marked. */
static size_t new_topics(const struct gw_client *from, const struct gw_client *to)
{
    size_t n = 0;

    LIST_EACH(it, (struct list *)&from->subs)
    {
        const struct gw_topic *t = CONTAINER_OF(it, struct gw_sub, of_client)->topic;

        n += t->marked != to && is_new_to(to, topic_name(t));
    }
    return n;
}

static int copy_unmarked(struct gw_registry *r, const struct gw_client *from, struct gw_client *to)
{
    size_t new = new_topics(from, to);
    unsigned had = to->n_subs;
    int rc = new && topics_of(to) + new > r->cfg.max_topics_per_owner ? -GW_E_CLIENT_TOPICS : 0;

    LIST_EACH(it, (struct list *)&from->subs)
    {
        const struct gw_sub *s = CONTAINER_OF(it, struct gw_sub, of_client);

        if (!rc && s->topic->marked != to)
            rc = sub_add(r, to, topic_name(s->topic), s->threshold);
    }
    while (rc && to->n_subs > had)
        sub_drop(r, CONTAINER_OF(to->subs.prev, struct gw_sub, of_client));
    return rc;
}

/* Under the write lock, which a client can make us take by each frame: by marks, not by a search for each topic. All or none. */
static int copy_subs(struct gw_registry *r, const struct gw_client *from, struct gw_client *to)
{
    int rc;

    mark_topics(to, to);
    rc = copy_unmarked(r, from, to);
    mark_topics(to, NULL);
    return rc;
}

int gw_registry_rename(struct gw_registry *r, struct gw_sink *s, struct slice client, uint64_t now)
{
    struct gw_client *from, *to;
    int rc = -GW_E_FULL;

    pthread_rwlock_wrlock(&r->lock);
    from = s->client;
    to = client_get(r, client);
    if (to)
        rc = from && from != to && from->forget_at_once ? copy_subs(r, from, to) : 0;
    if (!rc && from != to) {
        sink_detach(r, s, now);
        sink_attach(r, client, s, false, now);
    } else if (!rc) {
        to->forget_at_once = false;
        changed(r);
    } else if (to) {
        client_drop_if_unused(r, to);
    }
    pthread_rwlock_unlock(&r->lock);
    return rc;
}

void gw_registry_published(struct gw_registry *r, struct slice client, uint64_t now)
{
    struct gw_client *c;

    pthread_rwlock_rdlock(&r->lock);
    c = map_get(&r->clients, client);
    if (c) {
        atomic_fetch_add_explicit(&c->published, 1, memory_order_relaxed);
        atomic_store_explicit(&c->touched_ns, now, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&r->lock);
}

/* 0.1 as a float is a little more than a tenth, and 1 of 10 nodes is enough for it all the same. */
static bool is_reached(double threshold, double share)
{
    return share > 0 && threshold <= share + 1e-6;
}

static unsigned deliver_to(struct gw_client *c, struct gw_delivery *d)
{
    unsigned n = 0;

    LIST_EACH(it, &c->sinks)
    {
        struct gw_sink *s = CONTAINER_OF(it, struct gw_sink, link);

        s->deliver(s, d);
        n++;
    }
    return n;
}

unsigned gw_registry_deliver(struct gw_registry *r, double before, double share, struct gw_delivery *d)
{
    struct gw_topic *t;
    unsigned n = 0, fallbacks = 0, got;

    pthread_rwlock_rdlock(&r->lock);
    t = map_get(&r->topics, d->topic);
    if (t)
        LIST_EACH(it, &t->subs)
        {
            struct gw_sub *s = CONTAINER_OF(it, struct gw_sub, of_topic);

            if (is_reached(s->threshold, share) && !is_reached(s->threshold, before)) {
                n += got = deliver_to(s->client, d);
                fallbacks += d->of_all > 0 && !is_reached(s->threshold, d->of_all) ? got : 0;
            }
        }
    pthread_rwlock_unlock(&r->lock);
    atomic_fetch_add_explicit(&r->deliveries, n, memory_order_relaxed);
    if (fallbacks)
        atomic_fetch_add_explicit(&r->fallbacks, fallbacks, memory_order_relaxed);
    return n;
}

void gw_registry_squeeze(struct gw_registry *r)
{
    struct gw_client *c;
    size_t it = 0;

    pthread_rwlock_rdlock(&r->lock);
    while ((c = map_next(&r->clients, &it, NULL)))
        LIST_EACH(s, &c->sinks)
        {
            struct gw_sink *sink = CONTAINER_OF(s, struct gw_sink, link);

            sink->squeeze(sink);
        }
    pthread_rwlock_unlock(&r->lock);
}

void gw_registry_expire(struct gw_registry *r, uint64_t now)
{
    struct gw_client *gone[EXPIRE_BATCH], *c;
    unsigned n = 0;
    size_t it = 0;

    pthread_rwlock_wrlock(&r->lock);
    while (n < EXPIRE_BATCH && (c = map_next(&r->clients, &it, NULL)))
        if (c->n_sinks == 0 && c->touched_ns + r->cfg.idle_ns <= now)
            gone[n++] = c;
    while (n)
        client_drop(r, gone[--n]);
    pthread_rwlock_unlock(&r->lock);
}

void gw_registry_each_topic(struct gw_registry *r,
                            void (*each)(void *user, struct slice topic, unsigned subs), void *user)
{
    struct gw_topic *t;
    size_t it = 0;

    pthread_rwlock_rdlock(&r->lock);
    while ((t = map_next(&r->topics, &it, NULL)))
        each(user, topic_name(t), t->n_subs);
    pthread_rwlock_unlock(&r->lock);
}

unsigned gw_registry_client_topics(struct gw_registry *r, struct slice client,
                                   void (*each)(void *user, struct slice topic), void *user)
{
    struct gw_client *c;
    unsigned n = 0;

    pthread_rwlock_rdlock(&r->lock);
    c = map_get(&r->clients, client);
    if (c)
        LIST_EACH(it, &c->subs)
        {
            each(user, topic_name(CONTAINER_OF(it, struct gw_sub, of_client)->topic));
            n++;
        }
    pthread_rwlock_unlock(&r->lock);
    return n;
}

void gw_registry_each_client(struct gw_registry *r,
                             void (*each)(void *user, struct slice id, uint64_t published, unsigned sinks, unsigned subs),
                             void *user)
{
    struct gw_client *c;
    size_t it = 0;

    pthread_rwlock_rdlock(&r->lock);
    while ((c = map_next(&r->clients, &it, NULL)))
        each(user, client_id(c), atomic_load_explicit(&c->published, memory_order_relaxed), c->n_sinks, c->n_subs);
    pthread_rwlock_unlock(&r->lock);
}

void gw_registry_each_kept(struct gw_registry *r,
                           void (*each)(void *user, struct slice client, struct slice topic, double threshold), void *user)
{
    struct gw_client *c;
    size_t it = 0;

    pthread_rwlock_rdlock(&r->lock);
    while ((c = map_next(&r->clients, &it, NULL))) {
        if (c->forget_at_once)
            continue;
        LIST_EACH(s, &c->subs)
        {
            const struct gw_sub *sub = CONTAINER_OF(s, struct gw_sub, of_client);

            each(user, client_id(c), topic_name(sub->topic), sub->threshold);
        }
    }
    pthread_rwlock_unlock(&r->lock);
}

uint64_t gw_registry_changes(const struct gw_registry *r)
{
    return atomic_load_explicit(&r->changes, memory_order_relaxed);
}

void gw_registry_counts(struct gw_registry *r, struct gw_registry_counts *out)
{
    pthread_rwlock_rdlock(&r->lock);
    *out =
        (struct gw_registry_counts){.clients = (uint32_t)r->clients.count,
                                    .topics = (uint32_t)r->topics.count,
                                    .subs = r->n_subs,
                                    .sinks = atomic_load_explicit(&r->sinks, memory_order_relaxed),
                                    .deliveries = atomic_load_explicit(&r->deliveries, memory_order_relaxed)};
    pthread_rwlock_unlock(&r->lock);
}
