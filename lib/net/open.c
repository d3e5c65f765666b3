/* open.c: opens the configured driver (open.h) */
#include "net/open.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "drivers/af_packet.h"
#include "drivers/af_xdp.h"
#include "drivers/capture.h"
#include "drivers/ethdev.h"
#include "drivers/memif.h"
#include "drivers/guard.h"
#include "drivers/ifinfo.h"
#include "drivers/mempair.h"
#include "net/select.h"
#include "net/transport_kernel.h"
#include "net/transport_tcp.h"
#include "tcp/tcp.h"

#define TAP_IFACE  "cctap0"
#define DIAL_PORTS 64 /* local ports of all roles; each serves any number of different remotes */
#define DIAL_LEAST 16 /* of one role */

#define IPV6_LEAST_MTU 1280

/* The same in every life of this identity, and of little use to others who know it: it only picks ports. */
static uint64_t seed_of_identity(const struct net_config *cfg)
{
    static const uint64_t seed[2] = {0x636f646563617374, 0};

    return cfg->identity ? siphash13(seed, slice_of(cfg->identity->key_pb, sizeof(cfg->identity->key_pb))) | 1
                         : 0;
}

static struct transport_tcp_config tcp_config(const struct net_config *cfg)
{
    return (struct transport_tcp_config){.listen_port = cfg->listen_port,
                                         .max_conns = cfg->max_conns,
                                         .max_half_open = cfg->max_handshakes * 4,
                                         .nroles = cfg->nroles,
                                         .dial_seed = seed_of_identity(cfg),
                                         .cc = cfg->tcp_cc,
                                         .ecn = cfg->tcp_ecn,
                                         .rng = cfg->rng};
}

static bool wants_no_ip6(const struct net_config *cfg)
{
    return cfg->addr6 && strcmp(cfg->addr6, "none") == 0;
}

static int own_address6(const struct net_config *cfg, struct transport_tcp_config *tc, char err[256])
{
    if (!cfg->addr6 || wants_no_ip6(cfg))
        return 0;
    if (ifinfo_parse_cidr6(cfg->addr6, tc->ip6, &tc->prefix6) < 0) {
        snprintf(err, 256, "NET_ADDR6: \"%.60s\" is not an IPv6 address with its network's length, as in fd00::10/64", cfg->addr6);
        return -1;
    }
    if (cfg->gateway6 && inet_pton(AF_INET6, cfg->gateway6, tc->gateway6) != 1) {
        snprintf(err, 256, "NET_GATEWAY6: \"%.60s\" is not an IPv6 address", cfg->gateway6);
        return -1;
    }
    return 0;
}

/* The address of a port that is ours alone: of IPv4, IPv6 or both. */
static int own_address(const struct net_config *cfg, struct transport_tcp_config *tc, char err[256])
{
    if (!cfg->addr && cfg->addr6 && !wants_no_ip6(cfg))
        return own_address6(cfg, tc, err);
    if (!cfg->addr || ifinfo_parse_cidr4(cfg->addr, tc->ip4, &tc->prefix) < 0) {
        snprintf(err, 256,
                 "NET_ADDR: the %s driver needs an address of its own, as in 172.28.0.10/16 (or NET_ADDR6), not \"%.40s\"",
                 net_driver_name(cfg->driver), cfg->addr ? cfg->addr : "");
        return -1;
    }
    if (cfg->gateway && inet_pton(AF_INET, cfg->gateway, tc->gateway4) != 1) {
        snprintf(err, 256, "NET_GATEWAY: \"%.40s\" is not an IPv4 address", cfg->gateway);
        return -1;
    }
    return own_address6(cfg, tc, err);
}

/* The port, or the one in front of it that hears its packets; NULL: closed. */
static struct pktio *captured(const struct net_config *cfg, struct pktio *port, char err[256])
{
    struct pktio *front;

    if (!port || !cfg->capture)
        return port;
    front = capture_port(cfg->capture, port, err);
    if (!front)
        pktio_close(port);
    return front;
}

/* The stack on a port; closes both port and guard when it cannot be. */
static struct transport *on_port(const struct net_config *cfg, const struct transport_tcp_config *tc, struct pktio *port,
                                 struct guard *guard, uint64_t now, char err[256])
{
    struct transport *t;

    port = captured(cfg, port, err);
    t = port ? transport_tcp_new(tc, port, guard, now, err) : NULL;

    if (t)
        return t;
    pktio_close(port);
    if (guard)
        guard_close(guard);
    free(guard);
    return NULL;
}

/* ---- af_packet and af_xdp ---- */

/* Not below IPv6's least MTU, unless it is asked for. */
static bool has_fit_ip6(const struct net_config *cfg, const struct ifinfo *info)
{
    return info->has_ip6 && !wants_no_ip6(cfg) && (info->mtu >= IPV6_LEAST_MTU || cfg->addr6);
}

