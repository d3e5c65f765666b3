/* memif.h: a port in memory shared with one other process: another node, codecast-switch, or any program that speaks memif
 * Shape:   a struct pktio; frames are copied between our segments and the shared slots, once each way, by us alone: no mbuf, no
 *          kernel, no thread
 * Roles:   a server listens at a socket, a client calls and makes the memory. Either waits for the other and finds it again
 * Owner:   one net lcore, the conversation included (in pktio_recv and pktio_refresh)
 * Checks:  what is shared never leaves this machine, so transport checksums are neither finished nor verified. Payload is lent
 *          where it lies (struct pktio_frame.rest); headers are copied first, for the other end can change them at any time
 * Errors:  NULL with the reason in err
 * Limits:  both rings; an end that breaks the rules is cut off (resets), and let in again a second later; a
 *          server lets in one caller a second
 * Trouble: the other end may die at any moment: lost, then found. What it held of ours is sent again by TCP
 */
#ifndef DRIVERS_MEMIF_H
#define DRIVERS_MEMIF_H

#include "drivers/pktio.h"

struct memif_listener;

struct memif_config {
    const char *socket;              /* its path, under 108 characters, in a directory that is there */
    struct memif_listener *listener; /* a server's, when ports share one (memif_listen.h); NULL: its own at `socket` */
    uint32_t id;                     /* the same at both ends */
    bool is_server;
    bool is_raw;    /* frames are lent as they lie in shared memory, whole: for who reads each byte once at most */
    uint8_t mac[6]; /* six random bytes, made a proper local unicast address */
    uint16_t vlan;  /* 0: none; else frames are tagged with it, and others do not come up */
    uint16_t mtu;   /* 0: 1500 */
    uint8_t log2;   /* of the slots of a ring that a client makes; 0: 11 */
};

struct pktio *memif_open(const struct memif_config *cfg, char err[256]);

#endif
