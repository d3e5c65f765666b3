/* memif_listen.h: a socket at which memifs of several ids are called
 * Shape:   callers say which id they want; the port of that id takes the conversation over
 * Owner:   all its ports, on one thread
 * Limits:  MEMIF_CALLERS_MAX callers who have not said whom they want, 1 s each; the next ones wait in the socket
 */
#ifndef DRIVERS_MEMIF_LISTEN_H
#define DRIVERS_MEMIF_LISTEN_H

#include "drivers/memif_link.h"
#include "drivers/memif_sock.h"

#define MEMIF_CALLERS_MAX 8

struct memif_listener;

/* Who may be called. */
struct memif_seat {
    uint32_t id;
    /* A caller for id, to be given to memif_link_accept or memif_link_refuse. */
    void (*called)(struct memif_seat *s, struct memif_link *caller, uint64_t now);
    struct memif_seat *next; /* the listener's */
};

/* NULL with err. path is at most 107 bytes. */
struct memif_listener *memif_listener_new(const char *path, char err[256]);
/* Removes the socket. No seat is left. */
void memif_listener_free(struct memif_listener *l);
/* false: the id is taken. */
bool memif_listener_add(struct memif_listener *l, struct memif_seat *s);
void memif_listener_remove(struct memif_listener *l, struct memif_seat *s);
/* Polls readable when memif_listener_run has something to do. */
int memif_listener_fd(const struct memif_listener *l);
void memif_listener_run(struct memif_listener *l, uint64_t now);

#endif
