/* xsk.c: an AF_XDP socket by the kernel's own interface (xsk.h) */
#include "drivers/xsk.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define KICKS 16 /* the kernel sends up to 32 frames a call when it copies */

/* ---- rings ---- */

/* Entries that may be written. */
static uint32_t room(struct xsk_ring *r)
{
    r->tail = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
    return r->mask + 1 - (r->head - r->tail);
}

/* Entries that may be read. */
static uint32_t ready(struct xsk_ring *r)
{
    r->tail = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
    return r->tail - r->head;
}

static void publish(struct xsk_ring *r)
{
    __atomic_store_n(r->producer, r->head, __ATOMIC_RELEASE);
}

static void release(struct xsk_ring *r)
{
    __atomic_store_n(r->consumer, r->head, __ATOMIC_RELEASE);
}

static bool wants_wakeup(const struct xsk_ring *r)
{
    return __atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
}

static int map_ring(struct xsk *x, struct xsk_ring *r, const struct xdp_ring_offset *off, size_t entry, uint32_t count, off_t at)
{
    r->map_len = off->desc + entry * count;
    r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, x->fd, at);
    if (r->map == MAP_FAILED) {
        r->map = NULL;
        return -1;
    }
    r->producer = (uint32_t *)(void *)((uint8_t *)r->map + off->producer);
    r->consumer = (uint32_t *)(void *)((uint8_t *)r->map + off->consumer);
    r->flags = (uint32_t *)(void *)((uint8_t *)r->map + off->flags);
    r->desc = (uint8_t *)r->map + off->desc;
    r->mask = count - 1;
    return 0;
}

static int set_size(struct xsk *x, int option, uint32_t count)
{
    return setsockopt(x->fd, SOL_XDP, option, &count, sizeof(count));
}

static const char *make_rings(struct xsk *x, uint32_t ring)
{
    struct xdp_mmap_offsets off;
    socklen_t len = sizeof(off);

    if (set_size(x, XDP_UMEM_FILL_RING, x->nframes) || set_size(x, XDP_UMEM_COMPLETION_RING, ring) ||
        set_size(x, XDP_RX_RING, ring) || set_size(x, XDP_TX_RING, ring))
        return "rings";
    if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) < 0)
        return "the rings' shape";
    if (map_ring(x, &x->fill, &off.fr, sizeof(uint64_t), x->nframes, (off_t)XDP_UMEM_PGOFF_FILL_RING) ||
        map_ring(x, &x->completed, &off.cr, sizeof(uint64_t), ring, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING) ||
        map_ring(x, &x->rx, &off.rx, sizeof(struct xdp_desc), ring, XDP_PGOFF_RX_RING) ||
        map_ring(x, &x->tx, &off.tx, sizeof(struct xdp_desc), ring, (off_t)XDP_PGOFF_TX_RING))
        return "mapping the rings";
    return NULL;
}

/* ---- opening ---- */

/* The frames are locked: root may raise its limit (and what it becomes later keeps that), others have what they were given. */
static void raise_memlock(void)
{
    struct rlimit now, want = {RLIM_INFINITY, RLIM_INFINITY};

    if (getrlimit(RLIMIT_MEMLOCK, &now) || now.rlim_cur == RLIM_INFINITY)
        return;
    if (setrlimit(RLIMIT_MEMLOCK, &want)) {
        want.rlim_cur = want.rlim_max = now.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &want);
    }
}

int xsk_socket(void)
{
    return socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
}

