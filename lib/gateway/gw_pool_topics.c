/* gw_pool_topics.c: the topics that clients want of the nodes, and the nodes that do not take them all
 * Limits:  wanted: the registry's; refused, of a node: of the wanted ones alone. A node that refused a topic is asked for it again when its
 *          health says that it has room, and when its stream begins anew. That a topic may be new to us and not to the node only the
 *          node knows: it is asked, whatever room it told
 */
#include <stdio.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"

#define ASK_AGAIN_MAX 256 /* of refused topics, for one answer about its health */
#define LOG_NS        60000000000ull
/* A node of the version before ends a stream that asks for one more, and all begins anew. */
#define EARLIER_TOPICS_MAX 1024

/* It tells how large payloads may be, and not how many topics. */
static bool is_earlier(const struct gw_node *n)
{
    return n->info.max_message_bytes && !n->info.max_topics;
}

static uint32_t takes(const struct gw_node *n)
{
    uint32_t max = is_earlier(n) ? EARLIER_TOPICS_MAX : n->info.max_topics ? n->info.max_topics : GW_TOPICS_MAX;

    return max < GW_TOPICS_CEILING ? max : GW_TOPICS_CEILING;
}

/* topic is among the wanted ones, and not among the refused. */
static void ask(struct gw_node *n, struct slice topic)
{
    if (is_earlier(n) && n->pool->wanted.count - n->refused.count > EARLIER_TOPICS_MAX)
        map_put(&n->refused, topic, n);
    else
        n->link->ops->want_topic(n->link, topic, true);
}

static void forget_refused(struct gw_node *n)
{
    uint8_t seed[16];

    memcpy(seed, n->refused.seed, sizeof(seed));
    map_fini(&n->refused);
    map_init(&n->refused, 0, seed);
}

void gw_pool_ask_topics_anew(struct gw_node *n)
{
    struct slice topic;
    size_t it = 0;

    forget_refused(n);
    while (map_next(&n->pool->wanted, &it, &topic))
        ask(n, topic);
}

/* Told also to a node that refused: its refusal may have been late, of an earlier wish. */
static void no_longer(struct gw_node *n, struct slice topic)
{
    map_del(&n->refused, topic);
    if (n->is_open)
        n->link->ops->want_topic(n->link, topic, false);
}

void gw_pool_want_topic(struct gw_pool *pool, struct slice topic, bool wanted)
{
    pthread_mutex_lock(&pool->lock);
    if (wanted)
        map_put(&pool->wanted, topic, pool);
    else
        map_del(&pool->wanted, topic);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        if (!wanted)
            no_longer(n, topic);
        else if (n->is_open)
            ask(n, topic);
    }
    pthread_mutex_unlock(&pool->lock);
}

bool gw_pool_has_topic_room(struct gw_pool *pool)
{
    bool has = false, is_any_open = false;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes && !has; i++) {
        const struct gw_node *n = &pool->nodes[i];

        if (!n->is_open) /* it says later what it takes */
            continue;
        is_any_open = true;
        has = n->refused.count == 0 && pool->wanted.count < takes(n);
    }
    if (!is_any_open)
        has = pool->wanted.count < GW_TOPICS_MAX;
    pthread_mutex_unlock(&pool->lock);
    return has;
}

void gw_pool_topics_told(struct gw_node *n, uint32_t max_topics, uint32_t topics)
{
    struct slice topic;
    uint8_t text[GW_NAME_MAX];
    int64_t room;

    n->info.max_topics = max_topics;
    n->info.topics = topics;
    room = max_topics ? (int64_t)max_topics - topics : (int64_t)takes(n) - (int64_t)(n->pool->wanted.count - n->refused.count);
    for (int64_t i = 0; n->is_open && i < room && i < ASK_AGAIN_MAX; i++) {
        size_t it = 0;

        if (!map_next(&n->refused, &it, &topic) || topic.len > sizeof(text))
            return;
        memcpy(text, topic.p, topic.len);
        topic = slice_of(text, topic.len);
        map_del(&n->refused, topic);
        ask(n, topic);
    }
}

void gw_node_refused_topic(struct gw_node *n, struct slice topic, const char *why)
{
    uint64_t now = gw_now_ns();
    bool is_told = false;

    pthread_mutex_lock(&n->pool->lock);
    if (map_get(&n->pool->wanted, topic) && !map_get(&n->refused, topic)) {
        is_told = !n->refused_told_ns || gw_since(now, n->refused_told_ns) >= LOG_NS;
        n->refused_told_ns = is_told ? now : n->refused_told_ns;
        map_put(&n->refused, topic, n);
    }
    pthread_mutex_unlock(&n->pool->lock);
    gw_count(&n->pool->gw->count.topics_refused, 1);
    if (is_told) /* one line a minute, however many they are: codecast_gateway_node_topics_refused has the number */
        log_warn("\"a node does not take a topic, its messages come by other nodes alone\" node=%s topic=%.*s reason=\"%s\"",
                 n->info.target, (int)topic.len, (const char *)topic.p, why);
}
