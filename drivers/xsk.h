/* xsk.h: one AF_XDP socket: its memory of frames and the four rings that it shares with the kernel
 * Shape:   frames go in a circle: free -> fill -> received -> (kept) -> free, and free -> sent -> completed -> free
 * Source:  Documentation/networking/af_xdp.rst, linux/if_xdp.h
 * Owner:   an af_xdp port; the kernel is each ring's other end
 * Memory:  frames of one size in one mapping; a frame belongs to the ring that it is in, or to the caller
 * Rights:  CAP_NET_RAW for xsk_socket, and RLIMIT_MEMLOCK for the frames
 * Errors:  open: NULL, or the step that failed (errno says why); call close also then
 */
#ifndef DRIVERS_XSK_H
#define DRIVERS_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel takes apart what a process that was just killed or closed held a moment after it is gone: an interface that is busy is tried again. */
#define XSK_BUSY_TRIES   25
#define XSK_BUSY_WAIT_US 20000

struct xsk_ring {
    uint32_t *producer, *consumer, *flags;
    void *desc;
    uint32_t mask, head, tail; /* ours: the next to write or read; the other's, as last seen */
    void *map;
    size_t map_len;
};

struct xsk {
    int fd;
    uint8_t *frames;
    uint32_t frame_bytes, nframes;
    struct xsk_ring fill, rx, tx, completed;
    uint32_t *idle; /* a stack of free frames' numbers */
    uint32_t nidle;
    bool is_zero_copy;
};

/* A socket that is nothing yet: all of the rest works without rights. -1 with errno. */
int xsk_socket(void);
/* fd: of xsk_socket, ours from now on; -1: makes one. frame_bytes: 2048 or 4096; nframes and ring sizes: powers of two. */
const char *xsk_open(struct xsk *x, int fd, uint32_t frame_bytes, uint32_t nframes, uint32_t ring);
/* To this queue of the interface; the kernel copies unless the device can do without. */
const char *xsk_bind(struct xsk *x, int ifindex, uint32_t queue);
void xsk_close(struct xsk *x);

/* Gives the kernel free frames to receive into, but leaves `spare` of them. */
void xsk_fill(struct xsk *x, uint32_t spare);
/* The next received frame: its number, bytes and length; false: none. It is the caller's until xsk_free. */
bool xsk_recv(struct xsk *x, uint32_t *number, uint8_t **data, uint32_t *len);
void xsk_free(struct xsk *x, uint32_t number);

/* Room for one frame to send; NULL: none now. */
uint8_t *xsk_send_room(struct xsk *x, uint32_t *number);
void xsk_send(struct xsk *x, uint32_t number, uint32_t len);
/* Tells the kernel to take what was given by xsk_send. Returns how many frames it left in the ring. */
uint32_t xsk_kick(struct xsk *x);
/* Frames lost in front of us so far. */
uint64_t xsk_drops(const struct xsk *x);

#endif
