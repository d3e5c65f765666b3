/* kad_wire.h: messages of the Kademlia DHT
 * Shape:   bytes <-> struct kad_msg; the uvarint length in front is the stream's
 * Source:  libp2p specs kad-dht r2, "RPC messages"
 * Memory:  slices of a decoded message borrow its input
 * Errors:  -1 malformed or over a limit
 * Limits:  KAD_MESSAGE_MAX bytes; KAD_PEERS_MAX peers a list and KAD_ADDRS_MAX addresses a peer, the rest is dropped and
 *          counted, as are peers whose id and addresses that cannot be read
 */
#ifndef LIBP2P_KAD_WIRE_H
#define LIBP2P_KAD_WIRE_H

#include <sys/types.h>

#include "base/slice.h"
#include "libp2p/peer_id.h"

#define KAD_PUBLIC_PROTOCOL "/ipfs/kad/1.0.0"
#define KAD_K           20 /* the spec's replication parameter: peers in a bucket, in an answer, that end a query */
#define KAD_PEERS_MAX   KAD_K
#define KAD_ADDRS_MAX   8
#define KAD_MESSAGE_MAX 65536
#define KAD_KEY_MAX     256 /* of a message: ids, CIDs, "/pk/.." and the like */

enum kad_type { KAD_PUT_VALUE, KAD_GET_VALUE, KAD_ADD_PROVIDER, KAD_GET_PROVIDERS, KAD_FIND_NODE, KAD_PING, KAD_TYPES };

enum kad_connection { KAD_NOT_CONNECTED, KAD_CONNECTED, KAD_CAN_CONNECT, KAD_CANNOT_CONNECT };

struct kad_peer {
    struct peer_id id;
    enum kad_connection connection;
    unsigned naddrs;
    struct slice addrs[KAD_ADDRS_MAX]; /* each passes multiaddr_check */
};

struct kad_msg {
    enum kad_type type;
    struct slice key;
    bool has_record;
    struct slice record_key, record_value, record_received;
    unsigned ncloser, nproviders, dropped;
    struct kad_peer closer[KAD_PEERS_MAX], providers[KAD_PEERS_MAX];
};

int kad_decode(struct slice in, struct kad_msg *out);
/* Returns the bytes written; -1: it does not fit. */
ssize_t kad_encode(const struct kad_msg *m, uint8_t *out, size_t cap);

#endif
