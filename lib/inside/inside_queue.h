/* inside_queue.h: a queue, and the one thread that empties it
 * Shape:   items in at one end from any thread, out at the other on the queue's own
 * Owner:   the link that holds it starts and stops it; an item is its maker's again when push refuses it, and the thread's
 *          from pop on
 * Limits:  bytes_max of what waits, as push is told; an empty queue takes an item of any size
 */
#ifndef INSIDE_INSIDE_QUEUE_H
#define INSIDE_INSIDE_QUEUE_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct inside_item {
    struct list node;
    uint64_t bytes;
};

struct inside_queue {
    pthread_mutex_t lock; /* guards what follows but the thread */
    pthread_cond_t changed;
    struct list items;
    uint64_t count, bytes, bytes_max, peak_bytes;
    bool is_stopping;
    pthread_t thread;
    bool has_thread;
};

void inside_queue_init(struct inside_queue *q, uint64_t bytes_max);
/* cpus: where it may run; NULL: anywhere. False: there is no thread to be had. */
bool inside_queue_start(struct inside_queue *q, const char *name, const cpu_set_t *cpus, void *(*run)(void *arg), void *arg);
/* Never waits. False: full, or stopping. */
bool inside_queue_push(struct inside_queue *q, struct inside_item *item, uint64_t bytes);
/* For the thread: the next item; waits for one. NULL: the end. */
struct inside_item *inside_queue_pop(struct inside_queue *q);
/* For the thread: waits so long, or less when it ends. False: it ends. */
bool inside_queue_rest(struct inside_queue *q, uint64_t ns);
/* Ends the thread. What it had not taken is left for inside_queue_take. */
void inside_queue_stop(struct inside_queue *q);
/* After stop: what is left, one by one. */
struct inside_item *inside_queue_take(struct inside_queue *q);
void inside_queue_depth(struct inside_queue *q, uint64_t *count, uint64_t *bytes, uint64_t *peak_bytes);
void inside_queue_fini(struct inside_queue *q);

#endif
