/* auth_b64url.h: base64url without padding (RFC 4648 section 5, RFC 7515)
 * Errors:  -1 for a wrong character, a wrong length or no room
 */
#ifndef AUTH_AUTH_B64URL_H
#define AUTH_AUTH_B64URL_H

#include <sys/types.h>

#include "base/slice.h"

bool auth_b64url_is_valid(struct slice s);
ssize_t auth_b64url_decode(uint8_t *out, size_t cap, struct slice s);

#endif
