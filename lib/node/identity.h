/* identity.h: the node's key on disk: IDENTITY_DIR/p2p.key
 * Shape:   folder -> key; folder, key -> file (0600)
 * Source:  libp2p/keyfile.h has the format
 * Errors:  -1 and one sentence in err that names the file
 */
#ifndef NODE_IDENTITY_H
#define NODE_IDENTITY_H

#include "libp2p/keys.h"

enum identity_origin { IDENTITY_LOADED, IDENTITY_MADE, IDENTITY_MADE_FOR_THIS_RUN };

/* Loads the key. 1: there is no file. 0: loaded. -1: there is one that cannot be used. */
int identity_load(struct key_pair *key, const char *dir, char err[512]);
/* Makes a key of a type that is_own_key_type accepts and writes it; makes the folder when it is missing. */
int identity_generate(struct key_pair *key, enum key_type type, const char *dir, char err[512]);
/* Loads, or makes an Ed25519 one: kept if the folder can be written, else for this run alone. -1 only for a file that cannot be used. */
int identity_open(struct key_pair *key, const char *dir, enum identity_origin *origin, char err[512]);

#endif
