/* multiaddr_proto.h: the protocols a multiaddr may name, and their values
 * Shape:   name or code -> table entry; value text <-> value bytes; check of value bytes
 * Source:  multiaddr protocol table. Left out: garlic32/64 and what came later; addresses with them are not for us
 * Owner:   the table is immutable
 * Errors:  0, lengths, or -MULTIADDR_E…
 */
#ifndef LIBP2P_MULTIADDR_PROTO_H
#define LIBP2P_MULTIADDR_PROTO_H

#include "base/wr.h"
#include "libp2p/multiaddr.h"

enum multiaddr_kind {
    KIND_NONE,     /* no value */
    KIND_IP4,      /* 4 bytes */
    KIND_IP6,      /* 16 bytes */
    KIND_PORT,     /* 2 bytes */
    KIND_BYTE,     /* 1 byte, decimal */
    KIND_NAME,     /* length-prefixed printable text: host names, zones */
    KIND_PATH,     /* length-prefixed, percent-encoded in text */
    KIND_PEER,     /* length-prefixed peer id */
    KIND_CERTHASH, /* length-prefixed multihash; multibase u in text */
    KIND_ONION,    /* 10 bytes and a port; base32:port in text */
    KIND_ONION3,   /* 35 bytes and a port */
};

struct multiaddr_proto {
    uint32_t code;
    const char *name;
    enum multiaddr_kind kind;
};

const struct multiaddr_proto *multiaddr_proto_by_code(uint64_t code);
/* Also knows ipfs as the old name of p2p. */
const struct multiaddr_proto *multiaddr_proto_by_name(struct slice name);
/* Bytes of its values; -1: length-prefixed. */
int multiaddr_proto_size(const struct multiaddr_proto *p);
/* 0 or -MULTIADDR_EVALUE. The length of a fixed-size value is the caller's to check. */
int multiaddr_value_check(const struct multiaddr_proto *p, struct slice value);
/* Appends the value's text to w; value must pass the check. */
void multiaddr_value_format(const struct multiaddr_proto *p, struct slice value, struct wr *w);
/* Returns the value's bytes, -MULTIADDR_EVALUE, -MULTIADDR_ETOOBIG. The result passes the check. */
ssize_t multiaddr_value_parse(const struct multiaddr_proto *p, struct slice text, uint8_t *out, size_t cap);

#endif
