/* http_pages.h: the status pages for people: files of lib/http/pages, compiled into the program
 * Shape:   a table of files that is made at build time (pages/embed.py) -> routes
 * Owner:   immutable; handlers run on the server's threads
 * Note:    a page may load what comes from its own server and nothing else, and runs no script that stands in its text
 *          (Content-Security-Policy); browsers ask each time whether they have the latest (ETag), so an upgrade shows at once
 */
#ifndef HTTP_HTTP_PAGES_H
#define HTTP_HTTP_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "http/http_route.h"

struct http_page {
    const char *name; /* "node.html" */
    const char *type, *etag;
    const uint8_t *bytes;
    size_t len;
};

extern const struct http_page http_pages[];
extern const size_t http_pages_count;

/* Adds "/" and "/index.html" (the page `index`, such as "node.html"), "/favicon.ico", and what pages load below "/assets/".
 * 0, or -HTTP_E_NOMEM, also when there is no such page. */
int http_pages_add(struct http_routes *t, const char *index);

#endif
