#include "node/hub_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "crypto/sha256.h"
#include "node/worker.h"

#define SEEN_MAX     200000
#define HOME_RESERVE 5120 /* ring places that publishes leave free for what must come home */
#define QUESTION_RESERVE 64 /* and further ones that they leave to questions: a full node is not a dead one */
/* Publishes that the coding role has not answered: those in the ring, and those that it holds while peers are behind. */
#define PUBLISHING_BYTES (32u << 20)
#define PUBLISHING_MAX   16384
#define LATE_SUBSCRIBES 8192 /* with so much late, nothing new is subscribed to */
#define ANSWERED_NS 3000000000ull /* the lcores are not asked again before */
#define SNAPSHOTS_MAX 4   /* under way at a time: each costs the lcores time and 2 MB */

_Static_assert(HUB_TOPICS_MAX == PUBSUB_TOPICS_MAX, "more than that no peer takes of us");

const char *hub_err_text(int err)
{
    switch (err < 0 ? -err : err) {
    case HUB_ESIZE: return "message is larger than the node's maximum message size";
    case HUB_ETOPIC: return "topic must be 1 to 256 bytes";
    case HUB_EFULL: return "node is busy, try again";
    case HUB_EDUP: return "deduplicated";
    case HUB_ESTOPPING: return "node is shutting down";
    case HUB_EMEM: return "out of memory";
    case HUB_ETOPICS: return "too many topics: this node is subscribed to as many as its peers take";
    case HUB_ESUBSCRIBER: return "too many topics for one client";
    default: return "unknown error";
    }
}

struct hub *hub_new(const struct hub_config *cfg)
{
    static const double size_bounds[] = {256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216};
    struct hub *h = calloc(1, sizeof(*h));
    struct rng rng;
    uint8_t seed[16];

    if (!h)
        return NULL;
    rng_init_system(&rng);
    rng_fill(&rng, seed, sizeof(seed));
    h->cfg = *cfg;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    list_init(&h->subscribers);
    map_init(&h->topics, 0, seed);
    seen_payloads_init(&h->published, SEEN_MAX, seed);
    seen_payloads_init(&h->delivered, SEEN_MAX, seed);
    peer_id_format(&cfg->self, h->peer_id);
    metrics_hist_init(&h->sizes, size_bounds, sizeof(size_bounds) / sizeof(size_bounds[0]));
    h->started_ns = clock_now_ns();
    return h;
}

void hub_set_address(struct hub *h, const struct multiaddr *addr)
{
    struct multiaddr whole = *addr;
    struct multiaddr_target t;

    if (multiaddr_target(multiaddr_slice(addr), &t) == 0 && t.peer.len == 0)
        multiaddr_add_peer(&whole, &h->cfg.self);
    if (multiaddr_format(multiaddr_slice(&whole), h->p2p_address, sizeof(h->p2p_address)) < 0)
        h->p2p_address[0] = 0;
}

int hub_start(struct hub *h)
{
    pthread_attr_t attr;
    int err;

    pthread_attr_init(&attr);
    if (h->cfg.cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(*h->cfg.cpus), h->cfg.cpus);
    err = pthread_create(&h->thread, &attr, hub_dispatch_run, h);
    pthread_attr_destroy(&attr);
    h->has_thread = err == 0;
    if (h->has_thread)
        pthread_setname_np(h->thread, "hub");
    return err ? -1 : 0;
}

static bool late_add(struct hub_late *l, const struct xmsg *m)
{
    if (l->first + l->count == l->cap && l->first >= l->count && l->first > 0) {
        memmove(l->m, l->m + l->first, l->count * sizeof(*m));
        l->first = 0;
    }
    if (l->first + l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct xmsg *bigger = realloc(l->m, cap * sizeof(*m));
        if (!bigger)
            return false;
        l->m = bigger;
        l->cap = cap;
    }
    l->m[l->first + l->count++] = *m;
    return true;
}

static bool has_room(const struct hub *h)
{
    return h->late.count == 0 && xring_room(h->cfg.to_coding) >= HOME_RESERVE;
}

static bool has_publish_room(const struct hub *h)
{
    return has_room(h) && xring_room(h->cfg.to_coding) >= HOME_RESERVE + QUESTION_RESERVE && h->publishing_bytes < PUBLISHING_BYTES &&
           h->publishing < PUBLISHING_MAX;
}