/* The address that NET_ADDR6 names, without its length, if it does. */
static bool wanted_ip6(const struct net_config *cfg, uint8_t ip[16])
{
    char text[64];

    if (!cfg->addr6 || wants_no_ip6(cfg))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(cfg->addr6, "/"), cfg->addr6);
    return inet_pton(AF_INET6, text, ip) == 1;
}

/* Which interface and address: that of NET_ADDR, of NET_IFACE, of NET_ADDR6, or of the default route. */
static int shared_interface(const struct net_config *cfg, struct ifinfo *info, char err[256])
{
    const char *addr = cfg->addr ? cfg->addr : cfg->listen_ip;
    uint8_t ip[16];
    char text[32];

    if (addr) {
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(addr, "/"), addr);
        if (inet_pton(AF_INET, text, ip) != 1) {
            snprintf(err, 256, "NET_ADDR: \"%.40s\" is not an IPv4 address", addr);
            return -1;
        }
        if (ifinfo_by_ip4(ip, info, err) < 0)
            return -1;
    } else if (!cfg->iface && wanted_ip6(cfg, ip)) {
        if (ifinfo_by_ip6(ip, info, err) < 0)
            return -1;
    } else if (ifinfo_get(cfg->iface, info, err) < 0) {
        return -1;
    }
    if (info->is_loopback || !info->has_mac)
        snprintf(err, 256, "%s is not an Ethernet interface", info->name);
    else if (!info->has_ip4 && !has_fit_ip6(cfg, info))
        snprintf(err, 256, "NET_IFACE: %s has neither an IPv4 address nor a lasting IPv6 one that is not switched off", info->name);
    else
        return 0;
    return -1;
}

/* The interface's IPv6 address, if it has one that lasts, or the one of NET_ADDR6. -1: that one is not there. */
static int shared_ip6(const struct net_config *cfg, struct ifinfo *info, char err[256])
{
    uint8_t ip[16];

    if (!cfg->addr6 || wants_no_ip6(cfg)) {
        info->has_ip6 = has_fit_ip6(cfg, info);
        return 0;
    }
    if (wanted_ip6(cfg, ip) && ifinfo_choose_ip6(info, ip))
        return 0;
    snprintf(err, 256, "NET_ADDR6: %s has no IPv6 address \"%.60s\"", info->name, cfg->addr6);
    return -1;
}

static struct pktio *port_af_packet(const struct transport_tcp_config *tc, unsigned role, const char *iface, char err[256])
{
    struct af_packet_config c = {.iface = iface, .listen_port = tc->listen_port, .dial_first = tc->dial_first, .dial_count = tc->dial_count,
                                 .role = role, .nroles = tc->nroles};

    memcpy(c.ip4, tc->ip4, 4);
    memcpy(c.ip6, tc->ip6, 16);
    return af_packet_open(&c, err);
}

static struct pktio *port_af_xdp(const struct transport_tcp_config *tc, const char *iface, char err[256])
{
    struct af_xdp_config c = {.iface = iface, .listen_port = tc->listen_port, .dial_first = tc->dial_first, .dial_count = tc->dial_count};

    memcpy(c.ip4, tc->ip4, 4);
    memcpy(c.ip6, tc->ip6, 16);
    return af_xdp_open(&c, err);
}

/* Of each role: a power of two, so that all of them are one. */
static uint16_t dial_ports_each(unsigned nroles)
{
    uint16_t each = DIAL_PORTS;

    while (each > DIAL_LEAST && each * nroles > DIAL_PORTS)
        each /= 2;
    return each;
}

static unsigned next_power(unsigned n)
{
    unsigned p = 1;

    while (p < n)
        p *= 2;
    return p;
}

/* The kernel's sockets that are silent on our ports: role 0 opens them for all. Where our IPv6 ports are taken and nobody asked
 * for IPv6, we do without it. NULL with err. */
static struct guard *open_guard(const struct net_config *cfg, const struct ifinfo *info, uint64_t dial_seed, struct net_share *share, char err[256])
{
    struct guard *guard = calloc(1, sizeof(*guard));
    int rc = -1;

