/* noise.h: the secure channel of a connection
 * Shape:   handshake: bytes -> bytes consumed, bytes to send, then keys and the peer's identity.
 *          transport: plaintext pieces -> one frame; one frame -> plaintext
 * Source:  noise_wire.h
 * Owner:   the connection's lcore. struct noise_identity is immutable after init and shared by all connections
 * Memory:  caller places everything. A handshake is about 5 KiB and can go once done; a transport is small; where the
 *          cipher is OpenSSL's it holds two contexts that only init and fini allocate and free. Input is borrowed until return
 * Errors:  counts, 0, or -NOISE_E…; after an error only fini
 * Limits:  handshake messages over NOISE_HANDSHAKE_MAX are refused by their length; three DH and one signature check is
 *          what a stranger can make us compute
 *
 * A connection:
 *     noise_handshake_init(h, ...)
 *     until noise_handshake_is_done(h): n = noise_handshake_input(h, in); noise_handshake_output(h, out, cap) until 0
 *         (input stops behind the last handshake message: what is left of `in` is transport frames)
 *     drain output once more (the initiator's last message), noise_handshake_finish(h, transport, peer)
 */
#ifndef LIBP2P_NOISE_H
#define LIBP2P_NOISE_H

#include <sys/types.h>

#include "base/rng.h"
#include "base/slice.h"
#include "crypto/aead.h"
#include "crypto/x25519.h"
#include "libp2p/keys.h"
#include "libp2p/noise_wire.h"
#include "libp2p/peer_id.h"

enum noise_err {
    NOISE_ENOMEM = 1, /* no memory for a cipher context */
    NOISE_ELENGTH,    /* a message too short or too long for its place */
    NOISE_EDECRYPT,   /* a tag does not match: damaged, forged or out of order */
    NOISE_EDH,        /* the peer sent a low-order point */
    NOISE_EPAYLOAD,   /* the payload is no protobuf, misses a field, or sits in message 1 */
    NOISE_EKEY,       /* the identity key is of a type or size that we do not verify, or broken */
    NOISE_ESIGNATURE, /* the identity did not sign this static key */
    NOISE_EPEER,      /* a good identity, but not the one that was dialed */
    NOISE_EMUXER,     /* both named muxers and none in common */
    NOISE_ENONCE,     /* this direction has used up its nonces: close the connection */
    NOISE_ESPACE,     /* the caller's memory is too small, or more than NOISE_SEAL_MAX to seal */
};

const char *noise_err_name(int err);

/* Which muxer the handshake settled. */
enum noise_muxer {
    NOISE_MUXER_OPEN,  /* one side named none: negotiate it by multistream-select */
    NOISE_MUXER_YAMUX, /* yamux frames follow at once */
};

/* Ours, made once: static key and the identity's signature of it. */
struct noise_identity {
    struct x25519_key static_key;
    uint8_t key_pb_len, signature_len;
    uint8_t key_pb[KEY_OWN_PUBLIC_PB_MAX];
    uint8_t signature[KEY_SIGNATURE_MAX];
};

void noise_identity_init(struct noise_identity *id, const struct key_pair *key, struct rng *rng);
void noise_identity_fini(struct noise_identity *id); /* wipes */

/* What the handshake learned. */
struct noise_peer {
    struct peer_id id;
    enum noise_muxer muxer;
};

/* CipherState and SymmetricState of the Noise specification. */
struct noise_symmetric {
    uint8_t ck[NOISE_HASH_BYTES], h[NOISE_HASH_BYTES], k[NOISE_KEY_BYTES];
    uint64_t n;
    bool has_key;
};

enum noise_role { NOISE_INITIATOR, NOISE_RESPONDER };

struct noise_handshake {
    const struct noise_identity *identity;
    enum noise_role role;
    uint8_t state; /* enum of noise.c: what is expected next */
    bool offers_muxer;
    struct noise_symmetric sym;
    struct x25519_key e;
    uint8_t re[NOISE_KEY_BYTES], rs[NOISE_KEY_BYTES];
    struct peer_id expected; /* len 0: anyone */
    struct noise_peer peer;
    uint16_t in_len, out_len, out_sent;
    uint8_t out[NOISE_HEAD_BYTES + NOISE_OUT_MAX];
    uint8_t in[NOISE_HANDSHAKE_MAX];
};

