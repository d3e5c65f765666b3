#include "libp2p/keys.h"

#include <assert.h>

#include "base/pb.h"
#include "crypto/spki.h"

enum { FIELD_TYPE = 1, FIELD_DATA = 2 };

const char *key_err_name(int err)
{
    switch (-err) {
    case KEY_EFORMAT: return "KEY_EFORMAT";
    case KEY_ELENGTH: return "KEY_ELENGTH";
    case KEY_ETYPE: return "KEY_ETYPE: unsupported key type";
    case KEY_ENOKEY: return "KEY_ENOKEY";
    case KEY_EMISMATCH: return "KEY_EMISMATCH";
    case KEY_ESIGNATURE: return "KEY_ESIGNATURE";
    case KEY_EKEY: return "KEY_EKEY: no usable key of its type";
    case KEY_ENOMEM: return "KEY_ENOMEM";
    default: return "?";
    }
}

const char *key_type_name(enum key_type type)
{
    switch (type) {
    case KEY_RSA: return "RSA";
    case KEY_ED25519: return "Ed25519";
    case KEY_SECP256K1: return "Secp256k1";
    case KEY_ECDSA: return "ECDSA";
    default: return "unknown";
    }
}

/* PublicKey and PrivateKey have the same shape. */
static int decode(struct slice in, enum key_type *type, struct slice *data)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    uint64_t number = 0;
    bool has_type = false, has_data = false;
    int rc;

    if (in.len > KEY_ENCODED_MAX)
        return -KEY_ELENGTH;
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, FIELD_TYPE, PB_VARINT)) {
            number = f.u;
            has_type = true;
        } else if (pb_is(&f, FIELD_DATA, PB_BYTES)) {
            *data = f.bytes;
            has_data = true;
        }
    }
    if (rc < 0 || !has_type || !has_data)
        return -KEY_EFORMAT;
    if (number > KEY_ECDSA)
        return -KEY_ETYPE;
    *type = (enum key_type)number;
    return 0;
}

static ssize_t encode(enum key_type type, struct slice data, uint8_t *out, size_t cap)
{
    struct wr w = wr_of(out, cap);

    pb_put_varint(&w, FIELD_TYPE, type);
    pb_put_bytes(&w, FIELD_DATA, data);
    return w.bad ? -KEY_ELENGTH : (ssize_t)w.len;
}

int public_key_decode(struct public_key *key, struct slice in)
{
    struct public_key k;
    int rc = decode(in, &k.type, &k.data);

    if (rc)
        return rc;
    if ((k.type == KEY_ED25519 && k.data.len != ED25519_PUBLIC_BYTES) ||
        (k.type == KEY_SECP256K1 && k.data.len != K256_PUBLIC_BYTES))
        return -KEY_ELENGTH;
    *key = k;
    return 0;
}

ssize_t public_key_encode(const struct public_key *key, uint8_t *out, size_t cap)
{
    return encode(key->type, key->data, out, cap);
}

static int of_crypto(int rc)
{
    switch (-rc) {
    case 0: return 0;
    case CRYPTO_EAUTH: return -KEY_ESIGNATURE;
    case CRYPTO_EKEY: return -KEY_EKEY;
    default: return -KEY_ENOMEM;
    }
}

int public_key_verify(const struct public_key *key, struct slice message, struct slice signature)
{
    switch (key->type) {
    case KEY_ED25519: return of_crypto(ed25519_verify(key->data.p, message, signature));
    case KEY_SECP256K1: return of_crypto(k256_verify(key->data, message, signature));
    case KEY_RSA: return of_crypto(spki_verify(SPKI_RSA, key->data, message, signature));
    case KEY_ECDSA: return of_crypto(spki_verify(SPKI_P256, key->data, message, signature));
    default: return -KEY_ETYPE;
    }
}

void public_key_peer_id(const struct public_key *key, struct peer_id *id)
{
    uint8_t pb[KEY_ENCODED_MAX + 16];
    ssize_t n = public_key_encode(key, pb, sizeof(pb));

    assert(n > 0);
    peer_id_from_key(id, slice_of(pb, (size_t)n));
}

int public_key_of_peer(struct public_key *key, const struct peer_id *id)
{
    struct slice pb;

    if (peer_id_key(id, &pb))
        return -KEY_ENOKEY;
    return public_key_decode(key, pb);
}

