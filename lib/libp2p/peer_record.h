/* peer_record.h: the addresses that a peer signs of itself
 * Shape:   key pair, seq, addresses -> signed envelope; envelope -> verified record
 * Source:  libp2p RFC 0003: PeerRecord { peer_id = 1, seq = 2, addresses = 3 { multiaddr = 1 } }, domain
 *          libp2p-peer-record, payload type 03 01
 * Owner:   slices in a record borrow the envelope it was opened from
 * Errors:  -PEER_RECORD_E…, or an -ENVELOPE_E… as it is (the two do not overlap)
 * Limits:  PEER_RECORD_ADDRS_MAX addresses; more, and those that cannot be read, are dropped and counted
 */
#ifndef LIBP2P_PEER_RECORD_H
#define LIBP2P_PEER_RECORD_H

#include <sys/types.h>

#include "libp2p/envelope.h"
#include "libp2p/multiaddr.h"
#include "libp2p/peer_id.h"

#define PEER_RECORD_ADDRS_MAX 32

enum peer_record_err {
    PEER_RECORD_EFORMAT = 101, /* the payload is no peer record */
    PEER_RECORD_ESIGNER,       /* a good signature, but of another peer than the record is about */
};

/* Also names -ENVELOPE_E…. */
const char *peer_record_err_name(int err);

struct peer_record {
    struct peer_id id;
    uint64_t seq; /* the higher replaces the lower; callers compare */
    unsigned naddrs, dropped;
    struct slice addrs[PEER_RECORD_ADDRS_MAX]; /* each passes multiaddr_check */
};

int peer_record_open(struct slice envelope, struct peer_record *record);
/* addrs: multiaddr bytes. seq must grow whenever they change (others use wall-clock ns or ms). Returns the bytes
 * written, -ENVELOPE_ESPACE, -ENVELOPE_ETOOBIG. */
ssize_t peer_record_seal(const struct key_pair *key, uint64_t seq, const struct slice *addrs, size_t count,
                         uint8_t *out, size_t cap);

#endif
