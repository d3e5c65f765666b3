/* fake_peer.h: a peer that does what honest ones do not: a libp2p session of its own on a plain socket, for the tests
 * Shape:   fake_peer_dial a node, fake_peer_step beside world_step; streams and bytes as the test likes
 */
#ifndef TESTS_NET_FAKE_PEER_H
#define TESTS_NET_FAKE_PEER_H

#include "world.h"

struct fake_peer {
    struct world *world;
    int fd;
    struct session *session;
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    struct rng rng;
    bool is_up, is_closed;
    bool is_deaf;          /* reads nothing any more */
    unsigned opened;       /* streams the node opened to us */
    uint32_t their_stream; /* the last of them */
    uint64_t bytes_on_theirs, bytes_on_ours;
    unsigned ready, refused, ends_of_ours, resets_of_ours;
};

/* Connects to node 0 and waits until the session is up. */
void fake_peer_dial(struct fake_peer *p, struct world *w);
void fake_peer_fini(struct fake_peer *p);
/* World and peer, one turn. */
void fake_peer_step(struct fake_peer *p);
/* Turns until cond holds; the test fails when it does not within five seconds. */
#define FAKE_PEER_WAIT(p, cond)                                          \
    do {                                                                 \
        uint64_t wait_until;                                             \
        fake_peer_step(p); /* the world's clock may have been moved */   \
        wait_until = (p)->world->now + 5000000000ull;                    \
        while (!(cond)) {                                                \
            if ((p)->world->now > wait_until)                            \
                fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #cond); \
            fake_peer_step(p);                                           \
        }                                                                \
    } while (0)
/* Opens a pub/sub stream; returns it when the node has taken it. */
uint32_t fake_peer_open(struct fake_peer *p);
void fake_peer_write(struct fake_peer *p, uint32_t stream, const void *bytes, size_t len);

#endif
