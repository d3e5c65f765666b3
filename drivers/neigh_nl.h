/* neigh_nl.h: what rtnetlink says of neighbours, as bytes
 * Shape:   a datagram of netlink messages -> one piece of news at a time; no sockets
 * Source:  rtnetlink(7), linux/neighbour.h; header fields are in the machine's byte order
 * Memory:  input borrowed
 * Errors:  NEIGH_NL_BAD: the rest of the datagram makes no sense and is skipped
 */
#ifndef DRIVERS_NEIGH_NL_H
#define DRIVERS_NEIGH_NL_H

#include "base/slice.h"

enum neigh_word {
    NEIGH_WORD_FIXED, /* permanent, or of a link without ARP */
    NEIGH_WORD_FRESH, /* reachable */
    NEIGH_WORD_OLD,   /* stale, or being asked about */
    NEIGH_WORD_GONE,  /* deleted or failed; no mac */
    NEIGH_WORD_ANEW,  /* of neigh_watch.h alone: all is told once more, for news were missed; no address */
};

struct neigh_news {
    enum neigh_word word;
    int ifindex;
    bool is_ip6;
    uint8_t ip[16]; /* the first four bytes, or all */
    uint8_t mac[6];
};

enum neigh_nl { NEIGH_NL_END, NEIGH_NL_NEWS, NEIGH_NL_DONE, NEIGH_NL_DENIED, NEIGH_NL_BUSY, NEIGH_NL_BAD };

#define NEIGH_NL_DUMP_BYTES 28

/* Takes messages off `in` up to the next that matters. DONE: the dump has ended; DENIED: the request was refused;
 * BUSY: for now, as where the queue is full. */
enum neigh_nl neigh_nl_next(struct slice *in, struct neigh_news *out);

/* Whether this errno refuses a request for now only. */
bool neigh_nl_is_busy(int error);

/* The request for the whole table, of both families. */
void neigh_nl_dump(uint8_t out[NEIGH_NL_DUMP_BYTES], uint32_t seq);

#endif