static bool push_late(struct hub *h, const struct xmsg *m)
{
    if (late_add(&h->late, m)) {
        h->n.late++;
        xdoor_ring(h->cfg.door);
        return true;
    }
    h->n.late_lost++;
    return false;
}

bool hub_push_locked(struct hub *h, const struct xmsg *m, bool is_must)
{
    if (!is_must)
        return has_room(h) && xring_push_sp(h->cfg.to_coding, m);
    if (h->late.count == 0 && xring_push_sp(h->cfg.to_coding, m))
        return true;
    return push_late(h, m);
}

bool hub_push_home_locked(struct hub *h, const struct xmsg *m)
{
    return (h->late.count == 0 && xring_push_home_sp(h->cfg.to_coding, m)) || push_late(h, m);
}

bool hub_flush_late_locked(struct hub *h)
{
    struct hub_late *l = &h->late;

    for (; l->count && xring_push_sp(h->cfg.to_coding, &l->m[l->first]); l->count--)
        l->first++;
    if (l->count)
        return false;
    free(l->m);
    *l = (struct hub_late){0};
    return true;
}

static void deadline_after(struct timespec *ts, unsigned ms)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_sec += ms / 1000;
    ts->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts->tv_nsec >= 1000000000) {
        ts->tv_sec++;
        ts->tv_nsec -= 1000000000;
    }
}

void hub_leave(struct hub *h, unsigned timeout_ms)
{
    struct xmsg m = {.type = X_LEAVE};
    struct timespec ts;

    deadline_after(&ts, timeout_ms);
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    hub_push_locked(h, &m, true);
    while (!h->has_left && pthread_cond_timedwait(&h->changed, &h->lock, &ts) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&h->lock);
}

void hub_set_resolver(struct hub *h, void (*ask)(void *user, unsigned index, const struct multiaddr *addr), void *user)
{
    h->resolve = ask;
    h->resolve_user = user;
}

void hub_resolved(struct hub *h, struct xresolved *a)
{
    struct xmsg m = {.type = X_RESOLVED, .resolved = a};

    pthread_mutex_lock(&h->lock);
    if (!hub_push_locked(h, &m, true))
        free(a);
    pthread_mutex_unlock(&h->lock);
}

void hub_allow(struct hub *h, unsigned role, struct allowlist *a)
{
    struct xmsg m = {.type = X_ALLOW, .conn = net_role_id(role), .allow = a};

    if (!a)
        return;
    pthread_mutex_lock(&h->lock);
    if (!hub_push_locked(h, &m, true))
        allowlist_free(a);
    pthread_mutex_unlock(&h->lock);
}

void hub_stop(struct hub *h)
{
    if (h->has_thread) {
        __atomic_store_n(&h->stop, 1, __ATOMIC_RELEASE);
        xdoor_ring(h->cfg.door);
        pthread_join(h->thread, NULL);
        h->has_thread = false;
    }
    hub_drain(h); /* also when the thread never ran: a start that failed leaves notes */
}

void hub_free(struct hub *h)
{
    size_t it = 0;

    if (!h)
        return;
    for (void *t; (t = map_next(&h->topics, &it, NULL));)
        free(t);
    map_fini(&h->topics);
    seen_payloads_fini(&h->published);
    seen_payloads_fini(&h->delivered);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h);
}

const uint32_t *hub_wants_traces(const struct hub *h)
{
    return &h->wants_traces;
}

uint32_t hub_max_message_bytes(const struct hub *h)
{
    return h->cfg.config->active->max_msg_bytes;
}

const char *hub_peer_id(const struct hub *h)
{
    return h->peer_id;
}

const char *hub_mode(const struct hub *h)
{
    return node_mode_names[h->cfg.config->mode];
}

/* ---- publishing ---- */

/* Copies when the payload has no release. */
static struct hub_source *source_new(struct slice payload, void (*release)(void *), void *user)
{
    struct hub_source *s = malloc(sizeof(*s) + (release ? 0 : payload.len));

    if (!s)
        return NULL;
    s->release = release;
    s->user = user;
    s->buf = (struct buf){.data = (uint8_t *)(uintptr_t)payload.p, .len = (uint32_t)payload.len,
                          .cap = (uint32_t)payload.len, .refs = 1}; /* the coding role sets its own hook */
    if (!release) {
        s->buf.data = (uint8_t *)(s + 1);
        if (payload.len)
            memcpy(s->buf.data, payload.p, payload.len);
    }
    return s;
}

