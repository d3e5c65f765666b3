/* ifinfo.c: reads the kernel's facts of an interface (ifinfo.h) */
#include "drivers/ifinfo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTE_TEXT_MAX  65536
#define RTF_UP_BIT      0x1
#define RTF_GATEWAY_BIT 0x2
#define IFA_UNFIT       (0x01 | 0x08 | 0x20 | 0x40) /* temporary, refused, deprecated, tentative */

static uint8_t prefix_of(uint32_t mask_be)
{
    return (uint8_t)__builtin_popcount(mask_be);
}

bool ifinfo_parse_route(const char *text, char name[IF_NAMESIZE], uint8_t gateway[4])
{
    const char *line = strchr(text, '\n'); /* past the heading */

    while (line && line[1]) {
        char iface[IF_NAMESIZE];
        unsigned dest, gw, flags, mask;

        line++;
        if (sscanf(line, "%15s %x %x %x %*d %*u %*d %x", iface, &dest, &gw, &flags, &mask) == 5 &&
            dest == 0 && mask == 0 && (flags & RTF_UP_BIT) && (!name[0] || strcmp(name, iface) == 0)) {
            uint32_t be =
                (flags & RTF_GATEWAY_BIT) ? gw : 0; /* the file prints it as the host reads the bytes */

            memcpy(gateway, &be, 4);
            if (!name[0])
                snprintf(name, IF_NAMESIZE, "%s", iface);
            return true;
        }
        line = strchr(line, '\n');
    }
    return false;
}

static bool parse_hex16(const char *hex, uint8_t ip[16])
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned byte;

        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        ip[i] = (uint8_t)byte;
    }
    return true;
}

bool ifinfo_parse_inet6(const char *text, const char *name, const uint8_t *wanted, uint8_t ip[16], uint8_t *prefix)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        char hex[33], iface[IF_NAMESIZE];
        unsigned len, scope, flags;

        if (sscanf(line, "%32[0-9a-f] %*x %x %x %x %15s", hex, &len, &scope, &flags, iface) == 5 && len <= 128 && scope == 0 &&
            !(flags & IFA_UNFIT) && strcmp(iface, name) == 0 && strlen(hex) == 32 && parse_hex16(hex, ip) &&
            (!wanted || memcmp(ip, wanted, 16) == 0)) {
            *prefix = (uint8_t)len;
            return true;
        }
    }
    return false;
}

bool ifinfo_parse_route6(const char *text, char name[IF_NAMESIZE], uint8_t gateway[16])
{
    static const uint8_t none[16];
    unsigned best = UINT32_MAX;
    bool is_any = !name[0];

    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        char to[33], hex[33], iface[IF_NAMESIZE];
        unsigned len, metric, flags;
        uint8_t gw[16];

        if (sscanf(line, "%32[0-9a-f] %x %*32s %*x %32[0-9a-f] %x %*x %*x %x %15s", to, &len, hex, &metric, &flags, iface) == 6 &&
            len == 0 && (flags & RTF_UP_BIT) && (flags & RTF_GATEWAY_BIT) && (is_any || strcmp(iface, name) == 0) && strlen(hex) == 32 &&
            parse_hex16(hex, gw) && memcmp(gw, none, 16) != 0 && metric < best) {
            best = metric;
            memcpy(gateway, gw, 16);
            if (is_any)
                snprintf(name, IF_NAMESIZE, "%s", iface);
        }
    }
    return best != UINT32_MAX;
}

