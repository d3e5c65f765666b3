/* http_reply.c: an answer as a heap object that any thread may build */
#include <stdio.h>
#include <stdlib.h>

#include "http/http_json.h"
#include "http/http_private.h"

struct http_reply *http_reply_take(int status, const char *content_type, uint8_t *body, size_t len)
{
    struct http_reply *r = calloc(1, sizeof(*r));
    size_t n = strlen(content_type);

    if (!r) {
        free(body);
        return NULL;
    }
    r->status = status;
    memcpy(r->type, content_type, n < sizeof(r->type) ? n : sizeof(r->type) - 1);
    r->body = body;
    r->len = len;
    return r;
}

struct http_reply *http_reply_new(int status, const char *content_type, struct slice body)
{
    uint8_t *copy = malloc(body.len ? body.len : 1);

    if (!copy)
        return NULL;
    if (body.len)
        memcpy(copy, body.p, body.len);
    return http_reply_take(status, content_type, copy, body.len);
}

struct http_reply *http_reply_json(int status, json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(v);
    return text ? http_reply_take(status, "application/json", (uint8_t *)text, strlen(text)) : NULL;
}

struct http_reply *http_reply_error(int status, const char *fmt, ...)
{
    char text[512], body[HTTP_JSON_STR_MAX(sizeof(text)) + 16];
    size_t n = (size_t)sprintf(body, "{\"error\":");
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n += http_json_quote(body + n, slice_str(text));
    body[n++] = '}';
    return http_reply_new(status, "application/json", slice_of(body, n));
}

void http_reply_header(struct http_reply *r, const char *name, const char *value)
{
    if (!r || r->n_headers == HTTP_REPLY_HEADERS || strlen(name) >= sizeof(r->headers[0].name) ||
        strlen(value) >= sizeof(r->headers[0].value))
        return;
    for (const char *p = value; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            return;
    if (!r->headers)
        r->headers = malloc(HTTP_REPLY_HEADERS * sizeof(*r->headers));
    if (!r->headers)
        return;
    strcpy(r->headers[r->n_headers].name, name);
    strcpy(r->headers[r->n_headers].value, value);
    r->n_headers++;
}

void http_reply_free(struct http_reply *r)
{
    if (!r)
        return;
    free(r->body);
    free(r->headers);
    free(r);
}
