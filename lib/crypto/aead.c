#include "crypto/aead.h"

#include <assert.h>
#include <sodium.h>

#include "crypto/aead_lib.h"

/* Each call into the library costs more than a hundred ns, as much as copying a few KiB that are in cache: pieces below DIRECT are
 * copied together in the output and crypted there, GATHER bytes at a time. */
#define DIRECT_BYTES 4096
#define GATHER_BYTES 16384

#define LEN_MAX ((size_t)1 << 30) /* OpenSSL counts in int */

int aead_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES])
{
    *a = (struct aead){0};
    a->has_key = aead_lib_init(a, key) == 0;
    return a->has_key ? 0 : -CRYPTO_ENOMEM;
}

void aead_fini(struct aead *a)
{
    if (a->has_key)
        aead_lib_fini(a);
    *a = (struct aead){0};
}

/* One message on its way: out[0, done) is finished, out[done, done + pending) is copied there but not yet crypted. */
struct run {
    struct aead_run lib;
    uint8_t *out;
    size_t done, pending;
};

static void run_begin(struct run *r, struct aead *a, const uint8_t *nonce, struct slice ad, uint8_t *out, bool is_seal)
{
    assert(a->has_key);
    r->out = out;
    r->done = r->pending = 0;
    aead_lib_begin(&r->lib, a, nonce, ad, is_seal);
}

static void run_crypt(struct run *r, const uint8_t *in, size_t len)
{
    aead_lib_crypt(&r->lib, r->out + r->done, in, len);
    r->done += len;
}

/* What the library takes at full speed, then the rest; the message has to end here or the next bytes pay for the odd end. */
static void run_crypt_aligned(struct run *r, const uint8_t *in, size_t len)
{
    size_t bulk = len - len % aead_lib_align;

    if (bulk)
        run_crypt(r, in, bulk);
    if (len > bulk)
        run_crypt(r, in + bulk, len - bulk);
}

static void run_flush(struct run *r)
{
    size_t len = r->pending;

    r->pending = 0;
    run_crypt_aligned(r, r->out + r->done, len);
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
        size_t odd = r->pending % aead_lib_align, take;
        if (len < DIRECT_BYTES) {
            take = run_gather(r, in, len, GATHER_BYTES);
            if (r->pending == GATHER_BYTES)
                run_flush(r);
        } else if (odd) {
            take = run_gather(r, in, len, r->pending + aead_lib_align - odd);
        } else {
            run_flush(r);
            take = len - len % aead_lib_align;
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

    (void)total_of(pieces, count);
    run_begin(&r, a, nonce, ad, out, true);
    if (count == 1) { /* perhaps in place */
        run_crypt_aligned(&r, pieces[0].p, pieces[0].len);
    } else {
        for (size_t i = 0; i < count; i++)
            run_add(&r, pieces[i].p, pieces[i].len);
        run_flush(&r);
    }
    aead_lib_seal_tag(&r.lib, out + r.done);
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
    uint8_t tag[AEAD_TAG_BYTES];
    struct run r;

    if (total < AEAD_TAG_BYTES)
        return -CRYPTO_EAUTH;
    left = total - AEAD_TAG_BYTES;
    run_begin(&r, a, nonce, ad, out, false);
    for (size_t i = 0; i < count; i++) {
        size_t body = pieces[i].len < left ? pieces[i].len : left;
        if (!pieces[i].len)
            continue;
        if (count == 1) /* perhaps in place */
            run_crypt_aligned(&r, pieces[i].p, body);
        else
            run_add(&r, pieces[i].p, body);
        left -= body;
        memcpy(tag + tag_len, pieces[i].p + body, pieces[i].len - body);
        tag_len += pieces[i].len - body;
    }
    run_flush(&r);
    if (!aead_lib_open_tag(&r.lib, tag)) {
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

void aead_open_begin(struct aead_run *r, struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad)
{
    assert(a->has_key);
    aead_lib_begin(r, a, nonce, ad, false);
}

void aead_open_some(struct aead_run *r, uint8_t *out, const uint8_t *in, size_t len)
{
    if (len)
        aead_lib_crypt(r, out, in, len);
}

int aead_open_end(struct aead_run *r, const uint8_t tag[AEAD_TAG_BYTES])
{
    return aead_lib_open_tag(r, tag) ? 0 : -CRYPTO_EAUTH;
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
