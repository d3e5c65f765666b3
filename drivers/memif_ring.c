/* memif_ring.c: slots handed over and checked (memif_ring.h) */
#include "drivers/memif_ring.h"

#define LINE_BYTES 64u

static struct memif_desc *desc_of(const struct memif_ring *r, uint16_t at)
{
    return &r->mem->desc[at & r->mask];
}

/* A client's slot, whatever the other end made of it. */
static void lend(struct memif_ring *r, uint16_t at, uint32_t len, uint16_t flags)
{
    uint32_t first = (uint32_t)(r->bufs - r->regions[0].p);

    *desc_of(r, at) = (struct memif_desc){.flags = flags, .len = len, .offset = first + (at & r->mask) * r->stride};
}

static uint16_t *index_of(const struct memif_ring *r, bool is_client)
{
    return is_client ? &r->mem->head : &r->mem->tail;
}

int memif_ring_init(struct memif_ring *r, struct memif_ring_mem *mem, uint8_t log2, const struct memif_ring_use *use)
{
    uint16_t size = (uint16_t)(1u << log2);

    *r = (struct memif_ring){.mem = mem, .mask = (uint16_t)(size - 1), .is_client = use->is_client, .is_sender = use->is_sender, .bell = use->bell,
                             .bufs = use->bufs, .stride = use->stride, .regions = use->regions, .nregions = use->nregions};
    if (!r->is_client)
        return __atomic_load_n(&mem->cookie, __ATOMIC_RELAXED) == MEMIF_COOKIE ? 0 : -MEMIF_ERING;
    mem->cookie = MEMIF_COOKIE;
    mem->flags = MEMIF_RING_QUIET;
    mem->tail = 0;
    for (uint16_t i = 0; i < size; i++)
        lend(r, i, r->stride, 0);
    mem->head = 0;
    return 0;
}

void memif_ring_start(struct memif_ring *r)
{
    if (r->is_client && !r->is_sender)
        __atomic_store_n(&r->mem->head, (uint16_t)(r->mask + 1), __ATOMIC_RELEASE);
}

int memif_ring_look(struct memif_ring *r)
{
    uint16_t size = (uint16_t)(r->mask + 1), other, ours;

    other = __atomic_load_n(index_of(r, !r->is_client), __ATOMIC_ACQUIRE);
    ours = (uint16_t)(other - r->next);
    if (r->is_client && r->is_sender)
        ours = (uint16_t)(ours + size); /* what the server has taken is empty again */
    if (ours > size)
        return -MEMIF_ERING;
    r->ours = ours;
    return ours;
}

int memif_ring_slot(const struct memif_ring *r, uint16_t i, struct memif_slot *out)
{
    uint16_t at = (uint16_t)(r->next + i);
    struct memif_desc d;

    if (r->is_client && r->is_sender) {
        *out = (struct memif_slot){r->bufs + (size_t)(at & r->mask) * r->stride, r->stride, false};
        return 0;
    }
    memcpy(&d, desc_of(r, at), sizeof(d));
    __asm__ volatile("" : "+m"(d)); /* these bytes, not those that are there a moment later */
    out->len = d.len;
    out->has_next = d.flags & MEMIF_DESC_NEXT;
    if (r->is_client) {
        out->p = r->bufs + (size_t)(at & r->mask) * r->stride;
        return d.len <= r->stride ? 0 : -MEMIF_EDESC;
    }
    if (d.region >= r->nregions || d.offset > r->regions[d.region].size || d.len > r->regions[d.region].size - d.offset)
        return -MEMIF_EDESC;
    out->p = r->regions[d.region].p + d.offset;
    return 0;
}

void memif_ring_prefetch(const struct memif_ring *r, uint16_t i, uint32_t len)
{
    struct memif_slot s;

    if (i >= r->ours || memif_ring_slot(r, i, &s) < 0)
        return;
    len = len < s.len ? len : s.len;
    for (uint32_t at = 0; at < len; at += LINE_BYTES)
        __builtin_prefetch(s.p + at);
}

void memif_ring_fill(struct memif_ring *r, uint16_t i, uint32_t len, bool has_next)
{
    uint16_t at = (uint16_t)(r->next + i), flags = has_next ? MEMIF_DESC_NEXT : 0;
    struct memif_desc *d = desc_of(r, at);

    if (r->is_client) {
        lend(r, at, len, flags);
        return;
    }
    d->flags = flags;
    d->len = len;
}

void memif_ring_unchain(struct memif_ring *r, uint16_t i)
{
    desc_of(r, (uint16_t)(r->next + i))->flags = 0;
}

void memif_ring_pass(struct memif_ring *r, uint16_t n)
{
    if (r->is_client && !r->is_sender)
        for (uint16_t i = 0; i < n; i++)
            lend(r, (uint16_t)(r->next + i), r->stride, 0);
    r->next = (uint16_t)(r->next + n);
    r->ours = (uint16_t)(r->ours - n);
}

void memif_ring_tell(struct memif_ring *r)
{
    bool is_lending = r->is_client && !r->is_sender;
    uint16_t at = (uint16_t)(r->next + (is_lending ? r->mask + 1 : 0));

    if (r->told == r->next)
        return;
    r->told = r->next;
    __atomic_store_n(index_of(r, r->is_client), at, __ATOMIC_RELEASE);
    if (!r->is_sender)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* either we see that it sleeps, or it sees what we told */
    if (!(__atomic_load_n(&r->mem->flags, __ATOMIC_RELAXED) & MEMIF_RING_QUIET))
        memif_bell_ring(r->ringer, r->bell);
}

void memif_ring_ask(struct memif_ring *r, bool wants_bell)
{
    __atomic_store_n(&r->mem->flags, wants_bell ? 0 : MEMIF_RING_QUIET, __ATOMIC_RELAXED);
    if (wants_bell)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
