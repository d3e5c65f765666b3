/* gw_pool_topics.c: the topics that clients want of the nodes, and the nodes that do not take them all
 * Limits:  wanted: the registry's; refused, of a node: of the wanted ones alone. A node that refused a topic is asked for it again when its
 *          health says that it has room, when it turns out to have it, and when its stream begins anew. All are asked for again a few
 *          seconds after it dropped something for us: a refusal may have been among that
 * Room:    a client is told "subscribed" when a node is known to have room, or to have the topic already. Of a node's room others may
 *          have a part: health tells how many topics it has, and what is not ours is theirs. Its health is the answer to a question, and
 *          topics come and go meanwhile, so theirs is known only within bounds, and stays within them what it was. When in doubt there
 *          is no room, and the node is asked at once: the next try, a second later, knows better
 */
#include <stdio.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"

#define ASK_AGAIN_MAX 256 /* of refused topics, for one answer about its health */
#define LOG_NS        60000000000ull
/* A node of the version before ends a stream that asks for one more, and all begins anew. */
#define EARLIER_TOPICS_MAX 1024
#define ANEW_NS     5000000000ull
#define IN_DOUBT_NS 200000000ull /* between questions about its health, when somebody waits for room */

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

/* Topics that it has for us. */
static uint32_t ours(const struct gw_node *n)
{
    return (uint32_t)(n->pool->wanted.count - n->refused.count);
}

static void note_ours(struct gw_node *n)
{
    uint32_t now = ours(n);

    n->ours_least = now < n->ours_least ? now : n->ours_least;
    n->ours_most = now > n->ours_most ? now : n->ours_most;
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

/* It told that it has so many. */
static void learn_others(struct gw_node *n, uint32_t topics)
{
    uint32_t least = less(topics, n->ours_most), most = less(topics, n->ours_least);

    n->others = n->others < least ? least : n->others > most ? most : n->others;
    n->ours_least = n->ours_most = ours(n);
}

static bool has_room(const struct gw_node *n)
{
    if (!n->info.max_topics) /* it does not tell */
        return n->refused.count == 0 && ours(n) < takes(n);
    return !n->is_full && (uint64_t)ours(n) + n->others < takes(n);
}

/* topic is among the wanted ones, and not among the refused. */
static void ask(struct gw_node *n, struct slice topic)
{
    if (is_earlier(n) && n->pool->wanted.count - n->refused.count > EARLIER_TOPICS_MAX) {
        map_put(&n->refused, topic, n);
        note_ours(n);
    } else {
        n->link->ops->want_topic(n->link, topic, true);
    }
}

static void empty(struct map *m)
{
    uint8_t seed[16];

    if (!m->count)
        return;
    memcpy(seed, m->seed, sizeof(seed));
    map_fini(m);
    map_init(m, m->max, seed);
}

/* It refused the topic, and may take it now. */
static void ask_again(struct gw_node *n, struct slice topic)
{
    map_del(&n->refused, topic);
    note_ours(n);
    ask(n, topic);
}

void gw_pool_ask_topics_anew(struct gw_node *n)
{
    struct slice topic;
    size_t it = 0;

    empty(&n->refused);
    note_ours(n);
    n->is_owed = false;
    n->anew_ns = gw_now_ns();
    while (map_next(&n->pool->wanted, &it, &topic))
        ask(n, topic);
}

/* ---- which topics a node has: of use when it has little room, and others have a part of it ---- */

static bool wants_names(const struct gw_node *n)
{
    if (!n->info.max_topics)
        return n->refused.count > 0;
    return n->others > 0 && n->info.topics > takes(n) / 2; /* else all that it has find room, new or not */
}

static void on_names(void *user, char *const *topics, size_t count)
{
    struct gw_node *n = user;

    gw_node_lock(n);
    n->asking_names = false;
    if (topics)
        empty(&n->names);
    for (size_t i = 0; topics && n->is_open && i < count; i++) {
        struct slice t = slice_str(topics[i]);

        if (t.len > GW_NAME_MAX)
            continue;
        map_put(&n->names, t, n); /* no memory: not known */
        if (map_get(&n->refused, t))
            ask_again(n, t);
    }
    gw_node_unlock(n);
}

static void ask_names(struct gw_node *n)
{
    if (!wants_names(n))
        empty(&n->names);
    else if (n->is_open && !n->asking_names && !n->pool->stopping)
        n->asking_names = n->link->ops->ask_topics(n->link, on_names, n);
}

void gw_pool_topics_down(struct gw_node *n)
{
    empty(&n->names);
    n->is_full = n->is_owed = false;
    n->ours_least = 0; /* it has none of ours until it has heard of them again */
}

void gw_pool_topics_tick(struct gw_node *n, uint64_t now)
{
    if (n->is_open && n->is_owed && gw_since(now, n->anew_ns) >= ANEW_NS)
        gw_pool_ask_topics_anew(n);
}

/* ---- wishes ---- */

static void begin_wish(struct gw_node *n, struct slice topic)
{
    if (n->others && map_get(&n->names, topic))
        n->others--; /* it is ours now, too */
    note_ours(n);
    if (n->is_open)
        ask(n, topic);
}

/* Told also to a node that refused: its refusal may have been late, of an earlier wish. That the topic makes room there is not said:
 * others may have it. */
static void end_wish(struct gw_node *n, struct slice topic)
{
    bool was_ours = !map_del(&n->refused, topic);

    note_ours(n);
    if (!n->is_open)
        return;
    n->others += was_ours && n->others < n->info.topics; /* theirs are among those that it told of */
    map_del(&n->names, topic);
    n->link->ops->want_topic(n->link, topic, false);
    if (!has_room(n) && gw_since(gw_now_ns(), n->health_ns) >= IN_DOUBT_NS)
        gw_pool_ask_health(n, gw_now_ns());
}

void gw_pool_want_topic(struct gw_pool *pool, struct slice topic, bool wanted)
{
    pthread_mutex_lock(&pool->lock);
    if (wanted)
        map_put(&pool->wanted, topic, pool);
    else
        map_del(&pool->wanted, topic);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        if (wanted)
            begin_wish(&pool->nodes[i], topic);
        else
            end_wish(&pool->nodes[i], topic);
    }
    pthread_mutex_unlock(&pool->lock);
}

