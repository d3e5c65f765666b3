/* noise_payload.h: what the handshake carries besides keys
 * Shape:   our identity -> protobuf; the peer's protobuf and static key -> a proven peer id and the muxer both have
 * Source:  libp2p noise spec, section The libp2p Handshake Payload; noise_wire.h
 * Errors:  -NOISE_EPAYLOAD, -NOISE_EKEY, -NOISE_ESIGNATURE, -NOISE_EMUXER
 * Limits:  at most NOISE_MUXERS_MAX muxers; one signature check, made last
 */
#ifndef LIBP2P_NOISE_PAYLOAD_H
#define LIBP2P_NOISE_PAYLOAD_H

#include "libp2p/noise.h"

/* Returns the length; cap of NOISE_OUT_MAX always suffices. */
size_t noise_payload_create(const struct noise_identity *id, bool offers_muxer, uint8_t *out, size_t cap);
/* static_key: the one that the handshake has just proven the peer to hold. peer is written only on success. */
int noise_payload_consume(struct slice in, const uint8_t static_key[NOISE_KEY_BYTES], bool offers_muxer,
                          struct noise_peer *peer);

#endif
