/* http_route.h: which handler answers which method and path
 * Shape:   a table of {method, path, handler}, looked up by exact path; sans-IO
 * Paths:   "/publish". With prefixes {"", "/api", "/api/v1"} each route answers under all three
 * Owner:   built before the server starts, immutable afterwards
 */
#ifndef HTTP_HTTP_ROUTE_H
#define HTTP_HTTP_ROUTE_H

#include "base/map.h"

struct http_req;

/* Runs on a server thread. Must not block. Before it returns it has answered (http_req_reply and friends), deferred
 * (http_req_defer) or upgraded (ws_upgrade) the request. */
struct http_route {
    const char *method; /* "GET" (answers HEAD too), "POST"... */
    const char *path;
    void (*handler)(struct http_req *q, void *user);
    void *user;
    bool no_prefix; /* answer under this very path alone */
};

struct http_routes {
    struct map by_path; /* path -> struct http_route_list * */
};

enum http_match { HTTP_MATCH_OK, HTTP_MATCH_NO_PATH, HTTP_MATCH_NO_METHOD };

int http_routes_init(struct http_routes *t, const uint8_t seed[16]);
void http_routes_fini(struct http_routes *t);
/* Copies the route under every prefix (prefixes: NULL-ended, NULL means {"", NULL}); strings are copied.
 * 0, or -HTTP_E_NOMEM; a method and path given twice keep the first. */
int http_routes_add(struct http_routes *t, const struct http_route *r, const char *const *prefixes);
/* One trailing slash is forgiven. NO_METHOD: *allow gets "GET, HEAD, POST" (owned by the table). */
enum http_match http_routes_find(const struct http_routes *t, struct slice method, struct slice path,
                                 const struct http_route **out, const char **allow);

#endif