/* Before anything is hashed: who finds no room comes again each millisecond. */
static int check_publish(struct hub *h, const char *topic, size_t size)
{
    size_t n = topic ? strlen(topic) : 0;

    if (n == 0 || n > PUBSUB_TOPIC_MAX) {
        h->n.refused_topic++;
        return -HUB_ETOPIC;
    }
    if (size > hub_max_message_bytes(h)) {
        h->n.refused_size++;
        return -HUB_ESIZE;
    }
    pthread_mutex_lock(&h->lock);
    if (!h->is_stopping && !has_publish_room(h)) {
        pthread_mutex_unlock(&h->lock);
        h->n.refused_full++;
        return -HUB_EFULL;
    }
    pthread_mutex_unlock(&h->lock);
    return 0;
}

static void sha256_hex(const uint8_t sha256[32], char out[65])
{
    static const char digit[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        out[2 * i] = digit[sha256[i] >> 4];
        out[2 * i + 1] = digit[sha256[i] & 15];
    }
    out[64] = 0;
}

/* Sends p to the lcore unless it repeats, also what others published and this node had, or there is no room. */
static int submit(struct hub *h, struct xpublish *p)
{
    struct seen_key key = seen_payloads_key(p->topic, p->sha256);
    struct xmsg m = {.type = X_PUBLISH, .publish = p};
    uint64_t now = clock_now_ns();
    int err = 0;

    pthread_mutex_lock(&h->lock);
    if (h->is_stopping)
        err = -HUB_ESTOPPING;
    else if (seen_payloads_has(&h->delivered, &key, now) || !seen_payloads_add(&h->published, &key, p->sha256, now))
        err = -HUB_EDUP;
    else if (!has_publish_room(h) || !hub_push_locked(h, &m, false)) {
        seen_payloads_forget(&h->published, &key);
        err = -HUB_EFULL;
    } else {
        h->publishing++;
        h->publishing_bytes += p->bytes;
    }
    pthread_mutex_unlock(&h->lock);
    return err;
}

/* With both kinds of hashes, so that the lcore has the least to do. */
static struct xpublish *publish_new(const struct hub *h, const char *topic, struct slice payload)
{
    const struct node_config *c = h->cfg.config;
    struct pubsub_config core = {.mode = c->mode == NODE_OPTIMUM ? PUBSUB_CODED : PUBSUB_GOSSIP, .k = c->shard_factor,
                                 .small_bytes = c->small_message};
    uint8_t hashes[PUBSUB_HASHES_MAX];
    size_t len = pubsub_hash_shards(&core, payload, hashes);
    struct xpublish *p = calloc(1, sizeof(*p) + len);

    if (!p)
        return NULL;
    snprintf(p->topic, sizeof(p->topic), "%s", topic);
    p->kind = X_PUBLISH;
    p->bytes = (uint32_t)payload.len;
    sha256_of(payload, p->sha256);
    p->hashes_len = (uint16_t)len;
    memcpy(p->hashes, hashes, len);
    return p;
}

int hub_publish(struct hub *h, const char *topic, struct slice payload, void (*release)(void *user), void *user,
                char message_id_hex[65])
{
    int err = check_publish(h, topic, payload.len);
    struct xpublish *p = err ? NULL : publish_new(h, topic, payload);
    struct hub_source *s = p ? source_new(payload, release, user) : NULL;

    message_id_hex[0] = 0;
    if (!s) {
        free(p);
        if (release)
            release(user);
        return err ? err : -HUB_EMEM;
    }
    p->payload = &s->buf;
    sha256_hex(p->sha256, message_id_hex);
    err = submit(h, p);
    if (err == 0) {
        h->n.published++;
        h->n.published_bytes += payload.len;
        log_debug("\"publish message\" topic=%s message_id=%s bytes=%zu", topic, message_id_hex, payload.len);
        return 0;
    }
    if (err == -HUB_EDUP)
        h->n.duplicates++;
    else if (err == -HUB_EFULL)
        h->n.refused_full++;
    if (release)
        release(user);
    free(s);
    free(p);
    return err;
}

/* ---- subscribers ---- */

struct hub_subscriber *hub_subscriber_new(struct hub *h, const struct hub_subscriber_ops *ops, void *user)
{
    struct hub_subscriber *s = calloc(1, sizeof(*s));
    uint8_t seed[16];

