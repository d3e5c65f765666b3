/* ring_watch.h: a ring that stays full, told once, and once more when it has room again
 * Shape:   once a second (was it full since the last time?) -> news
 * Note:    a full ring for a moment is how a slower consumer is waited for, and only counted (codecast_ring_full_total); seconds of it are
 *          worth a line
 * Owner:   its producer
 */
#ifndef NODE_RING_WATCH_H
#define NODE_RING_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define RING_WATCH_FULL_BEATS 3
#define RING_WATCH_CALM_BEATS 10

enum ring_news { RING_NOTHING_NEW, RING_STAYS_FULL, RING_HAS_ROOM };

struct ring_watch {
    uint64_t seen;        /* times full, all in all */
    unsigned full, calm;  /* beats in a row */
    bool is_told;
};

/* times: that the ring was found full, since the start. */
static inline enum ring_news ring_watch_beat(struct ring_watch *w, uint64_t times)
{
    bool was_full = times != w->seen;

    w->seen = times;
    w->full = was_full ? w->full + 1 : 0;
    w->calm = was_full ? 0 : w->calm + 1;
    if (!w->is_told && w->full >= RING_WATCH_FULL_BEATS) {
        w->is_told = true;
        return RING_STAYS_FULL;
    }
    if (w->is_told && w->calm >= RING_WATCH_CALM_BEATS) {
        w->is_told = false;
        return RING_HAS_ROOM;
    }
    return RING_NOTHING_NEW;
}

#endif
