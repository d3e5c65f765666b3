/* allowlist.h: who may be a peer of a private network
 * Shape:   text of a file, an id a line -> an immutable sorted list
 * Owner:   made by control, then read by one net role; replaced whole, never changed
 * Memory:  one heap block; NULL is the list that holds everyone
 * Errors:  parse: NULL, and err names the line and what is wrong with it
 * Limits:  ALLOWLIST_MAX ids
 */
#ifndef NET_ALLOWLIST_H
#define NET_ALLOWLIST_H

#include "libp2p/peer_id.h"

#define ALLOWLIST_MAX 65536

struct allowlist {
    unsigned count;
    struct peer_id ids[]; /* sorted by their bytes, each once */
};

/* Blank lines and what follows a '#' are skipped. An empty list is an error: it would lock everyone out. */
struct allowlist *allowlist_parse(struct slice text, char err[256]);
/* The same of a file. */
struct allowlist *allowlist_load(const char *path, char err[256]);
/* Another one, for another net role. NULL: no memory. */
struct allowlist *allowlist_copy(const struct allowlist *a);
void allowlist_free(struct allowlist *a);
bool allowlist_has(const struct allowlist *a, const struct peer_id *id);

#endif
