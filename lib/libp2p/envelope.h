/* envelope.h: signed envelopes, a payload that whoever holds a key vouches for
 * Shape:   key pair, domain, type, payload -> bytes; bytes, domain, type -> signer and payload, verified
 * Source:  libp2p RFC 0002: Envelope { public_key = 1, payload_type = 2, payload = 3, signature = 5 }; signed is
 *          domain, type and payload, each behind its uvarint length
 * Owner:   slices borrow the input
 * Errors:  -ENVELOPE_E…
 * Limits:  at most ENVELOPE_MAX bytes; one signature check
 */
#ifndef LIBP2P_ENVELOPE_H
#define LIBP2P_ENVELOPE_H

#include <sys/types.h>

#include "base/slice.h"
#include "libp2p/keys.h"

#define ENVELOPE_MAX        8192 /* what go and js put into identify */
#define ENVELOPE_DOMAIN_MAX 64
#define ENVELOPE_TYPE_MAX   16

enum envelope_err {
    ENVELOPE_EFORMAT = 1, /* no envelope, or a field is missing */
    ENVELOPE_ETOOBIG,     /* over a limit above */
    ENVELOPE_ETYPE,       /* the payload is of another type */
    ENVELOPE_EKEY,        /* the key cannot be read, or is of a type we cannot verify */
    ENVELOPE_ESIGNATURE,  /* not signed by this key, or for another domain */
    ENVELOPE_ESPACE,      /* the caller's memory is too small */
};

const char *envelope_err_name(int err);

/* Verifies. On success the two outputs point into in. Who the signer is to be is the caller's check. */
int envelope_open(struct slice in, struct slice domain, struct slice type, struct public_key *signer,
                  struct slice *payload);
/* Returns the bytes written, -ENVELOPE_ESPACE, -ENVELOPE_ETOOBIG. */
ssize_t envelope_seal(const struct key_pair *key, struct slice domain, struct slice type,
                      struct slice payload, uint8_t *out, size_t cap);

#endif
