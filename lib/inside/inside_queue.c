#include "inside/inside_queue.h"

#include <errno.h>
#include <time.h>

#include "base/slice.h"

void inside_queue_init(struct inside_queue *q, uint64_t bytes_max)
{
    pthread_condattr_t attr;

    *q = (struct inside_queue){.bytes_max = bytes_max};
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    list_init(&q->items);
}

bool inside_queue_start(struct inside_queue *q, const char *name, const cpu_set_t *cpus, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    if (cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
    q->has_thread = pthread_create(&q->thread, &attr, run, arg) == 0;
    pthread_attr_destroy(&attr);
    if (q->has_thread)
        pthread_setname_np(q->thread, name);
    return q->has_thread;
}

bool inside_queue_push(struct inside_queue *q, struct inside_item *item, uint64_t bytes)
{
    bool has_room;

    item->bytes = bytes;
    pthread_mutex_lock(&q->lock);
    has_room = !q->is_stopping && (q->count == 0 || (q->bytes < q->bytes_max && bytes <= q->bytes_max - q->bytes));
    if (has_room) {
        list_push_back(&q->items, &item->node);
        q->count++;
        q->bytes += bytes;
        if (q->bytes > q->peak_bytes)
            q->peak_bytes = q->bytes;
        pthread_cond_signal(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return has_room;
}

/* Under the lock, or alone. */
static struct inside_item *take(struct inside_queue *q)
{
    struct list *n = list_pop_front(&q->items);
    struct inside_item *item = n ? CONTAINER_OF(n, struct inside_item, node) : NULL;

    if (item) {
        q->count--;
        q->bytes -= item->bytes;
    }
    return item;
}

struct inside_item *inside_queue_pop(struct inside_queue *q)
{
    struct inside_item *item;

    pthread_mutex_lock(&q->lock);
    while (list_is_empty(&q->items) && !q->is_stopping)
        pthread_cond_wait(&q->changed, &q->lock);
    item = q->is_stopping ? NULL : take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

bool inside_queue_rest(struct inside_queue *q, uint64_t ns)
{
    struct timespec until;
    bool goes_on;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ns % 1000000000);
    until.tv_sec += (time_t)(ns / 1000000000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&q->lock);
    while (!q->is_stopping && pthread_cond_timedwait(&q->changed, &q->lock, &until) != ETIMEDOUT)
        ; /* a push is no reason to end the rest */
    goes_on = !q->is_stopping;
    pthread_mutex_unlock(&q->lock);
    return goes_on;
}

void inside_queue_stop(struct inside_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->is_stopping = true;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (q->has_thread)
        pthread_join(q->thread, NULL);
    q->has_thread = false;
}

struct inside_item *inside_queue_take(struct inside_queue *q)
{
    return take(q);
}

void inside_queue_depth(struct inside_queue *q, uint64_t *count, uint64_t *bytes, uint64_t *peak_bytes)
{
    pthread_mutex_lock(&q->lock);
    *count = q->count;
    *bytes = q->bytes;
    *peak_bytes = q->peak_bytes;
    pthread_mutex_unlock(&q->lock);
}

void inside_queue_fini(struct inside_queue *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
}
