/* http_req.h: a request, its answer now, or its answer later from another thread
 * Owner:   struct http_req: the server thread, valid until the handler answers, defers or upgrades it, at the latest until the
 *          handler returns. struct http_reply: whoever made it, until a send takes it. struct http_later: any one thread
 * Errors:  http_req_query, http_req_header: false when absent
 */
#ifndef HTTP_HTTP_REQ_H
#define HTTP_HTTP_REQ_H

#include <jansson.h>

#include "base/slice.h"

struct http_req;
struct http_reply;
struct http_later;

/* Slices live as long as the request does. */
struct slice http_req_method(const struct http_req *q);
struct slice http_req_path(const struct http_req *q); /* normalised, without the query */
struct slice http_req_body(const struct http_req *q);
/* name in lower case; the first one of that name. */
bool http_req_header(const struct http_req *q, const char *name, struct slice *out);
/* The decoded value of the first parameter of that name ("+" is a space); *out is NUL-terminated behind its length.
 * A value with broken percent-encoding counts as absent. */
bool http_req_query(struct http_req *q, const char *name, struct slice *out);
/* Memory that lives as long as the request does. */
void *http_req_alloc(struct http_req *q, size_t n);
/* The gate's word to the handler (http_server.h); NULL unless it was set. */
void http_req_set_data(struct http_req *q, void *data);
void *http_req_data(const struct http_req *q);
/* "203.0.113.5:4711" or "[2001:db8::1]:4711" */
void http_req_peer(const struct http_req *q, char *out, size_t cap);

/* ---- answers: heap objects that any thread may build ---- */

/* Copies body. NULL: no memory. */
struct http_reply *http_reply_new(int status, const char *content_type, struct slice body);
/* Takes body, which free() will release, also when it fails. */
struct http_reply *http_reply_take(int status, const char *content_type, uint8_t *body, size_t len);
/* Takes v; compact (no space after the colon). */
struct http_reply *http_reply_json(int status, json_t *v);
/* {"error":"..."}; the formatted text may hold anything, it is escaped. */
struct http_reply *http_reply_error(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Copies both; a value with control characters is dropped. At most 8 headers. */
void http_reply_header(struct http_reply *r, const char *name, const char *value);
void http_reply_free(struct http_reply *r);

/* Sends r and takes it; r == NULL (no memory) sends a bare 500. q is gone afterwards. */
void http_req_reply(struct http_req *q, struct http_reply *r);

/* ---- later ---- */

/* The request goes on living until the later is sent or the client goes away. Any thread may send it, exactly once.
 * NULL: no memory, answer at once instead. q must not be touched afterwards: copy what you need of the body first. */
struct http_later *http_req_defer(struct http_req *q);
/* Takes both. Never blocks. The client may have vanished: then it is counted and dropped. */
void http_later_send(struct http_later *l, struct http_reply *r);

#endif
