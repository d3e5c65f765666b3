/* ChaCha20-Poly1305 by OpenSSL, where libipsec-mb is not. */
#include <assert.h>
#include <openssl/evp.h>

#include "crypto/aead_lib.h"

/* Its Poly1305 takes 64-byte blocks by pairs, and a bulk run that leaves an odd block is slower as a whole, by up to a quarter. */
const size_t aead_lib_align = 128;

int aead_lib_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    if (!c || EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, key, NULL, 1) != 1) {
        EVP_CIPHER_CTX_free(c);
        return -CRYPTO_ENOMEM;
    }
    a->cipher = c;
    return 0;
}

void aead_lib_fini(struct aead *a)
{
    EVP_CIPHER_CTX_free(a->cipher); /* wipes the key */
}

void aead_lib_begin(struct aead_run *r, const struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, bool is_seal)
{
    int n, ok = EVP_CipherInit_ex(a->cipher, NULL, NULL, NULL, nonce, is_seal);

    r->a = a;
    r->is_seal = is_seal;
    assert(ok == 1);
    if (ad.len)
        ok = EVP_CipherUpdate(a->cipher, NULL, &n, ad.p, (int)ad.len);
    assert(ok == 1);
}

void aead_lib_crypt(struct aead_run *r, uint8_t *out, const uint8_t *in, size_t len)
{
    int n, ok = EVP_CipherUpdate(r->a->cipher, out, &n, in, (int)len);

    assert(ok == 1 && (size_t)n == len);
}

void aead_lib_seal_tag(struct aead_run *r, uint8_t tag[AEAD_TAG_BYTES])
{
    uint8_t nothing[1];
    int n, ok = EVP_CipherFinal_ex(r->a->cipher, nothing, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(r->a->cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1;

    assert(ok);
}

bool aead_lib_open_tag(struct aead_run *r, const uint8_t tag[AEAD_TAG_BYTES])
{
    uint8_t nothing[1];
    int n;

    return EVP_CIPHER_CTX_ctrl(r->a->cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, (void *)(uintptr_t)tag) == 1 &&
           EVP_CipherFinal_ex(r->a->cipher, nothing, &n) == 1;
}
