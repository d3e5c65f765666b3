/* memif_link.c: the conversation carried out (memif_link.h) */
#include "drivers/memif_link.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "drivers/memif_sock.h"

#define TURN_MAX 16 /* messages heard at once: a whole conversation */

void memif_link_call(struct memif_link *l, int fd, uint32_t id, uint8_t log2, uint32_t stride, uint64_t now)
{
    *l = (struct memif_link){.fd = fd, .epfd = -1, .log2 = log2, .stride = stride, .begun_ns = now};
    memif_ctl_init(&l->ctl, false, id);
}

void memif_link_answer(struct memif_link *l, int fd, uint64_t now)
{
    *l = (struct memif_link){.fd = fd, .epfd = -1, .begun_ns = now};
    memif_ctl_init(&l->ctl, true, 0);
}

static int say(struct memif_link *l)
{
    uint8_t msg[MEMIF_MSG_BYTES];
    int attached;

    while (memif_ctl_output(&l->ctl, msg, &attached))
        if (memif_sock_send(l->fd, msg, attached) < 0)
            return -1;
    return 0;
}

/* A descriptor that cannot be watched is still looked at each second. */
void memif_link_watch(struct memif_link *l, int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN};

    epoll_ctl(epfd, EPOLL_CTL_ADD, l->fd, &ev);
    l->epfd = epfd;
}

static int bell_of(const struct memif_link *l)
{
    return l->ctl.rings[l->ctl.is_server ? MEMIF_TO_SERVER : MEMIF_TO_CLIENT].fd;
}

/* Edges: each ring of the bell wakes once, and nobody has to read what it counts. */
static void watch_bell(struct memif_link *l)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = MEMIF_LINK_BELL};

    epoll_ctl(l->epfd, EPOLL_CTL_ADD, bell_of(l), &ev);
}

/* The other end has the bell too, so closing ours alone would leave it in the set. */
static void shut(struct memif_link *l)
{
    if (l->is_up)
        epoll_ctl(l->epfd, EPOLL_CTL_DEL, bell_of(l), NULL);
    memif_shm_drop(&l->shm, &l->ctl);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->is_up = false;
}

void memif_link_refuse(struct memif_link *l, const char *why)
{
    memif_ctl_refuse(&l->ctl, why);
    say(l);
    shut(l);
}

void memif_link_close(struct memif_link *l, const char *why)
{
    if (l->fd >= 0)
        memif_link_refuse(l, why);
}

/* What news ask of us; returns what they mean to our caller. */
static int act(struct memif_link *l, int news)
{
    uint8_t log2 = l->log2 < l->ctl.log2_max ? l->log2 : l->ctl.log2_max;
    int rc = news;

    if (news == MEMIF_NEWS_HELLO && (rc = memif_shm_make(&l->shm, &l->ctl, log2, l->stride)) == 0)
        memif_ctl_offer(&l->ctl);
    if (news == MEMIF_NEWS_CONNECT && (rc = memif_shm_take(&l->shm, &l->ctl)) == 0) {
        memif_ctl_accept(&l->ctl);
        rc = MEMIF_NEWS_UP;
    }
    if (rc == MEMIF_NEWS_UP) {
        l->is_up = true;
        memif_ring_start(&l->shm.recv);
        watch_bell(l);
    }
    return rc;
}

/* One message: what it brings, *is_none: there is none. */
static int hear(struct memif_link *l, bool *is_none)
{
    uint8_t msg[MEMIF_MSG_BYTES + 1];
    bool is_taken = false;
    int attached = -1, rc;
    ssize_t n = memif_sock_recv(l->fd, msg, &attached);

    *is_none = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (*is_none)
        return 0;
    rc = n <= 0 ? MEMIF_NEWS_GONE : memif_ctl_input(&l->ctl, slice_of(msg, (size_t)n), attached, &is_taken);
    if (attached >= 0 && !is_taken)
        close(attached);
    return rc > 0 ? act(l, rc) : rc;
}

int memif_link_run(struct memif_link *l)
{
    bool is_none = false;
    int rc = say(l) < 0 ? MEMIF_NEWS_GONE : 0;

    for (unsigned i = 0; i < TURN_MAX && rc == 0 && !is_none; i++) {
        rc = hear(l, &is_none);
        if (rc >= 0 && rc != MEMIF_NEWS_GONE && say(l) < 0)
            rc = MEMIF_NEWS_GONE;
    }
    if (rc < 0)
        memif_link_refuse(l, memif_err_name(rc));
    else if (rc == MEMIF_NEWS_GONE)
        shut(l);
    return rc;
}

int memif_link_accept(struct memif_link *l, struct memif_link *to, int epfd)
{
    *to = *l; /* nothing is mapped yet */
    *l = MEMIF_LINK_CLOSED;
    memif_link_watch(to, epfd);
    memif_ctl_accept(&to->ctl);
    return memif_link_run(to);
}
