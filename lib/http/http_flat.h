/* http_flat.h: one JSON object's members, read in place
 * Shape:   text -> named members as slices of the text; no tree, no copies. For bodies of many megabytes, where a tree costs more
 *          than all else together
 * Source:  RFC 8259, strict: UTF-8 is checked, control characters in strings, duplicate wanted names and anything behind the
 *          object are refused
 * Memory:  slices point into the text
 * Limits:  nesting to FLAT_DEPTH
 * Errors:  http_flat_find: 0, or -HTTP_E_INPUT
 */
#ifndef HTTP_HTTP_FLAT_H
#define HTTP_HTTP_FLAT_H

#include <sys/types.h>

#include "base/slice.h"

#define FLAT_DEPTH 32

enum flat_type {
    FLAT_ABSENT,
    FLAT_STRING,
    FLAT_NUMBER,
    FLAT_TRUE,
    FLAT_FALSE,
    FLAT_NULL,
    FLAT_OBJECT,
    FLAT_ARRAY
};

struct flat_value {
    enum flat_type type;
    struct slice raw; /* strings: between the quotes, still escaped; the rest: as written */
    bool is_escaped;  /* strings: holds a backslash */
};

/* Reads all of text, which must be one object, and fills out[i] for the member names[i]. */
int http_flat_find(struct slice text, const char *const *names, unsigned n, struct flat_value *out);
/* Calls each for every element of an array value; stops when it returns false. False then, and for no array. */
bool http_flat_each(const struct flat_value *array, bool (*each)(const struct flat_value *v, void *user),
                    void *user);
/* The string's bytes in out (raw.len bytes are always enough); -1: not a string, or a lone surrogate. */
ssize_t http_flat_text(uint8_t *out, const struct flat_value *v);
/* False: not a number. */
bool http_flat_number(const struct flat_value *v, double *out);

#endif
