/* auth_grant.h: what a client may do
 * Shape:   plain structs, filled from a token's claims or from settings
 * Units:   seconds since 1970 for expires_s; bytes
 */
#ifndef AUTH_AUTH_GRANT_H
#define AUTH_AUTH_GRANT_H

#include "base/slice.h"

#define AUTH_CLIENT_MAX 256
#define AUTH_UNLIMITED  UINT64_MAX

/* 0 means none at all; AUTH_UNLIMITED (for per_second: INFINITY) no bound. */
struct auth_quota {
    double per_second; /* publishes */
    uint64_t per_hour; /* publishes */
    uint64_t message_bytes;
    uint64_t daily_bytes;
};

struct auth_grant {
    char client[AUTH_CLIENT_MAX + 1]; /* NUL-terminated; no control characters */
    size_t client_len;
    bool is_active;
    int64_t expires_s; /* the leeway is in it */
    struct auth_quota quota;
};

static inline struct slice auth_grant_client(const struct auth_grant *g)
{
    return slice_of(g->client, g->client_len);
}

#endif
