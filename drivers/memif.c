/* memif.c: a memif port's life: found, lost, found again (memif.h) */
#include "drivers/memif.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/memif_pvt.h"

#define MTU_DEFAULT  1500
#define LOG2_DEFAULT 11 /* more than an L2 holds: lines that wait in the shared cache are had in a third of the time of those in the other core's */
#define GSO_BYTES    32768u        /* of one segment: 22 packets of 1500 bytes */
#define CALL_NS      100000000ull  /* between a client's calls */
#define PENANCE_NS   1000000000ull /* after an end that broke a rule, and between callers let in */
#define TALK_NS      2000000000ull /* for a whole conversation */
#define LOOK_NS      100000ull     /* between looks at the descriptors while there is no link */
#define START_MS     50            /* what opening waits for a server that is there */
#define STALL_NS     5000000000ull /* for a client to take anything while half a ring waits for it */
#define EVENTS       4

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the link comes and goes ---- */

static void on_gone(struct memif *m)
{
    m->counters.lost += m->is_up;
    m->is_lost |= m->is_up;
    m->is_up = false;
    m->is_armed = false;
    m->taken = 0;
    m->spare_used = 0;
}

static void on_up(struct memif *m)
{
    m->counters.found += m->was_up;
    m->was_up = m->is_up = true;
    m->is_armed = false;
    m->is_begun = false;
    m->is_full = false;
    m->moved_ns = clock_ns();
    m->moved_to = m->moved_next = 0;
    m->link.shm.send.ringer = &m->ringer;
    memif_ring_ask(&m->link.shm.recv, false);
}

void memif_break(struct memif *m, int rc)
{
    m->counters.resets++;
    m->next_call_ns = clock_ns() + PENANCE_NS;
    memif_link_refuse(&m->link, memif_err_name(rc));
    on_gone(m);
}

static void on_news(struct memif *m, int news, uint64_t now)
{
    if (news == MEMIF_NEWS_UP) {
        on_up(m);
    } else if (news == MEMIF_NEWS_GONE) {
        on_gone(m);
    } else if (news < 0) {
        m->counters.resets++;
        m->next_call_ns = now + PENANCE_NS;
        on_gone(m);
    }
}

/* A server's caller. One that holds the place and is dead says so by its socket. */
static void called(struct memif_seat *s, struct memif_link *caller, uint64_t now)
{
    struct memif *m = CONTAINER_OF(s, struct memif, seat);

    if (m->link.fd >= 0)
        on_news(m, memif_link_run(&m->link), now);
    if (m->link.fd >= 0 || now < m->next_call_ns) {
        memif_link_refuse(caller, m->link.fd >= 0 ? "already connected" : "not now");
        return;
    }
    m->next_call_ns = now + PENANCE_NS; /* who comes and goes at once has its memory mapped no more than once a second */
    on_news(m, memif_link_accept(caller, &m->link, m->epfd), now);
}

static void call(struct memif *m, uint64_t now)
{
    uint32_t stride = (m->frame_max + 63) & ~63u;
    int fd;

    if (now < m->next_call_ns)
        return;
    m->next_call_ns = now + CALL_NS;
    fd = memif_sock_call(m->path);
    if (fd < 0)
        return;
    memif_link_call(&m->link, fd, m->cfg.id, m->cfg.log2, stride, now);
    memif_link_watch(&m->link, m->epfd);
}

/* All that can have happened at sockets. */
static void run(struct memif *m, uint64_t now)
{
    if (m->link.fd >= 0)
        on_news(m, memif_link_run(&m->link), now);
    if (m->link.fd >= 0 && !m->is_up && now - m->link.begun_ns > TALK_NS) {
        memif_link_refuse(&m->link, memif_err_name(-MEMIF_ETIME));
        on_news(m, -MEMIF_ETIME, now);
    }
    if (m->listener)
        memif_listener_run(m->listener, now);
    else if (m->link.fd < 0)
        call(m, now);
}

static void look(struct memif *m)
{
    struct epoll_event ev[EVENTS];
    bool is_more = false;
    int n;

    m->is_looked = true;
    n = epoll_wait(m->epfd, ev, EVENTS, 0);
    for (int i = 0; i < n; i++)
        is_more |= ev[i].data.u32 != MEMIF_LINK_BELL; /* whose edge is taken by asking */
    if (is_more)
        run(m, clock_ns());
}

bool memif_may_run(struct memif *m)
{
    uint64_t now;

    if (m->is_up) {
        if (m->is_armed && !m->is_looked)
            look(m);
        return m->is_up;
    }
    now = clock_ns();
    if (now < m->next_look_ns)
        return false;
    m->next_look_ns = now + LOOK_NS;
    run(m, now);
    return m->is_up;
}

/* ---- the port ---- */

/* Not by the ring's bell: the other end decides whether a write to that waits. */
static void wake_self(const struct memif *m)
{
    const uint64_t one = 1;

    if (write(m->self_fd, &one, sizeof(one)) < 0)
        return; /* so often that it cannot be missed */
}

/* Whether all that the ring holds is the beginning of a frame, looked at already. */
static bool is_only_begun(const struct memif *m)
{
    const struct memif_ring *r = &m->link.shm.recv;

    return m->is_begun && (uint16_t)(r->next + r->ours) == m->begun_until;
}

/* Asked for before a sleep: from now on the other end rings. */
static int memif_wait_fd(struct pktio *io, bool wants_tx)
{
    struct memif *m = memif_of(io);
    int n;

    if (!m->is_up)
        return m->epfd;
    memif_ring_tell(&m->link.shm.send);
    if (!m->is_armed)
        memif_ring_ask(&m->link.shm.recv, true);
    m->is_armed = true;
    m->is_looked = false;
    n = memif_ring_look(&m->link.shm.recv);
    if (n > 0 && !is_only_begun(m))
        wake_self(m); /* came in between */
    else if (n < 0)
        memif_break(m, n);
    return m->epfd;
}

