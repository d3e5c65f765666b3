/* neigh_watch.h: the kernel's neighbours of one interface, as they are and as they change
 * Shape:   a non-blocking netlink socket, looked at about once a second -> news (neigh_nl.h)
 * Source:  rtnetlink(7): RTM_GETNEIGH, RTNLGRP_NEIGH; needs no rights
 * Owner:   one net role
 * Errors:  -errno when opened; later ones are counted, and the table is read anew
 * Limits:  NEIGH_WATCH_DATAGRAMS and one dump a turn; what the kernel could not queue meanwhile is counted and made good by a new
 *          dump, once what it did queue is read: some two turns of NEIGH_WATCH_QUEUE
 */
#ifndef DRIVERS_NEIGH_WATCH_H
#define DRIVERS_NEIGH_WATCH_H

#include <net/if.h>

#include "drivers/neigh_nl.h"

#define NEIGH_WATCH_DATAGRAMS 256
#define NEIGH_WATCH_BUF       32768  /* the kernel fills no more at once */
#define NEIGH_WATCH_QUEUE     212992 /* as the kernel counts: some 260 events, Linux's default. A longer one would take many turns after an overrun */

struct neigh_watch {
    int fd; /* -1: not open */
    char iface[IF_NAMESIZE];
    int ifindex;
    uint32_t seq;
    unsigned budget; /* datagrams of this turn */
    bool wants_dump, is_dumping;
    bool may_ask;      /* for a dump, this turn */
    bool is_choked;    /* the queue ran over and has not been empty since */
    bool is_denied;    /* the kernel refused us the table */
    uint64_t overruns; /* times that news were missed: too many at once, or not understood */
    struct slice left; /* of buf */
    uint8_t buf[NEIGH_WATCH_BUF];
};

/* The table itself follows as news, after an ANEW. */
int neigh_watch_open(struct neigh_watch *w, const char *iface);
void neigh_watch_close(struct neigh_watch *w);

/* A turn begins. */
void neigh_watch_turn(struct neigh_watch *w);
/* The next piece of this turn's news; false: no more now. */
bool neigh_watch_next(struct neigh_watch *w, struct neigh_news *out);

#endif
