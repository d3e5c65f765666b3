/* ifinfo.h: what the kernel knows of an interface: addresses, netmasks, gateways, MAC, MTU
 * Source:  getifaddrs, SIOCGIFMTU, /proc/net/route, if_inet6 and ipv6_route; needs no rights
 * Owner:   anyone; nothing is kept
 * Errors:  0, or -1 with the reason in err, naming the setting to change
 */
#ifndef DRIVERS_IFINFO_H
#define DRIVERS_IFINFO_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct ifinfo {
    char name[IF_NAMESIZE];
    int index;
    bool is_up, is_loopback, has_mac;
    uint8_t mac[6];
    uint16_t mtu;
    bool has_ip4;
    uint8_t ip4[4];
    uint8_t ip4_prefix;  /* bits of the netmask */
    uint8_t gateway4[4]; /* of the default route through this interface; zeroes: none */
    bool has_ip6;        /* a lasting one of global scope */
    uint8_t ip6[16];
    uint8_t ip6_prefix;
    uint8_t gateway6[16]; /* likewise; mostly of the link (fe80::) */
};

/* name NULL: the interface of the default route; without one the only interface that is up, has an IPv4 address and is
 * not the loopback. Where no interface has IPv4, the same of IPv6. */
int ifinfo_get(const char *name, struct ifinfo *out, char err[256]);

/* The interface that carries this IPv4 address. */
int ifinfo_by_ip4(const uint8_t ip[4], struct ifinfo *out, char err[256]);
/* The same of an IPv6 address that lasts; it is the one in *out. */
int ifinfo_by_ip6(const uint8_t ip[16], struct ifinfo *out, char err[256]);

/* Reads the interface's IPv6 facts again: its first fit address, or the wanted one. Returns whether there is one. */
bool ifinfo_choose_ip6(struct ifinfo *out, const uint8_t *wanted);

/* "a.b.c.d/len" -> address and prefix; 0 or -1. */
int ifinfo_parse_cidr4(const char *text, uint8_t ip[4], uint8_t *prefix);

/* The same of "x::y/len". */
int ifinfo_parse_cidr6(const char *text, uint8_t ip[16], uint8_t *prefix);

/* The first address of interface `name` in text of the form of /proc/net/if_inet6 that is of global scope and neither
 * temporary, tentative nor deprecated; with `wanted` (16 bytes, or NULL) only that one. Returns whether there is one. */
bool ifinfo_parse_inet6(const char *text, const char *name, const uint8_t *wanted, uint8_t ip[16], uint8_t *prefix);
/* The default gateway of interface `name` in text of the form of /proc/net/ipv6_route; name "" takes the best of all and writes
 * its interface there. */
bool ifinfo_parse_route6(const char *text, char name[IF_NAMESIZE], uint8_t gateway[16]);

/* Finds the default gateway of interface `name` in text of the form of /proc/net/route; name "" takes the first default
 * route and writes its interface there. Returns whether there is one. */
bool ifinfo_parse_route(const char *text, char name[IF_NAMESIZE], uint8_t gateway[4]);

#endif
