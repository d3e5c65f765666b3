#include "base/bufpool.h"

#include <stdlib.h>

#define SMALLEST 256u
#define HEAD     64u /* the struct buf in front of the data */

_Static_assert(sizeof(struct buf) <= HEAD, "the buffer's head must fit its cache line");

static unsigned class_of(uint32_t cap)
{
    unsigned c = 0;

    while (c < BUFPOOL_CLASSES && (SMALLEST << c) < cap)
        c++;
    return c;
}

static uint64_t class_bytes(unsigned c)
{
    return (uint64_t)(SMALLEST << c) + HEAD;
}

void bufpool_init(struct bufpool *p, uint64_t max_bytes, uint64_t keep_bytes)
{
    *p = (struct bufpool){.max_bytes = max_bytes, .keep_bytes = keep_bytes};
}

void bufpool_fini(struct bufpool *p)
{
    for (unsigned c = 0; c < BUFPOOL_CLASSES; c++)
        for (struct buf *b = p->free[c], *next; b; b = next) {
            next = b->next;
            free(b);
        }
    *p = (struct bufpool){0};
}

static void give_back(struct buf *b)
{
    struct bufpool *p = b->home;
    unsigned c = class_of(b->cap + (uint32_t)(b->data - ((uint8_t *)b + HEAD)));

    p->used_bytes -= class_bytes(c);
    if (p->kept_bytes + class_bytes(c) > p->keep_bytes) {
        free(b);
        return;
    }
    p->kept_bytes += class_bytes(c);
    b->next = p->free[c];
    p->free[c] = b;
}

/* Frees idle blocks, large ones first, until n more bytes keep the bound. */
static void make_room(struct bufpool *p, uint64_t n)
{
    for (unsigned c = BUFPOOL_CLASSES; c-- > 0;)
        while (p->free[c] && p->used_bytes + p->kept_bytes + n > p->max_bytes) {
            struct buf *b = p->free[c];
            p->free[c] = b->next;
            p->kept_bytes -= class_bytes(c);
            free(b);
        }
}

struct buf *bufpool_get(struct bufpool *p, uint32_t cap)
{
    unsigned c = class_of(cap);
    struct buf *b;

    if (c == BUFPOOL_CLASSES || p->used_bytes + class_bytes(c) > p->max_bytes) {
        p->refused++;
        return NULL;
    }
    b = p->free[c];
    if (b) {
        p->free[c] = b->next;
        p->kept_bytes -= class_bytes(c);
    } else {
        make_room(p, class_bytes(c));
        b = aligned_alloc(HEAD, class_bytes(c));
        if (!b) {
            p->refused++;
            return NULL;
        }
        p->allocs++;
    }
    p->used_bytes += class_bytes(c);
    *b = (struct buf){.data = (uint8_t *)b + HEAD, .cap = SMALLEST << c, .refs = 1, .release = give_back, .home = p};
    return b;
}

void bufpool_put(struct bufpool *p, struct buf *b)
{
    b->home = p;
    give_back(b);
}

struct buf *bufpool_alloc(void *pool, uint32_t cap)
{
    return bufpool_get(pool, cap);
}
