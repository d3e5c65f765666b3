#include "crypto/spki.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "crypto/der.h"

#define POINT_BYTES    65 /* 04, x, y */
#define EXPONENT_BITS  17 /* 65537 */

/* AlgorithmIdentifier, whole: rsaEncryption with its NULL. */
static const struct slice rsa_algorithm = SLICE_LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
/* All that goes before the point: SEQUENCE, id-ecPublicKey with prime256v1, BIT STRING. */
static const struct slice p256_head = SLICE_LIT("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d"
                                                "\x03\x01\x07\x03\x42\x00");

struct rsa_public {
    struct slice n, e;
};

static unsigned bits_of(struct slice number)
{
    unsigned lead = 0;

    while (lead < 8 && !(number.p[0] >> (7 - lead) & 1))
        lead++;
    return (unsigned)(number.len * 8 - lead);
}

static bool is_odd(struct slice number)
{
    return number.p[number.len - 1] & 1;
}

/* SEQUENCE { algorithm, BIT STRING { SEQUENCE { n, e } } }, and nothing behind any of them. */
static bool rsa_read(struct slice key, struct rsa_public *out)
{
    struct rd r = rd_of(key);
    struct slice info, bits, pair;

    if (!der_take(&r, DER_SEQUENCE, &info) || rd_left(&r))
        return false;
    r = rd_of(info);
    if (!slice_is_equal(rd_bytes(&r, rsa_algorithm.len), rsa_algorithm) || !der_take_bits(&r, &bits) || rd_left(&r))
        return false;
    r = rd_of(bits);
    if (!der_take(&r, DER_SEQUENCE, &pair) || rd_left(&r))
        return false;
    r = rd_of(pair);
    return der_take_positive(&r, &out->n) && der_take_positive(&r, &out->e) && !rd_left(&r);
}

static int rsa_check(struct slice key, struct rsa_public *out)
{
    unsigned bits;

    if (!rsa_read(key, out))
        return -CRYPTO_EKEY;
    bits = bits_of(out->n);
    if (bits < SPKI_RSA_BITS_MIN || bits > SPKI_RSA_BITS_MAX || !is_odd(out->n))
        return -CRYPTO_EKEY;
    if (bits_of(out->e) > EXPONENT_BITS || bits_of(out->e) < 2 || !is_odd(out->e))
        return -CRYPTO_EKEY;
    return 0;
}

static int p256_check(struct slice key)
{
    if (key.len != SPKI_P256_BYTES || memcmp(key.p, p256_head.p, p256_head.len) != 0 || key.p[p256_head.len] != 0x04)
        return -CRYPTO_EKEY;
    return 0;
}

int spki_check(enum spki_type type, struct slice key)
{
    struct rsa_public unused;

    return type == SPKI_RSA ? rsa_check(key, &unused) : p256_check(key);
}

/* ---- libcrypto ---- */

static EVP_PKEY *key_of(const char *name, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
    EVP_PKEY *key = NULL;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *rsa_key(const struct rsa_public *in)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(in->n.p, (int)in->n.len, NULL), *e = BN_bin2bn(in->e.p, (int)in->e.len, NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (bld && n && e && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params)
        key = key_of("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *p256_key(struct slice key)
{
    static char curve[] = "P-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(key.p + p256_head.len), POINT_BYTES),
        OSSL_PARAM_construct_end(),
    };

    return key_of("EC", params);
}

static int verify(EVP_PKEY *key, struct slice message, struct slice signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = -CRYPTO_ENOMEM;

    if (ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1)
        rc = EVP_DigestVerify(ctx, signature.p, signature.len, message.p, message.len) == 1 ? 0 : -CRYPTO_EAUTH;
    EVP_MD_CTX_free(ctx);
    return rc;
}

int spki_verify(enum spki_type type, struct slice key, struct slice message, struct slice signature)
{
    struct rsa_public rsa = {0};
    EVP_PKEY *pkey;
    int rc = type == SPKI_RSA ? rsa_check(key, &rsa) : p256_check(key);

    if (rc)
        return rc;
    if (type == SPKI_RSA ? signature.len != rsa.n.len : signature.len == 0)
        return -CRYPTO_EAUTH;
    ERR_set_mark(); /* the thread's queue of errors is not ours to fill */
    pkey = type == SPKI_RSA ? rsa_key(&rsa) : p256_key(key);
    rc = pkey ? verify(pkey, message, signature) : -CRYPTO_EKEY;
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return rc;
}
