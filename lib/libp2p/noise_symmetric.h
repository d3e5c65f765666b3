/* noise_symmetric.h: CipherState and SymmetricState of a handshake
 * Source:  Noise specification sections 5.1 and 5.2, with SHA256 and ChaChaPoly
 * Owner:   that of the handshake; a value: copy it to try a message, commit the copy
 * Errors:  -NOISE_EDECRYPT
 */
#ifndef LIBP2P_NOISE_SYMMETRIC_H
#define LIBP2P_NOISE_SYMMETRIC_H

#include "libp2p/noise.h"

/* h and ck from the protocol's name; libp2p's prologue is empty. */
void noise_symmetric_init(struct noise_symmetric *s, struct slice prologue);
void noise_symmetric_mix_hash(struct noise_symmetric *s, struct slice data);
void noise_symmetric_mix_key(struct noise_symmetric *s, const uint8_t ikm[NOISE_KEY_BYTES]);
/* Writes in.len + 16 bytes, or in.len before the first key. out may be in.p. */
size_t noise_symmetric_encrypt(struct noise_symmetric *s, struct slice in, uint8_t *out);
/* Writes in.len - 16 bytes. in.len < 16 is -NOISE_EDECRYPT. Only with a key. */
int noise_symmetric_decrypt(struct noise_symmetric *s, struct slice in, uint8_t *out);
/* The two transport keys: [0] initiator to responder, [1] back. */
void noise_symmetric_split(const struct noise_symmetric *s, uint8_t keys[2][NOISE_KEY_BYTES]);

/* 4 zero bytes, then the counter, little-endian. */
void noise_nonce(uint64_t n, uint8_t out[AEAD_NONCE_BYTES]);

#endif
