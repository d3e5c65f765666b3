/* http_err.h: error codes of the room
 * Errors:  every function that says "negative: -HTTP_E..." returns one of these, negated; http_err_name() says it in words
 */
#ifndef HTTP_HTTP_ERR_H
#define HTTP_HTTP_ERR_H

enum http_err {
    HTTP_E_NOMEM = 1,
    HTTP_E_ADDRESS, /* the bind address is not an address */
    HTTP_E_BIND,    /* socket, bind or listen failed: errno says why */
    HTTP_E_THREAD,  /* a thread could not be started or pinned */
    HTTP_E_INPUT,   /* malformed input: percent-encoding, JSON, a header value */
    HTTP_E_CLOSED,  /* the connection or server is gone or going */
    HTTP_E_FULL,    /* a bounded queue is full */
    HTTP_E_UPGRADE, /* not a WebSocket handshake; the error answer has been sent */
};

/* err: negative or positive. Never NULL. */
const char *http_err_name(int err);

#endif
