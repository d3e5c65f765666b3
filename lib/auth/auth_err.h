/* auth_err.h: why a token or a publish is refused
 * Errors:  every function that says "-AUTH_E_..." returns one of these, negated; auth_err_name() says it in words for clients
 */
#ifndef AUTH_AUTH_ERR_H
#define AUTH_AUTH_ERR_H

enum auth_err {
    AUTH_OK,
    /* no use of this token: ask for another one */
    AUTH_E_MISSING = 1,
    AUTH_E_LONG,
    AUTH_E_FORM,      /* not header.claims.signature in base64url */
    AUTH_E_HEADER,    /* its header is no JSON object, or of a wrong kind */
    AUTH_E_ALG,       /* anything but RS256 */
    AUTH_E_CRIT,      /* extensions that must be understood */
    AUTH_E_KID,       /* does not name its key */
    AUTH_E_KEY,       /* names a key that the issuer does not have */
    AUTH_E_SIGNATURE,
    AUTH_E_CLAIMS,    /* no JSON object, or a claim of the wrong type */
    AUTH_E_EXPIRED,
    AUTH_E_EARLY,
    AUTH_E_ISSUER,
    AUTH_E_AUDIENCE,
    AUTH_E_CLIENT,    /* neither client_id nor sub is a usable name */
    /* the token is good, its client may not */
    AUTH_E_INACTIVE,
    /* try again later */
    AUTH_E_NO_KEYS,   /* the issuer has not answered yet */
    AUTH_E_ASKING,    /* the key is unknown, and the issuer is being asked for it */
    AUTH_E_SECOND,
    AUTH_E_HOUR,
    AUTH_E_DAY,
    /* never */
    AUTH_E_SIZE,
    AUTH_E_NOMEM,
    AUTH_E_KEYS,      /* a key set that cannot be used */
    AUTH_E_COUNT
};

/* err: negative or positive. Never NULL. */
const char *auth_err_name(int err);

#endif
