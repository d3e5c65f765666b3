/* gw_pool_health.c: what is asked of nodes beside the stream: Health and ListTopics */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"
#include "sidecar.pb-c.h"

#define HEALTH_TIMEOUT_MS 3000
#define TOPICS_TIMEOUT_MS 1000

static void copy_text(char *out, size_t cap, const char *s)
{
    snprintf(out, cap, "%s", s ? s : "");
}

static double percent(float v)
{
    return isfinite(v) && v >= 0 && v <= 1e6f ? v : 0;
}

static void on_health(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct gw_node *n = user;
    struct slice s = reply ? rpc_msg_slice(reply) : (struct slice){0};
    Proto__HealthResponse *h =
        st->code == RPC_CODE_OK ? proto__health_response__unpack(NULL, s.len, s.p) : NULL;

    pthread_mutex_lock(&n->pool->lock);
    n->asking_health = false;
    if (h) {
        gw_load_answered(&n->load, 0, gw_now_ns() - n->health_ns);
        n->load.cpu = percent(h->cpuused);
        copy_text(n->info.country, sizeof(n->info.country), h->country);
        copy_text(n->info.country_iso, sizeof(n->info.country_iso), h->country_iso);
        copy_text(n->info.p2p_address, sizeof(n->info.p2p_address), h->p2paddress);
        copy_text(n->info.mode, sizeof(n->info.mode), h->nodemode);
        n->info.memory_used = percent(h->memoryused);
        n->info.cpu_used = percent(h->cpuused);
        n->info.disk_used = percent(h->diskused);
        n->info.max_message_bytes = h->max_message_bytes;
        n->is_mute = !h->max_message_bytes && !n->has_answered; /* only our nodes tell */
    }
    pthread_mutex_unlock(&n->pool->lock);
    if (h)
        proto__health_response__free_unpacked(h, NULL);
}

void gw_pool_ask_health(struct gw_node *n, uint64_t now)
{
    struct rpc_call_options opt = {.timeout_ms = HEALTH_TIMEOUT_MS};
    struct rpc_msg *empty;

    if (n->asking_health || n->pool->stopping || !n->client)
        return;
    empty = rpc_msg_copy((struct slice){0});
    if (!empty)
        return;
    n->health_ns = now;
    n->asking_health =
        rpc_client_unary(n->client, "/proto.CommandStream/Health", empty, &opt, on_health, n) == 0;
    rpc_msg_unref(empty);
}

/* ---- does anybody know this topic ---- */

struct question {
    struct gw_pool *pool;
    unsigned next; /* the next node to ask */
    void (*answer)(void *user, bool is_known);
    void *user;
    size_t len;
    uint8_t topic[];
};

static void ask_next(struct question *q);

/* Under the lock: remembers what this node knows; true when the topic is among it. */
static bool remember(struct question *q, const Proto__TopicList *list)
{
    bool found = false;

    for (size_t i = 0; list && i < list->n_topics; i++) {
        struct slice t = slice_str(list->topics[i]);

        found |= slice_is_equal(t, slice_of(q->topic, q->len));
        if (t.len <= GW_NAME_MAX)
            map_put(&q->pool->known, t, q->pool); /* full: asked again next time */
    }
    return found;
}

static void on_topics(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct question *q = user;
    struct slice s = reply ? rpc_msg_slice(reply) : (struct slice){0};
    Proto__TopicList *list = st->code == RPC_CODE_OK ? proto__topic_list__unpack(NULL, s.len, s.p) : NULL;
    bool found;

    pthread_mutex_lock(&q->pool->lock);
    found = remember(q, list);
    pthread_mutex_unlock(&q->pool->lock);
    if (list)
        proto__topic_list__free_unpacked(list, NULL);
    if (!found) {
        ask_next(q);
        return;
    }
    q->answer(q->user, true);
    free(q);
}

static void ask_next(struct question *q)
{
    struct rpc_call_options opt = {.timeout_ms = TOPICS_TIMEOUT_MS};
    struct gw_pool *pool = q->pool;
    struct rpc_msg *empty = rpc_msg_copy((struct slice){0});
    bool asked = false;

    pthread_mutex_lock(&pool->lock);
    while (!asked && empty && !pool->stopping && q->next < pool->n_nodes) {
        struct gw_node *n = &pool->nodes[q->next++];

        if (gw_node_is_up(n))
            asked = rpc_client_unary(n->client, "/proto.CommandStream/ListTopics", empty, &opt, on_topics,
                                     q) == 0;
    }
    pthread_mutex_unlock(&pool->lock);
    rpc_msg_unref(empty);
    if (asked)
        return;
    q->answer(q->user, false);
    free(q);
}

void gw_pool_ask_topic(struct gw_upstream *u, struct slice topic, void (*answer)(void *user, bool is_known),
                       void *user)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);
    struct question *q;
    bool known;

    pthread_mutex_lock(&pool->lock);
    known = map_get(&pool->known, topic) != NULL;
    pthread_mutex_unlock(&pool->lock);
    q = known ? NULL : calloc(1, sizeof(*q) + topic.len);
    if (!q) {
        answer(user, known);
        return;
    }
    q->pool = pool;
    q->answer = answer;
    q->user = user;
    q->len = topic.len;
    memcpy(q->topic, topic.p, topic.len);
    ask_next(q);
}
