/* slab.h: a pool of equal objects
 * Shape:   get/put; objects come from chunks that are made on demand and kept until fini
 * Owner:   the stack
 * Errors:  get returns NULL at max or without memory
 * Limits:  at most max objects
 */
#ifndef TCP_SLAB_H
#define TCP_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
    void *free;   /* first free object; each begins with the next one's address */
    void *chunks; /* likewise */
    size_t object_bytes;
    uint32_t per_chunk, made, used, max;
};

void slab_init(struct slab *s, size_t object_bytes, uint32_t per_chunk, uint32_t max);
/* Frees the chunks, objects still in use with them. */
void slab_fini(struct slab *s);
/* Not zeroed. Aligned to 16. */
void *slab_get(struct slab *s);
void slab_put(struct slab *s, void *object);

#endif