/* identity: borrowed until fini. expected: the id of the dialed address, copied; NULL: learn it.
 * offers_muxer: name yamux in the payload. rng gives the ephemeral key. */
void noise_handshake_init(struct noise_handshake *h, const struct noise_identity *identity,
                          enum noise_role role, const struct peer_id *expected, bool offers_muxer,
                          struct rng *rng);
/* Wipes; any time after init, also after finish. */
void noise_handshake_fini(struct noise_handshake *h);
/* Takes bytes as they come, any split. Returns how many it took: fewer than given when a message of ours must go out
 * first, or when done (the rest is transport). */
ssize_t noise_handshake_input(struct noise_handshake *h, struct slice in);
/* The next bytes for the wire, 0 when there are none now. */
size_t noise_handshake_output(struct noise_handshake *h, uint8_t *out, size_t cap);
/* Keys are agreed and the peer is known. Output may still hold the last message. */
bool noise_handshake_is_done(const struct noise_handshake *h);

/* The four verbs below are the handshake without framing; input and output are built of them, tests use them.
 * create: writes the message to out (cap >= NOISE_OUT_MAX), returns its length. consume: 0 or an error that leaves h
 * as it was. Call them in order only. */
ssize_t noise_create_message1(struct noise_handshake *h, uint8_t *out, size_t cap);
int noise_consume_message1(struct noise_handshake *h, struct slice in);
ssize_t noise_create_message2(struct noise_handshake *h, uint8_t *out, size_t cap);
int noise_consume_message2(struct noise_handshake *h, struct slice in);
ssize_t noise_create_message3(struct noise_handshake *h, uint8_t *out, size_t cap);
int noise_consume_message3(struct noise_handshake *h, struct slice in);

struct noise_transport {
    struct aead tx, rx;
    uint64_t tx_n, rx_n; /* next nonces */
};

/* After done, with output drained: sets up t, fills peer, wipes h. -NOISE_ENOMEM: t is empty (fini is harmless). */
int noise_handshake_finish(struct noise_handshake *h, struct noise_transport *t, struct noise_peer *peer);
void noise_transport_fini(struct noise_transport *t);

/* Seals the pieces, joined, into one whole frame: 2 + plaintext + 16 bytes. The plaintext is at most NOISE_SEAL_MAX.
 * Pieces must not overlap out. Returns the frame's bytes, -NOISE_ESPACE (nothing happened: fewer pieces, or more room),
 * -NOISE_ENONCE. */
ssize_t noise_seal(struct noise_transport *t, const struct slice *pieces, size_t count, uint8_t *out,
                   size_t cap);

/* Looks at the head of a frame: 0 when fewer than 2 bytes are there, else the bytes of the whole frame, head included
 * (it may not be all there yet). -NOISE_ELENGTH: no tag would fit. */
ssize_t noise_frame_bytes(struct slice in);

/* Opens a frame as it comes: begin once its head is read, then aead_open_some for the ciphertext without the tag, then end with the tag.
 * -NOISE_ENONCE; -NOISE_EDECRYPT (the caller wipes what came out). */
int noise_open_begin(struct noise_transport *t, struct aead_run *r);
int noise_open_end(struct noise_transport *t, struct aead_run *r, const uint8_t tag[NOISE_TAG_BYTES]);

/* Opens one whole frame, head included, as noise_frame_bytes measured it. out may be the ciphertext's own place
 * (frame.p + 2) or anywhere else that does not overlap; cap >= frame.len - 18. Returns the plaintext's bytes (0 is
 * legal), -NOISE_EDECRYPT (out is wiped), -NOISE_ELENGTH, -NOISE_ENONCE, -NOISE_ESPACE. */
ssize_t noise_open(struct noise_transport *t, struct slice frame, uint8_t *out, size_t cap);
/* Same for a frame that lies in several pieces, cut anywhere but inside the 2-byte head, which the caller has taken
 * off: the pieces hold ciphertext and tag. */
ssize_t noise_openv(struct noise_transport *t, const struct slice *pieces, size_t count, uint8_t *out,
                    size_t cap);

#endif
