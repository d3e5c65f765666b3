#include "crypto/aead.h"

#include <assert.h>
#include <openssl/evp.h>
#include <sodium.h>

/* The library's Poly1305 takes 64-byte blocks by pairs, and a bulk run that leaves an odd block is slower as a whole.
 * So bulk goes down in whole pairs, and what is left over after it. */
#define PAIR_BYTES 128
/* Each call into the library costs about 120 ns, as much as copying a few KiB that are in cache: pieces below DIRECT are
 * copied together in the output and crypted there, GATHER bytes at a time. */
#define DIRECT_BYTES 4096
#define GATHER_BYTES 16384

#define LEN_MAX ((size_t)1 << 30) /* the library counts in int */

int aead_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    a->cipher = NULL;
    if (!c || EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, key, NULL, 1) != 1) {
        EVP_CIPHER_CTX_free(c);
        return -CRYPTO_ENOMEM;
    }
    a->cipher = c;
    return 0;
}

void aead_fini(struct aead *a)
{
    EVP_CIPHER_CTX_free(a->cipher); /* wipes the key */
    a->cipher = NULL;
}

/* One message on its way: out[0, done) is finished, out[done, done + pending) is copied there but not yet crypted. */
struct run {
    EVP_CIPHER_CTX *c;
    uint8_t *out;
    size_t done, pending;
};

static void run_begin(struct run *r, struct aead *a, const uint8_t *nonce, struct slice ad, uint8_t *out,
                      int is_seal)
{
    int n, ok;

    *r = (struct run){a->cipher, out, 0, 0};
    ok = EVP_CipherInit_ex(r->c, NULL, NULL, NULL, nonce, is_seal);
    assert(ok == 1);
    if (ad.len)
        ok = EVP_CipherUpdate(r->c, NULL, &n, ad.p, (int)ad.len);
    assert(ok == 1);
}

static void run_crypt(struct run *r, const uint8_t *in, size_t len)
{
    int n, ok = EVP_CipherUpdate(r->c, r->out + r->done, &n, in, (int)len);

    assert(ok == 1 && (size_t)n == len);
    r->done += len;
}

/* Whole pairs, then the rest; the message has to end here or the next bytes pay for the odd end. */
static void run_crypt_pairs(struct run *r, const uint8_t *in, size_t len)
{
    size_t bulk = len & ~(size_t)(PAIR_BYTES - 1);

    if (bulk)
        run_crypt(r, in, bulk);
    if (len > bulk)
        run_crypt(r, in + bulk, len - bulk);
}

static void run_flush(struct run *r)
{
    size_t len = r->pending;

    r->pending = 0;
    run_crypt_pairs(r, r->out + r->done, len);
}

static size_t run_gather(struct run *r, const uint8_t *in, size_t len, size_t limit)
{
    size_t take = limit - r->pending < len ? limit - r->pending : len;

    memcpy(r->out + r->done + r->pending, in, take);
    r->pending += take;
    return take;
}

/* One piece of several. */
static void run_add(struct run *r, const uint8_t *in, size_t len)
{
    while (len) {
        size_t odd = r->pending % PAIR_BYTES, take;
        if (len < DIRECT_BYTES) {
            take = run_gather(r, in, len, GATHER_BYTES);
            if (r->pending == GATHER_BYTES)
                run_flush(r);
        } else if (odd) {
            take = run_gather(r, in, len, r->pending + PAIR_BYTES - odd);
        } else {
            run_flush(r);
            take = len & ~(size_t)(PAIR_BYTES - 1);
            run_crypt(r, in, take);
        }
        in += take;
        len -= take;
    }
}

static size_t total_of(const struct slice *pieces, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        assert(pieces[i].len <= LEN_MAX);
        total += pieces[i].len;
    }
    assert(total <= LEN_MAX);
    return total;
}

void aead_sealv(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                const struct slice *pieces, size_t count, uint8_t *out)
{
    struct run r;
    int n, ok;

    (void)total_of(pieces, count);
    run_begin(&r, a, nonce, ad, out, 1);
    if (count == 1) { /* perhaps in place */
        run_crypt_pairs(&r, pieces[0].p, pieces[0].len);
    } else {
        for (size_t i = 0; i < count; i++)
            run_add(&r, pieces[i].p, pieces[i].len);
        run_flush(&r);
    }
    ok = EVP_CipherFinal_ex(r.c, out + r.done, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(r.c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + r.done) == 1;
    assert(ok);
}

void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, const uint8_t *in,
               size_t len, uint8_t *out)
{
    struct slice piece = {in, len};

    aead_sealv(a, nonce, ad, &piece, 1, out);
}

int aead_openv(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
               const struct slice *pieces, size_t count, uint8_t *out)
{
    size_t total = total_of(pieces, count), left, tag_len = 0;
    uint8_t tag[AEAD_TAG_BYTES], nothing[1];
    struct run r;
    int n, ok;

    if (total < AEAD_TAG_BYTES)
        return -CRYPTO_EAUTH;
    left = total - AEAD_TAG_BYTES;
    run_begin(&r, a, nonce, ad, out, 0);
    for (size_t i = 0; i < count; i++) {
        size_t body = pieces[i].len < left ? pieces[i].len : left;
        if (!pieces[i].len)
            continue;
        if (count == 1) /* perhaps in place */
            run_crypt_pairs(&r, pieces[i].p, body);
        else
            run_add(&r, pieces[i].p, body);
        left -= body;
        memcpy(tag + tag_len, pieces[i].p + body, pieces[i].len - body);
        tag_len += pieces[i].len - body;
    }
    run_flush(&r);
    ok = EVP_CIPHER_CTX_ctrl(r.c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1 &&
         EVP_CipherFinal_ex(r.c, nothing, &n) == 1;
    if (!ok) {
        crypto_wipe(out, r.done);
        return -CRYPTO_EAUTH;
    }
    return 0;
}

int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, const uint8_t *in,
              size_t len, uint8_t *out)
{
    struct slice piece = {in, len};

    return aead_openv(a, nonce, ad, &piece, 1, out);
}

void aead_seal_once(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                    struct slice in, uint8_t *out)
{
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in.p, in.len, ad.p, ad.len, NULL, nonce, key);
}

int aead_open_once(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                   struct slice in, uint8_t *out)
{
    if (in.len < AEAD_TAG_BYTES)
        return -CRYPTO_EAUTH;
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in.p, in.len, ad.p, ad.len, nonce, key)
               ? -CRYPTO_EAUTH
               : 0;
}
