/* auth_keys.h: an issuer's public keys
 * Shape:   JWKS text -> an immutable set; kid -> key
 * Source:  RFC 7517, 7518 6.3. Only keys that can be meant for RS256 get in: kty RSA, use sig or none, alg RS256 or none, a kid,
 *          2048 to 8192 bits
 * Owner:   counted, atomically: any thread may hold, find, verify and release
 * Errors:  0 or -AUTH_E_KEYS, -AUTH_E_NOMEM: *out is NULL
 * Limits:  AUTH_JWKS_MAX bytes of text, AUTH_KEYS_MAX keys (further ones are passed over)
 */
#ifndef AUTH_AUTH_KEYS_H
#define AUTH_AUTH_KEYS_H

#include <stdatomic.h>

#include "auth/auth_err.h"
#include "base/slice.h"

#define AUTH_JWKS_MAX (256u << 10)
#define AUTH_KEYS_MAX 32
#define AUTH_KID_MAX  128

struct _cjose_jwk_int;

struct auth_key {
    char kid[AUTH_KID_MAX + 1];
    size_t kid_len;
    struct _cjose_jwk_int *jwk;
};

struct auth_keys {
    _Atomic uint32_t refs;
    unsigned count, passed_over; /* passed_over: keys of the text that are not for us */
    struct auth_key at[AUTH_KEYS_MAX];
};

/* One reference. A text without any usable key is an error. */
int auth_keys_parse(struct auth_keys **out, struct slice json);
struct auth_keys *auth_keys_ref(struct auth_keys *k);
void auth_keys_unref(struct auth_keys *k); /* NULL is allowed */
/* NULL: there is none of that name. Lives as the set does. */
const struct auth_key *auth_keys_find(const struct auth_keys *k, struct slice kid);

#endif
