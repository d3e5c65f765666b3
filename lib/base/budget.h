/* budget.h: what many queues hold together
 * Shape:   messages are charged once each, however many queues share them; queues ask whether the budget is spent
 * Owner:   whoever made it; it outlives the messages and queues. Any thread
 * Units:   bytes
 * Limits:  nothing is refused here: while it is spent, a queue takes itself for full at BUDGET_SQUEEZED_BYTES, and its own policy holds.
 *          That is asked when something comes for it; of a queue that nothing comes for and nobody takes from, what is more than that
 *          goes by a squeeze (struct budget_watch), so that it does not keep the others short
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_SQUEEZED_BYTES (1u << 20)

struct budget {
    uint64_t max_bytes; /* 0: no bound */
    uint64_t bytes, squeezed; /* atomics: now; messages that found no place for it alone */
};

/* A queue's own: whether somebody takes from it. */
struct budget_watch {
    bool is_marked; /* nothing has been taken since it was looked at last */
};

/* Something was taken from the queue, or it was empty. */
static inline void budget_watch_moved(struct budget_watch *w)
{
    w->is_marked = false;
}

static inline void budget_take(struct budget *b, uint64_t bytes)
{
    if (b)
        __atomic_fetch_add(&b->bytes, bytes, __ATOMIC_RELAXED);
}

static inline void budget_give(struct budget *b, uint64_t bytes)
{
    if (b)
        __atomic_fetch_sub(&b->bytes, bytes, __ATOMIC_RELAXED);
}

static inline bool budget_is_spent(const struct budget *b)
{
    return b && b->max_bytes && __atomic_load_n(&b->bytes, __ATOMIC_RELAXED) > b->max_bytes;
}

/* Asked now and then. True: b is spent, and nothing has been taken from this queue of so many bytes since the last time. */
static inline bool budget_watch_is_stuck(struct budget_watch *w, const struct budget *b, uint64_t bytes)
{
    bool was_marked = w->is_marked;

    w->is_marked = budget_is_spent(b) && bytes > BUDGET_SQUEEZED_BYTES;
    return w->is_marked && was_marked;
}

/* `messages` had to go by a squeeze. */
static inline void budget_squeezed(struct budget *b, uint64_t messages)
{
    __atomic_fetch_add(&b->squeezed, messages, __ATOMIC_RELAXED);
}

/* What a queue of at most max_bytes may hold now, when it holds bytes and `more` are to come. */
static inline uint64_t budget_room(struct budget *b, uint64_t max_bytes, uint64_t bytes, uint64_t more)
{
    if (!budget_is_spent(b) || max_bytes <= BUDGET_SQUEEZED_BYTES)
        return max_bytes;
    if (bytes + more > BUDGET_SQUEEZED_BYTES && bytes + more <= max_bytes)
        __atomic_fetch_add(&b->squeezed, 1, __ATOMIC_RELAXED);
    return BUDGET_SQUEEZED_BYTES;
}

#endif
