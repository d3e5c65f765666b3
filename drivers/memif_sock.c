/* memif_sock.c: unix sockets that carry messages and descriptors (memif_sock.h) */
#include "drivers/memif_sock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int open_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int close_failed(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    return sa;
}

int memif_sock_call(const char *path)
{
    struct sockaddr_un sa = address(path);
    int fd = open_socket();

    return fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? fd : close_failed(fd);
}

int memif_sock_listen(const char *path)
{
    struct sockaddr_un sa = address(path);
    struct stat st;
    int other, fd;

    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        errno = ENOTSOCK; /* a call to it is refused too, but it is not ours to remove */
        return -1;
    }
    other = memif_sock_call(path);
    if (other < 0 && errno == ECONNREFUSED)
        unlink(path);
    if (other >= 0)
        close(other);
    fd = open_socket();
    return fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, BACKLOG) == 0 ? fd : close_failed(fd);
}

int memif_sock_accept(int fd)
{
    return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int memif_sock_send(int fd, const uint8_t msg[MEMIF_MSG_BYTES], int attached)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } ctl = {0};
    struct iovec iov = {(void *)(uintptr_t)msg, MEMIF_MSG_BYTES};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (attached >= 0) {
        mh.msg_control = &ctl;
        mh.msg_controllen = sizeof(ctl.room);
        ctl.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&ctl.head), &attached, sizeof(attached));
    }
    return sendmsg(fd, &mh, MSG_NOSIGNAL) == MEMIF_MSG_BYTES ? 0 : -1;
}

/* One is kept; the padding of a control message has room for more. */
static void take_fds(const struct cmsghdr *c, int *attached)
{
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
        if (*attached < 0)
            *attached = fd;
        else
            close(fd);
    }
}

ssize_t memif_sock_recv(int fd, uint8_t msg[MEMIF_MSG_BYTES + 1], int *attached)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int)) + 64]; /* and credentials, which some ask for */
    } ctl;
    struct iovec iov = {msg, MEMIF_MSG_BYTES + 1};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl)};
    ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);

    *attached = -1;
    if (n < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            take_fds(c, attached);
    return n;
}
