/* http_req.c: reading a request */
#include "http/http_req.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "http/http_private.h"
#include "http/http_query.h"

struct slice http_req_method(const struct http_req *q)
{
    return http_slice(q->h->method);
}

struct slice http_req_path(const struct http_req *q)
{
    return http_slice(q->h->path_normalized);
}

struct slice http_req_body(const struct http_req *q)
{
    return http_slice(q->h->entity);
}

bool http_req_header(const struct http_req *q, const char *name, struct slice *out)
{
    for (size_t i = 0; i < q->h->headers.size; i++) {
        const h2o_header_t *h = &q->h->headers.entries[i];

        if (slice_is_equal(http_slice(*h->name), slice_str(name))) {
            *out = http_slice(h->value);
            return true;
        }
    }
    return false;
}

bool http_req_query(struct http_req *q, const char *name, struct slice *out)
{
    h2o_req_t *h = q->h;
    struct slice raw;
    ssize_t n;
    char *text;

    if (h->query_at >= h->path.len ||
        !http_query_find(slice_of(h->path.base + h->query_at + 1, h->path.len - h->query_at - 1), name, &raw))
        return false;
    text = h2o_mem_alloc_pool(&h->pool, raw.len + 1);
    n = http_form_decode(text, raw);
    if (n < 0)
        return false;
    *out = slice_of(text, (size_t)n);
    return true;
}

void *http_req_alloc(struct http_req *q, size_t n)
{
    return h2o_mem_alloc_pool(&q->h->pool, n);
}

void http_req_set_data(struct http_req *q, void *data)
{
    q->data = data;
}

void *http_req_data(const struct http_req *q)
{
    return q->data;
}

void http_req_peer(const struct http_req *q, char *out, size_t cap)
{
    struct sockaddr_storage sa = {0};
    char host[INET6_ADDRSTRLEN] = "";

    q->h->conn->callbacks->get_peername(q->h->conn, (struct sockaddr *)&sa);
    if (sa.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&sa;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, cap, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa.ss_family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, cap, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        snprintf(out, cap, "?");
    }
}