const char *xsk_open(struct xsk *x, int fd, uint32_t frame_bytes, uint32_t nframes, uint32_t ring)
{
    size_t bytes = (size_t)frame_bytes * nframes;
    struct xdp_umem_reg reg = {.len = bytes, .chunk_size = frame_bytes};

    *x = (struct xsk){.fd = fd >= 0 ? fd : xsk_socket(), .frame_bytes = frame_bytes, .nframes = nframes};
    if (x->fd < 0)
        return "socket (CAP_NET_RAW?)";
    x->idle = calloc(nframes, sizeof(*x->idle));
    x->frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (x->frames == MAP_FAILED)
        x->frames = NULL;
    if (!x->idle || !x->frames) {
        errno = ENOMEM;
        return "memory for frames";
    }
    while (x->nidle < nframes) {
        x->idle[x->nidle] = x->nidle;
        x->nidle++;
    }
    raise_memlock();
    reg.addr = (uintptr_t)x->frames;
    if (setsockopt(x->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0)
        return "locked memory for frames (ulimit -l, CAP_IPC_LOCK?)";
    return make_rings(x, ring);
}

const char *xsk_bind(struct xsk *x, int ifindex, uint32_t queue)
{
    struct sockaddr_xdp sa = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_NEED_WAKEUP, .sxdp_ifindex = (uint32_t)ifindex, .sxdp_queue_id = queue};
    struct xdp_options opt = {0};
    socklen_t len = sizeof(opt);
    int err = -1;

    for (unsigned i = 0; i < XSK_BUSY_TRIES && err < 0; i++) {
        err = bind(x->fd, (struct sockaddr *)&sa, sizeof(sa));
        if (err < 0 && (errno != EBUSY || usleep(XSK_BUSY_WAIT_US) < 0))
            break;
    }
    if (err < 0)
        return "bind to a queue";
    x->is_zero_copy = getsockopt(x->fd, SOL_XDP, XDP_OPTIONS, &opt, &len) == 0 && (opt.flags & XDP_OPTIONS_ZEROCOPY);
    return NULL;
}

void xsk_close(struct xsk *x)
{
    struct xsk_ring *rings[] = {&x->fill, &x->completed, &x->rx, &x->tx};

    if (x->fd >= 0)
        close(x->fd);
    for (unsigned i = 0; i < 4; i++)
        if (rings[i]->map)
            munmap(rings[i]->map, rings[i]->map_len);
    if (x->frames)
        munmap(x->frames, (size_t)x->frame_bytes * x->nframes);
    free(x->idle);
    *x = (struct xsk){.fd = -1};
}

/* ---- receiving ---- */

void xsk_fill(struct xsk *x, uint32_t spare)
{
    uint64_t *at = x->fill.desc;
    uint32_t n = x->nidle > spare ? x->nidle - spare : 0, space = room(&x->fill);

    for (n = n < space ? n : space; n > 0; n--)
        at[x->fill.head++ & x->fill.mask] = (uint64_t)x->idle[--x->nidle] * x->frame_bytes;
    publish(&x->fill);
    if (wants_wakeup(&x->fill))
        (void)!recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

bool xsk_recv(struct xsk *x, uint32_t *number, uint8_t **data, uint32_t *len)
{
    const struct xdp_desc *d = x->rx.desc;

    if (x->rx.head == x->rx.tail && !ready(&x->rx))
        return false;
    d += x->rx.head++ & x->rx.mask;
    *number = (uint32_t)(d->addr / x->frame_bytes);
    *data = x->frames + d->addr;
    *len = d->len;
    release(&x->rx);
    return true;
}

void xsk_free(struct xsk *x, uint32_t number)
{
    x->idle[x->nidle++] = number;
}

/* ---- sending ---- */

static void reclaim(struct xsk *x)
{
    const uint64_t *at = x->completed.desc;

    for (uint32_t n = ready(&x->completed); n > 0; n--)
        xsk_free(x, (uint32_t)(at[x->completed.head++ & x->completed.mask] / x->frame_bytes));
    release(&x->completed);
}

uint8_t *xsk_send_room(struct xsk *x, uint32_t *number)
{
    if (x->nidle == 0)
        reclaim(x);
    if (x->nidle == 0 || room(&x->tx) == 0)
        return NULL;
    *number = x->idle[--x->nidle];
    return x->frames + (size_t)*number * x->frame_bytes;
}

void xsk_send(struct xsk *x, uint32_t number, uint32_t len)
{
    struct xdp_desc *d = x->tx.desc;

    d[x->tx.head++ & x->tx.mask] = (struct xdp_desc){.addr = (uint64_t)number * x->frame_bytes, .len = len};
}

uint32_t xsk_kick(struct xsk *x)
{
    uint32_t left;

    publish(&x->tx);
    for (unsigned i = 0; i < KICKS && (left = x->tx.mask + 1 - room(&x->tx)) > 0; i++) {
        if (!wants_wakeup(&x->tx))
            break;
        if (sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EINTR)
            break;
        reclaim(x);
    }
    reclaim(x);
    return x->tx.mask + 1 - room(&x->tx);
}

uint64_t xsk_drops(const struct xsk *x)
{
    struct xdp_statistics st = {0};
    socklen_t len = sizeof(st);

    if (getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &st, &len) < 0)
        return 0;
    return st.rx_dropped + st.rx_ring_full + st.rx_fill_ring_empty_descs;
}
