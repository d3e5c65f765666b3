/* forge.h: keys, key sets and tokens, good and bad, by OpenSSL and not by the library under test */
#ifndef TESTS_AUTH_FORGE_H
#define TESTS_AUTH_FORGE_H

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "testing.h"

#include "base/slice.h"

#define FORGE_MAX 16384

static const char forge_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static inline size_t forge_b64url(char *out, struct slice in)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i += 3) {
        uint32_t v = (uint32_t)in.p[i] << 16 | (uint32_t)(i + 1 < in.len ? in.p[i + 1] : 0) << 8 |
                     (i + 2 < in.len ? in.p[i + 2] : 0);

        for (unsigned k = 0; k < 4 && i + k <= in.len; k++)
            out[n++] = forge_alphabet[v >> (18 - 6 * k) & 63];
    }
    out[n] = 0;
    return n;
}

/* One JWK, public. */
static inline void forge_jwk(char out[4096], EVP_PKEY *key, const char *kid, const char *more)
{
    BIGNUM *n = NULL, *e = NULL;
    uint8_t raw[2048];
    char n64[3000], e64[16];

    EVP_PKEY_get_bn_param(key, "n", &n);
    EVP_PKEY_get_bn_param(key, "e", &e);
    forge_b64url(n64, slice_of(raw, (size_t)BN_bn2bin(n, raw)));
    forge_b64url(e64, slice_of(raw, (size_t)BN_bn2bin(e, raw)));
    BN_free(n);
    BN_free(e);
    snprintf(out, 4096, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid, n64, e64, more);
}

static inline size_t forge_sign(char *out, EVP_PKEY *key, struct slice text, const EVP_MD *md)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t sig[2048];
    size_t len = sizeof(sig);

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, text.p, text.len), 1);
    EVP_MD_CTX_free(ctx);
    return forge_b64url(out, slice_of(sig, len));
}

/* header.claims. and room behind it; returns its length without the last dot. */
static inline size_t forge_body(char out[FORGE_MAX], const char *header, const char *claims)
{
    size_t n = forge_b64url(out, slice_str(header));

    out[n++] = '.';
    n += forge_b64url(out + n, slice_str(claims));
    out[n] = '.';
    out[n + 1] = 0;
    return n;
}

static inline size_t forge_token(char out[FORGE_MAX], EVP_PKEY *key, const char *header, const char *claims)
{
    size_t n = forge_body(out, header, claims);

    return n + 1 + forge_sign(out + n + 1, key, slice_of(out, n), EVP_sha256());
}

#endif
