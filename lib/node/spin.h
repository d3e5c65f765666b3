/* spin.h: how long an lcore looks for input before it sleeps
 * Shape:   how a sleep ended -> how long to look the next time
 * Why:     to sleep and be woken takes some 10 us, which a quick answer shall not pay; but looking takes the CPU from whoever makes
 *          that answer where CPUs are few (eight nodes on two CPUs looked for a fifth of all their CPU time, in vain). So it is done while it
 *          is of use: a sleep that was over soon says it would have been, a longer one that it was not, and one who was put off its CPU
 *          meanwhile has somebody waiting for it
 * Owner:   one lcore
 */
#ifndef NODE_SPIN_H
#define NODE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_FIRST_NS 8000ull /* the least that is worth it */

struct spin {
    uint64_t most_ns; /* UINT64_MAX: for ever */
    uint64_t ns;      /* this long after the last work */
};

static inline void spin_init(struct spin *s, uint64_t most_ns)
{
    *s = (struct spin){.most_ns = most_ns, .ns = most_ns};
}

/* It slept so long, after it had looked in vain. was_put_off: others had our CPU in the time before. */
static inline void spin_slept(struct spin *s, uint64_t slept_ns, bool was_put_off)
{
    uint64_t more = s->ns ? s->ns * 2 : SPIN_FIRST_NS;

    if (s->most_ns == UINT64_MAX)
        return;
    if (was_put_off)
        s->ns = 0;
    else if (slept_ns < s->most_ns)
        s->ns = more < s->most_ns ? more : s->most_ns;
    else
        s->ns = s->ns / 2 < SPIN_FIRST_NS / 2 ? 0 : s->ns / 2;
}

#endif
