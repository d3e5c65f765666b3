#include "node/hub_impl.h"

#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "crypto/sha256.h"
#include "node/worker.h"
#include "rpc/rpc_gather.h"

#define FLUSH_EVERY 256 /* messages taken between two looks at what is late */

struct message { /* hub_message with what it needs to go home */
    struct hub_message pub; /* first */
    _Atomic uint32_t refs;
    struct hub *hub;
    struct buf *payload;
    char topic[PUBSUB_TOPIC_MAX + 1];
    char source[PEER_ID_TEXT_MAX], upstream[PEER_ID_TEXT_MAX];
};

struct hub_message *hub_message_ref(struct hub_message *m)
{
    ((struct message *)m)->refs++;
    return m;
}

void hub_message_unref(struct hub_message *pub)
{
    struct message *m = (struct message *)pub;
    struct xmsg home = {.type = X_PAYLOADS_HOME, .homes = {.buf = {m->payload}, .count = 1}};

    if (--m->refs)
        return;
    pthread_mutex_lock(&m->hub->lock);
    hub_push_home_locked(m->hub, &home);
    pthread_mutex_unlock(&m->hub->lock);
    free(m);
}

/* Calls f for every subscriber that wants it. The list may change while a callback runs, but the one called stays. */
static void each_subscriber(struct hub *h, bool (*wants)(struct hub_subscriber *, void *),
                            void (*call)(struct hub_subscriber *, void *), void *arg)
{
    pthread_mutex_lock(&h->lock);
    for (struct list *it = h->subscribers.next; it != &h->subscribers;) {
        struct hub_subscriber *s = CONTAINER_OF(it, struct hub_subscriber, node);
        if (wants(s, arg)) {
            h->calling = s;
            pthread_mutex_unlock(&h->lock);
            call(s, arg);
            pthread_mutex_lock(&h->lock);
            it = s->node.next;
            h->calling = NULL;
            pthread_cond_broadcast(&h->changed);
        } else {
            it = it->next;
        }
    }
    pthread_mutex_unlock(&h->lock);
}

static bool wants_message(struct hub_subscriber *s, void *arg)
{
    return map_get(&s->topics, slice_str(((struct hub_message *)arg)->topic)) != NULL;
}

static void call_message(struct hub_subscriber *s, void *arg)
{
    s->ops.on_message(s->user, arg);
}

static bool wants_trace(struct hub_subscriber *s, void *arg)
{
    return s->ops.on_trace != NULL;
}

static void call_trace(struct hub_subscriber *s, void *arg)
{
    s->ops.on_trace(s->user, arg);
}

static void send_home(struct hub *h, const struct xmsg *m)
{
    pthread_mutex_lock(&h->lock);
    hub_push_home_locked(h, m);
    pthread_mutex_unlock(&h->lock);
}

static void deliver(struct hub *h, struct xdelivery *d)
{
    struct message *m = calloc(1, sizeof(*m));
    struct xmsg home = {.type = X_DELIVERY_HOME, .delivery = d};
    struct xmsg payload_home = {.type = X_PAYLOADS_HOME, .homes = {.buf = {d->payload}, .count = 1}};
    struct seen_key key;
    uint8_t sha[32];
    bool is_new;

    sha256_of(buf_slice(d->payload), sha);
    key = seen_payloads_key(d->topic, sha);
    pthread_mutex_lock(&h->lock);
    is_new = seen_payloads_add(&h->delivered, &key, sha, clock_now_ns());
    pthread_mutex_unlock(&h->lock);
    if (!m || !is_new) {
        h->n.delivered_duplicates += !is_new;
        h->n.failed += is_new; /* no memory */
        free(m);
        send_home(h, &payload_home);
        send_home(h, &home);
        return;
    }
    memcpy(m->topic, d->topic, sizeof(m->topic));
    peer_id_format(&d->from, m->source);
    if (d->upstream.len)
        peer_id_format(&d->upstream, m->upstream);
    m->refs = 1;
    m->hub = h;
    m->payload = d->payload;
    m->pub = (struct hub_message){.topic = m->topic, .payload = buf_slice(d->payload), .source_node_id = m->source,
                                  .upstream_peer_id = m->upstream, .k = d->k};
    hex_encode(m->pub.message_id, slice_of(sha, 32));
    send_home(h, &home);
    h->n.delivered++;
    metrics_hist_observe(&h->sizes, (double)d->payload->len);
    h->n.delivered_bytes += m->pub.payload.len;
    log_debug("\"deliver message\" topic=%s message_id=%s bytes=%zu from=%s upstream=%s k=%u", m->topic, m->pub.message_id,
              m->pub.payload.len, m->source, m->upstream, m->pub.k);
    each_subscriber(h, wants_message, call_message, &m->pub);
    hub_message_unref(&m->pub);
}

