/* gw_pool_send.c: publishes: which node, whether it confirmed, and what to do when it did not */
#include "gateway/gw_impl.h"
#include "gateway/gw_lane.h"
#include "gateway/gw_pool_impl.h"

#define ACK_NS       3000000000ull
#define ACK_NS_PER_B 125          /* and 8 MB/s on top */
#define MUTE_NS      300000000ull /* a node that never confirms anything: published once it took the bytes */
#define GIVE_UP_NS   15000000000ull

enum sent { SENT, NO_NODE, ALL_BUSY };

static struct slice key_of(uint8_t buf[GW_ID_BYTES + GW_NAME_MAX], struct slice topic,
                           const uint8_t id[GW_ID_BYTES])
{
    memcpy(buf, id, GW_ID_BYTES);
    memcpy(buf + GW_ID_BYTES, topic.p, topic.len);
    return slice_of(buf, GW_ID_BYTES + topic.len);
}

static uint64_t size_of(const struct gw_publish *p)
{
    return rpc_msg_len(p->payload);
}

/* A queue that is empty takes any message. */
static bool has_room(const struct gw_node *n, uint64_t bytes)
{
    uint64_t max = n->pool->queue_bytes;

    return n->inflight_bytes == 0 || (n->inflight_bytes < max && bytes <= max - n->inflight_bytes);
}

/* Under the lock, as all that follow up to resend. */
static struct gw_node *choose(struct gw_pool *pool, uint64_t tried, uint64_t bytes)
{
    uint64_t least = 0, price;
    struct gw_node *best = NULL;

    for (unsigned k = 0; k < pool->n_nodes; k++) {
        struct gw_node *n = &pool->nodes[(pool->next + k) % pool->n_nodes];

        if (!gw_node_is_up(n) || (tried >> n->index & 1))
            continue;
        price = gw_load_price(&n->load, bytes, pool->clock);
        if (!best || price < least) {
            best = n;
            least = price;
        }
    }
    if (best)
        pool->next = (best->index + 1) % pool->n_nodes;
    return best;
}

static enum sent try_send(struct gw_pool *pool, struct gw_publish *p, uint64_t now)
{
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];
    enum sent rc = NO_NODE;
    struct gw_node *n;

    while ((n = choose(pool, p->tried, size_of(p)))) {
        p->tried |= 1ull << n->index;
        if (!has_room(n, size_of(p)) || !n->link->ops->publish(n->link, p)) {
            rc = ALL_BUSY;
            continue;
        }
        p->node = n->index;
        p->sent_ns = now;
        if (!p->lane) /* a lane knows its publishes by number */
            map_put(&pool->by_key, key_of(buf, p->topic, p->id), p);
        list_push_back(&n->inflight, &p->link);
        n->inflight_bytes += size_of(p);
        gw_load_sent(&n->load, size_of(p), &pool->clock);
        n->info.published++;
        return SENT;
    }
    return rc;
}

static void take_one(struct gw_pool *pool, struct gw_publish *p)
{
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];

    pool->nodes[p->node].inflight_bytes -= size_of(p);
    gw_load_taken(&pool->nodes[p->node].load, size_of(p));
    list_del(&p->link);
    if (p->lane)
        gw_lane_forget(p);
    else
        map_del(&pool->by_key, key_of(buf, p->topic, p->id));
}

void gw_pool_take_back(struct gw_publish *p, struct list *out)
{
    take_one(p->gw->pool, p);
    p->tried &= ~(1ull << p->node);
    p->is_again = true;
    list_push_back(out, &p->link);
}

void gw_pool_take_inflight(struct gw_node *n, struct list *out)
{
    LIST_EACH(it, &n->inflight)
    {
        struct gw_publish *p = CONTAINER_OF(it, struct gw_publish, link);

        take_one(n->pool, p);
        list_push_back(out, &p->link);
    }
}

/* ---- without the lock ---- */

static void done(struct gw_publish *p, int err)
{
    gw_publish_done(p, &(struct gw_outcome){.err = err});
}

void gw_pool_publish(struct gw_pool *pool, struct gw_publish *p)
{
    enum sent rc = NO_NODE;
    bool stopping;

    pthread_mutex_lock(&pool->lock);
    stopping = pool->stopping;
    if (!stopping)
        rc = try_send(pool, p, gw_now_ns());
    pthread_mutex_unlock(&pool->lock);
    if (rc != SENT)
        done(p, stopping ? GW_E_STOPPING : rc == NO_NODE ? GW_E_NO_NODE : GW_E_BUSY);
}

/* These were with a node that went away or kept silent. Any node may have them next, but the one that had them comes last. */
void gw_pool_resend(struct gw_pool *pool, struct list *publishes)
{
    struct list failed;
    struct list *it;
    uint64_t now = gw_now_ns();

    list_init(&failed);
    pthread_mutex_lock(&pool->lock);
    while ((it = list_pop_front(publishes))) {
        struct gw_publish *p = CONTAINER_OF(it, struct gw_publish, link);

        p->is_again = true; /* the next node may know it from the one that had it */
        if (pool->stopping) {
            list_push_back(&failed, it);
        } else if (try_send(pool, p, now) != SENT) {
            p->tried = 0;
            list_push_back(&pool->waiting, it);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&failed)))
        done(CONTAINER_OF(it, struct gw_publish, link), GW_E_STOPPING);
}

