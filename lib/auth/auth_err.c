/* auth_err.c: why a token or a publish is refused */
#include "auth/auth_err.h"

static const char *const names[AUTH_E_COUNT] = {
    [AUTH_OK] = "ok",
    [AUTH_E_MISSING] = "missing token",
    [AUTH_E_LONG] = "token too long",
    [AUTH_E_FORM] = "malformed token",
    [AUTH_E_HEADER] = "malformed token header",
    [AUTH_E_ALG] = "token must be signed with RS256",
    [AUTH_E_CRIT] = "token asks for extensions that are not known here",
    [AUTH_E_KID] = "token does not name its key",
    [AUTH_E_KEY] = "token is signed with a key that the issuer does not have",
    [AUTH_E_SIGNATURE] = "wrong signature",
    [AUTH_E_CLAIMS] = "malformed claims",
    [AUTH_E_EXPIRED] = "token expired",
    [AUTH_E_EARLY] = "token not valid yet",
    [AUTH_E_ISSUER] = "token of another issuer",
    [AUTH_E_AUDIENCE] = "token for another audience",
    [AUTH_E_CLIENT] = "token names no client",
    [AUTH_E_INACTIVE] = "client is not active",
    [AUTH_E_NO_KEYS] = "the issuer's keys are not known yet",
    [AUTH_E_ASKING] = "the issuer is being asked for its keys",
    [AUTH_E_SECOND] = "rate limit exceeded: publishes per second",
    [AUTH_E_HOUR] = "rate limit exceeded: publishes per hour",
    [AUTH_E_DAY] = "daily quota exceeded",
    [AUTH_E_SIZE] = "message too large for this client",
    [AUTH_E_NOMEM] = "out of memory",
    [AUTH_E_KEYS] = "no usable key",
};

const char *auth_err_name(int err)
{
    err = err < 0 ? -err : err;
    return err < AUTH_E_COUNT ? names[err] : "unknown error";
}
