/* vec.h: reading tests/vectors in tests
 * Shape:   JSON file -> jansson value; hex member -> bytes
 * Memory:  bytes are malloc'ed, one block of exactly their length, so a sanitizer sees one byte too many; free .p
 * Errors:  a missing file or member fails the test
 */
#ifndef TESTS_VEC_H
#define TESTS_VEC_H

#include "testing.h"

#include <jansson.h>

#include "base/slice.h"
#include "base/text.h"

struct bytes {
    uint8_t *p;
    size_t len;
};

static inline struct slice bytes_slice(struct bytes b)
{
    return (struct slice){b.p, b.len};
}

static inline json_t *vec_load(const char *file)
{
    char path[512];
    json_error_t e;
    json_t *j;

    snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, file);
    j = json_load_file(path, 0, &e);
    if (!j)
        fail_msg("%s: %s", path, e.text);
    return j;
}

static inline json_t *vec_get(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);

    if (!v)
        fail_msg("no member %s", key);
    return v;
}

static inline const char *vec_str(json_t *j, const char *key)
{
    const char *s = json_string_value(vec_get(j, key));

    if (!s)
        fail_msg("member %s is no string", key);
    return s;
}

static inline struct bytes vec_unhex(const char *hex)
{
    size_t len = hex ? strlen(hex) / 2 : 0;
    struct bytes b = {malloc(len ? len : 1), len};

    if (!hex || !b.p || hex_decode(b.p, b.len, slice_str(hex)) != (ssize_t)b.len)
        fail_msg("bad hex %.40s", hex ? hex : "(none)");
    return b;
}

static inline struct bytes vec_hex(json_t *j, const char *key)
{
    return vec_unhex(vec_str(j, key));
}

/* A heap copy of exactly s.len bytes. */
static inline struct bytes vec_copy(struct slice s)
{
    struct bytes b = {malloc(s.len ? s.len : 1), s.len};

    assert_non_null(b.p);
    if (s.len)
        memcpy(b.p, s.p, s.len);
    return b;
}

static inline void assert_slice(struct slice got, struct slice want)
{
    assert_int_equal(got.len, want.len);
    if (want.len)
        assert_memory_equal(got.p, want.p, want.len);
}

#endif
