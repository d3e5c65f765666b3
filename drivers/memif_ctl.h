/* memif_ctl.h: the conversation that two ends of a memif have before memory is shared
 * Shape:   messages (128 bytes, perhaps a descriptor) in -> news; messages out. No sockets, no memory, no clock
 * Source:  memif_wire.h
 * Owner:   one conversation's
 * Memory:  descriptors are numbers here: those of `regions` and `rings` are whoever's it is to close
 * Errors:  negative codes below: say why (memif_ctl_refuse), then end the conversation
 * Limits:  MEMIF_REGIONS_MAX regions, one ring each way, each thing said once
 */
#ifndef DRIVERS_MEMIF_CTL_H
#define DRIVERS_MEMIF_CTL_H

#include "base/slice.h"
#include "drivers/memif_wire.h"

#define MEMIF_REGIONS_MAX 4
#define MEMIF_LOG2_MIN    6  /* of a ring's slots */
#define MEMIF_LOG2_MAX    14
#define MEMIF_REGION_BYTES_MAX (80ull << 20) /* of all regions together: a server faults them in at once */

enum memif_err {
    MEMIF_EFORM = 1, /* not a message of the protocol */
    MEMIF_EORDER,    /* not now, or not again */
    MEMIF_EVERSION,  /* another version, or no Ethernet */
    MEMIF_ELIMIT,    /* more or larger than we take */
    MEMIF_EFD,       /* no descriptor came along, or one that is no good */
    MEMIF_ERING,     /* a ring outside its memory, without its mark, or an index that cannot be */
    MEMIF_EDESC,     /* a slot outside the memory */
    MEMIF_ENOMEM,
    MEMIF_ETIME,     /* it let us wait too long */
};
/* Static text for a code of either sign. */
const char *memif_err_name(int err);

enum memif_news {
    MEMIF_NEWS_NONE,
    MEMIF_NEWS_HELLO,   /* client: make the memory, then memif_ctl_offer */
    MEMIF_NEWS_INIT,    /* server: somebody calls for `id`: memif_ctl_accept or memif_ctl_refuse */
    MEMIF_NEWS_CONNECT, /* server: everything is told: take the memory, then memif_ctl_accept */
    MEMIF_NEWS_UP,      /* client: the server has taken it */
    MEMIF_NEWS_GONE,    /* the other end says goodbye; why is in `text` */
};

enum memif_expect {
    MEMIF_EXPECT_HELLO,
    MEMIF_EXPECT_INIT,
    MEMIF_EXPECT_ACK,       /* client */
    MEMIF_EXPECT_SETUP,     /* server: regions, rings, CONNECT */
    MEMIF_EXPECT_CONNECTED, /* client */
    MEMIF_EXPECT_NOTHING,   /* up: a goodbye alone */
    MEMIF_EXPECT_US,        /* the caller's word, after news */
    MEMIF_EXPECT_END,
};

struct memif_region_fact {
    int fd;
    uint64_t size;
};

struct memif_ring_fact {
    int fd; /* an eventfd */
    uint16_t region;
    uint32_t offset;
    uint8_t log2;
    bool is_told;
};

enum { MEMIF_TO_SERVER, MEMIF_TO_CLIENT };

struct memif_ctl {
    bool is_server;
    enum memif_expect expect;
    uint32_t id;
    uint8_t log2_max; /* client: of the server's HELLO */
    uint8_t told;     /* client: of the steps of its offer */
    uint16_t nregions;
    struct memif_region_fact regions[MEMIF_REGIONS_MAX];
    struct memif_ring_fact rings[2];
    char text[MEMIF_TEXT_BYTES + 1]; /* the other end's goodbye: any bytes but zero */

    bool has_out;
    int out_fd;
    uint8_t out[MEMIF_MSG_BYTES];
};

/* A server's first word is ready at once. */
void memif_ctl_init(struct memif_ctl *c, bool is_server, uint32_t id);
/* One message as it came; fd: what came along, or -1. Returns enum memif_news, or a negative code. *is_taken: fd is now in
 * regions or rings (else the caller's still). */
int memif_ctl_input(struct memif_ctl *c, struct slice msg, int fd, bool *is_taken);
/* The next message to send, and the descriptor to go along (or -1); false: none. */
bool memif_ctl_output(struct memif_ctl *c, uint8_t out[MEMIF_MSG_BYTES], int *fd);

/* Client, after HELLO: regions and rings are filled in. */
void memif_ctl_offer(struct memif_ctl *c);
/* Server, after INIT and after CONNECT. */
void memif_ctl_accept(struct memif_ctl *c);
/* Either, at any time: the last word. */
void memif_ctl_refuse(struct memif_ctl *c, const char *why);

#endif
