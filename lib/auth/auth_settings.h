/* auth_settings.h: the settings about tokens and limits, which a gateway and a node's sidecar share
 * Shape:   variables -> a checked struct
 * Memory:  texts point at the environment or at the defaults
 */
#ifndef AUTH_AUTH_SETTINGS_H
#define AUTH_AUTH_SETTINGS_H

#include "auth/auth_guard.h"
#include "base/settings.h"

struct auth_settings {
    const char *domain, *audience, *ca_file;
    uint32_t refresh_s;
    double per_second, per_hour, message_bytes, daily_bytes; /* 0: not set */
};

/* switch_name: the variable that turns tokens on; has_tokens: it is on, then domain and audience are a must. */
void auth_settings_load(struct auth_settings *s, const char *switch_name, bool has_tokens, settings_lookup get, void *ctx,
                        struct settings_report *rep);
void auth_settings_print_help(FILE *f);
/* "name=value" lines. */
void auth_settings_print(FILE *f, const struct auth_settings *s);
bool auth_settings_has_limits(const struct auth_settings *s);
/* What to make a guard of; where nothing is set, the network's defaults with tokens, no bound without. */
struct auth_guard_config auth_settings_guard(const struct auth_settings *s, bool has_tokens, uint32_t max_clients);

#endif
