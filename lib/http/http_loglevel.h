/* http_loglevel.h: GET and PUT /debug/log-level: what is logged, while the program runs
 * Shape:   GET answers {"level":"info"}; PUT takes debug, info, warn or error, as {"level":".."} or as the bare word
 * Limits:  PUT is for this machine alone (403 for a peer that is not on loopback), whatever the gate says besides
 */
#ifndef HTTP_HTTP_LOGLEVEL_H
#define HTTP_HTTP_LOGLEVEL_H

#include "http/http_route.h"

/* 0, or -HTTP_E_NOMEM. */
int http_loglevel_add(struct http_routes *t);

#endif
