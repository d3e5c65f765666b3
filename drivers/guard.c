/* guard.c: listening sockets with IP_MINTTL 255 (guard.h) */
#include "drivers/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MINTTL     255
#define DIAL_LOW   10240 /* below the usual ephemeral range (32768..) and above what services use */
#define DIAL_HIGH  32768
#define DIAL_TRIES 64

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

/* One guarded port; -1 with errno. The TTL rule is set before listen: there is no moment in which a SYN is answered. */
static int guard_socket(const struct sockaddr *sa, socklen_t len)
{
    bool is_v6 = sa->sa_family == AF_INET6;
    int ttl = MINTTL, one = 1, fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

    if (fd < 0)
        return -1;
    /* A connection of a former kernel-driver run in TIME_WAIT must not keep the port from us. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        (!is_v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
        setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_MINHOPCOUNT : IP_MINTTL, &ttl, sizeof(ttl)) == 0 &&
        bind(fd, sa, len) == 0 && listen(fd, 1) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int guard_port4(const uint8_t ip[4], uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

    memcpy(&sa.sin_addr, ip, 4);
    return guard_socket((const struct sockaddr *)&sa, sizeof(sa));
}

static int guard_port6(const uint8_t ip[16], uint16_t port)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&sa.sin6_addr, ip, 16);
    return guard_socket((const struct sockaddr *)&sa, sizeof(sa));
}

static void release_from(struct guard *g, unsigned first)
{
    while (g->count > first)
        close(g->fds[--g->count]);
}

static bool keep(struct guard *g, int fd)
{
    if (fd >= 0)
        g->fds[g->count++] = fd;
    return fd >= 0;
}

/* The port of each family that there is, or of none: false with errno. */
static bool guard_port(struct guard *g, const uint8_t *ip, const uint8_t *ip6, uint16_t port)
{
    unsigned mark = g->count;

    if ((!ip || keep(g, guard_port4(ip, port))) && (!ip6 || keep(g, guard_port6(ip6, port))))
        return true;
    int saved = errno;
    release_from(g, mark);
    errno = saved;
    return false;
}

/* Takes the whole run [first, first+n) or nothing. */
static bool take_run(struct guard *g, const uint8_t *ip, const uint8_t *ip6, uint16_t first, uint16_t n)
{
    unsigned mark = g->count;

    for (uint16_t i = 0; i < n; i++) {
        if (!guard_port(g, ip, ip6, (uint16_t)(first + i))) {
            int saved = errno;

            release_from(g, mark);
            errno = saved;
            return false;
        }
    }
    g->dial_first = first;
    g->dial_count = n;
    return true;
}

static void say_taken(const uint8_t *ip, const uint8_t *ip6, uint16_t port, int error, char err[256])
{
    char text4[INET_ADDRSTRLEN] = "", text6[INET6_ADDRSTRLEN] = "";

    if (ip)
        inet_ntop(AF_INET, ip, text4, sizeof(text4));
    if (ip6)
        inet_ntop(AF_INET6, ip6, text6, sizeof(text6));
    snprintf(err, 256, "cannot guard TCP port %u on %s%s%s: %s", port, text4, ip && ip6 ? " and " : "", text6, strerror(error));
}

int guard_open(struct guard *g, const uint8_t *ip, const uint8_t *ip6, uint16_t listen_port, uint16_t dial_count,
               struct rng *rng, char err[256])
{
    memset(g, 0, sizeof(*g));
    if (listen_port && !guard_port(g, ip, ip6, listen_port)) {
        say_taken(ip, ip6, listen_port, errno, err);
        return -1;
    }
    if (!dial_count)
        return 0;
    for (unsigned i = 0; i < DIAL_TRIES; i++) {
        uint64_t runs = (DIAL_HIGH - DIAL_LOW) / dial_count;

        if (take_run(g, ip, ip6, (uint16_t)(DIAL_LOW + rng_below(rng, runs) * dial_count), dial_count))
            return 0;
        if (errno != EADDRINUSE && errno != EACCES)
            break;
    }
    snprintf(err, 256, "cannot reserve %u local ports for dialing: %s", dial_count, strerror(errno));
    return -1;
}

void guard_close(struct guard *g)
{
    release_from(g, 0);
    g->dial_count = 0;
}
