/* http_answer.c: a request's way through the routes, and every answer's way out
 * Note:    one path configuration serves all: our handler dispatches, our filter adds what every answer carries and turns
 *          h2o's own text errors (413, 400, 417) into JSON
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/log.h"
#include "http/http_json.h"
#include "http/http_private.h"

struct answer_handler {
    h2o_handler_t super;
    struct http_server *server;
};

struct answer_filter {
    h2o_filter_t super;
    struct http_server *server;
};

struct replace_ostream {
    h2o_ostream_t super;
    h2o_iovec_t body;
};

#define PATH_SHOWN 256 /* bytes of a path in the log */

static h2o_generator_t our_generator;

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {301, "Moved Permanently"},
                 {302, "Found"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {422, "Unprocessable Content"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Status";
}

struct http_peer *http_peer_of(h2o_req_t *h)
{
    return h->conn->callbacks->get_socket(h->conn)->on_close.data;
}

static void add_header(h2o_req_t *h, const char *name, const char *value)
{
    h2o_iovec_t n = h2o_strdup(&h->pool, name, SIZE_MAX), v = h2o_strdup(&h->pool, value, SIZE_MAX);

    h2o_strtolower(n.base, n.len); /* h2o looks tokens up in lower case */
    h2o_add_header_by_str(&h->pool, &h->res.headers, n.base, n.len, 1, NULL, v.base, v.len);
}

struct reply_holder {
    struct http_reply *reply;
};

static void on_holder_dispose(void *p)
{
    http_reply_free(((struct reply_holder *)p)->reply);
}

/* Sends r, which then lives in the request's pool until h2o has written it. */
void http_answer_send(h2o_req_t *h, struct http_thread *th, struct http_reply *r)
{
    struct reply_holder *holder;
    h2o_iovec_t body;

    (void)th;
    if (!r)
        r = http_reply_error(500, "out of memory");
    if (!r)
        abort(); /* as h2o itself does when it has no memory */
    holder = h2o_mem_alloc_shared(&h->pool, sizeof(*holder), on_holder_dispose);
    holder->reply = r;
    h->res.status = r->status;
    h->res.reason = reason_of(r->status);
    h->res.content_length = r->len;
    if (r->type[0])
        h2o_add_header(&h->pool, &h->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, r->type, strlen(r->type));
    for (unsigned i = 0; i < r->n_headers; i++)
        add_header(h, r->headers[i].name, r->headers[i].value);
    body = h2o_iovec_init(r->body, r->len);
    h2o_start_response(h, &our_generator);
    if (r->len == 0 || r->status == 304 || h2o_memis(h->input.method.base, h->input.method.len, H2O_STRLIT("HEAD")))
        h2o_send(h, NULL, 0, H2O_SEND_STATE_FINAL);
    else
        h2o_send(h, &body, 1, H2O_SEND_STATE_FINAL);
}

void http_req_reply(struct http_req *q, struct http_reply *r)
{
    assert(!q->done);
    q->done = true;
    http_answer_send(q->h, q->thread, r);
}

/* ---- dispatch ---- */

/* True when the header block as received has a line that begins with name (lower case, colon included), counted. */
static unsigned count_header_lines(struct slice head, const char *name)
{
    size_t len = strlen(name);
    unsigned n = 0;

    for (size_t i = 0; i + len < head.len; i++)
        if (head.p[i] == '\n' && strncasecmp((const char *)head.p + i + 1, name, len) == 0)
            n++;
    return n;
}

/* h2o keeps neither Content-Length nor Transfer-Encoding for us, but the bytes they came in are still in the socket's
 * buffer. Two lengths, or a length and a coding, are how requests are smuggled past a proxy: refused (RFC 9112 6.3). */
static bool is_smuggling(h2o_req_t *h)
{
    h2o_buffer_t *in = h->conn->callbacks->get_socket(h->conn)->input;
    const uint8_t *end;
    struct slice head;

    if (!h->entity.base || !in->size)
        return false;
    end = memmem(in->bytes, in->size, "\r\n\r\n", 4);
    head = slice_of(in->bytes, end ? (size_t)(end - (const uint8_t *)in->bytes) : in->size);
    if (head.len > 64 * 1024)
        head.len = 64 * 1024;
    return count_header_lines(head, "content-length:") + count_header_lines(head, "transfer-encoding:") > 1;
}

static size_t header_bytes(const h2o_req_t *h)
{
    size_t n = h->path.len;

    for (size_t i = 0; i < h->headers.size; i++)
        n += h->headers.entries[i].name->len + h->headers.entries[i].value.len + 4;
    return n;
}

static struct http_reply *refusal(const struct http_server *s, h2o_req_t *h)
{
    if (h->version >= 0x101 && h->input.authority.base == h->hostconf->authority.hostport.base)
        return http_reply_error(400, "missing Host header");
    if (header_bytes(h) > s->cfg.max_header_bytes)
        return http_reply_error(431, "request header too large: at most %u bytes", s->cfg.max_header_bytes);
    if (is_smuggling(h))
        return http_reply_error(400, "conflicting Content-Length or Transfer-Encoding");
    return NULL;
}

static const char *cors_origin(const struct http_server *s, h2o_req_t *h);

static struct http_reply *preflight(const char *allow)
{
    struct http_reply *r = http_reply_new(200, "", (struct slice){0});

    http_reply_header(r, "access-control-allow-methods", allow);
    http_reply_header(r, "access-control-allow-headers", "authorization, content-type");
    http_reply_header(r, "access-control-max-age", "600");
    return r;
}

static void dispatch(struct http_req *q, const struct http_server *s)
{
    const struct http_route *route = NULL;
    const char *allow = "";
    struct http_reply *r;

    switch (http_routes_find(s->cfg.routes, http_req_method(q), http_req_path(q), &route, &allow)) {
    case HTTP_MATCH_OK:
        if (!s->cfg.gate || s->cfg.gate(q, route, s->cfg.gate_user))
            route->handler(q, route->user);
        assert(q->done); /* a handler answers, defers or upgrades */
        return;
    case HTTP_MATCH_NO_PATH: http_req_reply(q, http_reply_error(404, "no such path")); return;
    case HTTP_MATCH_NO_METHOD: break;
    }
    if (h2o_memis(q->h->method.base, q->h->method.len, H2O_STRLIT("OPTIONS")) && cors_origin(s, q->h)) {
        http_req_reply(q, preflight(allow));
        return;
    }
    r = http_reply_error(405, "method not allowed: use %s", allow);
    http_reply_header(r, "allow", allow);
    http_req_reply(q, r);
}

static int on_req(h2o_handler_t *self, h2o_req_t *h)
{
    const struct http_server *s = ((struct answer_handler *)self)->server;
    struct http_req q = {.h = h, .thread = http_peer_of(h)->thread};
    struct http_reply *r;

    http_count(&q.thread->count.requests);
    r = refusal(s, h);
    if (r) {
        h->http1_is_persistent = 0;
        http_req_reply(&q, r);
        return 0;
    }
    dispatch(&q, s);
    return 0;
}

/* ---- what every answer carries ---- */

/* The origin to name in Access-Control-Allow-Origin, NULL for none. */
static const char *cors_origin(const struct http_server *s, h2o_req_t *h)
{
    struct http_req q = {.h = h};
    struct slice origin;
    const char *p = s->cors;

    if (!p || !http_req_header(&q, "origin", &origin))
        return NULL;
    if (strcmp(p, "*") == 0)
        return "*";
    while (*p) {
        size_t n = strcspn(p, ", ");

        if (n && slice_is_equal(slice_of(p, n), origin))
            return h2o_strdup(&h->pool, p, n).base;
        p += n;
        p += strspn(p, ", ");
    }
    return NULL;
}

static void add_common_headers(const struct http_server *s, h2o_req_t *h)
{
    const char *origin = cors_origin(s, h);

    h2o_add_header_by_str(&h->pool, &h->res.headers, H2O_STRLIT("x-content-type-options"), 0, NULL, H2O_STRLIT("nosniff"));
    if (!origin)
        return;
    add_header(h, "access-control-allow-origin", origin);
    add_header(h, "access-control-expose-headers", "retry-after, www-authenticate");
    if (strcmp(origin, "*") != 0)
        add_header(h, "vary", "Origin");
}

static void replace_send(h2o_ostream_t *self, h2o_req_t *h, h2o_iovec_t *bufs, size_t n,
                         h2o_send_state_t state)
{
    struct replace_ostream *o = (struct replace_ostream *)self;

    (void)bufs;
    h2o_ostream_send_next(self, h, &o->body, n ? 1 : 0, state); /* n == 0: an answer to HEAD */
}

/* h2o's own words become ours. */
static void replace_body(const struct http_server *s, h2o_req_t *h, h2o_ostream_t **slot)
{
    struct replace_ostream *o = (struct replace_ostream *)h2o_add_ostream(h, sizeof(*o), slot);
    char text[160];
    int n;

    if (h->res.status == 413)
        n = snprintf(text, sizeof(text), "{\"error\":\"request too large: at most %zu bytes\"}",
                     s->cfg.max_body_bytes);
    else
        n = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", reason_of(h->res.status));
    o->super.do_send = replace_send;
    o->body = h2o_strdup(&h->pool, text, (size_t)n);
    h->res.content_length = (size_t)n;
    memset(&h->res.headers, 0, sizeof(h->res.headers));
    h2o_add_header(&h->pool, &h->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
}

/* One line for the request and its answer. The query stays out: a token may be in it. */
static void log_answer(h2o_req_t *h)
{
    struct http_req q = {.h = h};
    struct timeval from = h->timestamps.request_begin_at, now;
    char peer[64];

    gettimeofday(&now, NULL);
    http_req_peer(&q, peer, sizeof(peer));
    log_debug("\"HTTP answer\" method=%.*s path=%.*s status=%d request_bytes=%zu bytes=%zu ms=%lld peer=%s", (int)h->input.method.len,
              h->input.method.base, (int)(h->path_normalized.len < PATH_SHOWN ? h->path_normalized.len : PATH_SHOWN),
              h->path_normalized.base, h->res.status, h->entity.len, h->res.content_length,
              from.tv_sec ? (now.tv_sec - from.tv_sec) * 1000LL + (now.tv_usec - from.tv_usec) / 1000 : 0LL, peer);
}

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *h, h2o_ostream_t **slot)
{
    const struct http_server *s = ((struct answer_filter *)self)->server;
    struct http_peer *p = http_peer_of(h);

    http_count(&p->thread->count.answers[h->res.status / 100 % 6]);
    if (h->_generator != &our_generator) {
        replace_body(s, h, slot);
        slot = &(*slot)->next;
        if (h->res.status == 413)
            http_linger_start(p); /* the rest of the body is still coming: let the client read our answer */
    }
    add_common_headers(s, h);
    if (log_is_on(LOG_DEBUG_L))
        log_answer(h);
    p->has_acked = false; /* the sweep asks the kernel, if the answer lasts that long */
    p->moved_at_ms = h2o_now(p->thread->loop);
    h2o_setup_next_ostream(h, slot);
}

void http_answer_register(h2o_pathconf_t *p, struct http_server *s)
{
    struct answer_handler *h = (struct answer_handler *)h2o_create_handler(p, sizeof(*h));
    struct answer_filter *f = (struct answer_filter *)h2o_create_filter(p, sizeof(*f));

    h->super.on_req = on_req;
    h->server = s;
    f->super.on_setup_ostream = on_setup_ostream;
    f->server = s;
}
