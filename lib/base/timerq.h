/* timerq.h: deadlines in a binary heap, intrusive
 * Shape:   timer nodes live in their owners; the queue holds pointers
 * Units:   ns monotonic, any origin
 * Owner:   one lcore or one sans-IO core
 * Errors:  set: 0, or -1 when there is no memory (only when the queue grows)
 */
#ifndef BASE_TIMERQ_H
#define BASE_TIMERQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
    uint64_t at_ns;
    uint32_t slot; /* 1-based place in the heap; 0: not set. Zero-initialised memory is a valid unset timer */
    int kind;      /* the owner's tag, to tell its timers apart */
};

struct timerq {
    struct timer **heap;
    uint32_t count, cap;
};

void timerq_init(struct timerq *q);
void timerq_fini(struct timerq *q);
/* Room for n timers, after which setting that many cannot fail. 0, or -1 without memory. */
int timerq_reserve(struct timerq *q, uint32_t n);
/* Sets or moves t. */
int timerq_set(struct timerq *q, struct timer *t, uint64_t at_ns);
void timerq_cancel(struct timerq *q, struct timer *t);
/* The earliest deadline, TIMER_NEVER when none. */
uint64_t timerq_next(const struct timerq *q);
/* Takes out and returns one timer that is due at now, NULL when none. */
struct timer *timerq_pop(struct timerq *q, uint64_t now);

static inline bool timer_is_set(const struct timer *t)
{
    return t->slot != 0;
}

#endif
