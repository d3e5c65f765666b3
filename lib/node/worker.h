/* worker.h: one lcore's loop: its roles in turn, then the idle wait
 * Shape:   poll every role; after some time without work, sleep on the ports' descriptors and the doorbell until the
 *          nearest deadline
 * Owner:   one lcore; `stop` is set by another thread
 * Units:   ns
 */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include "node/coding_role.h"
#include "node/helper_role.h"
#include "node/net_role.h"
#include "node/spin.h"

struct worker {
    struct net_role *net;       /* NULL: none here */
    struct coding_role *coding; /* NULL: none here */
    struct helper_role *helper; /* NULL: none here */
    struct xdoor door;
    struct spin spin;           /* before it sleeps */
    long put_off;               /* times that others were given our CPU, at the last sleep */
    uint32_t stop;              /* set by worker_stop */
};

int worker_init(struct worker *w);
void worker_fini(struct worker *w);
/* The lcore function: runs until worker_stop; returns 0. */
int worker_run(void *worker);
void worker_stop(struct worker *w);
uint64_t clock_now_ns(void);

#endif
