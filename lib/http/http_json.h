/* http_json.h: compact JSON, in and out
 * Shape:   jansson for trees; a text builder for frames that carry large base64 (no tree, no second copy)
 * Errors:  http_json_parse: NULL for anything but one JSON object within the limits (depth as jansson's), why in err
 */
#ifndef HTTP_HTTP_JSON_H
#define HTTP_HTTP_JSON_H

#include <jansson.h>

#include "base/slice.h"

/* One object, duplicate keys refused, nothing behind it. The caller owns the result. */
json_t *http_json_parse(struct slice text, char *err, size_t err_cap);
/* A string member; false when absent, null or of another type (*wrong_type tells which; may be NULL). The slice lives as v does.*/
bool http_json_str(const json_t *v, const char *key, struct slice *out, bool *wrong_type);
/* s as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD. Returns the bytes written;
 * out must hold HTTP_JSON_STR_MAX(s.len). */
#define HTTP_JSON_STR_MAX(n) ((n)*6 + 2)
size_t http_json_quote(char *out, struct slice s);
bool http_utf8_is_valid(struct slice s);

#endif