    if (!s)
        return NULL;
    s->hub = h;
    s->ops = *ops;
    s->user = user;
    memcpy(seed, h->topics.seed, sizeof(seed));
    map_init(&s->topics, HUB_TOPICS_MAX, seed);
    pthread_mutex_lock(&h->lock);
    list_push_back(&h->subscribers, &s->node);
    if (ops->on_trace)
        __atomic_store_n(&h->wants_traces, h->wants_traces + 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&h->lock);
    return s;
}

/* A subscription may be refused (what clients cost must end somewhere), the end of one may not. */
static int tell_core(struct hub *h, const char *topic, enum xmsg_type kind)
{
    struct xpublish *p = calloc(1, sizeof(*p));
    struct xmsg m = {.type = kind, .publish = p};

    if (!p)
        return -HUB_EMEM;
    snprintf(p->topic, sizeof(p->topic), "%s", topic);
    p->kind = kind;
    if ((kind != X_SUBSCRIBE || h->late.count < LATE_SUBSCRIBES) && hub_push_locked(h, &m, true))
        return 0;
    free(p);
    return -HUB_EFULL;
}

static void leave_topic(struct hub *h, struct slice name)
{
    struct hub_topic *t = map_get(&h->topics, name);

    if (!t || --t->subscribers > 0)
        return;
    if (t->is_relayed) {
        if (!h->is_stopping)
            tell_core(h, t->name, X_RELAY);
        return;
    }
    map_del(&h->topics, name);
    if (!h->is_stopping)
        tell_core(h, t->name, X_UNSUBSCRIBE);
    free(t);
}

static int topic_get(struct hub *h, struct slice name, struct hub_topic **out)
{
    struct hub_topic *t = map_get(&h->topics, name);

    *out = t;
    if (t)
        return 0;
    if (h->topics.count >= HUB_TOPICS_MAX)
        return -HUB_ETOPICS;
    if (!(t = calloc(1, sizeof(*t))))
        return -HUB_EMEM;
    memcpy(t->name, name.p, name.len);
    if (map_put(&h->topics, slice_str(t->name), t)) {
        free(t);
        return -HUB_EMEM;
    }
    *out = t;
    return 0;
}

static int join_topic(struct hub *h, struct slice name)
{
    struct hub_topic *t;
    int err = topic_get(h, name, &t);

    if (err)
        return err;
    if (t->subscribers++)
        return 0;
    err = tell_core(h, t->name, X_SUBSCRIBE);
    if (err && --t->subscribers == 0 && !t->is_relayed) {
        map_del(&h->topics, name);
        free(t);
    }
    return err;
}

int hub_relay(struct hub *h, struct slice topic)
{
    struct hub_topic *t;
    int err;

    if (!topic.len || topic.len > PUBSUB_TOPIC_MAX)
        return -HUB_ETOPIC;
    pthread_mutex_lock(&h->lock);
    if (!(err = topic_get(h, topic, &t))) {
        t->is_relayed = true;
        err = t->subscribers ? 0 : tell_core(h, t->name, X_RELAY);
    }
    pthread_mutex_unlock(&h->lock);
    return err;
}

int hub_subscribe(struct hub_subscriber *s, const char *topic)
{
    struct hub *h = s->hub;
    struct slice name = slice_str(topic);
    int err = 0;

    if (name.len == 0 || name.len > PUBSUB_TOPIC_MAX)
        return -HUB_ETOPIC;
    pthread_mutex_lock(&h->lock);
    if (h->is_stopping)
        err = -HUB_ESTOPPING;
    else if (!map_get(&s->topics, name)) {
        err = s->ops.max_topics && s->topics.count >= s->ops.max_topics ? -HUB_ESUBSCRIBER : join_topic(h, name);
        if (!err && map_put(&s->topics, name, s)) {
            leave_topic(h, name);
            err = -HUB_EMEM;
        }
    }
    pthread_mutex_unlock(&h->lock);
    if (!err)
        log_debug("\"subscribe\" topic=%s", topic);
    return err;
}

int hub_unsubscribe(struct hub_subscriber *s, const char *topic)
{
    struct slice name = slice_str(topic);

    pthread_mutex_lock(&s->hub->lock);
    if (map_del(&s->topics, name))
        leave_topic(s->hub, name);
    pthread_mutex_unlock(&s->hub->lock);
    return 0;
}

