/* stash.h: small blocks that a thread has freed lately, to be had again at once
 * Why:     malloc keeps seven of a size for a thread and puts the rest into bins that it sorts, merges and locks: with dozens of requests
 *          under way most of what a request needs comes from there
 * Shape:   stash_get and stash_put for malloc and free; the size is given back with the block
 * Owner:   each thread has its own; a block may be put by another thread than got it
 * Limits:  STASH_CLASS_BYTES of each size (rounded up to 64 bytes), up to STASH_MAX; beyond, and under a sanitizer, it is malloc and free
 */
#ifndef BASE_STASH_H
#define BASE_STASH_H

#include <stddef.h>

#define STASH_MAX         2048
#define STASH_CLASS_BYTES 65536

/* n bytes, not cleared. NULL: no memory. */
void *stash_get(size_t n);
/* n as it was asked for; p NULL is allowed. */
void stash_put(void *p, size_t n);
/* How many the calling thread has of that size. */
unsigned stash_count(size_t n);

#endif
