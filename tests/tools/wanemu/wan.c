#include "wan.h"

#include <stdlib.h>
#include <string.h>

#define DROPPED UINT64_MAX

void wan_seed(struct wan *w, uint64_t seed)
{
    for (unsigned i = 0; i < WAN_NODES_MAX; i++)
        for (unsigned j = 0; j < WAN_NODES_MAX; j++)
            rng_init_seeded(&w->path[i][j].rng, seed * 1000003 + i * WAN_NODES_MAX + j);
}

void wan_init(struct wan *w, unsigned nodes, uint64_t seed, uint64_t held_max)
{
    memset(w, 0, sizeof(*w));
    w->nodes = nodes;
    w->held_max = held_max;
    wan_seed(w, seed);
}

void wan_fini(struct wan *w)
{
    for (size_t i = 0; i < w->count; i++)
        wan_frame_unref(w->heap[i].frame);
    free(w->heap);
    w->heap = NULL;
    w->count = w->cap = 0;
}

/* ---- the heap ---- */

static bool is_before(const struct wan_packet *a, const struct wan_packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static bool push(struct wan *w, struct wan_packet p)
{
    size_t i = w->count;

    if (w->count == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        struct wan_packet *heap = realloc(w->heap, cap * sizeof(*heap));
        if (!heap)
            return false;
        w->heap = heap;
        w->cap = cap;
    }
    p.order = w->order++;
    for (; i > 0 && is_before(&p, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = p;
    w->count++;
    return true;
}

static struct wan_packet pop(struct wan *w)
{
    struct wan_packet first = w->heap[0], last = w->heap[--w->count];
    size_t i = 0, child;

    for (; (child = 2 * i + 1) < w->count; i = child) {
        if (child + 1 < w->count && is_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
    }
    if (w->count)
        w->heap[i] = last;
    return first;
}

/* ---- links ---- */

/* The time at which a packet that comes now has left the link, or DROPPED. */
static uint64_t link_pass(struct wan_link *l, struct wan_packet *p, uint32_t bytes, uint64_t now)
{
    uint64_t backlog;

    if (l->rate == 0)
        return now;
    backlog = l->busy_ns > now ? (uint64_t)((double)(l->busy_ns - now) * (double)l->rate / 1e9) : 0;
    if (l->queue_bytes && backlog + bytes > l->queue_bytes) {
        l->dropped++;
        return DROPPED;
    }
    if (l->mark_bytes && backlog + bytes > l->mark_bytes && wan_frame_is_ect(p->frame)) {
        p->is_ce = true;
        l->marked++;
    }
    if (l->busy_ns < now)
        l->busy_ns = now;
    l->busy_ns += bytes * 1000000000ull / l->rate;
    return l->busy_ns;
}

static uint64_t path_arrival(struct wan_path *path, uint64_t left_ns)
{
    uint64_t at = left_ns + path->delay_ns;

    if (path->jitter_ns)
        at += rng_below(&path->rng, path->jitter_ns + 1);
    if (at < path->last_ns && !path->reorders)
        at = path->last_ns;
    if (at > path->last_ns)
        path->last_ns = at;
    return at;
}

static void send_packet(struct wan *w, unsigned from, struct wan_packet p, uint64_t now)
{
    struct wan_path *path = &w->path[from][p.to];
    uint32_t bytes = wan_frame_packet_bytes(p.frame, p.index);
    bool is_arp = wan_frame_is_arp(p.frame);
    uint64_t t = now;

    if (!is_arp) {
        path->packets++;
        path->bytes += bytes;
        t = link_pass(&w->up[from], &p, bytes, now);
        t = t == DROPPED ? t : link_pass(&path->link, &p, bytes, t);
        if (t == DROPPED)
            return;
        if (path->loss && rng_below(&path->rng, 1000000) < path->loss) {
            path->lost++;
            return;
        }
    }
    p.due_ns = is_arp ? now : path_arrival(path, t);
    p.is_at_downlink = w->down[p.to].rate != 0 && !is_arp;
    if (w->held_bytes + bytes > w->held_max || !push(w, p)) {
        w->overrun++;
        return;
    }
    wan_frame_ref(p.frame);
    w->held_bytes += bytes;
}

void wan_input(struct wan *w, unsigned from, unsigned to, struct wan_frame *f, uint64_t now)
{
    for (uint32_t i = 0; i < f->packets; i++)
        send_packet(w, from, (struct wan_packet){.frame = f, .index = i, .to = (uint8_t)to}, now);
}

uint64_t wan_next_deadline(const struct wan *w)
{
    return w->count ? w->heap[0].due_ns : UINT64_MAX;
}

bool wan_output(struct wan *w, struct wan_packet *out, uint64_t now)
{
    while (w->count && w->heap[0].due_ns <= now) {
        struct wan_packet p = pop(w);
        uint32_t bytes = wan_frame_packet_bytes(p.frame, p.index);

        if (p.is_at_downlink) { /* it comes in order of time here, whoever sent it */
            p.is_at_downlink = false;
            p.due_ns = link_pass(&w->down[p.to], &p, bytes, p.due_ns);
            if (p.due_ns != DROPPED && push(w, p))
                continue;
            w->held_bytes -= bytes;
            wan_frame_unref(p.frame);
            continue;
        }
        w->held_bytes -= bytes;
        *out = p;
        return true;
    }
    return false;
}