static void trace(struct hub *h, struct xtrace *x)
{
    struct hub_trace *t = hub_trace_encode(x, &h->cfg.self, h->cfg.config->mode == NODE_OPTIMUM ? 2 : 3);
    struct xmsg home = {.type = X_TRACE_HOME, .trace = x};

    send_home(h, &home);
    if (!t)
        return;
    h->n.traces++;
    each_subscriber(h, wants_trace, call_trace, t);
    hub_trace_unref(t);
}

static void published(struct hub *h, struct xpublish *p)
{
    if (p->err) {
        uint64_t now = clock_now_ns();
        bool is_told = h->failed_told_ns && now - h->failed_told_ns < 1000000000; /* they come by hundreds */

        h->n.failed++;
        if (!is_told)
            h->failed_told_ns = now;
        log_line(is_told ? LOG_DEBUG_L : LOG_WARN_L, "\"%s failed\" topic=%s reason=%s", p->kind == X_PUBLISH ? "publish" : "subscribe", p->topic,
                 pubsub_err_name(p->err));
    }
    if (p->kind == X_PUBLISH) {
        struct seen_key key = seen_payloads_key(p->topic, p->sha256);

        pthread_mutex_lock(&h->lock);
        h->publishing--;
        h->publishing_bytes -= p->bytes;
        if (p->err)
            seen_payloads_forget(&h->published, &key);
        pthread_mutex_unlock(&h->lock);
    }
    free(p);
}

void hub_source_done(struct buf *b)
{
    struct hub_source *s = CONTAINER_OF(b, struct hub_source, buf);

    if (s->release)
        s->release(s->user);
    free(s);
}

static void snapshot_back(struct hub *h, struct snapshot *s)
{
    bool is_abandoned;

    pthread_mutex_lock(&h->lock);
    is_abandoned = s->is_abandoned;
    h->snapshots_out--;
    h->answered_ns = clock_now_ns();
    s->is_done = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (is_abandoned)
        free(s);
}

static void handle(struct hub *h, const struct xmsg *m)
{
    switch (m->type) {
    case X_DELIVER: deliver(h, m->delivery); break;
    case X_TRACE: trace(h, m->trace); break;
    case X_PUBLISHED: published(h, m->publish); break;
    case X_SOURCES_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            hub_source_done(m->homes.buf[i]);
        break;
    case X_NOTE:
        log_packed((enum log_level)m->note->level, m->note->record);
        free(m->note);
        break;
    case X_RESOLVE:
        if (h->resolve && !__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE))
            h->resolve(h->resolve_user, m->name->index, &m->name->addr);
        free(m->name);
        break;
    case X_SNAPSHOT:
        snapshot_add_batches(m->snapshot, h->cfg.from_coding);
        snapshot_back(h, m->snapshot);
        break;
    case X_LEFT:
        pthread_mutex_lock(&h->lock);
        h->has_left = true;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
        break;
    default: break;
    }
}

static bool flush_late(struct hub *h)
{
    bool is_done;

    pthread_mutex_lock(&h->lock);
    is_done = hub_flush_late_locked(h);
    pthread_mutex_unlock(&h->lock);
    return is_done;
}

void *hub_dispatch_run(void *arg)
{
    struct hub *h = arg;
    struct xmsg m;

    while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE)) {
        struct pollfd pfd = {.fd = h->cfg.door->fd, .events = POLLIN};
        for (unsigned n = 0; n < FLUSH_EVERY && xring_pop_sc(h->cfg.from_coding, &m); n++)
            handle(h, &m);
        rpc_gather_flush(); /* what a stream got in this turn goes out together */
        xdoor_sleep(h->cfg.door, true); /* before the look at what is late: who adds to it rings */
        int wait_ms = flush_late(h) ? 1000 : 1; /* nobody rings when the coding role has made room */
        if (xring_is_empty(h->cfg.from_coding) && !__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE))
            poll(&pfd, 1, wait_ms);
        xdoor_wake(h->cfg.door);
    }
    rpc_gather_end();
    return NULL;
}

/* The same for what had not got into the ring to the coding role: there is nobody to send it to. */
static void drop_late(const struct xmsg *m)
{
    if (m->type == X_PAYLOADS_HOME)
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
    if (m->type == X_SUBSCRIBE || m->type == X_RELAY || m->type == X_UNSUBSCRIBE)
        free(m->publish);
    if (m->type == X_ALLOW)
        allowlist_free(m->allow);
    if (m->type == X_RESOLVED)
        free(m->resolved);
}

/* The lcores have stopped, nobody else counts any more: what they left behind goes home directly. */
void hub_drain(struct hub *h)
{
    struct xmsg m;

    while (xring_pop_sc(h->cfg.from_coding, &m)) {
        if (m.type == X_DELIVER)
            buf_unref(m.delivery->payload);
        else if (m.type != X_TRACE)
            handle(h, &m);
    }
    for (size_t i = 0; i < h->late.count; i++)
        drop_late(&h->late.m[h->late.first + i]);
    free(h->late.m);
    h->late = (struct hub_late){0};
}
