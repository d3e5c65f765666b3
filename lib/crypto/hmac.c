#include "crypto/crypto.h"
#include "crypto/sha256.h"

void hmac_sha256_init(struct hmac_sha256 *h, struct slice key)
{
    uint8_t block[SHA256_BLOCK_BYTES] = {0};

    if (key.len > sizeof(block))
        sha256_of(key, block);
    else if (key.len)
        memcpy(block, key.p, key.len);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    sha256_init(&h->inner);
    sha256_update(&h->inner, slice_of(block, sizeof(block)));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_init(&h->outer);
    sha256_update(&h->outer, slice_of(block, sizeof(block)));
    crypto_wipe(block, sizeof(block));
}

void hmac_sha256_update(struct hmac_sha256 *h, struct slice in)
{
    sha256_update(&h->inner, in);
}

void hmac_sha256_final(struct hmac_sha256 *h, uint8_t out[SHA256_BYTES])
{
    sha256_final(&h->inner, out);
    sha256_update(&h->outer, slice_of(out, SHA256_BYTES));
    sha256_final(&h->outer, out);
}

void hmac_sha256_of(struct slice key, struct slice in, uint8_t out[SHA256_BYTES])
{
    struct hmac_sha256 h;

    hmac_sha256_init(&h, key);
    hmac_sha256_update(&h, in);
    hmac_sha256_final(&h, out);
}

void hkdf_sha256(const uint8_t ck[SHA256_BYTES], struct slice ikm, unsigned count,
                 uint8_t (*out)[SHA256_BYTES])
{
    uint8_t temp[SHA256_BYTES];

    hmac_sha256_of(slice_of(ck, SHA256_BYTES), ikm, temp);
    for (unsigned i = 0; i < count; i++) {
        uint8_t number = (uint8_t)(i + 1);
        struct hmac_sha256 h;
        hmac_sha256_init(&h, slice_of(temp, sizeof(temp)));
        if (i)
            hmac_sha256_update(&h, slice_of(out[i - 1], SHA256_BYTES));
        hmac_sha256_update(&h, slice_of(&number, 1));
        hmac_sha256_final(&h, out[i]);
    }
    crypto_wipe(temp, sizeof(temp));
}
