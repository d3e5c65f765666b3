/* ping.h: /ipfs/ping/1.0.0
 * Shape:   answering: bytes -> whole blocks to send back; asking: a block to send, bytes -> round trip
 * Source:  libp2p ping spec. js sends its block and FIN at once and reads the answer after that; so the answer goes
 *          out whatever the state of the peer's write side
 * Owner:   the stream
 * Units:   ns monotonic
 * Errors:  -1: the answer is not what was sent
 */
#ifndef LIBP2P_PING_H
#define LIBP2P_PING_H

#include "base/rng.h"
#include "base/slice.h"

#define PING_ID          "/ipfs/ping/1.0.0"
#define PING_BLOCK_BYTES 32

struct ping_echo {
    uint8_t have;
    uint8_t block[PING_BLOCK_BYTES];
};

/* Takes from *in up to a whole block. True: e->block is to be sent back; call again with what is left. */
bool ping_echo_input(struct ping_echo *e, struct slice *in);

struct ping_probe {
    uint64_t sent_ns;
    uint8_t have;
    uint8_t block[PING_BLOCK_BYTES];
};

/* p->block is to be sent now. */
void ping_probe_init(struct ping_probe *p, struct rng *rng, uint64_t now);
/* 1: the answer is complete, *rtt_ns (>= 1) is filled; 0: more is to come; -1: wrong bytes, or too many. */
int ping_probe_input(struct ping_probe *p, struct slice in, uint64_t *rtt_ns, uint64_t now);

#endif
