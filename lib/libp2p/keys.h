/* keys.h: libp2p public and private keys
 * Shape:   protobuf bytes <-> keys; sign; verify
 * Source:  libp2p peer-ids spec, section Keys (PublicKey, PrivateKey: Type=1, Data=2). We are Ed25519 or Secp256k1; others may
 *          also be RSA or ECDSA on P-256
 * Owner:   values; struct public_key borrows the bytes it was decoded from
 * Errors:  0 or -KEY_E…
 * Limits:  an encoded key is at most KEY_ENCODED_MAX bytes; crypto/spki.h bounds what a key may cost
 */
#ifndef LIBP2P_KEYS_H
#define LIBP2P_KEYS_H

#include <sys/types.h>

#include "base/slice.h"
#include "base/rng.h"
#include "crypto/ed25519.h"
#include "crypto/k256.h"
#include "libp2p/peer_id.h"

#define KEY_ENCODED_MAX        2400 /* an RSA key of 16384 bits would not fit, and should not */
#define KEY_OWN_PUBLIC_PB_MAX  37   /* bytes of an encoded PublicKey of the kinds that we sign with */
#define KEY_OWN_PRIVATE_PB_MAX 68
#define KEY_SIGNATURE_MAX      K256_SIGNATURE_MAX /* of the same */

enum key_type { KEY_RSA = 0, KEY_ED25519 = 1, KEY_SECP256K1 = 2, KEY_ECDSA = 3 };

enum key_err {
    KEY_EFORMAT = 1, /* not a key protobuf */
    KEY_ELENGTH,     /* Data of the wrong length for its type, or the whole over KEY_ENCODED_MAX */
    KEY_ETYPE,       /* unsupported key type (a known one, see key_type_name, or an unknown number) */
    KEY_ENOKEY,      /* the peer id is a hash: the key must come with the message */
    KEY_EMISMATCH,   /* the public half does not belong to the private one */
    KEY_ESIGNATURE,  /* not this key's signature of this message */
    KEY_EKEY,        /* Data is no key of its type, or one that nobody may use: off its curve, RSA too short or too long */
    KEY_ENOMEM,      /* the library has no memory for a verification */
};

const char *key_err_name(int err);
/* "Ed25519", "RSA", "Secp256k1", "ECDSA"; "unknown". */
const char *key_type_name(enum key_type type);

struct public_key {
    enum key_type type;
    struct slice data; /* borrowed */
};

/* Ours: the kinds we can sign with. Secret. */
struct key_pair {
    enum key_type type; /* KEY_ED25519 or KEY_SECP256K1 */
    union {
        struct ed25519_key ed25519;
        struct k256_key k256;
    };
};

/* Reads an encoded PublicKey; key->data points into in. RSA and ECDSA keys that we do not verify with (RSA of a forbidden size,
 * another curve) are decoded all the same, so that their peer ids can be computed; verify then answers -KEY_EKEY.
 * -KEY_EFORMAT, -KEY_ELENGTH, -KEY_ETYPE (unknown number). */
int public_key_decode(struct public_key *key, struct slice in);
/* Canonical bytes; returns their count, -KEY_ELENGTH when cap is too small. */
ssize_t public_key_encode(const struct public_key *key, uint8_t *out, size_t cap);
/* -KEY_ESIGNATURE, -KEY_EKEY, -KEY_ENOMEM. */
int public_key_verify(const struct public_key *key, struct slice message, struct slice signature);
/* The id of this key, from its canonical encoding. Keys over KEY_ENCODED_MAX are our bug. */
void public_key_peer_id(const struct public_key *key, struct peer_id *id);
/* The key that an identity peer id holds; borrowed from id. -KEY_ENOKEY for SHA-256 ids, and what decode returns. */
int public_key_of_peer(struct public_key *key, const struct peer_id *id);
/* Decodes key and checks that id is its peer id. -KEY_EMISMATCH and what decode returns. */
int public_key_check_peer(struct public_key *key, struct slice in, const struct peer_id *id);

/* A new Ed25519 key from 32 bytes of rng, which must be fit for keys. */
void key_pair_init(struct key_pair *k, struct rng *rng);
/* The same of a type that is_own_key_type accepts. */
void key_pair_init_type(struct key_pair *k, enum key_type type, struct rng *rng);
static inline bool is_own_key_type(enum key_type type)
{
    return type == KEY_ED25519 || type == KEY_SECP256K1;
}
void key_pair_from_seed(struct key_pair *k, const uint8_t seed[ED25519_SEED_BYTES]);
void key_pair_fini(struct key_pair *k); /* wipes */
/* An encoded PrivateKey. Ed25519: 64-byte Data, or the old 96-byte form with the public key twice. Secp256k1: 32 bytes. */
int key_pair_decode(struct key_pair *k, struct slice in);
ssize_t key_pair_encode(const struct key_pair *k, uint8_t *out, size_t cap);
/* Encoded PublicKey of ours. */
ssize_t key_pair_encode_public(const struct key_pair *k, uint8_t *out, size_t cap);
void key_pair_peer_id(const struct key_pair *k, struct peer_id *id);
/* Returns the signature's length. */
size_t key_pair_sign(const struct key_pair *k, struct slice message, uint8_t out[KEY_SIGNATURE_MAX]);

#endif
