/* ws.h: a WebSocket client over curl's connection (which knows TLS) and wslay's frames
 * Shape:   open blocks until the handshake is done; then turns: wait, read, answer, hand over messages
 * Source:  RFC 6455; pings every 15 s, and a peer that is silent for 45 s is gone
 * Owner:   one thread at a time
 * Errors:  -CLI_EREACH, -CLI_EDENIED, -CLI_EFAILED with words
 * Limits:  a message of CLI_MESSAGE_MAX as base64; headers of 16 KiB
 */
#ifndef CLI_WS_H
#define CLI_WS_H

#include "base/slice.h"
#include "cli/target.h"

struct cli_ws;

/* A whole text message; borrowed. */
typedef void cli_ws_on_text(void *user, struct slice text);

/* t outlives it. path: "/api/v1/ws?client_id=x". */
int cli_ws_open(struct cli_ws **out, const struct cli_target *t, const char *path, cli_ws_on_text *on_text, void *user,
                struct cli_fault *f);
void cli_ws_free(struct cli_ws *w);
/* Goes out in the next turns. */
int cli_ws_send(struct cli_ws *w, struct slice text, struct cli_fault *f);
/* Waits until something can be done, wake_fd (-1: none) can be read, or timeout_ms is over, and does it.
 * Negative: the connection is over. */
int cli_ws_turn(struct cli_ws *w, int wake_fd, int timeout_ms, struct cli_fault *f);
/* Says goodbye, as far as the socket takes it at once. */
void cli_ws_close(struct cli_ws *w);

/* The value that answers a Sec-WebSocket-Key (24 characters): 28 characters and a NUL. */
void cli_ws_accept(char out[29], const char *key);

#endif
