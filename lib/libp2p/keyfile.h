/* keyfile.h: the p2p.key file that holds a node's identity
 * Shape:   bytes <-> key pair; whoever calls reads and writes the file
 * Source:  compatibility contract: 8 bytes little-endian CRC-64 of the rest (the ISO polynomial as Go's crc64.ISO table
 *          has it), then JSON {"Key":"<base64 of the PrivateKey protobuf>","ID":"<peer id, base58btc>"}
 * Owner:   values
 * Errors:  -KEYFILE_E…, with the details in struct keyfile_why; keyfile_explain makes the line for people
 * Limits:  a file is at most KEYFILE_MAX bytes
 */
#ifndef LIBP2P_KEYFILE_H
#define LIBP2P_KEYFILE_H

#include <sys/types.h>

#include "base/slice.h"
#include "libp2p/keys.h"

#define KEYFILE_MAX 4096

enum keyfile_err {
    KEYFILE_ESIZE = 1, /* too short for a checksum, or over KEYFILE_MAX */
    KEYFILE_ESUM,      /* the checksum does not match: the file is damaged; why has both sums */
    KEYFILE_EJSON,     /* not the JSON object described above */
    KEYFILE_EKEY,      /* Key is not base64 of a private key; why has the key's error */
    KEYFILE_ETYPE,     /* a good file with a key type that is not supported; why has the type */
    KEYFILE_EID,       /* ID is not the peer id of Key; why has the right one */
    KEYFILE_ESPACE,    /* the caller's memory is too small */
};

const char *keyfile_err_name(int err);

struct keyfile_why {
    uint64_t stored_sum, computed_sum; /* ESUM */
    int key_err;                       /* EKEY: -KEY_E…, 0 when the base64 itself is broken */
    enum key_type type;                /* ETYPE */
    struct peer_id id;                 /* EID: of the key */
};

/* k is written only on success. why may be NULL. Copies of the secret on the way are wiped; file is the caller's. */
int keyfile_parse(struct key_pair *k, struct slice file, struct keyfile_why *why);
/* Returns the bytes to write to the file (mode 0600 is the caller's business), or -KEYFILE_ESPACE. */
ssize_t keyfile_format(const struct key_pair *k, uint8_t *out, size_t cap);
/* One line without newline, always NUL-terminated: "checksum mismatch: file says 0x…, content has 0x…". */
void keyfile_explain(int err, const struct keyfile_why *why, char *out, size_t cap);
uint64_t keyfile_sum(struct slice content);

#endif
