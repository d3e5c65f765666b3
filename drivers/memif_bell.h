/* memif_bell.h: an eventfd rung that the other end has too
 * Shape:   write() would do, but O_NONBLOCK belongs to the open file that both ends share: an end that takes it off and fills the
 *          counter makes a write wait for ever. The kernel's own signal at the end of an asynchronous read never waits
 * Owner:   a port; one thread at a time
 * Memory:  a context and a descriptor, until memif_bell_close. Of no use to a forked child
 * Limits:  where asynchronous reads are not to be had (fs.aio-max-nr, a filter of system calls), a write when it seems to have room
 */
#ifndef DRIVERS_MEMIF_BELL_H
#define DRIVERS_MEMIF_BELL_H

#include <stdbool.h>

struct memif_ringer {
    unsigned long aio; /* 0: none */
    int fd;            /* what is read: nothing */
};

/* False: memif_bell_ring writes. */
bool memif_bell_open(struct memif_ringer *b);
void memif_bell_close(struct memif_ringer *b);
void memif_bell_ring(const struct memif_ringer *b, int bell);

#endif
