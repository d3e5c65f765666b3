/* vector.h: reads tests/vectors/gossipsub_rpc.json for this room's tests */
#ifndef TESTS_PUBSUB_VECTOR_H
#define TESTS_PUBSUB_VECTOR_H

#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"

static inline json_t *vector_load(const char *file)
{
    char path[4096];
    json_error_t err;

    snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, file);
    return json_load_file(path, 0, &err);
}

/* The field's hex as a fresh heap block of exactly that size; free with free((void *)s.p). */
static inline struct slice vector_hex(const json_t *obj, const char *field)
{
    const char *hex = json_string_value(json_object_get(obj, field));
    size_t len = hex ? strlen(hex) / 2 : 0;
    uint8_t *p = malloc(len ? len : 1);

    if (!p || !hex || hex_decode(p, len, slice_str(hex)) != (ssize_t)len)
        abort();
    return slice_of(p, len);
}

static inline const char *vector_str(const json_t *obj, const char *field)
{
    const char *s = json_string_value(json_object_get(obj, field));

    return s ? s : "";
}

/* The element of an array whose "name" is this. */
static inline const json_t *vector_named(const json_t *array, const char *name)
{
    size_t i;
    json_t *v;

    json_array_foreach(array, i, v)
        if (strcmp(vector_str(v, "name"), name) == 0)
            return v;
    return NULL;
}

#endif