unsigned hub_subscriber_topics(struct hub_subscriber *s)
{
    unsigned n;

    pthread_mutex_lock(&s->hub->lock);
    n = (unsigned)s->topics.count;
    pthread_mutex_unlock(&s->hub->lock);
    return n;
}

unsigned hub_topics_now(struct hub *h)
{
    unsigned n;

    pthread_mutex_lock(&h->lock);
    n = (unsigned)h->topics.count;
    pthread_mutex_unlock(&h->lock);
    return n;
}

unsigned hub_topics_read(struct hub *h)
{
    const struct hub_topic *t;
    unsigned n = 0;
    size_t it = 0;

    pthread_mutex_lock(&h->lock);
    while ((t = map_next(&h->topics, &it, NULL)))
        n += t->subscribers > 0;
    pthread_mutex_unlock(&h->lock);
    return n;
}

unsigned hub_max_topics(const struct hub *h)
{
    return HUB_TOPICS_MAX;
}

void hub_subscriber_free(struct hub_subscriber *s)
{
    struct hub *h;
    struct slice name;
    size_t it = 0;

    if (!s)
        return;
    h = s->hub;
    pthread_mutex_lock(&h->lock);
    while (h->calling == s && !pthread_equal(pthread_self(), h->thread))
        pthread_cond_wait(&h->changed, &h->lock);
    while (map_next(&s->topics, &it, &name))
        leave_topic(h, name);
    list_del(&s->node);
    if (s->ops.on_trace)
        __atomic_store_n(&h->wants_traces, h->wants_traces - 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&h->lock);
    map_fini(&s->topics);
    free(s);
}

char **hub_topics(struct hub *h)
{
    char **v;
    struct slice name;
    size_t it = 0, n = 0;

    pthread_mutex_lock(&h->lock);
    v = calloc(h->topics.count + 1, sizeof(*v));
    while (v && map_next(&h->topics, &it, &name))
        v[n++] = strndup((const char *)name.p, name.len);
    pthread_mutex_unlock(&h->lock);
    return v;
}

void hub_strings_free(char **v)
{
    for (char **p = v; p && *p; p++)
        free(*p);
    free(v);
}

/* ---- snapshots ---- */

struct snapshot *hub_snapshot(struct hub *h)
{
    return hub_snapshot_about(h, "");
}

struct snapshot *hub_snapshot_about(struct hub *h, const char *topic)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct xmsg m = {.type = X_SNAPSHOT, .snapshot = s};
    struct timespec ts;
    bool is_sent;

    if (!s)
        return NULL;
    snprintf(s->about, sizeof(s->about), "%s", topic);
    deadline_after(&ts, 1000);
    pthread_mutex_lock(&h->lock);
    while (h->snapshots_out >= SNAPSHOTS_MAX)
        if (pthread_cond_timedwait(&h->changed, &h->lock, &ts) == ETIMEDOUT)
            break;
    snapshot_add_ring(s, h->cfg.to_coding);
    is_sent = h->snapshots_out < SNAPSHOTS_MAX && hub_push_locked(h, &m, false);
    h->snapshots_out += is_sent;
    while (is_sent && !s->is_done)
        if (pthread_cond_timedwait(&h->changed, &h->lock, &ts) == ETIMEDOUT)
            break;
    if (!is_sent || s->is_done) {
        pthread_mutex_unlock(&h->lock);
        if (!is_sent) {
            h->n.snapshots_late++;
            free(s);
            s = NULL;
        }
        return s;
    }
    s->is_abandoned = true; /* freed when it comes back */
    h->n.snapshots_late++;
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

bool hub_is_answering(struct hub *h)
{
    struct snapshot *s;
    bool is_late;

    pthread_mutex_lock(&h->lock);
    is_late = clock_now_ns() - h->answered_ns > ANSWERED_NS;
    pthread_mutex_unlock(&h->lock);
    s = is_late ? hub_snapshot(h) : NULL;
    free(s);
    return s || !is_late;
}

void hub_health_get(struct hub *h, struct hub_health *out)
{
    pthread_mutex_lock(&h->lock);
    machine_read(&h->machine);
    *out = (struct hub_health){.memory_used = h->machine.memory_used, .cpu_used = h->machine.cpu_used,
                               .disk_used = h->machine.disk_used, .p2p_address = h->p2p_address,
                               .country = h->cfg.config->country, .country_iso = h->cfg.config->country_iso};
    pthread_mutex_unlock(&h->lock);
}
