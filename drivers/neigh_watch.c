/* neigh_watch.c: a netlink socket of the neighbours' group (neigh_watch.h) */
#include "drivers/neigh_watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int neigh_watch_open(struct neigh_watch *w, const char *iface)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_NEIGH};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    int queue = NEIGH_WATCH_QUEUE / 2; /* the kernel doubles it */

    memset(w, 0, sizeof(*w));
    w->fd = -1;
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue)); /* without, it is the host's default */
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    w->fd = fd;
    snprintf(w->iface, sizeof(w->iface), "%s", iface);
    return 0;
}

void neigh_watch_close(struct neigh_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

/* An interface that was made anew under its name has another number, and neighbours of its own. */
void neigh_watch_turn(struct neigh_watch *w)
{
    int ifindex = (int)if_nametoindex(w->iface);

    w->budget = NEIGH_WATCH_DATAGRAMS;
    w->may_ask = true;
    if (ifindex != w->ifindex)
        w->wants_dump = true;
    w->ifindex = ifindex;
}

static void miss(struct neigh_watch *w)
{
    w->overruns++;
    w->wants_dump = true;
}

/* The dump's end may be in what cannot be read. It is asked for anew next turn, when the kernel is done with this one. */
static void miss_datagram(struct neigh_watch *w)
{
    miss(w);
    w->is_dumping = w->may_ask = false;
}

/* The queue ran over. From then on until it is empty the kernel drops all news, and says so this once only. */
static void choke(struct neigh_watch *w)
{
    miss(w);
    w->is_choked = true;
}

/* Nothing is queued: news come again, and what was not answered by now will not be. */
static void drained(struct neigh_watch *w)
{
    if (w->is_choked)
        w->is_choked = w->is_dumping = false;
}

/* Another datagram of the kernel's. */
static bool receive(struct neigh_watch *w)
{
    while (w->budget > 0) {
        struct sockaddr_nl from = {0};
        struct iovec iov = {w->buf, sizeof(w->buf)};
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n = recvmsg(w->fd, &m, MSG_DONTWAIT);

        w->budget--;
        if (n < 0 && errno == ENOBUFS) {
            choke(w);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            drained(w);
        if (n <= 0)
            return false;
        if (from.nl_pid != 0)
            continue; /* some process, not the kernel */
        if (m.msg_flags & MSG_TRUNC) {
            miss_datagram(w);
            continue;
        }
        w->left = slice_of(w->buf, (size_t)n);
        return true;
    }
    return false;
}

/* Again next turn; what comes unasked is read all the same. */
static void refused(struct neigh_watch *w, bool is_denied)
{
    w->wants_dump = true;
    w->is_dumping = w->may_ask = false;
    w->is_denied |= is_denied;
}

/* Asks for the whole table when that is due and none is under way. Before anything else is read: events may be more than a turn's.
 * But after an overrun not before the queue is empty: what is queued is older than what was lost, and what changes meanwhile is lost too. */
static bool ask(struct neigh_watch *w)
{
    uint8_t request[NEIGH_NL_DUMP_BYTES];

    if (!w->wants_dump || w->is_choked || w->is_dumping || !w->may_ask || w->budget == 0)
        return false;
    neigh_nl_dump(request, ++w->seq);
    if (send(w->fd, request, sizeof(request), MSG_DONTWAIT) < 0) {
        refused(w, !neigh_nl_is_busy(errno));
        return false;
    }
    w->wants_dump = w->may_ask = false;
    w->is_dumping = true;
    return true;
}

bool neigh_watch_next(struct neigh_watch *w, struct neigh_news *out)
{
    enum neigh_nl kind;

    while (w->fd >= 0 && (w->left.len > 0 || ask(w) || receive(w) || ask(w))) {
        if (w->left.len == 0) { /* it was asked */
            *out = (struct neigh_news){.word = NEIGH_WORD_ANEW};
            return true;
        }
        switch (kind = neigh_nl_next(&w->left, out)) {
        case NEIGH_NL_NEWS:
            if (out->ifindex == w->ifindex)
                return true;
            break;
        case NEIGH_NL_DENIED:
        case NEIGH_NL_BUSY: refused(w, kind == NEIGH_NL_DENIED); break;
        case NEIGH_NL_DONE:
            w->is_denied = w->is_dumping = false;
            break;
        case NEIGH_NL_BAD: miss_datagram(w); break;
        case NEIGH_NL_END: break;
        }
    }
    return false;
}