bool gw_pool_has_topic_room(struct gw_pool *pool, struct slice topic)
{
    uint64_t now = gw_now_ns();
    bool has = false, is_any_open = false;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes && !has; i++) {
        const struct gw_node *n = &pool->nodes[i];

        is_any_open |= n->is_open; /* another one says later what it takes */
        has = n->is_open && (has_room(n) || map_get(&n->names, topic));
    }
    if (!is_any_open)
        has = pool->wanted.count < GW_TOPICS_MAX;
    for (unsigned i = 0; i < pool->n_nodes && !has; i++)
        if (pool->nodes[i].is_open && gw_since(now, pool->nodes[i].health_ns) >= IN_DOUBT_NS)
            gw_pool_ask_health(&pool->nodes[i], now);
    pthread_mutex_unlock(&pool->lock);
    return has;
}

/* ---- what a node says of them ---- */

void gw_pool_topics_told(struct gw_node *n, uint32_t max_topics, uint32_t topics)
{
    struct slice topic;
    uint8_t text[GW_NAME_MAX];
    int64_t room;

    n->info.max_topics = max_topics;
    n->info.topics = topics;
    n->is_full = false;
    learn_others(n, topics);
    ask_names(n);
    room = max_topics ? (int64_t)max_topics - topics : (int64_t)takes(n) - ours(n);
    for (int64_t i = 0; n->is_open && i < room && i < ASK_AGAIN_MAX; i++) {
        size_t it = 0;

        if (!map_next(&n->refused, &it, &topic) || topic.len > sizeof(text))
            return;
        memcpy(text, topic.p, topic.len);
        ask_again(n, slice_of(text, topic.len));
    }
}

void gw_node_refused_topic(struct gw_node *n, struct slice topic, const char *why)
{
    uint64_t now = gw_now_ns();
    bool is_told = false;

    pthread_mutex_lock(&n->pool->lock);
    n->is_full = true;
    map_del(&n->names, topic);
    if (map_get(&n->pool->wanted, topic) && !map_get(&n->refused, topic)) {
        is_told = !n->refused_told_ns || gw_since(now, n->refused_told_ns) >= LOG_NS;
        n->refused_told_ns = is_told ? now : n->refused_told_ns;
        map_put(&n->refused, topic, n);
        note_ours(n);
    }
    pthread_mutex_unlock(&n->pool->lock);
    gw_count(&n->pool->gw->count.topics_refused, 1);
    if (is_told) /* one line a minute, however many they are: codecast_gateway_node_topics_refused has the number */
        log_warn("\"a node does not take a topic, its messages come by other nodes alone\" node=%s topic=%.*s reason=\"%s\"",
                 n->info.target, (int)topic.len, (const char *)topic.p, why);
}
