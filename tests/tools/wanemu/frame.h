/* frame.h: a frame from an end of the emulated network, and the packets that it stands for
 * Shape:   bytes of an Ethernet frame with its virtio header in; runs of its packets out, each a smaller frame
 * Why:     a kernel that may leave segmentation to the device sends up to 64 KiB as one. Loss, rate and queues are of packets: the
 *          frame is counted packet by packet, and neighbours that arrive at the same time leave as one again, as behind a
 *          NIC that segments and one that joins
 * Source:  virtio 1.1, 5.1.6 (the header); the rules of segmenting TCP: RFC 791, 9293, 3168 (CWR on the first alone)
 * Owner:   one thread; references count the packets that are still under way
 * Errors:  NULL for a frame that is none, or whose header does not fit its bytes: drop and count it
 */
#ifndef WANEMU_FRAME_H
#define WANEMU_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define WAN_FRAME_MAX 66000
#define WAN_HEAD_MAX  160 /* Ethernet, IPv4 and TCP with all their options: 134 */

struct wan_frame {
    uint32_t refs;
    uint32_t len;      /* of data */
    uint32_t head_len; /* of a frame of several packets: what each of them repeats */
    uint32_t segment;  /* payload of each packet but the last */
    uint32_t packets;
    struct virtio_net_hdr virtio;
    uint8_t data[];
};

/* len includes the virtio header. Holds one reference. */
struct wan_frame *wan_frame_new(const uint8_t *bytes, uint32_t len);
struct wan_frame *wan_frame_ref(struct wan_frame *f);
void wan_frame_unref(struct wan_frame *f);

/* Bytes on the wire of packet i (Ethernet header included). */
uint32_t wan_frame_packet_bytes(const struct wan_frame *f, uint32_t i);
/* ARP is the emulator's own affair: it passes at once, and no loss is drawn for it. */
bool wan_frame_is_arp(const struct wan_frame *f);
/* Whether the network may mark the frame instead of dropping it. */
bool wan_frame_is_ect(const struct wan_frame *f);

/* Packets [first, first + count) as one frame: head holds its header (as many bytes as returned), rest the bytes after it, in
 * place. is_ce: marked by the network. */
uint32_t wan_frame_run(const struct wan_frame *f, uint32_t first, uint32_t count, bool is_ce, struct virtio_net_hdr *virtio,
                       uint8_t head[WAN_HEAD_MAX], struct slice *rest);

#endif
