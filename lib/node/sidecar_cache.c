/* sidecar_cache.c: a message is encoded once, however many streams want it
 * Owner:   filled by the hub's dispatch thread, which calls the subscribers of one message one after the other; emptied by
 *          the retry thread, so that an idle node does not keep a large message
 */
#include <time.h>

#include "node/sidecar_impl.h"

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Outside the lock: to let go of a message takes the hub's lock. */
static void drop(const struct sidecar_cache *c)
{
    if (c->message)
        hub_message_unref(c->message);
    rpc_msg_unref(c->encoded[0]);
    rpc_msg_unref(c->encoded[1]);
}

struct rpc_msg *sidecar_encoded(struct sidecar *s, struct hub_message *m, bool is_raw)
{
    struct sidecar_cache old = {0};
    struct rpc_msg *e = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->cache.message == m && s->cache.encoded[is_raw])
        e = rpc_msg_ref(s->cache.encoded[is_raw]);
    pthread_mutex_unlock(&s->lock);
    if (e)
        return e;
    e = is_raw ? sidecar_message_raw(m) : sidecar_message(m);
    if (!e)
        return NULL;
    rpc_msg_charge(e, &s->deliveries);
    pthread_mutex_lock(&s->lock);
    if (s->cache.message != m) {
        old = s->cache;
        /* the reference keeps the pointer from being another message's before we forget it */
        s->cache = (struct sidecar_cache){.message = hub_message_ref(m), .at_ns = now_ns()};
        if (!old.message)
            pthread_cond_broadcast(&s->changed);
    }
    s->cache.encoded[is_raw] = rpc_msg_ref(e); /* this thread alone fills it */
    pthread_mutex_unlock(&s->lock);
    drop(&old);
    return e;
}

bool sidecar_cache_expire(struct sidecar *s, uint64_t max_age_ns)
{
    struct sidecar_cache old = {0};
    bool has;

    pthread_mutex_lock(&s->lock);
    if (s->cache.message && now_ns() - s->cache.at_ns >= max_age_ns) {
        old = s->cache;
        s->cache = (struct sidecar_cache){0};
    }
    has = s->cache.message != NULL;
    pthread_mutex_unlock(&s->lock);
    drop(&old);
    return has;
}
