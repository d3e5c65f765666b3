/* capture.h: what ports receive and send, copied to a pcapng file by a thread of its own
 * Shape:   capture_port puts itself in front of a port: the same calls, and each frame goes into a ring on its way. The thread
 *          empties the rings into the file. Big segments are one packet each, as the port sees them; a checksum that the port
 *          is to finish is not finished in the file
 * Owner:   the capture: who opened it. A port in front: the net lcore of the port behind it; its ring is that lcore's to fill
 *          and the thread's to empty
 * Errors:  NULL with the reason in err. A file that takes no more (a full disk) is logged once; from then on all is counted
 *          as dropped, and the port goes on as ever
 * Limits:  a ring holds ring_bytes; what does not fit is counted as dropped and never waits. snap_bytes of a packet are kept
 */
#ifndef DRIVERS_CAPTURE_H
#define DRIVERS_CAPTURE_H

#include "drivers/pktio.h"

#define CAPTURE_PORTS_MAX    64
#define CAPTURE_SNAP_MIN     64
#define CAPTURE_SNAP_MAX     262144
#define CAPTURE_SNAP_DEFAULT 65549 /* the largest IP packet and its Ethernet header */

struct capture_config {
    const char *path;    /* made, or emptied; readable for its owner alone */
    uint32_t snap_bytes; /* 0: CAPTURE_SNAP_DEFAULT */
    uint32_t ring_bytes; /* a power of two, at least 4 KiB; 0: 8 MiB */
};

struct capture;

/* Opens the file and starts the thread. */
struct capture *capture_open(const struct capture_config *cfg, char err[256]);
/* The port to use instead of `behind`, which it closes when it is closed. NULL: no memory, or too many; behind stays the
 * caller's. Not at the same time from two threads. */
struct pktio *capture_port(struct capture *c, struct pktio *behind, char err[256]);
/* Writes what is in the rings, and the counts. Close the ports first. */
void capture_close(struct capture *c);

#endif
