/* gw_pool_topics.c: the topics that clients want of the nodes, and the nodes that do not take them all
 * Limits:  wanted: the registry's; refused, of a node: of the wanted ones alone. A node that refused a topic is asked for it again when its
 *          health says that it has room, and when its stream begins anew
 */
#include <stdio.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"

#define TOPICS_CEILING 100000 /* whatever nodes tell */
#define ASK_AGAIN_MAX  256    /* of refused topics, for one answer about its health */
#define LOG_NS         60000000000ull

static void ask(struct gw_node *n, struct slice topic, bool wanted)
{
    n->topic_room += wanted ? -1 : 1;
    n->link->ops->want_topic(n->link, topic, wanted);
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
    n->topic_room = (int64_t)n->info.max_topics;
    while (map_next(&n->pool->wanted, &it, &topic))
        ask(n, topic, true);
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

        if (n->is_open && (wanted || !map_del(&n->refused, topic)))
            ask(n, topic, wanted);
    }
    pthread_mutex_unlock(&pool->lock);
}

bool gw_pool_has_topic_room(struct gw_pool *pool)
{
    uint32_t max = 0;
    bool has = true;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes && has; i++) {
        const struct gw_node *n = &pool->nodes[i];

        if (!n->is_open) /* it says later what it takes */
            continue;
        has = n->refused.count == 0 && (!n->info.max_topics || n->topic_room > 0);
        if (n->info.max_topics && (!max || n->info.max_topics < max))
            max = n->info.max_topics;
    }
    max = !max ? GW_TOPICS_MAX : max < TOPICS_CEILING ? max : TOPICS_CEILING;
    has = has && pool->wanted.count < max;
    pthread_mutex_unlock(&pool->lock);
    return has;
}

void gw_pool_topics_told(struct gw_node *n, uint32_t max_topics, uint32_t topics)
{
    struct slice topic;
    uint8_t text[GW_NAME_MAX];

    n->info.max_topics = max_topics;
    n->info.topics = topics;
    n->topic_room = (int64_t)max_topics - topics;
    for (unsigned i = 0; n->is_open && n->topic_room > 0 && i < ASK_AGAIN_MAX; i++) {
        size_t it = 0;

        if (!map_next(&n->refused, &it, &topic) || topic.len > sizeof(text))
            return;
        memcpy(text, topic.p, topic.len);
        topic = slice_of(text, topic.len);
        map_del(&n->refused, topic);
        ask(n, topic, true);
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
        n->topic_room++; /* it was taken off when we asked */
    }
    pthread_mutex_unlock(&n->pool->lock);
    gw_count(&n->pool->gw->count.topics_refused, 1);
    if (is_told) /* one line a minute, however many they are: codecast_gateway_node_topics_refused has the number */
        log_warn("\"a node does not take a topic, its messages come by other nodes alone\" node=%s topic=%.*s reason=\"%s\"",
                 n->info.target, (int)topic.len, (const char *)topic.p, why);
}