/* The file's text, to be freed; NULL when it cannot be read. */
static char *read_proc(const char *path)
{
    char *text = malloc(ROUTE_TEXT_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;

    if (!text || fd < 0) {
        free(text);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    while (len < ROUTE_TEXT_MAX - 1) {
        ssize_t n = read(fd, text + len, ROUTE_TEXT_MAX - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = 0;
    close(fd);
    return text;
}

static bool default_route(char name[IF_NAMESIZE], uint8_t gateway[4])
{
    char *text = read_proc("/proc/net/route");
    bool found = text && ifinfo_parse_route(text, name, gateway);

    free(text);
    return found;
}

bool ifinfo_choose_ip6(struct ifinfo *out, const uint8_t *wanted)
{
    char *addrs = read_proc("/proc/net/if_inet6"), *routes = read_proc("/proc/net/ipv6_route");
    char route_name[IF_NAMESIZE];

    memcpy(route_name, out->name, sizeof(route_name));
    out->has_ip6 = addrs && ifinfo_parse_inet6(addrs, out->name, wanted, out->ip6, &out->ip6_prefix);
    if (!out->has_ip6)
        memset(out->ip6, 0, 16);
    if (!out->has_ip6 || !routes || !ifinfo_parse_route6(routes, route_name, out->gateway6))
        memset(out->gateway6, 0, 16);
    free(addrs);
    free(routes);
    return out->has_ip6;
}

static uint16_t mtu_of(const char *name)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0;

    if (fd < 0)
        return 0;
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    if (ioctl(fd, SIOCGIFMTU, &ifr) == 0)
        mtu = ifr.ifr_mtu;
    close(fd);
    return (uint16_t)(mtu > 65535 ? 65535 : mtu);
}

static void add_address(struct ifinfo *out, const struct ifaddrs *a)
{
    if (a->ifa_addr->sa_family == AF_PACKET) {
        const struct sockaddr_ll *ll = (const void *)a->ifa_addr;

        if (ll->sll_halen == 6) {
            memcpy(out->mac, ll->sll_addr, 6);
            out->has_mac = true;
        }
    } else if (a->ifa_addr->sa_family == AF_INET && !out->has_ip4) {
        memcpy(out->ip4, &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr, 4);
        if (a->ifa_netmask)
            out->ip4_prefix =
                prefix_of(((const struct sockaddr_in *)(const void *)a->ifa_netmask)->sin_addr.s_addr);
        out->has_ip4 = true;
    }
}

static int fill(const struct ifaddrs *list, const char *name, struct ifinfo *out, char err[256])
{
    bool is_found = false;

    memset(out, 0, sizeof(*out));
    snprintf(out->name, sizeof(out->name), "%s", name);
    for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
        if (strcmp(a->ifa_name, out->name) != 0)
            continue;
        is_found = true;
        out->is_up = (a->ifa_flags & IFF_UP) && (a->ifa_flags & IFF_RUNNING);
        out->is_loopback = a->ifa_flags & IFF_LOOPBACK;
        if (a->ifa_addr)
            add_address(out, a);
    }
    if (!is_found) {
        snprintf(err, 256, "NET_IFACE: there is no interface \"%.*s\"", IF_NAMESIZE, name);
        return -1;
    }
    out->index = (int)if_nametoindex(out->name);
    out->mtu = mtu_of(out->name);
    char route_name[IF_NAMESIZE];
    memcpy(route_name, out->name, sizeof(route_name));
    default_route(route_name, out->gateway4);
    ifinfo_choose_ip6(out, NULL);
    return 0;
}

static bool default_route6(char name[IF_NAMESIZE])
{
    char *text = read_proc("/proc/net/ipv6_route");
    uint8_t gateway[16];
    bool found = text && ifinfo_parse_route6(text, name, gateway);

    free(text);
    return found;
}

static bool is_of_family(const struct ifaddrs *a, int family)
{
    if (!a->ifa_addr || a->ifa_addr->sa_family != family || (a->ifa_flags & IFF_LOOPBACK) || !(a->ifa_flags & IFF_UP))
        return false;
    return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr);
}

/* The only interface that has an address of this family; NULL: none (*other NULL), or several. */
static const char *only_of(const struct ifaddrs *list, int family, const char **other)
{
    const char *name = NULL;

    *other = NULL;
    for (const struct ifaddrs *a = list; a && !*other; a = a->ifa_next) {
        if (!is_of_family(a, family))
            continue;
        if (name && strcmp(name, a->ifa_name) != 0)
            *other = a->ifa_name;
        else
            name = a->ifa_name;
    }
    return name;
}

/* The interface that could be meant when none is named: by IPv4, else by IPv6. */
static const char *likely(const struct ifaddrs *list, char route_name[IF_NAMESIZE], char err[256])
{
    const char *name, *other;
    uint8_t gateway[4];

    if (default_route(route_name, gateway))
        return route_name;
    name = only_of(list, AF_INET, &other);
    if (!name && default_route6(route_name))
        return route_name;
    if (!name)
        name = only_of(list, AF_INET6, &other);
    if (!name)
        snprintf(err, 256, "NET_IFACE: no interface with an IPv4 or IPv6 address is up");
    else if (other)
        snprintf(err, 256, "NET_IFACE: no default route and several interfaces (%s, %s): name one", name, other);
    return other ? NULL : name;
}

int ifinfo_get(const char *name, struct ifinfo *out, char err[256])
{
    struct ifaddrs *list;
    char route_name[IF_NAMESIZE] = "";
    int rc = -1;

    memset(out, 0, sizeof(*out));
    if (getifaddrs(&list) < 0) {
        snprintf(err, 256, "cannot list interfaces: %s", strerror(errno));
        return -1;
    }
    if (!name)
        name = likely(list, route_name, err);
    if (name)
        rc = fill(list, name, out, err);
    freeifaddrs(list);
    return rc;
}

int ifinfo_by_ip4(const uint8_t ip[4], struct ifinfo *out, char err[256])
{
    struct ifaddrs *list;
    int rc = -1;

    if (getifaddrs(&list) < 0) {
        snprintf(err, 256, "cannot list interfaces: %s", strerror(errno));
        return -1;
    }
    snprintf(err, 256, "no interface carries %u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET ||
            memcmp(&((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr, ip, 4) != 0)
            continue;
        rc = fill(list, a->ifa_name, out, err);
        if (rc == 0) {
            memcpy(out->ip4, ip, 4); /* an interface may carry several */
            if (a->ifa_netmask)
                out->ip4_prefix =
                    prefix_of(((const struct sockaddr_in *)(const void *)a->ifa_netmask)->sin_addr.s_addr);
        }
        break;
    }
    freeifaddrs(list);
    return rc;
}

int ifinfo_by_ip6(const uint8_t ip[16], struct ifinfo *out, char err[256])
{
    char text[INET6_ADDRSTRLEN];
    struct ifaddrs *list;
    int rc = -1;

    if (getifaddrs(&list) < 0) {
        snprintf(err, 256, "cannot list interfaces: %s", strerror(errno));
        return -1;
    }
    snprintf(err, 256, "no interface carries %s", inet_ntop(AF_INET6, ip, text, sizeof(text)));
    for (const struct ifaddrs *a = list; a && rc < 0; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET6 ||
            memcmp(&((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr, ip, 16) != 0)
            continue;
        rc = fill(list, a->ifa_name, out, err);
        if (rc == 0 && !ifinfo_choose_ip6(out, ip)) {
            snprintf(err, 256, "%s on %s is temporary, tentative or of the link alone", text, out->name);
            rc = -1;
        }
        break;
    }
    freeifaddrs(list);
    return rc;
}

static int parse_cidr(int family, const char *text, uint8_t *ip, unsigned long most, uint8_t *prefix)
{
    char buf[64];
    const char *slash = strchr(text, '/');
    char *end;
    unsigned long n;

    if (!slash || (size_t)(slash - text) >= sizeof(buf) || slash[1] < '0' || slash[1] > '9')
        return -1;
    memcpy(buf, text, (size_t)(slash - text));
    buf[slash - text] = 0;
    n = strtoul(slash + 1, &end, 10);
    if (*end || n > most || inet_pton(family, buf, ip) != 1)
        return -1;
    *prefix = (uint8_t)n;
    return 0;
}

int ifinfo_parse_cidr4(const char *text, uint8_t ip[4], uint8_t *prefix)
{
    return parse_cidr(AF_INET, text, ip, 32, prefix);
}

int ifinfo_parse_cidr6(const char *text, uint8_t ip[16], uint8_t *prefix)
{
    return parse_cidr(AF_INET6, text, ip, 128, prefix);
}
