#include "http/http_loglevel.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "http/http_flat.h"
#include "http/http_req.h"

static void get_level(struct http_req *q, void *user)
{
    http_req_reply(q, http_reply_json(200, json_pack("{s:s}", "level", log_level_name(log_get_level()))));
}

static bool is_loopback(const struct http_req *q)
{
    char peer[64];

    http_req_peer(q, peer, sizeof(peer));
    return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]", 5) == 0 || strncmp(peer, "[::ffff:127.", 12) == 0;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The level that a body names; -1. */
static int level_of(struct slice body)
{
    static const char *const names[] = {"level"};
    struct flat_value v;
    uint8_t text[16];
    char word[16] = "";

    if (http_flat_find(body, names, 1, &v) == 0) {
        if (v.type != FLAT_STRING || v.raw.len > sizeof(text))
            return -1;
        ssize_t n = http_flat_text(text, &v);
        body = slice_of(text, n > 0 ? (size_t)n : 0);
    }
    while (body.len && is_space(body.p[body.len - 1]))
        body.len--;
    if (!body.len || body.len >= sizeof(word) || memchr(body.p, 0, body.len))
        return -1;
    memcpy(word, body.p, body.len);
    return log_level_parse(word);
}

static void put_level(struct http_req *q, void *user)
{
    int level = level_of(http_req_body(q));

    if (!is_loopback(q)) {
        http_req_reply(q, http_reply_error(403, "the log level is set from this machine alone"));
    } else if (level < 0) {
        http_req_reply(q, http_reply_error(400, "the level is debug, info, warn or error, as {\"level\":\"debug\"} or as the bare word"));
    } else {
        log_set_level((enum log_level)level);
        log_line(log_get_level(), "\"log level changed\" level_now=%s", log_level_name(log_get_level()));
        get_level(q, user);
    }
}

int http_loglevel_add(struct http_routes *t)
{
    int rc = http_routes_add(t, &(struct http_route){"GET", "/debug/log-level", get_level, NULL, true}, NULL);

    return rc ? rc : http_routes_add(t, &(struct http_route){"PUT", "/debug/log-level", put_level, NULL, true}, NULL);
}
