/* aead.h: ChaCha20-Poly1305 with a context for each key and direction
 * Shape:   key -> context; nonce, associated data, plaintext pieces -> ciphertext || 16-byte tag, and back
 * Source:  RFC 8439, by libipsec-mb on x86-64, elsewhere by OpenSSL. Small pieces are first copied together, each call of a library
 *          being dear
 * Owner:   one lcore, or one sans-IO core
 * Memory:  init may allocate the library's context, which fini frees; seal and open allocate nothing
 * Units:   bytes
 * Errors:  0 or -CRYPTO_E…; sealing cannot fail (a message over 1 GiB is our bug)
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/slice.h"
#include "crypto/crypto.h"

#define AEAD_KEY_BYTES   32
#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES   16

struct aead {
    bool has_key;
    uint8_t key[AEAD_KEY_BYTES];
    void *cipher; /* the library's context, where it needs one */
};

/* A message that is opened as it comes. Holds the library's state, and with it what would forge this one message's tag: end it or wipe it. */
struct aead_run {
    const struct aead *a;
    bool is_seal;
    _Alignas(16) uint8_t state[256]; /* the library's, where it has none of its own */
};

/* -CRYPTO_ENOMEM: no memory; the context stays empty, and fini is harmless. */
int aead_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES]);
/* Wipes the key. Zeroed and finished contexts are allowed. */
void aead_fini(struct aead *a);

/* Writes len + 16 bytes to out. in == out is allowed, any other overlap is not. The caller never repeats a nonce. */
void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, const uint8_t *in,
               size_t len, uint8_t *out);
/* Same from count pieces that are sealed as if joined. Pieces must not overlap out. */
void aead_sealv(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                const struct slice *pieces, size_t count, uint8_t *out);

/* in: ciphertext || tag, len >= 16, else -CRYPTO_EAUTH. Writes len - 16 bytes; in == out is allowed.
 * -CRYPTO_EAUTH: forged or damaged; out is wiped. */
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, const uint8_t *in,
              size_t len, uint8_t *out);
/* Same from pieces (a frame that lies in several packets); the tag may be cut anywhere. */
int aead_openv(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
               const struct slice *pieces, size_t count, uint8_t *out);

/* The same from runs of any length, each decrypted as it comes, to anywhere (in == out is allowed): begin, some.., end with the tag. What
 * came out is nobody's before end has said 0; on -CRYPTO_EAUTH the caller wipes it. One message at a time for each context. */
void aead_open_begin(struct aead_run *r, struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad);
void aead_open_some(struct aead_run *r, uint8_t *out, const uint8_t *in, size_t len);
int aead_open_end(struct aead_run *r, const uint8_t tag[AEAD_TAG_BYTES]);

/* For a handful of messages under a key that then goes: no context, nothing allocated, a third of the speed.
 * Same layout; in.p == out is allowed. */
void aead_seal_once(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                    struct slice in, uint8_t *out);
int aead_open_once(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad,
                   struct slice in, uint8_t *out);

#endif
