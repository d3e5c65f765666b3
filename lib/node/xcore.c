#include "node/xcore.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(sizeof(struct xmsg) % 4 == 0, "ring elements are whole words");

int xdoor_init(struct xdoor *d)
{
    *d = (struct xdoor){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    return d->fd < 0 ? -1 : 0;
}

void xdoor_fini(struct xdoor *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

enum { AWAKE, ASLEEP, ASLEEP_IN_NEED };

/* The producer's enqueue happens before this fence, the sleeper's flag before its last look at the ring: one of the two
 * sees the other, so no wake-up is lost. */
static void wake_if(struct xdoor *d, uint32_t least)
{
    uint64_t one = 1;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&d->is_asleep, __ATOMIC_RELAXED) >= least && __atomic_exchange_n(&d->is_asleep, AWAKE, __ATOMIC_RELAXED))
        if (write(d->fd, &one, sizeof(one)) < 0)
            return; /* the counter is full: it is ringing already */
}

void xdoor_ring(struct xdoor *d)
{
    wake_if(d, ASLEEP);
}

void xdoor_sleep(struct xdoor *d, bool needs_home)
{
    __atomic_store_n(&d->is_asleep, needs_home ? ASLEEP_IN_NEED : ASLEEP, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void xdoor_wake(struct xdoor *d)
{
    uint64_t count;

    __atomic_store_n(&d->is_asleep, AWAKE, __ATOMIC_RELAXED);
    if (read(d->fd, &count, sizeof(count)) < 0)
        return; /* nobody rang */
}

int xring_init(struct xring *r, const char *name, unsigned depth, struct xdoor *consumer)
{
    *r = (struct xring){.door = consumer};
    snprintf(r->name, sizeof(r->name), "%s", name);
    r->ring = rte_ring_create_elem(name, sizeof(struct xmsg), depth, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    return r->ring ? 0 : -1;
}

void xring_fini(struct xring *r)
{
    rte_ring_free(r->ring);
    r->ring = NULL;
}

/* Without waking anybody; how many are in it now, 0: it was full. */
static unsigned push(struct xring *r, const struct xmsg *m)
{
    unsigned room, used;

    if (rte_ring_sp_enqueue_bulk_elem(r->ring, m, sizeof(*m), 1, &room) == 0) {
        r->full++;
        return 0;
    }
    used = rte_ring_get_capacity(r->ring) - room;
    if (used > r->peak)
        r->peak = used;
    r->pushed++;
    return used ? used : 1;
}

bool xring_push_sp(struct xring *r, const struct xmsg *m)
{
    if (!push(r, m))
        return false;
    xdoor_ring(r->door);
    return true;
}

bool xring_push_home_sp(struct xring *r, const struct xmsg *m)
{
    unsigned used = push(r, m);

    if (!used)
        return false;
    wake_if(r->door, used >= rte_ring_get_capacity(r->ring) / 4 ? ASLEEP : ASLEEP_IN_NEED);
    return true;
}

bool xring_pop_sc(struct xring *r, struct xmsg *m)
{
    if (rte_ring_sc_dequeue_bulk_elem(r->ring, m, sizeof(*m), 1, NULL) == 1) {
        r->popped++;
        r->run++;
        return true;
    }
    if (r->run) {
        r->batches++;
        if (r->run > r->batch_peak)
            r->batch_peak = r->run;
        r->run = 0;
    }
    return false;
}

bool xring_is_empty(const struct xring *r)
{
    return rte_ring_empty(r->ring);
}

unsigned xring_count(const struct xring *r)
{
    return rte_ring_count(r->ring);
}

unsigned xring_capacity(const struct xring *r)
{
    return rte_ring_get_capacity(r->ring);
}

unsigned xring_room(const struct xring *r)
{
    return rte_ring_free_count(r->ring);
}

bool xout_send(struct xout *o, const struct xmsg *m)
{
    if (o->nheld == 0 && xring_push_sp(o->ring, m)) {
        o->bell_at_ns = 0;
        return true;
    }
    if (o->nheld == XOUT_HELD) {
        o->ring->dropped++;
        return false;
    }
    o->held[o->nheld++] = *m;
    return true;
}

static bool send_by(struct xout *o, const struct xmsg *m, uint64_t bell_at_ns)
{
    unsigned used = o->nheld == 0 ? push(o->ring, m) : 0;

    if (!used)
        return xout_send(o, m);
    if (!o->bell_at_ns || bell_at_ns < o->bell_at_ns)
        o->bell_at_ns = bell_at_ns;
    if (used >= XOUT_QUIET_MANY)
        xout_bell(o, o->bell_at_ns);
    return true;
}

bool xout_send_quiet(struct xout *o, const struct xmsg *m, uint64_t now)
{
    return send_by(o, m, now + XOUT_QUIET_NS);
}

bool xout_send_soon(struct xout *o, const struct xmsg *m, uint64_t now)
{
    return send_by(o, m, now ? now : 1);
}

void xout_bell(struct xout *o, uint64_t now)
{
    if (!o->bell_at_ns || now < o->bell_at_ns)
        return;
    o->bell_at_ns = 0;
    if (!xring_is_empty(o->ring))
        xdoor_ring(o->ring->door);
}

bool xout_flush(struct xout *o)
{
    unsigned sent = 0;

    while (sent < o->nheld && xring_push_sp(o->ring, &o->held[sent]))
        sent++;
    if (sent) {
        o->nheld -= sent;
        memmove(o->held, o->held + sent, o->nheld * sizeof(o->held[0]));
    }
    return o->nheld == 0;
}

void xhomes_add(struct xhomes *h, struct buf *b)
{
    b->next = NULL;
    if (h->tail)
        h->tail->next = b;
    else
        h->head = b;
    h->tail = b;
}

bool xhomes_flush_sp(struct xhomes *h, struct xring *r, enum xmsg_type type)
{
    while (h->head) {
        struct xmsg m = {.type = type};
        struct buf *b = h->head;
        for (; b && m.homes.count < XMSG_HOMES; b = b->next)
            m.homes.buf[m.homes.count++] = b;
        if (!xring_push_sp(r, &m))
            return false;
        /* The far side may already be reusing the buffers: b was read before the push. */
        h->head = b;
    }
    h->tail = NULL;
    return true;
}