    if (!guard) {
        snprintf(err, 256, "no memory");
        return NULL;
    }
    share->dial_each = dial_ports_each(cfg->nroles);
    share->has_ip6 = info->has_ip6;
    for (unsigned tries = 0; rc < 0 && tries < 2; tries++) {
        struct rng usual; /* the ports of the last life, if they are free */

        rng_init_seeded(&usual, dial_seed);
        rc = guard_open(guard, info->has_ip4 ? info->ip4 : NULL, share->has_ip6 ? info->ip6 : NULL, cfg->listen_port,
                        (uint16_t)(share->dial_each * next_power(cfg->nroles)), &usual, err);
        if (rc == 0)
            break;
        guard_close(guard);
        if (!share->has_ip6 || cfg->addr6 || !info->has_ip4)
            break;
        share->has_ip6 = false;
    }
    if (rc < 0) {
        free(guard);
        return NULL;
    }
    share->dial_first = guard->dial_first;
    return guard;
}

/* A port beside the kernel: our TCP on its address, its sockets silent on our ports. */
static struct transport *open_shared(const struct net_config *cfg, struct net_share *first, struct net_share *share,
                                     enum net_driver driver, uint64_t now, char err[256])
{
    struct transport_tcp_config tc = tcp_config(cfg);
    struct pktio *port;
    struct guard *guard = NULL;
    struct ifinfo info;

    if (shared_interface(cfg, &info, err) < 0 || shared_ip6(cfg, &info, err) < 0)
        return NULL;
    /* First the guard, then the port: the kernel never sees a packet of ours unguarded. */
    if (first)
        *share = *first;
    else if (!(guard = open_guard(cfg, &info, tc.dial_seed, share, err)))
        return NULL;
    memcpy(tc.ip4, info.ip4, 4);
    memcpy(tc.gateway4, info.gateway4, 4);
    tc.prefix = info.ip4_prefix;
    if (share->has_ip6) {
        memcpy(tc.ip6, info.ip6, 16);
        memcpy(tc.gateway6, info.gateway6, 16);
        tc.prefix6 = info.ip6_prefix;
    }
    tc.dial_first = (uint16_t)(share->dial_first + cfg->role * share->dial_each);
    tc.dial_count = share->dial_each;
    tc.iface = info.name;
    port = driver == NET_AF_XDP ? port_af_xdp(&tc, info.name, err) : port_af_packet(&tc, cfg->role, info.name, err);
    return on_port(cfg, &tc, port, guard, now, err);
}

static const char *why_not_af_packet(const struct net_config *cfg, char text[256])
{
    struct ifinfo info;

    if (af_packet_probe() != 0)
        return "no CAP_NET_RAW";
    return shared_interface(cfg, &info, text) < 0 ? text : NULL;
}

/* ---- the others ---- */

/* A tap's kernel end is for the host to plug into a bridge; address and neighbours are ours alone. */
static int tap_port(const struct net_config *cfg, struct pktio **ports, char err[256])
{
    struct ethdev_wishes w = {.vlan = cfg->vlan, .mtu = cfg->mtu};
    uint8_t mac[6];

    rng_fill(cfg->rng, mac, sizeof(mac));
    ports[0] = ethdev_open_tap(cfg->iface ? cfg->iface : TAP_IFACE, mac, &w, err);
    return ports[0] ? 1 : -1;
}

/* A NIC of our own, by its PCI address. */
static int vfio_ports(const struct net_config *cfg, struct pktio **ports, unsigned wanted, char err[256])
{
    struct ethdev_wishes w = {.queues = (uint16_t)wanted, .vlan = cfg->vlan, .mtu = cfg->mtu, .has_ip6 = cfg->addr6 && !wants_no_ip6(cfg)};

    if (cfg->pci)
        return ethdev_open_pci(cfg->pci, &w, ports, wanted, err);
    snprintf(err, 256, "NET_PCI: the vfio driver needs a NIC's PCI address, as in 0000:3b:00.0");
    return -1;
}

static int memif_port(const struct net_config *cfg, struct pktio **ports, char err[256])
{
    struct memif_config m = {.socket = cfg->memif, .id = cfg->memif_id, .is_server = cfg->is_memif_server, .vlan = cfg->vlan, .mtu = cfg->mtu};

    if (!cfg->memif) {
        snprintf(err, 256, "NET_MEMIF: the memif driver needs the path of a socket");
        return -1;
    }
    rng_fill(cfg->rng, m.mac, sizeof(m.mac));
    ports[0] = memif_open(&m, err);
    return ports[0] ? 1 : -1;
}

/* Once for each of up to `wanted` queues. Returns how many, at least 1, or -1. */
static int own_ports(const struct net_config *cfg, struct pktio **ports, unsigned wanted, char err[256])
{
    switch (cfg->driver) {
    case NET_TAP: return tap_port(cfg, ports, err);
    case NET_VFIO: return vfio_ports(cfg, ports, wanted, err);
    case NET_MEMIF: return memif_port(cfg, ports, err);
    default: snprintf(err, 256, "%s: no end of a cable was given", net_driver_name(cfg->driver)); return -1;
    }
}

