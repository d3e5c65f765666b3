/* layout.h: how many net and coding roles a node has, and on how many lcores
 * Shape:   CPUs of the process, what the operator asked for -> a layout; nothing is looked up here
 * Errors:  -1 and one sentence in err
 *
 *   CPUs      roles              lcores
 *   1 to 3    1 net, 1 coding    1, both in turn; not pinned: the scheduler places it better than a pin would
 *   4 to 7    1 net, 1 coding    2, pinned to the last CPUs, which the control threads leave alone
 *   8 to 11   2 net, 1 coding    3, the same
 *   12 to 15  3 net, 1 coding    4
 *   16 up     4 net, 2 coding    6
 */
#ifndef NODE_LAYOUT_H
#define NODE_LAYOUT_H

#include <stdbool.h>

#define LAYOUT_NET_MAX    16
#define LAYOUT_CODING_MAX 8
#define LAYOUT_LCORES_MAX (LAYOUT_NET_MAX + LAYOUT_CODING_MAX)

struct layout_wish { /* 0: as the CPUs allow */
    unsigned lcores; /* 1: one net and one coding role on one lcore; 2: each on its own */
    unsigned net, coding;
};

struct layout {
    unsigned net, coding; /* roles */
    unsigned lcores;      /* 1: both roles of it; else one for each role, the net roles first */
    bool is_pinned;
};

/* net_max: how many net roles the driver can have. */
int layout_make(struct layout *l, unsigned ncpus, const struct layout_wish *w, unsigned net_max, char err[256]);

#endif
