#include "tcp/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_ALIGN 16

void slab_init(struct slab *s, size_t object_bytes, uint32_t per_chunk, uint32_t max)
{
    object_bytes = (object_bytes + SLAB_ALIGN - 1) & ~(size_t)(SLAB_ALIGN - 1);
    *s = (struct slab){.object_bytes = object_bytes, .per_chunk = per_chunk, .max = max};
}

void slab_fini(struct slab *s)
{
    while (s->chunks) {
        void *c = s->chunks;
        memcpy(&s->chunks, c, sizeof(void *));
        free(c);
    }
    s->free = NULL;
    s->made = s->used = 0;
}

static int slab_grow(struct slab *s)
{
    uint32_t n = s->max - s->made < s->per_chunk ? s->max - s->made : s->per_chunk;
    uint8_t *c = n ? malloc(SLAB_ALIGN + n * s->object_bytes) : NULL;

    if (!c)
        return -1;
    memcpy(c, &s->chunks, sizeof(void *));
    s->chunks = c;
    for (uint32_t i = n; i-- > 0;) {
        uint8_t *o = c + SLAB_ALIGN + i * s->object_bytes;
        memcpy(o, &s->free, sizeof(void *));
        s->free = o;
    }
    s->made += n;
    return 0;
}

void *slab_get(struct slab *s)
{
    if (!s->free && slab_grow(s))
        return NULL;
    void *o = s->free;
    memcpy(&s->free, o, sizeof(void *));
    s->used++;
    return o;
}

void slab_put(struct slab *s, void *object)
{
    assert(s->used > 0);
    memcpy(object, &s->free, sizeof(void *));
    s->free = object;
    s->used--;
}
