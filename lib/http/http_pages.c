/* http_pages.c: routes to the pages, and what their answers carry */
#include "http/http_pages.h"

#include <stdio.h>
#include <string.h>

#include "http/http_err.h"
#include "http/http_req.h"

/* No inline script or style, no frame around us, and forms that send nothing but by our script. */
#define POLICY "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static struct slice next_tag(struct slice *list)
{
    struct slice tag;

    while (list->len && (*list->p == ' ' || *list->p == '\t' || *list->p == ','))
        *list = slice_of(list->p + 1, list->len - 1);
    tag = slice_of(list->p, 0);
    while (tag.len < list->len && list->p[tag.len] != ',')
        tag.len++;
    *list = slice_of(list->p + tag.len, list->len - tag.len);
    while (tag.len && (tag.p[tag.len - 1] == ' ' || tag.p[tag.len - 1] == '\t'))
        tag.len--;
    return tag;
}

/* RFC 9110 13.1.2: a list or "*", compared weakly. */
static bool has_latest(const struct http_req *q, const char *etag)
{
    struct slice list, tag;

    if (!http_req_header(q, "if-none-match", &list))
        return false;
    while ((tag = next_tag(&list)).len) {
        if (tag.len > 2 && tag.p[0] == 'W' && tag.p[1] == '/')
            tag = slice_of(tag.p + 2, tag.len - 2);
        if (slice_is_equal(tag, slice_str(etag)) || slice_is_equal(tag, SLICE_LIT("*")))
            return true;
    }
    return false;
}

static void get_page(struct http_req *q, void *user)
{
    const struct http_page *p = user;
    struct http_reply *r = http_reply_new(has_latest(q, p->etag) ? 304 : 200, p->type, slice_of(p->bytes, p->len));

    http_reply_header(r, "etag", p->etag);
    http_reply_header(r, "cache-control", "no-cache");
    http_reply_header(r, "content-security-policy", POLICY);
    http_reply_header(r, "referrer-policy", "no-referrer");
    http_req_reply(q, r);
}

static int add(struct http_routes *t, const char *path, const char *name)
{
    struct http_route r = {"GET", path, get_page, NULL, true};

    for (size_t i = 0; i < http_pages_count; i++)
        if (strcmp(http_pages[i].name, name) == 0) {
            r.user = (void *)(uintptr_t)&http_pages[i]; /* read only, whatever the route's type says */
            return http_routes_add(t, &r, NULL);
        }
    return -HTTP_E_NOMEM;
}

static bool is_document(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".html") == 0;
}

int http_pages_add(struct http_routes *t, const char *index)
{
    char path[128];
    int rc = add(t, "/", index);

    if (!rc)
        rc = add(t, "/index.html", index);
    if (!rc)
        rc = add(t, "/favicon.ico", "icon.svg");
    for (size_t i = 0; i < http_pages_count && !rc; i++) {
        if (is_document(http_pages[i].name))
            continue;
        snprintf(path, sizeof(path), "/assets/%s", http_pages[i].name);
        rc = add(t, path, http_pages[i].name);
    }
    return rc;
}
