#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(char err[256], const char *what, const char *name)
{
    snprintf(err, 256, "%s %s: %s", what, name, strerror(errno));
    return -1;
}

static int open_ns(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "/run/netns/%s", name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int set_address(int s, struct ifreq *ifr, uint32_t ip4, unsigned long what)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip4)};

    memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
    return ioctl(s, what, ifr);
}

static int configure(const char *iface, const struct tap_config *cfg)
{
    struct ifreq ifr = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
    ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(ifr.ifr_hwaddr.sa_data, cfg->mac, 6);
    rc = s < 0 || ioctl(s, SIOCSIFHWADDR, &ifr);
    ifr.ifr_qlen = (int)cfg->queue;
    rc = rc || ioctl(s, SIOCSIFTXQLEN, &ifr);
    if (cfg->ip4)
        rc = rc || set_address(s, &ifr, cfg->ip4, SIOCSIFADDR) || set_address(s, &ifr, cfg->mask, SIOCSIFNETMASK);
    rc = rc || ioctl(s, SIOCGIFFLAGS, &ifr);
    ifr.ifr_flags |= IFF_UP;
    rc = rc || ioctl(s, SIOCSIFFLAGS, &ifr);
    if (s >= 0)
        close(s);
    return rc ? -1 : 0;
}

static int open_here(struct tap *t, const struct tap_config *cfg, char err[256])
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = 10;

    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", cfg->iface);
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd < 0)
        return fail(err, "open", "/dev/net/tun");
    if (ioctl(t->fd, TUNSETIFF, &ifr))
        return fail(err, "make the interface", cfg->iface);
    if (ioctl(t->fd, TUNSETVNETHDRSZ, &header) || ioctl(t->fd, TUNSETOFFLOAD, cfg->is_plain ? 0 : TUN_F_CSUM | TUN_F_TSO4))
        return fail(err, "offloads of", cfg->iface);
    memcpy(t->iface, ifr.ifr_name, sizeof(t->iface));
    if (configure(t->iface, cfg))
        return fail(err, "configure", t->iface);
    return 0;
}

int tap_open(struct tap *t, const struct tap_config *cfg, char err[256])
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), rc;

    t->fd = -1;
    t->ns = cfg->ns ? open_ns(cfg->ns) : -1;
    if (home < 0 || (cfg->ns && (t->ns < 0 || setns(t->ns, CLONE_NEWNET)))) {
        rc = fail(err, "namespace", cfg->ns ? cfg->ns : "of this process");
    } else {
        rc = open_here(t, cfg, err);
        if (cfg->ns && setns(home, CLONE_NEWNET) && rc == 0)
            rc = fail(err, "back from namespace", cfg->ns);
    }
    if (home >= 0)
        close(home);
    if (rc)
        tap_close(t);
    return rc;
}

void tap_close(struct tap *t)
{
    if (t->fd >= 0)
        close(t->fd);
    if (t->ns >= 0)
        close(t->ns);
    t->fd = t->ns = -1;
}

static uint64_t read_dropped(const char *iface)
{
    FILE *f = fopen("/proc/thread-self/net/dev", "re");
    char line[512];
    uint64_t dropped = UINT64_MAX;
    size_t len = strlen(iface);

    while (f && fgets(line, sizeof(line), f)) {
        const char *p = line + strspn(line, " ");
        unsigned long long v;
        /* 8 figures of what came in, then packets, bytes, errors and drops of what went out */
        if (strncmp(p, iface, len) == 0 && p[len] == ':' &&
            sscanf(p + len + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &v) == 1)
            dropped = v;
    }
    if (f)
        fclose(f);
    return dropped;
}

uint64_t tap_dropped(const struct tap *t)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    uint64_t dropped = UINT64_MAX;

    if (home >= 0 && (t->ns < 0 || setns(t->ns, CLONE_NEWNET) == 0)) {
        dropped = read_dropped(t->iface);
        if (t->ns >= 0 && setns(home, CLONE_NEWNET))
            dropped = UINT64_MAX;
    }
    if (home >= 0)
        close(home);
    return dropped;
}
