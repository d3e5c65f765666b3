/* auth_meter.h: how much each client has published lately
 * Shape:   client, its quota, bytes, now -> taken, or which limit says no and for how long
 * Rules:   a second's rate by GCRA (a second's worth at once, then evenly); an hour's count and a day's bytes in windows that
 *          begin with the first publish in them. What is refused by one limit is not taken off another
 * Owner:   whoever holds the lock around it
 * Units:   ns monotonic
 * Limits:  max clients; beyond, the one that was quiet for the longest is forgotten (counted): with names from signed tokens
 *          that takes as many tokens. About 400 bytes a client
 * Errors:  -AUTH_E_SECOND, _HOUR, _DAY with *retry_ns; -AUTH_E_SIZE; -AUTH_E_NOMEM: nothing was taken
 */
#ifndef AUTH_AUTH_METER_H
#define AUTH_AUTH_METER_H

#include "auth/auth_err.h"
#include "auth/auth_grant.h"
#include "base/list.h"
#include "base/map.h"

struct auth_meter {
    struct map clients;
    struct list by_use; /* the quietest first */
    uint32_t max;
    uint64_t forgotten;
};

void auth_meter_init(struct auth_meter *m, uint32_t max_clients, const uint8_t seed[16]);
void auth_meter_fini(struct auth_meter *m);
/* client: at most AUTH_CLIENT_MAX bytes. */
int auth_meter_take(struct auth_meter *m, struct slice client, const struct auth_quota *q, uint64_t bytes,
                    uint64_t *retry_ns, uint64_t now);

#endif
