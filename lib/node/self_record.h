/* self_record.h: the signed record of our own addresses, which identify carries
 * Shape:   what we say of ourselves, key, seq -> an envelope in the caller's bytes, named in session_local
 * Source:  libp2p RFC 0003; peers that keep address books or exchange peers want it
 * Owner:   node's start, before the loops run; then the coding role
 */
#ifndef NODE_SELF_RECORD_H
#define NODE_SELF_RECORD_H

#include "libp2p/keys.h"
#include "libp2p/session.h"

#define SELF_RECORD_MAX 1024 /* identify as a whole must stay below 4 KiB */

/* Signs l->addrs into out and lets l->record borrow it; seq must be higher than in any earlier life of this key: wall
 * clock. Without addresses, or when they do not fit, there is no record: -1. */
int self_record_make(struct session_local *l, const struct key_pair *key, uint64_t seq, uint8_t out[SELF_RECORD_MAX]);

#endif
