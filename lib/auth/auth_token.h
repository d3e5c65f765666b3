/* auth_token.h: a JSON web token, read and verified
 * Shape:   text -> its key's name; with the keys, a policy and the time -> what the client may do
 * Source:  RFC 7515, 7519, 8725. RS256 alone: "none", HS256 over the public key, keys inside the token (jwk, jku, x5c) have no way in;
 *          whatever the header says of them is not looked at
 * Memory:  a token borrows its text
 * Errors:  0 or -AUTH_E_...; nothing is trusted before the signature is
 * Limits:  AUTH_TOKEN_MAX bytes; one RSA verification (at most 8192 bits) after all cheap checks
 */
#ifndef AUTH_AUTH_TOKEN_H
#define AUTH_AUTH_TOKEN_H

#include "auth/auth_grant.h"
#include "auth/auth_keys.h"

#define AUTH_TOKEN_MAX 8192

struct auth_policy {
    const char *issuer;   /* without its last "/": tokens may have it or not */
    const char *audience;
    int64_t leeway_s;     /* clocks may differ by so much */
    struct auth_quota defaults; /* for claims that are absent */
};

struct auth_token {
    struct slice text;
    char kid[AUTH_KID_MAX + 1];
    size_t kid_len;
};

/* Form and header. The caller looks for the key then. */
int auth_token_read(struct auth_token *t, struct slice text);
/* Signature and claims. now_s: since 1970. A client that is not active is an error of its own (-AUTH_E_INACTIVE). */
int auth_token_verify(const struct auth_token *t, const struct auth_key *key, const struct auth_policy *p,
                      struct auth_grant *out, int64_t now_s);
/* The claims alone, which somebody else has verified. */
int auth_claims_read(struct slice json, const struct auth_policy *p, struct auth_grant *out, int64_t now_s);

#endif
