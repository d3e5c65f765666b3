/* port_watch.h: what is to be said of a port, each thing once a while
 * Shape:   a port's counters, about once a second -> one line at a time, or none. Pure
 * Owner:   one net role
 * Units:   ns monotonic
 * Limits:  a thing that goes on is said again after PORT_WATCH_AGAIN_NS; the counters have the rest
 */
#ifndef NET_PORT_WATCH_H
#define NET_PORT_WATCH_H

#include <stdbool.h>

#include "net/transport.h"

#define PORT_WATCH_AGAIN_NS 60000000000ull
#define PORT_WATCH_THINGS   13

struct port_watch {
    uint64_t seen[PORT_WATCH_THINGS];    /* counts that were looked at */
    uint64_t next_ns[PORT_WATCH_THINGS]; /* not before */
    bool is_up;                          /* as it was told; begins true */
};

/* Static text of the next thing to say, NULL: no more now. Call until NULL. */
const char *port_watch_next(struct port_watch *w, const struct transport_stats *s, bool is_up, uint64_t now);

#endif
