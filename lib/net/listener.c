/* listener.c: bind, listen, learn the address (listener.h) */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "drivers/ifinfo.h"

#define LISTEN_BACKLOG 256

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa)
{
    memset(sa, 0, sizeof(*sa));
    if (e->ip_len == 4) {
        struct sockaddr_in *in = (void *)sa;

        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (void *)sa;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(e->port);
    memcpy(&in6->sin6_addr, e->ip, 16);
    return sizeof(*in6);
}

struct endpoint endpoint_of_sockaddr(const struct sockaddr_storage *sa)
{
    struct endpoint e = {.ip_len = 4};

    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        memcpy(e.ip, &in->sin_addr, 4);
        e.port = ntohs(in->sin_port);
        return e;
    }
    const struct sockaddr_in6 *in6 = (const void *)sa;

    e.port = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memcpy(e.ip, in6->sin6_addr.s6_addr + 12, 4);
    } else {
        memcpy(e.ip, &in6->sin6_addr, 16);
        e.ip_len = 16;
    }
    return e;
}

static int listen_on(struct listener *l, const struct endpoint *e, enum listener_share share)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(e, &sa);
    int one = 1, zero = 0;

    l->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return -1;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (sa.ss_family == AF_INET6)
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (share == LISTENER_NEXT)
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(l->fd, (struct sockaddr *)&sa, len) == 0) {
        if (share == LISTENER_FIRST)
            setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        if (listen(l->fd, LISTEN_BACKLOG) == 0)
            return 0;
    }
    int saved = errno;

    close(l->fd);
    l->fd = -1;
    errno = saved;
    return -1;
}

/* What peers on the same network dial: the bound address, or the default interface's when bound to any. */
static void learn_listen(struct listener *l, bool is_any)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct ifinfo info;
    char ignored[256];

    getsockname(l->fd, (struct sockaddr *)&sa, &len);
    l->listen = endpoint_of_sockaddr(&sa);
    if (!is_any)
        return;
    l->listen.ip_len = 0;
    if (ifinfo_get(NULL, &info, ignored) < 0)
        return;
    if (info.has_ip4) {
        memcpy(l->listen.ip, info.ip4, 4);
        l->listen.ip_len = 4;
    } else if (info.has_ip6 && sa.ss_family == AF_INET6) {
        memcpy(l->listen.ip, info.ip6, 16);
        l->listen.ip_len = 16;
    }
}

/* "address" or "address/len". */
static bool parse_ip(const char *text, struct endpoint *e)
{
    char ip[64];

    snprintf(ip, sizeof(ip), "%.*s", (int)strcspn(text, "/"), text);
    e->ip_len = 4;
    if (inet_pton(AF_INET, ip, e->ip) == 1)
        return true;
    e->ip_len = 16;
    return inet_pton(AF_INET6, ip, e->ip) == 1;
}

int listener_open(struct listener *l, const char *listen_ip, uint16_t port, enum listener_share share, char err[256])
{
    struct endpoint e = {.ip_len = 16, .port = port};

    memset(l, 0, sizeof(*l));
    l->fd = -1;
    if (listen_ip && !parse_ip(listen_ip, &e)) {
        snprintf(err, 256, "\"%s\" is not an IP address to listen on", listen_ip);
        return -1;
    }
    if (listen_on(l, &e, share) < 0) {
        e.ip_len = listen_ip ? e.ip_len : 4; /* a machine without IPv6 */
        if (listen_ip || listen_on(l, &e, share) < 0) {
            snprintf(err, 256, "cannot listen on %s port %u: %s", listen_ip ? listen_ip : "any address", port,
                     strerror(errno));
            return -1;
        }
    }
    if (listen_ip) {
        e.port = 0;
        l->source_len = endpoint_to_sockaddr(&e, &l->source);
    }
    learn_listen(l, !listen_ip);
    return 0;
}
