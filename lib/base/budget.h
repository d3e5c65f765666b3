/* budget.h: what many queues hold together
 * Shape:   messages are charged once each, however many queues share them; queues ask whether the budget is spent
 * Owner:   whoever made it; it outlives the messages and queues. Any thread
 * Units:   bytes
 * Limits:  nothing is refused here: while it is spent, a queue takes itself for full at BUDGET_SQUEEZED_BYTES, and its own policy holds
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

/* What a queue of at most max_bytes may hold now, when it holds bytes and `more` are to come. */
static inline uint64_t budget_room(struct budget *b, uint64_t max_bytes, uint64_t bytes, uint64_t more)
{
    if (!b || !b->max_bytes || __atomic_load_n(&b->bytes, __ATOMIC_RELAXED) <= b->max_bytes ||
        max_bytes <= BUDGET_SQUEEZED_BYTES)
        return max_bytes;
    if (bytes + more > BUDGET_SQUEEZED_BYTES && bytes + more <= max_bytes)
        __atomic_fetch_add(&b->squeezed, 1, __ATOMIC_RELAXED);
    return BUDGET_SQUEEZED_BYTES;
}

#endif
