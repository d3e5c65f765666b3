/* memif_listen.c: callers, until it is known whom they want (memif_listen.h) */
#include "drivers/memif_listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_NS 1000000000ull

struct memif_listener {
    int fd, epfd;
    char path[MEMIF_PATH_MAX];
    struct stat socket; /* the file that we made */
    struct memif_seat *seats;
    struct memif_link callers[MEMIF_CALLERS_MAX];
};

static int watch(const struct memif_listener *l, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN};

    return epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev);
}

static const char *why_not(int error)
{
    if (error == EADDRINUSE)
        return "another server is there already";
    return error == ENOTSOCK ? "a file is there that is no socket" : strerror(error);
}

struct memif_listener *memif_listener_new(const char *path, char err[256])
{
    struct memif_listener *l = calloc(1, sizeof(*l));

    if (!l) {
        snprintf(err, 256, "memif: no memory");
        return NULL;
    }
    snprintf(l->path, sizeof(l->path), "%s", path);
    for (unsigned i = 0; i < MEMIF_CALLERS_MAX; i++)
        l->callers[i] = MEMIF_LINK_CLOSED;
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->fd = l->epfd < 0 ? -1 : memif_sock_listen(path);
    if (l->fd >= 0 && stat(path, &l->socket) == 0 && watch(l, l->fd) == 0)
        return l;
    snprintf(err, 256, "memif at %.150s: %s", path, why_not(errno));
    memif_listener_free(l);
    return NULL;
}

void memif_listener_free(struct memif_listener *l)
{
    struct stat st;

    if (!l)
        return;
    for (unsigned i = 0; i < MEMIF_CALLERS_MAX; i++)
        memif_link_close(&l->callers[i], "closing");
    if (l->fd >= 0) {
        if (stat(l->path, &st) == 0 && st.st_ino == l->socket.st_ino && st.st_dev == l->socket.st_dev)
            unlink(l->path);
        close(l->fd);
    }
    if (l->epfd >= 0)
        close(l->epfd);
    free(l);
}

static struct memif_seat *find(const struct memif_listener *l, uint32_t id)
{
    struct memif_seat *s = l->seats;

    while (s && s->id != id)
        s = s->next;
    return s;
}

bool memif_listener_add(struct memif_listener *l, struct memif_seat *s)
{
    if (find(l, s->id))
        return false;
    s->next = l->seats;
    l->seats = s;
    return true;
}

void memif_listener_remove(struct memif_listener *l, struct memif_seat *s)
{
    for (struct memif_seat **at = &l->seats; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            return;
        }
}

int memif_listener_fd(const struct memif_listener *l)
{
    return l->epfd;
}

static void hear(struct memif_listener *l, struct memif_link *caller, uint64_t now)
{
    struct memif_seat *s;

    if (memif_link_run(caller) == MEMIF_NEWS_INIT) {
        s = find(l, caller->ctl.id);
        epoll_ctl(l->epfd, EPOLL_CTL_DEL, caller->fd, NULL);
        if (s)
            s->called(s, caller, now);
        else
            memif_link_refuse(caller, "nobody has this id here");
    } else if (caller->fd >= 0 && now - caller->begun_ns > PATIENCE_NS) {
        memif_link_refuse(caller, "too slow");
    }
}

/* false: nobody calls, or there is no place. */
static bool let_in(struct memif_listener *l, uint64_t now)
{
    struct memif_link *place = NULL;
    int fd;

    for (unsigned i = 0; i < MEMIF_CALLERS_MAX && !place; i++)
        if (l->callers[i].fd < 0)
            place = &l->callers[i];
    fd = place ? memif_sock_accept(l->fd) : -1;
    if (fd < 0)
        return false;
    memif_link_answer(place, fd, now);
    if (watch(l, fd) < 0)
        memif_link_close(place, "no memory");
    return true;
}

void memif_listener_run(struct memif_listener *l, uint64_t now)
{
    for (unsigned i = 0; i < MEMIF_CALLERS_MAX && let_in(l, now); i++)
        ;
    for (unsigned i = 0; i < MEMIF_CALLERS_MAX; i++)
        if (l->callers[i].fd >= 0)
            hear(l, &l->callers[i], now);
}