void gw_pool_retry_waiting(struct gw_pool *pool, uint64_t now)
{
    struct list failed;
    struct list *it;
    bool stopping;

    list_init(&failed);
    pthread_mutex_lock(&pool->lock);
    stopping = pool->stopping;
    LIST_EACH(w, &pool->waiting)
    {
        struct gw_publish *p = CONTAINER_OF(w, struct gw_publish, link);

        list_del(w);
        if (stopping || gw_since(now, p->start_ns) >= GIVE_UP_NS) {
            list_push_back(&failed, w);
        } else if (try_send(pool, p, now) != SENT) {
            p->tried = 0;
            list_push_front(&pool->waiting, w); /* behind the walk: seen again next time */
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&failed)))
        done(CONTAINER_OF(it, struct gw_publish, link), stopping ? GW_E_STOPPING : GW_E_UNCONFIRMED);
}

/* Nodes that answer too late, or never do. */
void gw_pool_check_answers(struct gw_pool *pool, uint64_t now)
{
    struct list late, mute;
    struct list *it;

    list_init(&late);
    list_init(&mute);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        LIST_EACH(w, &n->inflight)
        {
            struct gw_publish *p = CONTAINER_OF(w, struct gw_publish, link);
            uint64_t limit = n->is_mute ? MUTE_NS : ACK_NS + size_of(p) * ACK_NS_PER_B;

            if (gw_since(now, p->sent_ns) < limit)
                continue;
            n->info.unconfirmed++;
            if (p->lane)
                gw_lane_late(p, now);
            if (!n->is_mute)
                gw_load_answered(&n->load, size_of(p), gw_since(now, p->sent_ns));
            take_one(pool, p);
            list_push_back(n->is_mute ? &mute : &late, w);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&mute)))
        done(CONTAINER_OF(it, struct gw_publish, link), GW_OK);
    gw_pool_resend(pool, &late);
}

/* ---- answers ---- */

/* "Not now" is worth another node; "too large" and "not allowed" are not. */
static bool is_worth_another(const struct gw_outcome *o)
{
    return o->err == GW_E_REFUSED && (o->http == 503 || o->http == 429);
}

struct gw_outcome gw_outcome_refused(int http, const char *text)
{
    if (http == 401) /* the client's token is no matter of the node's */
        return (struct gw_outcome){.err = GW_E_REFUSED, .http = 502, .text = "the node does not accept this gateway's token"};
    return (struct gw_outcome){.err = http == 413 ? GW_E_TOO_LARGE : GW_E_REFUSED,
                               .text = text[0] ? text : NULL,
                               .http = http >= 400 && http < 600 ? http : 0};
}

/* Under the lock: p was answered by n, and is its no more. True: it has been sent to another node instead. */
static bool answered(struct gw_node *n, struct gw_publish *p, const struct gw_outcome *o, uint64_t now)
{
    if (p->node == n->index) /* else it was passed on, and the first node answers late */
        gw_load_answered(&n->load, size_of(p), gw_since(now, p->sent_ns));
    take_one(n->pool, p);
    return is_worth_another(o) && try_send(n->pool, p, now) == SENT;
}

/* Without the lock. What is to be kept goes to `confirmed`. */
static void tell(struct gw_publish *p, struct gw_outcome o, struct list *confirmed)
{
    o.is_duplicate &= !p->is_again;
    if (o.err || o.is_duplicate || p->is_repeat) {
        gw_publish_done(p, &o);
        return;
    }
    gw_publish_tell(p, &o);
    list_push_back(confirmed, &p->link);
}

void gw_node_answered(struct gw_node *n, struct slice topic, const uint8_t id[GW_ID_BYTES], const struct gw_outcome *o)
{
    struct gw_pool *pool = n->pool;
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];
    struct gw_publish *p = NULL;
    uint64_t now = gw_now_ns();
    struct list confirmed;
    bool again = false;

    list_init(&confirmed);
    pthread_mutex_lock(&pool->lock);
    n->has_answered = true;
    n->is_mute = false;
    p = map_get(&pool->by_key, key_of(buf, topic, id));
    if (p)
        again = answered(n, p, o, now);
    pthread_mutex_unlock(&pool->lock);
    if (!p || again)
        return;
    tell(p, *o, &confirmed);
    if (!list_is_empty(&confirmed))
        gw_pool_keep(n, &confirmed, now);
}

void gw_pool_answers_taken(struct gw_node *n, struct gw_lane_answer *a, unsigned count, uint64_t now)
{
    n->has_answered = true;
    n->is_mute = false;
    for (unsigned i = 0; i < count; i++)
        a[i].is_again = answered(n, a[i].p, &a[i].outcome, now);
}

void gw_pool_answers_tell(struct gw_node *n, struct gw_lane_answer *a, unsigned count, uint64_t now)
{
    struct list confirmed;

    list_init(&confirmed);
    for (unsigned i = 0; i < count; i++)
        if (!a[i].is_again)
            tell(a[i].p, a[i].outcome, &confirmed);
    if (!list_is_empty(&confirmed))
        gw_pool_keep(n, &confirmed, now);
}
