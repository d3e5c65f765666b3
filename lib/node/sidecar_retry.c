/* sidecar_retry.c: publishes that the lcore's ring had no room for
 * Owner:   one thread for all streams. A stream whose job waits here is paused, so its client is held by flow control
 *          while it goes on sending; nobody else is
 */
#include <time.h>

#include "node/sidecar_impl.h"

#define RETRY_NS     1000000   /* 1 ms: a ring turns over in far less */
#define CACHE_AGE_NS 1000000000

void sidecar_wait_for_room(struct stream *st)
{
    struct sidecar *s = st->sidecar;

    SIDECAR_COUNT(s, waits, 1);
    rpc_call_pause(st->call);
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->waiting, &st->waiting);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void sidecar_wait_no_more(struct stream *st)
{
    struct sidecar *s = st->sidecar;

    pthread_mutex_lock(&s->lock);
    while (s->retrying == st)
        pthread_cond_wait(&s->changed, &s->lock);
    list_del(&st->waiting);
    pthread_mutex_unlock(&s->lock);
}

/* Under the lock: waits for news, at most ns. */
static void rest(struct sidecar *s, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ns % 1000000000);
    until.tv_sec += (time_t)(ns / 1000000000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Under the lock, which is let go meanwhile: tries one stream. False: there is still no room. */
static bool try_one(struct sidecar *s, struct stream *st)
{
    bool is_done;

    list_del(&st->waiting);
    s->retrying = st;
    pthread_mutex_unlock(&s->lock);
    is_done = sidecar_job_run(st);
    if (is_done)
        rpc_call_resume(st->call);
    pthread_mutex_lock(&s->lock);
    s->retrying = NULL;
    if (!is_done)
        list_push_front(&s->waiting, &st->waiting);
    pthread_cond_broadcast(&s->changed);
    return is_done;
}

void *sidecar_retry_main(void *arg)
{
    struct sidecar *s = arg;
    bool has_cache;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (!list_is_empty(&s->waiting)) {
            if (!try_one(s, CONTAINER_OF(s->waiting.next, struct stream, waiting)) && !s->stopping)
                rest(s, RETRY_NS);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        has_cache = sidecar_cache_expire(s, CACHE_AGE_NS);
        pthread_mutex_lock(&s->lock);
        if (s->stopping || !list_is_empty(&s->waiting))
            continue;
        if (has_cache)
            rest(s, CACHE_AGE_NS / 2);
        else
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
