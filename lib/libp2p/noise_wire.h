/* noise_wire.h: layouts, lengths and limits of Noise as libp2p uses it
 * Source:  Noise revision 34, Noise_XX_25519_ChaChaPoly_SHA256 with an empty prologue; libp2p noise spec
 *
 * On the wire every message is preceded by its length, two bytes big-endian:
 *     handshake 1, initiator:  e                                   32 bytes, payload empty
 *     handshake 2, responder:  e, ee, s, es, payload               32 + (32 + 16) + (payload + 16)
 *     handshake 3, initiator:  s, se, payload                      (32 + 16) + (payload + 16)
 *     transport:               ciphertext || tag                   16..65535
 * payload: protobuf identity_key = 1, identity_sig = 2, extensions = 4 { stream_muxers = 2, repeated }
 * identity_sig: over NOISE_SIGNED_PREFIX || the sender's static X25519 key
 */
#ifndef LIBP2P_NOISE_WIRE_H
#define LIBP2P_NOISE_WIRE_H

#define NOISE_PROTOCOL_NAME "Noise_XX_25519_ChaChaPoly_SHA256" /* exactly 32 bytes: it is h itself */
#define NOISE_SIGNED_PREFIX "noise-libp2p-static-key:"

#define NOISE_HEAD_BYTES 2
#define NOISE_KEY_BYTES  32
#define NOISE_HASH_BYTES 32
#define NOISE_TAG_BYTES  16
#define NOISE_BODY_MAX   65535                              /* what the length can say */
#define NOISE_OPEN_MAX   (NOISE_BODY_MAX - NOISE_TAG_BYTES) /* plaintext of the largest frame */
/* Plaintext that we put into one frame: yamux's header and 511 * 128. A peer's libcrypto opens that at full speed too (others near the
 * maximum cost it up to a tenth), and a large body goes on from frame to frame at the same place within a cache line: a receiver that
 * decrypts it to where it belongs (net/framer.h) chooses that place once for all of them. */
#define NOISE_SEAL_MAX    65420
#define NOISE_FRAME_EXTRA (NOISE_HEAD_BYTES + NOISE_TAG_BYTES)

#define NOISE_MESSAGE1_BYTES     NOISE_KEY_BYTES
#define NOISE_MESSAGE2_MIN_BYTES (NOISE_KEY_BYTES + NOISE_KEY_BYTES + 2 * NOISE_TAG_BYTES)
#define NOISE_MESSAGE3_MIN_BYTES (NOISE_KEY_BYTES + 2 * NOISE_TAG_BYTES)
/* A handshake message with its frame head. An RSA identity of 8192 bits takes about 2.2 KiB. */
#define NOISE_HANDSHAKE_MAX 4096
/* Ours: Ed25519 identity (36), signature (64), one muxer, keys and tags. */
#define NOISE_OUT_MAX 320

#define NOISE_MUXER_YAMUX_ID "/yamux/1.0.0"
#define NOISE_MUXERS_MAX     32 /* entries of a peer's list */

#endif
