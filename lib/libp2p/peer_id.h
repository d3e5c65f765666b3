/* peer_id.h: who a peer is
 * Shape:   multihash bytes inline <-> base58btc text; CIDv1 text -> bytes
 * Source:  libp2p peer-ids spec: identity multihash of the public key protobuf up to 42 bytes, else its SHA-256
 * Owner:   a value: copy it freely
 * Errors:  0, or -PEER_ID_E…
 */
#ifndef LIBP2P_PEER_ID_H
#define LIBP2P_PEER_ID_H

#include <assert.h>

#include "base/slice.h"

#define PEER_ID_MAX      44 /* identity multihash of a 42-byte key */
#define PEER_ID_TEXT_MAX 64 /* base58btc of that, NUL included */
#define PEER_ID_CID_MAX  96 /* longest CIDv1 text we read */

struct peer_id {
    uint8_t len; /* 0: nobody */
    uint8_t bytes[PEER_ID_MAX];
};

enum peer_id_err {
    PEER_ID_EFORMAT = 1, /* not base58btc, base32 or base36 of an id */
    PEER_ID_EHASH,       /* a multihash that no peer id uses, or one of the wrong length */
    PEER_ID_EKEY,        /* the id does not hold a key (SHA-256 form), or holds one that we cannot read */
};

const char *peer_id_err_name(int err);

/* key: an encoded PublicKey protobuf. */
void peer_id_from_key(struct peer_id *id, struct slice key);
void peer_id_from_ed25519(struct peer_id *id, const uint8_t public[32]);
/* Multihash bytes as the wire carries them. -PEER_ID_EHASH. */
int peer_id_from_bytes(struct peer_id *id, struct slice bytes);
/* 12D3KooW…, Qm…, bafz… or k…; the whole slice. -PEER_ID_EFORMAT, -PEER_ID_EHASH. */
int peer_id_parse(struct peer_id *id, struct slice text);
/* base58btc with NUL; returns its length. */
size_t peer_id_format(const struct peer_id *id, char out[PEER_ID_TEXT_MAX]);
/* The PublicKey protobuf inside an identity multihash, borrowed from id; -PEER_ID_EKEY when it is a hash. */
int peer_id_key(const struct peer_id *id, struct slice *key);

static inline struct slice peer_id_slice(const struct peer_id *id)
{
    assert(id->len <= PEER_ID_MAX);
    return (struct slice){id->bytes, id->len};
}

static inline bool peer_id_is_equal(const struct peer_id *a, const struct peer_id *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

#endif
