#include "sim/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

#define REGION_BYTES (64ull << 30)
#define REGIONS_MAX  256
#define PAGE         4096u
#define COLORS       16  /* blocks start at different cache lines */
#define CLASSES      8200 /* by pages: up to 32 MiB and a little */

/* A block of addresses. Of a payload, the beginning of every piece that is sent of it is there; of a frame, all but the hole. */
struct block {
    struct buf buf;
    struct sim_arena *arena;
    struct block *next;
    uint8_t *base;
    uint32_t pages, hole, hole_end; /* frames */
    bool is_frame;
};

struct sim_arena {
    uint8_t *regions[REGIONS_MAX];
    unsigned nregions;
    uint64_t used; /* of the last region */
    unsigned color;
    struct block *idle[2][CLASSES]; /* payloads, frames: payload pages that were never written stay so */
};

struct sim_arena *sim_arena_new(void)
{
    return calloc(1, sizeof(struct sim_arena));
}

void sim_arena_free(struct sim_arena *a)
{
    if (!a)
        return;
    for (unsigned f = 0; f < 2; f++)
        for (unsigned i = 0; i < CLASSES; i++)
            for (struct block *b = a->idle[f][i], *next; b; b = next) {
                next = b->next;
                free(b);
            }
    for (unsigned i = 0; i < a->nregions; i++)
        munmap(a->regions[i], REGION_BYTES);
    free(a);
}

static void release(struct buf *buf)
{
    struct block *b = (struct block *)buf;

    b->next = b->arena->idle[b->is_frame][b->pages];
    b->arena->idle[b->is_frame][b->pages] = b;
}

static uint8_t *addresses(struct sim_arena *a, uint32_t pages)
{
    uint64_t bytes = (uint64_t)pages * PAGE;

    if (!a->nregions || a->used + bytes > REGION_BYTES) {
        void *p = a->nregions < REGIONS_MAX ? mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                            : MAP_FAILED;

        if (p == MAP_FAILED)
            return NULL;
        /* A huge page under every 2 MiB would make memory of what is only addresses. */
        madvise(p, REGION_BYTES, MADV_NOHUGEPAGE);
        a->regions[a->nregions++] = p;
        a->used = 0;
    }
    a->used += bytes;
    return a->regions[a->nregions - 1] + a->used - bytes;
}

static struct block *block_get(struct sim_arena *a, uint32_t cap, bool is_frame)
{
    uint32_t pages = (uint32_t)(((uint64_t)cap + COLORS * 64 + PAGE - 1) / PAGE);
    struct block *b = pages < CLASSES ? a->idle[is_frame][pages] : NULL;

    if (b) {
        a->idle[is_frame][pages] = b->next;
    } else {
        b = pages < CLASSES ? calloc(1, sizeof(*b)) : NULL;
        if (!b)
            return NULL;
        b->base = addresses(a, pages);
        if (!b->base) {
            free(b);
            return NULL;
        }
        b->arena = a;
        b->pages = pages;
        b->is_frame = is_frame;
        b->base += 64 * (a->color++ % COLORS);
    }
    b->buf = (struct buf){.data = b->base, .cap = cap, .refs = 1, .release = release};
    b->hole = b->hole_end = 0;
    return b;
}

struct buf *sim_arena_alloc(void *ctx, uint32_t cap)
{
    struct block *b;

    if (cap < SIM_ELIDE_FROM)
        return buf_new(cap);
    b = block_get(ctx, cap, false);
    return b ? &b->buf : NULL;
}

static const struct block *block_of(const struct buf *b)
{
    return b->release == release ? (const struct block *)b : NULL;
}

/* What of a piece is not there; equal: all is. */
static void hole_of(const struct pubsub_piece *p, uint32_t *from, uint32_t *to)
{
    const struct block *b = block_of(p->buf);
    uint32_t end = p->off + p->len;

    *from = *to = p->len;
    if (b && !b->is_frame && p->len >= SIM_ELIDE_FROM) {
        *from = SIM_ELIDE_BYTES;
    } else if (b && b->is_frame && b->hole < end && b->hole_end > p->off) {
        *from = b->hole > p->off ? b->hole - p->off : 0;
        *to = b->hole_end < end ? b->hole_end - p->off : p->len;
    }
}

static void put_piece(struct buf *out, struct block *block, const struct pubsub_piece *p)
{
    uint32_t from, to, at = out->len;

    hole_of(p, &from, &to);
    memcpy(out->data + at, p->buf->data + p->off, from);
    memcpy(out->data + at + to, p->buf->data + p->off + to, p->len - to);
    out->len += p->len;
    if (to > from && block) {
        block->hole = at + from;
        block->hole_end = at + to;
    }
}

struct buf *sim_arena_frame(struct sim_arena *a, const struct pubsub_piece *pieces, unsigned n)
{
    uint32_t len = 0, from, to;
    struct block *block = NULL;
    bool is_elided = false;
    struct buf *out;

    for (unsigned i = 0; i < n; i++) {
        len += pieces[i].len;
        hole_of(&pieces[i], &from, &to);
        is_elided |= to > from;
    }
    if (is_elided) {
        block = block_get(a, len, true);
        out = block ? &block->buf : NULL;
    } else {
        out = buf_new(len);
    }
    for (unsigned i = 0; out && i < n; i++)
        put_piece(out, block, &pieces[i]);
    return out;
}
