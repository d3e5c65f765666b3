/* gw_pool_ask.c: what is asked of nodes beside publishes: their health, and which topics they know */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"

static void copy_text(char *out, size_t cap, const char *s)
{
    snprintf(out, cap, "%s", s ? s : "");
}

void gw_node_health(struct gw_node *n, const struct gw_node_health *h)
{
    pthread_mutex_lock(&n->pool->lock);
    if (h && n->asking_health)
        gw_load_answered(&n->load, 0, gw_now_ns() - n->health_ns);
    n->asking_health = false;
    if (h) {
        n->load.cpu = h->cpu_used;
        copy_text(n->info.country, sizeof(n->info.country), h->country);
        copy_text(n->info.country_iso, sizeof(n->info.country_iso), h->country_iso);
        copy_text(n->info.p2p_address, sizeof(n->info.p2p_address), h->p2p_address);
        copy_text(n->info.mode, sizeof(n->info.mode), h->mode);
        n->info.memory_used = h->memory_used;
        n->info.cpu_used = h->cpu_used;
        n->info.disk_used = h->disk_used;
        n->info.max_message_bytes = h->max_message_bytes;
        n->is_mute = !h->max_message_bytes && !n->has_answered; /* only our nodes tell */
        gw_pool_note(n->pool);
        gw_pool_topics_told(n, h->max_topics, h->topics);
    }
    pthread_mutex_unlock(&n->pool->lock);
}

void gw_pool_ask_health(struct gw_node *n, uint64_t now)
{
    if (n->asking_health || n->pool->stopping)
        return;
    n->health_ns = now;
    n->asking_health = n->link->ops->ask_health(n->link);
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
static bool remember(struct question *q, char *const *topics, size_t n)
{
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        struct slice t = slice_str(topics[i]);

        found |= slice_is_equal(t, slice_of(q->topic, q->len));
        if (t.len <= GW_NAME_MAX)
            map_put(&q->pool->known, t, q->pool); /* full: asked again next time */
    }
    return found;
}

static void on_topics(void *user, char *const *topics, size_t n)
{
    struct question *q = user;
    bool found;

    pthread_mutex_lock(&q->pool->lock);
    found = remember(q, topics, n);
    pthread_mutex_unlock(&q->pool->lock);
    if (!found) {
        ask_next(q);
        return;
    }
    q->answer(q->user, true);
    free(q);
}

static void ask_next(struct question *q)
{
    struct gw_pool *pool = q->pool;
    bool asked = false;

    pthread_mutex_lock(&pool->lock);
    while (!asked && !pool->stopping && q->next < pool->n_nodes) {
        struct gw_node *n = &pool->nodes[q->next++];

        asked = gw_node_is_up(n) && n->link->ops->ask_topics(n->link, on_topics, q);
    }
    pthread_mutex_unlock(&pool->lock);
    if (asked)
        return;
    q->answer(q->user, false);
    free(q);
}

void gw_pool_ask_topic(struct gw_pool *pool, struct slice topic, void (*answer)(void *user, bool is_known), void *user)
{
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