int public_key_check_peer(struct public_key *key, struct slice in, const struct peer_id *id)
{
    struct public_key k;
    struct peer_id named;
    int rc = public_key_decode(&k, in);

    if (rc)
        return rc;
    public_key_peer_id(&k, &named);
    if (!peer_id_is_equal(&named, id))
        return -KEY_EMISMATCH;
    *key = k;
    return 0;
}

void key_pair_init(struct key_pair *k, struct rng *rng)
{
    key_pair_init_type(k, KEY_ED25519, rng);
}

void key_pair_init_type(struct key_pair *k, enum key_type type, struct rng *rng)
{
    uint8_t seed[ED25519_SEED_BYTES];

    _Static_assert(sizeof(seed) == K256_SECRET_BYTES, "one size of secret");
    assert(is_own_key_type(type));
    do {
        rng_fill(rng, seed, sizeof(seed));
        if (type == KEY_ED25519)
            key_pair_from_seed(k, seed);
        k->type = type;
    } while (type == KEY_SECP256K1 && k256_key_init(&k->k256, seed));
    crypto_wipe(seed, sizeof(seed));
}

void key_pair_from_seed(struct key_pair *k, const uint8_t seed[ED25519_SEED_BYTES])
{
    memset(k, 0, sizeof(*k));
    k->type = KEY_ED25519;
    ed25519_key_init(&k->ed25519, seed);
}

void key_pair_fini(struct key_pair *k)
{
    crypto_wipe(k, sizeof(*k));
}

/* Data: seed || public, and in the old form public once more. */
static int from_ed25519(struct key_pair *k, struct slice data)
{
    const size_t seed = ED25519_SEED_BYTES, public = ED25519_PUBLIC_BYTES;

    if (data.len != seed + public && data.len != seed + 2 * public)
        return -KEY_ELENGTH;
    key_pair_from_seed(k, data.p);
    for (size_t at = seed; at < data.len; at += public)
        if (!crypto_is_equal(k->ed25519.public, data.p + at, public))
            return -KEY_EMISMATCH;
    return 0;
}

static int from_k256(struct key_pair *k, struct slice data)
{
    if (data.len != K256_SECRET_BYTES)
        return -KEY_ELENGTH;
    memset(k, 0, sizeof(*k));
    k->type = KEY_SECP256K1;
    return of_crypto(k256_key_init(&k->k256, data.p));
}

int key_pair_decode(struct key_pair *k, struct slice in)
{
    struct key_pair made = {0};
    enum key_type type;
    struct slice data;
    int rc = decode(in, &type, &data);

    if (rc)
        return rc;
    if (!is_own_key_type(type))
        return -KEY_ETYPE;
    rc = type == KEY_ED25519 ? from_ed25519(&made, data) : from_k256(&made, data);
    if (!rc)
        *k = made;
    key_pair_fini(&made);
    return rc;
}

ssize_t key_pair_encode(const struct key_pair *k, uint8_t *out, size_t cap)
{
    uint8_t data[ED25519_SEED_BYTES + ED25519_PUBLIC_BYTES];
    ssize_t n;

    if (k->type == KEY_SECP256K1)
        return encode(k->type, slice_of(k->k256.secret, K256_SECRET_BYTES), out, cap);
    memcpy(data, k->ed25519.seed, ED25519_SEED_BYTES);
    memcpy(data + ED25519_SEED_BYTES, k->ed25519.public, ED25519_PUBLIC_BYTES);
    n = encode(k->type, slice_of(data, sizeof(data)), out, cap);
    crypto_wipe(data, sizeof(data));
    return n;
}

static struct public_key public_of(const struct key_pair *k)
{
    return (struct public_key){k->type, k->type == KEY_SECP256K1 ? slice_of(k->k256.public, K256_PUBLIC_BYTES)
                                                                 : slice_of(k->ed25519.public, ED25519_PUBLIC_BYTES)};
}

ssize_t key_pair_encode_public(const struct key_pair *k, uint8_t *out, size_t cap)
{
    struct public_key public = public_of(k);

    return public_key_encode(&public, out, cap);
}

void key_pair_peer_id(const struct key_pair *k, struct peer_id *id)
{
    struct public_key public = public_of(k);

    public_key_peer_id(&public, id);
}

size_t key_pair_sign(const struct key_pair *k, struct slice message, uint8_t out[KEY_SIGNATURE_MAX])
{
    if (k->type == KEY_SECP256K1)
        return k256_sign(&k->k256, message, out);
    ed25519_sign(&k->ed25519, message, out);
    return ED25519_SIGNATURE_BYTES;
}
