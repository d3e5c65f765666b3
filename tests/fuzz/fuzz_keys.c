/* fuzz_keys.c: keys, peer ids and the alphabets below them, the input as each in turn */
#include <stdlib.h>

#include "base/text.h"
#include "libp2p/keys.h"
#include "libp2p/multibase.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void try_public(struct slice in)
{
    static const uint8_t signature[64];
    uint8_t out[KEY_ENCODED_MAX + 16];
    struct public_key key, again;
    struct peer_id id;
    ssize_t n;

    if (public_key_decode(&key, in))
        return;
    n = public_key_encode(&key, out, sizeof(out));
    require(n > 0);
    if (public_key_decode(&again, slice_of(out, (size_t)n)) == 0) /* canonical may be the longer one */
        require(again.type == key.type && slice_is_equal(again.data, key.data));
    public_key_peer_id(&key, &id);
    (void)public_key_verify(&key, SLICE_LIT("message"), slice_of(signature, sizeof(signature)));
}

/* The input as the key itself, of each type, and as a signature; it may be good for neither. */
static void try_raw(struct slice in)
{
    static const uint8_t generator[] = "\x02\x79\xbe\x66\x7e\xf9\xdc\xbb\xac\x55\xa0\x62\x95\xce\x87\x0b\x07\x02\x9b\xfc\xdb\x2d\xce"
                                       "\x28\xd9\x59\xf2\x81\x5b\x16\xf8\x17\x98";
    static const uint8_t zeros[8192 / 8];
    struct public_key key = {KEY_SECP256K1, slice_of(generator, K256_PUBLIC_BYTES)};

    require(public_key_verify(&key, SLICE_LIT("message"), in) == -KEY_ESIGNATURE);
    for (unsigned type = KEY_RSA; type <= KEY_ECDSA; type++) {
        key = (struct public_key){(enum key_type)type, in};
        if (type == KEY_ED25519 && in.len != ED25519_PUBLIC_BYTES)
            continue; /* decoding has seen to that */
        require(public_key_verify(&key, SLICE_LIT("message"), in) != 0);
        if (type == KEY_RSA) /* of the right length for some keys */
            for (size_t len = 2048 / 8; len <= sizeof(zeros); len += 2048 / 8)
                require(public_key_verify(&key, SLICE_LIT("message"), slice_of(zeros, len)) != 0);
    }
}

static void try_private(struct slice in)
{
    uint8_t out[KEY_OWN_PRIVATE_PB_MAX];
    struct key_pair k, again;
    ssize_t n;

    if (key_pair_decode(&k, in))
        return;
    n = key_pair_encode(&k, out, sizeof(out));
    require(n > 0);
    require(key_pair_decode(&again, slice_of(out, (size_t)n)) == 0);
    require(memcmp(&k, &again, sizeof(k)) == 0);
}

static void try_id(const struct peer_id *id)
{
    char text[PEER_ID_TEXT_MAX];
    size_t n = peer_id_format(id, text);
    struct public_key key;
    struct peer_id again;

    require(peer_id_parse(&again, slice_of(text, n)) == 0 && peer_id_is_equal(id, &again));
    (void)public_key_of_peer(&key, id);
}

static void try_alphabets(struct slice in)
{
    static ssize_t (*const decode[])(uint8_t *, size_t, struct slice) = {base58_decode, base36_decode,
                                                                         base32_decode, base64url_decode};
    static ssize_t (*const encode[])(char *, size_t, struct slice) = {base58_encode, base36_encode,
                                                                      base32_encode, base64url_encode};
    uint8_t bytes[MULTIBASE_BIG_MAX];
    char text[4 * MULTIBASE_BIG_MAX];

    for (unsigned i = 0; i < 4; i++) {
        ssize_t n = decode[i](bytes, sizeof(bytes), in), m;
        if (n < 0)
            continue;
        m = encode[i](text, sizeof(text), slice_of(bytes, (size_t)n));
        require(m == (ssize_t)in.len && memcmp(text, in.p, in.len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in = {data, len};
    struct peer_id id;

    try_public(in);
    try_raw(in);
    try_private(in);
    if (peer_id_from_bytes(&id, in) == 0)
        try_id(&id);
    if (peer_id_parse(&id, in) == 0)
        try_id(&id);
    try_alphabets(in);
    return 0;
}
