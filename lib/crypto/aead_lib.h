/* aead_lib.h: the cipher of a library below aead.c (private to the room)
 * Shape:   begin; crypt in runs of any length, in order; tag. One message at a time for a struct aead
 * Source:  aead_ipsec.c on x86-64: libipsec-mb, which takes 0.95 of OpenSSL's time at 64 KiB and half of it at 64 bytes, has no slow
 *          lengths and allocates nothing; aead_openssl.c elsewhere (docs/PERFORMANCE.md has the table)
 */
#ifndef CRYPTO_AEAD_LIB_H
#define CRYPTO_AEAD_LIB_H

#include "crypto/aead.h"

/* The library wants all runs but the last to be a multiple of this; others are slower as a whole. */
extern const size_t aead_lib_align;

int aead_lib_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES]);
void aead_lib_fini(struct aead *a);
void aead_lib_begin(struct aead_run *r, const struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, bool is_seal);
/* out == in is allowed. */
void aead_lib_crypt(struct aead_run *r, uint8_t *out, const uint8_t *in, size_t len);
/* After these two the run is over, and nothing of the key is left in it. */
void aead_lib_seal_tag(struct aead_run *r, uint8_t tag[AEAD_TAG_BYTES]);
bool aead_lib_open_tag(struct aead_run *r, const uint8_t tag[AEAD_TAG_BYTES]); /* is it the right one? */

#endif
