#include "tcp/rxpool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/recvq.h"

#define PIECES_PER_CHUNK 256

void rxpool_init(struct rxpool *p, uint64_t max_bytes)
{
    *p = (struct rxpool){.max_bytes = max_bytes};
    list_init(&p->late);
    slab_init(&p->pieces, sizeof(struct rx_piece), PIECES_PER_CHUNK, UINT32_MAX / 2);
}

void rxpool_fini(struct rxpool *p)
{
    while (p->free) {
        struct buf *b = p->free;
        p->free = b->next;
        free(b);
    }
    slab_fini(&p->pieces);
}

static uint64_t bound(const struct rxpool *p, bool is_ooo)
{
    return is_ooo ? p->max_bytes / 4 * 3 : p->max_bytes;
}

bool rxpool_charge(struct rxpool *p, uint32_t bytes, bool is_ooo)
{
    if (p->used_bytes + bytes > bound(p, is_ooo))
        return false;
    p->used_bytes += bytes;
    return true;
}

void rxpool_uncharge(struct rxpool *p, uint32_t bytes)
{
    assert(p->used_bytes >= bytes);
    p->used_bytes -= bytes;
}

void rxpool_settle(struct rxpool *p)
{
    for (struct list *it; (it = list_pop_front(&p->late));) {
        struct rx_piece *pc = CONTAINER_OF(it, struct rx_piece, late);

        memcpy(pc->place, pc->p, pc->len);
        pc->p = pc->place;
    }
}

static void block_release(struct buf *b)
{
    struct rxpool *p = b->home;

    rxpool_uncharge(p, RXPOOL_BLOCK_BYTES);
    b->next = p->free;
    p->free = b;
}

struct buf *rxpool_block(struct rxpool *p, bool is_ooo)
{
    struct buf *b = p->free;

    if (!rxpool_charge(p, RXPOOL_BLOCK_BYTES, is_ooo))
        return NULL;
    if (b)
        p->free = b->next;
    else
        b = buf_new(RXPOOL_BLOCK_BYTES);
    if (!b) {
        rxpool_uncharge(p, RXPOOL_BLOCK_BYTES);
        return NULL;
    }
    b->len = 0;
    b->refs = 1;
    b->release = block_release;
    b->home = p;
    b->next = NULL;
    return b;
}
