/* identify_wire.h: the Identify message
 * Shape:   protobuf bytes <-> fields, without the length in front
 * Source:  libp2p identify spec: publicKey = 1, listenAddrs = 2, protocols = 3, observedAddr = 4, protocolVersion = 5,
 *          agentVersion = 6, signedPeerRecord = 8
 * Owner:   slices borrow the input (decode) or are borrowed (encode)
 * Errors:  0, a length, or -1: no protobuf
 * Limits:  IDENTIFY_READ_MAX bytes; so many protocols and addresses, none over its own limit: the rest is dropped and
 *          counted. Untrusted: publicKey must be compared with the connection's, the record opened
 */
#ifndef LIBP2P_IDENTIFY_WIRE_H
#define LIBP2P_IDENTIFY_WIRE_H

#include <sys/types.h>

#include "base/slice.h"

#define IDENTIFY_READ_MAX      (10 * 8192) /* js and go merge up to ten messages of 8 KiB */
#define IDENTIFY_WRITE_MAX     4000        /* rust reads no more than 4096 bytes, length in front included */
#define IDENTIFY_PROTOCOLS_MAX 64
#define IDENTIFY_ADDRS_MAX     32
#define IDENTIFY_NAME_MAX      256 /* of a protocol id, agent or version */

/* A single field with p == NULL is absent, and in a push means unchanged. */
struct identify {
    struct slice public_key; /* encoded PublicKey */
    struct slice observed;   /* our address as the sender sees it; may end in /p2p/<us> */
    struct slice protocol_version, agent;
    struct slice record; /* signed envelope */
    unsigned naddrs, nprotocols, dropped;
    struct slice addrs[IDENTIFY_ADDRS_MAX]; /* each passes multiaddr_check */
    struct slice protocols[IDENTIFY_PROTOCOLS_MAX];
};

/* Several messages one behind the other decode to their merger, as protobuf has it. */
int identify_decode(struct slice in, struct identify *m);
/* Writes at most cap and at most IDENTIFY_WRITE_MAX bytes. When all does not fit, the record (which names the addresses
 * a second time) is left out first, then the last addresses. -1: even that is too long. */
ssize_t identify_encode(const struct identify *m, uint8_t *out, size_t cap);

#endif
