/* ws_handshake.h: the opening handshake's rules (RFC 6455 4.2), sans-IO
 * Errors:  0, or the HTTP status to refuse with and why in *error
 */
#ifndef HTTP_WS_HANDSHAKE_H
#define HTTP_WS_HANDSHAKE_H

#include "base/slice.h"

struct ws_handshake {
    bool is_get, is_http11;
    struct slice upgrade; /* the Upgrade header, empty unless Connection names it */
    struct slice version, key;
};

#define WS_ACCEPT_LEN 28

int ws_handshake_check(const struct ws_handshake *h, const char **error);
/* The Sec-WebSocket-Accept value and a NUL. */
void ws_handshake_accept(char out[WS_ACCEPT_LEN + 1], struct slice key);

#endif
