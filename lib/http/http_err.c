/* http_err.c: error codes in words */
#include "http/http_err.h"

const char *http_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case HTTP_E_NOMEM: return "no memory";
    case HTTP_E_ADDRESS: return "not an address";
    case HTTP_E_BIND: return "cannot listen";
    case HTTP_E_THREAD: return "cannot start a thread";
    case HTTP_E_INPUT: return "malformed input";
    case HTTP_E_CLOSED: return "closed";
    case HTTP_E_FULL: return "queue full";
    case HTTP_E_UPGRADE: return "not a WebSocket handshake";
    }
    return "unknown error";
}
