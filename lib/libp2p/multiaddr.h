/* multiaddr.h: addresses that name their protocols
 * Shape:   text <-> bytes; bytes -> parts; bytes -> (host, port, peer id) when it is plain TCP
 * Source:  multiformats multiaddr spec and its protocol table
 * Owner:   values; parts and targets borrow the bytes they were read from
 * Errors:  -MULTIADDR_E…
 * Limits:  at most MULTIADDR_MAX bytes and MULTIADDR_PARTS_MAX parts; a protocol that is not in our table cannot be
 *          skipped (its size is unknown) and makes the whole address bad: callers drop that address, not the peer
 */
#ifndef LIBP2P_MULTIADDR_H
#define LIBP2P_MULTIADDR_H

#include <sys/types.h>

#include "base/rd.h"
#include "libp2p/peer_id.h"

#define MULTIADDR_MAX       320
#define MULTIADDR_TEXT_MAX  1280 /* canonical text of any such address, NUL included */
#define MULTIADDR_PARTS_MAX 16

enum multiaddr_code {
    MULTIADDR_IP4 = 4,
    MULTIADDR_TCP = 6,
    MULTIADDR_IP6 = 41,
    MULTIADDR_IP6ZONE = 42,
    MULTIADDR_DNS = 53,
    MULTIADDR_DNS4 = 54,
    MULTIADDR_DNS6 = 55,
    MULTIADDR_DNSADDR = 56,
    MULTIADDR_UDP = 273,
    MULTIADDR_P2P_CIRCUIT = 290,
    MULTIADDR_P2P = 421,
};

enum multiaddr_err {
    MULTIADDR_EFORMAT = 1, /* text that does not begin with "/", or a varint that is not minimal */
    MULTIADDR_EMISSING, /* text that ends behind a protocol's name where its value should follow ("…/p2p/") */
    MULTIADDR_EPROTOCOL,  /* a protocol we do not know */
    MULTIADDR_EVALUE,     /* a value that its protocol does not allow */
    MULTIADDR_ETOOBIG,    /* over a limit above */
    MULTIADDR_ETRUNCATED, /* bytes end inside a part */
    MULTIADDR_ETARGET,    /* a good address, but not host, tcp and perhaps p2p */
};

const char *multiaddr_err_name(int err);
/* The same for people. */
const char *multiaddr_err_text(int err);

struct multiaddr {
    uint16_t len;
    uint8_t bytes[MULTIADDR_MAX];
};

struct multiaddr_part {
    uint32_t code;
    struct slice value; /* without the length prefix */
};

/* What can be dialed. */
struct multiaddr_target {
    enum multiaddr_code kind; /* IP4, IP6, DNS, DNS4, DNS6; DNSADDR has no port */
    uint8_t ip[16];           /* IP4: the first 4; network order */
    struct slice host;        /* of the DNS kinds; borrowed */
    uint16_t port;
    struct peer_id peer; /* len 0: none named */
};

static inline struct slice multiaddr_slice(const struct multiaddr *m)
{
    return (struct slice){m->bytes, m->len};
}

/* /ipfs/ is read as /p2p/; doubled and trailing slashes are allowed, and "" is the empty address. m is written only
 * on success. */
int multiaddr_parse(struct multiaddr *m, struct slice text);
/* Checks every part and copies. */
int multiaddr_from_bytes(struct multiaddr *m, struct slice bytes);
/* Canonical text and NUL; returns its length. -MULTIADDR_ETOOBIG when cap is too small, and what check returns. */
ssize_t multiaddr_format(struct slice bytes, char *out, size_t cap);
/* Every part well-formed, limits kept. Empty is good ("/"). */
int multiaddr_check(struct slice bytes);
/* Walks: 1 a part, 0 the end, -MULTIADDR_E…. */
int multiaddr_next(struct rd *r, struct multiaddr_part *part);
/* host/tcp/port or dnsaddr, then perhaps p2p, and nothing else; -MULTIADDR_ETARGET for other good addresses. */
int multiaddr_target(struct slice bytes, struct multiaddr_target *t);
/* ip_len 4 or 16; peer NULL or len 0: no /p2p. */
void multiaddr_of_tcp(struct multiaddr *m, const uint8_t *ip, size_t ip_len, uint16_t port,
                      const struct peer_id *peer);
/* Adds /p2p/ID. -MULTIADDR_ETOOBIG. */
int multiaddr_add_peer(struct multiaddr *m, const struct peer_id *peer);

#endif
