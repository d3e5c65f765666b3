/* memif_link.h: one memif from the call to its end: conversation, socket, memory
 * Owner:   a port; before a caller has said whom it wants, the listener
 * Memory:  what is shared is mapped when is_up, and until memif_link_close
 * Errors:  negative memif_err codes: the link is closed already
 */
#ifndef DRIVERS_MEMIF_LINK_H
#define DRIVERS_MEMIF_LINK_H

#include "drivers/memif_shm.h"

struct memif_link {
    int fd;   /* -1: closed */
    int epfd; /* in which its descriptors are watched; -1: none yet */
    bool is_up;
    struct memif_ctl ctl;
    struct memif_shm shm;
    uint8_t log2; /* client: of the rings it makes */
    uint32_t stride;
    uint64_t begun_ns;
};

#define MEMIF_LINK_CLOSED ((struct memif_link){.fd = -1, .epfd = -1})

#define MEMIF_LINK_BELL 1u /* epoll's data of the bell; 0 of the socket */

/* Its descriptors wake this epoll set: the socket at once, the bell when it is up. */
void memif_link_watch(struct memif_link *l, int epfd);
/* Client: on a socket that has called. */
void memif_link_call(struct memif_link *l, int fd, uint32_t id, uint8_t log2, uint32_t stride, uint64_t now);
/* Server: on an accepted socket. */
void memif_link_answer(struct memif_link *l, int fd, uint64_t now);

/* Hears and says what there is. 0; MEMIF_NEWS_INIT: a caller wants ctl.id, see below; MEMIF_NEWS_UP: both ways carry now;
 * MEMIF_NEWS_GONE: the other end has left; negative: it broke a rule. The link is closed after the last two. */
int memif_link_run(struct memif_link *l);
/* After MEMIF_NEWS_INIT: the caller is welcome, at `to` (where it is from here on, watched in epfd), or is told why not. */
int memif_link_accept(struct memif_link *l, struct memif_link *to, int epfd);
void memif_link_refuse(struct memif_link *l, const char *why);
/* Says goodbye. */
void memif_link_close(struct memif_link *l, const char *why);

#endif