/* A client that takes nothing keeps its place from others for STALL_NS and no longer. It may give slots back many at a time, and be slow: only
 * when half of the ring is not ours, and more is to be sent, does it have to move. */
static void check_reader(struct memif *m, uint64_t now)
{
    struct memif_ring *r = &m->link.shm.send;
    int ours = memif_ring_look(r);
    uint16_t given = (uint16_t)(r->next + r->ours);
    bool is_owing = ours <= r->mask / 2 && (m->is_full || r->next != m->moved_next);

    if (ours < 0) {
        memif_break(m, ours);
    } else if (given != m->moved_to || !is_owing) {
        m->moved_to = given;
        m->moved_next = r->next;
        m->moved_ns = now;
        m->is_full = false;
    } else if (now - m->moved_ns > STALL_NS) {
        memif_break(m, -MEMIF_ETIME);
    }
}

static void memif_refresh(struct pktio *io)
{
    struct memif *m = memif_of(io);

    if (m->taken == 0)
        run(m, clock_ns());
    if (m->taken == 0 && m->is_up && m->listener)
        check_reader(m, clock_ns());
    io->link.is_up = m->is_up && !m->is_lost; /* who was lost and is back is down for once, so that it is noticed */
    m->is_lost = false;
}

static void memif_counters(struct pktio *io, struct pktio_counters *out)
{
    *out = memif_of(io)->counters;
}

static void memif_close(struct pktio *io)
{
    struct memif *m = memif_of(io);

    if (m->is_up)
        memif_ring_tell(&m->link.shm.send);
    memif_link_close(&m->link, "closing");
    if (m->listener)
        memif_listener_remove(m->listener, &m->seat);
    if (m->listener && !m->cfg.listener)
        memif_listener_free(m->listener);
    if (m->epfd >= 0)
        close(m->epfd);
    if (m->self_fd >= 0)
        close(m->self_fd);
    memif_bell_close(&m->ringer);
    free(m->spare);
    free(m);
}

static const struct pktio_ops memif_ops = {memif_recv, memif_recv_done, memif_send, memif_wait_fd, memif_refresh, memif_counters, memif_close, NULL, NULL};

/* ---- opening ---- */

static int listen_for(struct memif *m, char err[256])
{
    struct epoll_event ev = {.events = EPOLLIN};

    m->listener = m->cfg.listener ? m->cfg.listener : memif_listener_new(m->path, err);
    m->seat = (struct memif_seat){.id = m->cfg.id, .called = called};
    if (!m->listener)
        return -1;
    epoll_ctl(m->epfd, EPOLL_CTL_ADD, memif_listener_fd(m->listener), &ev);
    if (memif_listener_add(m->listener, &m->seat))
        return 0;
    snprintf(err, 256, "memif: id %u is there twice", m->cfg.id);
    return -1;
}

static void set_link(struct memif *m)
{
    struct pktio_link *l = &m->io.link;

    memcpy(l->mac, m->cfg.mac, 6);
    l->mac[0] = (uint8_t)((l->mac[0] & 0xfc) | 2);
    l->has_tx_csum = l->has_rx_csum = true;
    l->mtu = m->cfg.mtu;
    l->gso_max_bytes = GSO_BYTES;
    snprintf(m->io.text, sizeof(m->io.text), "memif %.70s id %u %s mtu %u", m->path, m->cfg.id, m->cfg.is_server ? "server" : "client", l->mtu);
}

/* What is sent to begin with would be lost without a link. */
static void wait_for_server(struct memif *m)
{
    uint64_t end = clock_ns() + START_MS * 1000000ull, now;

    while (m->link.fd >= 0 && !m->is_up && (now = clock_ns()) < end) {
        struct pollfd p = {m->link.fd, POLLIN, 0};

        poll(&p, 1, (int)((end - now) / 1000000) + 1);
        run(m, clock_ns());
    }
}

/* The descriptors that are a port's own. */
static bool open_fds(struct memif *m)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = MEMIF_LINK_BELL};

    memif_bell_open(&m->ringer);
    m->epfd = epoll_create1(EPOLL_CLOEXEC);
    m->self_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return m->epfd >= 0 && m->self_fd >= 0 && epoll_ctl(m->epfd, EPOLL_CTL_ADD, m->self_fd, &ev) == 0;
}

struct pktio *memif_open(const struct memif_config *cfg, char err[256])
{
    struct memif *m = aligned_alloc(64, sizeof(*m));

    if (!m) {
        snprintf(err, 256, "memif: no memory");
        return NULL;
    }
    *m = (struct memif){.cfg = *cfg, .io = {.ops = &memif_ops}, .link = MEMIF_LINK_CLOSED};
    snprintf(m->path, sizeof(m->path), "%s", cfg->socket);
    m->cfg.mtu = cfg->mtu ? cfg->mtu : MTU_DEFAULT;
    m->cfg.log2 = cfg->log2 ? cfg->log2 : LOG2_DEFAULT;
    m->frame_max = m->cfg.mtu + MEMIF_ETH_HEAD + MEMIF_TAG;
    m->spare = malloc((size_t)m->frame_max * PKTIO_BURST);
    if (!open_fds(m) || !m->spare) {
        snprintf(err, 256, "memif: %s", strerror(errno));
    } else if (!cfg->is_server || listen_for(m, err) == 0) {
        set_link(m);
        run(m, clock_ns());
        wait_for_server(m);
        memif_refresh(&m->io);
        return &m->io;
    }
    memif_close(&m->io);
    return NULL;
}
