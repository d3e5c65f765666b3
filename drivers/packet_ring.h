/* packet_ring.h: one AF_PACKET socket with a TPACKET_V2 receive ring
 * Shape:   peek the next frame, take it, give all taken ones back
 * Owner:   an af_packet port; the kernel is the ring's other end
 * Memory:  slots are the kernel's pages, mapped; a frame is valid until packet_ring_give_back
 * Errors:  open: NULL, or the step that failed (errno says why); call close also then
 */
#ifndef DRIVERS_PACKET_RING_H
#define DRIVERS_PACKET_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/af_packet_filter.h"

struct tpacket2_hdr;

#define PACKET_RING_OVERHEAD 96 /* of a slot: the ring's header, addresses, the vnet header, alignment */

struct packet_ring {
    int fd;
    uint8_t *map;
    size_t map_len;
    uint32_t slot_bytes, per_block;
    uint32_t slots, next; /* next slot to read */
    uint32_t lent_first, lent_count;
};

/* slot_bytes: a multiple of 16, at most 1 MiB. Nothing comes before packet_ring_start. */
const char *packet_ring_open(struct packet_ring *r, uint32_t slot_bytes, uint32_t slots);
/* filter: which frames come into this ring; it is set before the socket is bound, so not one other is ever queued. */
const char *packet_ring_start(struct packet_ring *r, const struct af_packet_filter *filter, int ifindex);
void packet_ring_close(struct packet_ring *r);
/* To an interface that was made anew. */
int packet_ring_bind(struct packet_ring *r, int ifindex);

/* The next frame's header, NULL when there is none; stays the next until taken. */
const struct tpacket2_hdr *packet_ring_peek(const struct packet_ring *r);
void packet_ring_take(struct packet_ring *r);
void packet_ring_give_back(struct packet_ring *r);
/* Arrival, ns of the kernel's clock. */
uint64_t packet_ring_stamp(const struct tpacket2_hdr *h);
/* Frames lost because the ring was full, since the last call. */
uint32_t packet_ring_drops(struct packet_ring *r);

#endif
