/* memif_wire.h: the memif protocol's messages and rings, as two processes share them
 * Source:  memif 2.0, as VPP's libmemif and DPDK's net_memif speak it. Numbers are the machine's own order: it never leaves it
 * Control: SEQPACKET messages of 128 bytes; a region's or a ring's descriptor goes along with its message. The server says
 *          HELLO; the client INIT, ADD_REGION.., ADD_RING.., each acknowledged before the next; CONNECT is answered CONNECTED
 * Rings:   all memory is the client's. Client to server: the client fills slots and moves head, the server takes them and moves
 *          tail. Server to client: the client lends empty slots by head, the server fills them and moves tail
 */
#ifndef DRIVERS_MEMIF_WIRE_H
#define DRIVERS_MEMIF_WIRE_H

#include <stdint.h>

#define MEMIF_VERSION    0x0200
#define MEMIF_COOKIE     0x3e31f20u
#define MEMIF_MSG_BYTES  128
#define MEMIF_NAME_BYTES 32

enum memif_msg_type {
    MEMIF_MSG_NONE,
    MEMIF_MSG_ACK,
    MEMIF_MSG_HELLO,
    MEMIF_MSG_INIT,
    MEMIF_MSG_ADD_REGION,
    MEMIF_MSG_ADD_RING,
    MEMIF_MSG_CONNECT,
    MEMIF_MSG_CONNECTED,
    MEMIF_MSG_DISCONNECT,
};

/* Where fields begin in a message; nothing is aligned. The type is 16 bits at 0. */
enum memif_msg_at {
    MEMIF_HELLO_NAME = 2,
    MEMIF_HELLO_MIN_VERSION = 34,
    MEMIF_HELLO_MAX_VERSION = 36,
    MEMIF_HELLO_MAX_REGION = 38,
    MEMIF_HELLO_MAX_TO_CLIENT = 40, /* highest index of a ring, server to client */
    MEMIF_HELLO_MAX_TO_SERVER = 42,
    MEMIF_HELLO_MAX_LOG2 = 44, /* 8 bits: of a ring's slots */

    MEMIF_INIT_VERSION = 2,
    MEMIF_INIT_ID = 4,   /* 32 bits */
    MEMIF_INIT_MODE = 8, /* 8 bits: 0 is Ethernet */
    MEMIF_INIT_SECRET = 9,
    MEMIF_INIT_NAME = 33,

    MEMIF_REGION_INDEX = 2,
    MEMIF_REGION_SIZE = 4, /* 64 bits */

    MEMIF_RING_FLAGS = 2, /* bit 0: client to server */
    MEMIF_RING_INDEX = 4,
    MEMIF_RING_REGION = 6,
    MEMIF_RING_OFFSET = 8, /* 32 bits */
    MEMIF_RING_LOG2 = 12,  /* 8 bits */
    MEMIF_RING_PRIVATE = 13,

    MEMIF_CONNECT_NAME = 2,

    MEMIF_DISCONNECT_CODE = 2, /* 32 bits */
    MEMIF_DISCONNECT_TEXT = 6,
};

#define MEMIF_RING_TO_SERVER 1u
#define MEMIF_TEXT_BYTES     96

#define MEMIF_DESC_NEXT 1u /* the packet goes on in the next slot */

struct memif_desc {
    uint16_t flags, region;
    uint32_t len, offset, metadata;
};

#define MEMIF_RING_QUIET 1u /* in flags: the one who takes slots asks for no interrupts */

/* Head and tail count up without end; each has a cache line of its own. */
struct memif_ring_mem {
    uint32_t cookie;
    uint16_t flags, head;
    uint8_t pad0[56];
    uint16_t tail;
    uint8_t pad1[62];
    struct memif_desc desc[];
};

#endif
