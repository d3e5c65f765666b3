/* mempair.h: a cable in memory with two or more ends, for tests and benches
 * Shape:   what one port sends the others receive: by destination MAC, broadcasts to all. Order is kept; seeded loss
 * Owner:   one thread for the cable and all its ports
 * Memory:  frames are copied once into heap buffers; kept references stay valid after the port is closed
 * Limits:  queue_max frames wait per port, more are dropped and counted
 */
#ifndef DRIVERS_MEMPAIR_H
#define DRIVERS_MEMPAIR_H

#include "drivers/pktio.h"

#define MEMPAIR_PORTS_MAX 64

struct mempair_config {
    unsigned ports;           /* 0: two */
    uint16_t mtu;             /* 0: 1500 */
    uint32_t gso_max_bytes;   /* 0: senders must cut to the MTU; else big segments travel whole, as over a veth */
    bool has_csum;            /* checksums need not be filled in */
    uint32_t loss_per_million;
    uint32_t queue_max;       /* frames; 0: 4096 */
    uint64_t seed;            /* of the loss */
};

struct mempair;

/* NULL: no memory. */
struct mempair *mempair_new(const struct mempair_config *cfg);
/* Port i < ports; MAC 02:00:00:00:00:i+1. Each may be opened once; it is closed by pktio_close. */
struct pktio *mempair_port(struct mempair *m, unsigned i);
/* Changes the loss from now on. */
void mempair_set_loss(struct mempair *m, uint32_t loss_per_million);
/* Close the ports first. */
void mempair_free(struct mempair *m);

#endif
