/* http_query.h: query strings and percent-encoding
 * Shape:   sans-IO; the WHATWG form rules ("+" is a space, "&" separates)
 * Errors:  decode: -1 for a broken escape or a NUL byte
 */
#ifndef HTTP_HTTP_QUERY_H
#define HTTP_HTTP_QUERY_H

#include <sys/types.h>

#include "base/slice.h"

/* out: in.len + 1 bytes; NUL-terminated. Returns the length. */
ssize_t http_form_decode(char *out, struct slice in);
/* The still encoded value of the first parameter whose decoded name is `name`. "a" alone has an empty value. */
bool http_query_find(struct slice query, const char *name, struct slice *raw);

#endif
