#include "libp2p/noise_symmetric.h"

#include <assert.h>

#include "crypto/sha256.h"

_Static_assert(sizeof(NOISE_PROTOCOL_NAME) - 1 == NOISE_HASH_BYTES, "the name needs no hashing to become h");

void noise_nonce(uint64_t n, uint8_t out[AEAD_NONCE_BYTES])
{
    memset(out, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(n >> (8 * i));
}

void noise_symmetric_init(struct noise_symmetric *s, struct slice prologue)
{
    memset(s, 0, sizeof(*s));
    memcpy(s->h, NOISE_PROTOCOL_NAME, sizeof(s->h));
    memcpy(s->ck, s->h, sizeof(s->ck));
    noise_symmetric_mix_hash(s, prologue);
}

void noise_symmetric_mix_hash(struct noise_symmetric *s, struct slice data)
{
    struct sha256 hash;

    sha256_init(&hash);
    sha256_update(&hash, slice_of(s->h, sizeof(s->h)));
    sha256_update(&hash, data);
    sha256_final(&hash, s->h);
}

void noise_symmetric_mix_key(struct noise_symmetric *s, const uint8_t ikm[NOISE_KEY_BYTES])
{
    uint8_t out[2][SHA256_BYTES];

    hkdf_sha256(s->ck, slice_of(ikm, NOISE_KEY_BYTES), 2, out);
    memcpy(s->ck, out[0], sizeof(s->ck));
    memcpy(s->k, out[1], sizeof(s->k));
    s->n = 0;
    s->has_key = true;
    crypto_wipe(out, sizeof(out));
}

size_t noise_symmetric_encrypt(struct noise_symmetric *s, struct slice in, uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE_BYTES];
    size_t len = in.len;

    if (s->has_key) {
        noise_nonce(s->n++, nonce);
        aead_seal_once(s->k, nonce, slice_of(s->h, sizeof(s->h)), in, out);
        len += NOISE_TAG_BYTES;
    } else if (len) {
        memmove(out, in.p, len);
    }
    noise_symmetric_mix_hash(s, slice_of(out, len));
    return len;
}

int noise_symmetric_decrypt(struct noise_symmetric *s, struct slice in, uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE_BYTES], h[NOISE_HASH_BYTES];

    assert(s->has_key);
    memcpy(h, s->h, sizeof(h));
    noise_symmetric_mix_hash(s, in); /* before opening: out may be in.p */
    noise_nonce(s->n++, nonce);
    return aead_open_once(s->k, nonce, slice_of(h, sizeof(h)), in, out) ? -NOISE_EDECRYPT : 0;
}

void noise_symmetric_split(const struct noise_symmetric *s, uint8_t keys[2][NOISE_KEY_BYTES])
{
    hkdf_sha256(s->ck, slice_of(NULL, 0), 2, keys);
}
