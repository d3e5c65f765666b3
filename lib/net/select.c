/* select.c: the choice of a driver (select.h) */
#include "net/select.h"

#include <stdio.h>

const char *net_driver_name(enum net_driver d)
{
    switch (d) {
    case NET_AUTO: return "auto";
    case NET_KERNEL: return "kernel";
    case NET_AF_PACKET: return "af_packet";
    case NET_TAP: return "tap";
    case NET_AF_XDP: return "af_xdp";
    case NET_VFIO: return "vfio";
    case NET_MEMIF: return "memif";
    case NET_MEMPAIR: return "mempair";
    }
    return "unknown";
}

enum net_driver select_driver(const struct driver_facts *f, char why[512])
{
    const struct {
        enum net_driver driver;
        const char *no, *because;
    } order[] = {
        {NET_VFIO, f->no_vfio, "the NIC is ours alone"},
        {NET_AF_XDP, f->no_af_xdp, "our ports are steered past the kernel"},
        {NET_AF_PACKET, f->no_af_packet, "a packet socket beside the kernel"},
        {NET_KERNEL, NULL, "kernel sockets need no rights"},
    };
    char nots[400] = "";
    size_t n = 0;

    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (!order[i].no) {
            snprintf(why, 512, "%s: %s%s", net_driver_name(order[i].driver), order[i].because, nots);
            return order[i].driver;
        }
        if (n < sizeof(nots))
            n += (size_t)snprintf(nots + n, sizeof(nots) - n, "; not %s: %s",
                                  net_driver_name(order[i].driver), order[i].no);
    }
    return NET_KERNEL;
}