void net_share_close(struct net_share *share)
{
    for (unsigned i = 0; i < NET_ROLES_MAX; i++) {
        pktio_close(share->ports[i]);
        share->ports[i] = NULL;
    }
}

/* Role 0 opens the port for all, once for each queue; NULL with err. */
static struct pktio *own_port(const struct net_config *cfg, struct net_share *first, struct net_share *share, char err[256])
{
    struct net_share *from = first ? first : share;
    struct pktio *port;
    int n;

    if (cfg->port)
        return cfg->port;
    if (!first) {
        n = own_ports(cfg, share->ports, cfg->nroles ? cfg->nroles : 1, err);
        if (n > 0 && (unsigned)n < cfg->nroles) {
            snprintf(err, 256, "%s: %d net roles can share this NIC (by RSS queues), not %u: --net-lcores", net_driver_name(cfg->driver), n, cfg->nroles);
            net_share_close(share);
        }
    }
    port = from->ports[cfg->role];
    from->ports[cfg->role] = NULL;
    return port;
}

/* A port whose address is ours alone. */
static struct transport *open_own(const struct net_config *cfg, struct net_share *first, struct net_share *share, uint64_t now, char err[256])
{
    struct transport_tcp_config tc = tcp_config(cfg);
    struct transport *t;

    if (own_address(cfg, &tc, err) < 0)
        return NULL;
    t = on_port(cfg, &tc, own_port(cfg, first, share, err), NULL, now, err);
    if (!t && !first)
        net_share_close(share);
    return t;
}

static struct transport *open_kernel(const struct net_config *cfg, const struct net_share *first, char err[256])
{
    enum listener_share share = cfg->nroles < 2 ? LISTENER_ALONE : first ? LISTENER_NEXT : LISTENER_FIRST;

    if (!cfg->capture)
        return transport_kernel_new(cfg->listen_ip, first ? first->listen_port : cfg->listen_port, share,
                                    cfg->tcp_cc == TCP_CC_BBR ? "bbr" : "cubic", err);
    snprintf(err, 256, "--pcap: the kernel driver has no packets of its own to capture (tcpdump sees them); set NET_DRIVER to another");
    return NULL;
}

unsigned net_roles_max(enum net_driver driver)
{
    return driver == NET_AUTO || driver == NET_KERNEL || driver == NET_AF_PACKET || driver == NET_VFIO ? NET_ROLES_MAX : 1;
}

static struct transport *open_driver(const struct net_config *cfg, struct net_share *first, struct net_share *share,
                                     enum net_driver driver, uint64_t now, char err[256])
{
    share->driver = driver;
    switch (driver) {
    case NET_KERNEL: return open_kernel(cfg, first, err);
    case NET_AF_PACKET:
    case NET_AF_XDP: return open_shared(cfg, first, share, driver, now, err);
    case NET_VFIO:
    case NET_TAP:
    case NET_MEMIF:
    case NET_MEMPAIR: return open_own(cfg, first, share, now, err);
    default: snprintf(err, 256, "NET_DRIVER: %s is not built in", net_driver_name(driver)); return NULL;
    }
}

static struct transport *open_best(const struct net_config *cfg, struct net_share *share, uint64_t now, char err[256], char why[512])
{
    char no_packet[256], failed[256];
    struct driver_facts f = {.no_vfio = "only when asked for", .no_af_xdp = "only when asked for"};
    struct transport *t;

    f.no_af_packet = why_not_af_packet(cfg, no_packet);
    if (select_driver(&f, why) == NET_AF_PACKET) {
        t = open_driver(cfg, NULL, share, NET_AF_PACKET, now, failed);
        if (t)
            return t;
        f.no_af_packet = failed; /* what cannot be seen beforehand: the next best */
        select_driver(&f, why);
    }
    return open_driver(cfg, NULL, share, NET_KERNEL, now, err);
}

struct transport *net_open_transport(const struct net_config *cfg, struct net_share *first, struct net_share *share, uint64_t now,
                                     char err[256], char why[512])
{
    struct transport *t;

    if (first) {
        snprintf(why, 512, "%s: as role 0", net_driver_name(first->driver));
        return open_driver(cfg, first, share, first->driver, now, err);
    }
    if (cfg->nroles > net_roles_max(cfg->driver)) {
        snprintf(err, 256, "NET_DRIVER: %s has one receive queue for us, so it takes one net role, not %u", net_driver_name(cfg->driver), cfg->nroles);
        return NULL;
    }
    snprintf(why, 512, "%s: as configured", net_driver_name(cfg->driver));
    t = cfg->driver == NET_AUTO ? open_best(cfg, share, now, err, why) : open_driver(cfg, NULL, share, cfg->driver, now, err);
    if (t)
        share->listen_port = t->listen.port;
    return t;
}
