/* gw_pool_kept.c: publishes that a node has confirmed, kept for a moment: if it is gone by then, other nodes get them too
 * Why:     a node confirms what it has taken, and may be killed before its peers have it. A message that comes twice is delivered
 *          once (topic and SHA-256, 120 s, at each node), so that repeating it costs traffic and nothing else
 * Limits:  KEPT_NS, and KEPT_BYTES over all nodes, half of it for small messages (of the others the newest of each node in any case)
 */
#include "gateway/gw_pool_impl.h"
#include "gateway/gw_impl.h"

#define KEPT_NS    5000000000ull
#define KEPT_BYTES (32ull << 20)

static uint64_t cost_of(const struct gw_publish *p)
{
    return rpc_msg_len(p->payload) + sizeof(*p);
}

static struct gw_publish *oldest(struct gw_node *n)
{
    return CONTAINER_OF(n->kept_large.next, struct gw_publish, link);
}

static struct gw_publish *take_oldest(struct gw_node *n)
{
    struct gw_publish *p = oldest(n);

    list_del(&p->link);
    n->kept_bytes -= cost_of(p);
    return p;
}

/* Under the lock: what need not be kept any longer, to be freed without it. */
static void expire(struct gw_node *n, struct list *out, uint64_t now)
{
    uint64_t most = KEPT_BYTES / 2 / n->pool->n_nodes;

    gw_kept_expire(&n->kept, now > KEPT_NS ? now - KEPT_NS : 0);
    while (!list_is_empty(&n->kept_large) && (n->kept_bytes > most || gw_since(now, oldest(n)->sent_ns) >= KEPT_NS))
        list_push_back(out, &take_oldest(n)->link);
}

static void free_all(struct list *gone)
{
    struct list *it;

    while ((it = list_pop_front(gone)))
        gw_publish_free(CONTAINER_OF(it, struct gw_publish, link));
}

static bool keep_small(struct gw_node *n, const struct gw_publish *p, uint64_t now)
{
    struct slice payload = rpc_msg_slice(p->payload);

    if (!n->kept.cap)
        gw_kept_init(&n->kept, KEPT_BYTES / 2 / n->pool->n_nodes);
    return payload.len == rpc_msg_len(p->payload) && gw_kept_add(&n->kept, p->topic, p->id, payload, now);
}

void gw_pool_keep(struct gw_node *n, struct list *confirmed, uint64_t now)
{
    struct list gone, again;
    struct list *it;

    list_init(&gone);
    list_init(&again);
    pthread_mutex_lock(&n->pool->lock);
    expire(n, &gone, now);
    while ((it = list_pop_front(confirmed))) {
        struct gw_publish *p = CONTAINER_OF(it, struct gw_publish, link);

        if (keep_small(n, p, now)) {
            list_push_back(&gone, it);
            continue;
        }
        rpc_msg_unref(p->request);
        p->request = NULL;
        p->sent_ns = now;
        list_push_back(&n->kept_large, it);
        n->kept_bytes += cost_of(p);
    }
    if (!n->is_open) /* it went while the publisher was told */
        gw_pool_take_kept(n, &again, now);
    pthread_mutex_unlock(&n->pool->lock);
    free_all(&gone);
    gw_pool_resend(n->pool, &again);
}

static void repeat(struct gw_node *n, struct gw_publish *p, struct list *out, uint64_t now)
{
    p->is_repeat = true;
    p->start_ns = now;
    p->tried = 1ull << n->index;
    n->info.repeated++;
    list_push_back(out, &p->link);
}

void gw_pool_take_kept(struct gw_node *n, struct list *out, uint64_t now)
{
    struct gw_kept_item item;

    while (gw_kept_pop(&n->kept, &item)) {
        struct slice topic = slice_of(item.bytes, item.head.topic_len);
        struct gw_publish *p = gw_publish_again(n->pool->gw, topic, item.head.id, slice_of(item.bytes + topic.len, item.head.payload_len));

        if (p)
            repeat(n, p, out, now);
        else
            gw_count(&n->pool->gw->count.repeats_failed, 1);
    }
    while (!list_is_empty(&n->kept_large))
        repeat(n, take_oldest(n), out, now);
}

void gw_pool_forget_kept(struct gw_pool *pool, uint64_t now)
{
    struct list gone;

    list_init(&gone);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++)
        expire(&pool->nodes[i], &gone, now);
    pthread_mutex_unlock(&pool->lock);
    free_all(&gone);
}

void gw_pool_free_kept(struct gw_node *n)
{
    gw_kept_fini(&n->kept);
    while (!list_is_empty(&n->kept_large))
        gw_publish_free(take_oldest(n));
}
