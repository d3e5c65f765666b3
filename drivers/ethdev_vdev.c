/* ethdev_vdev.c: DPDK devices that we make or find (ethdev.h) */
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "drivers/ethdev.h"

int ethdev_create_vdev(const char *name, const char *args, uint16_t *port_id, char err[256])
{
    int rc = rte_eal_hotplug_add("vdev", name, args);

    if (rc == 0)
        rc = rte_eth_dev_get_port_by_name(name, port_id);
    if (rc < 0)
        snprintf(err, 256, "DPDK device %s (%s): %s", name, args, rte_strerror(-rc));
    return rc < 0 ? -1 : 0;
}

void ethdev_remove_vdev(uint16_t port_id)
{
    struct rte_eth_dev_info info;
    char name[RTE_ETH_NAME_MAX_LEN];

    if (rte_eth_dev_info_get(port_id, &info) < 0 || rte_eth_dev_get_name_by_port(port_id, name) < 0)
        return;
    rte_eth_dev_close(port_id);
    rte_eal_hotplug_remove("vdev", name);
}

struct pktio *ethdev_open_tap(const char *iface, const uint8_t mac[6], const struct ethdev_wishes *w, char err[256])
{
    struct ethdev_config cfg = {
        .vlan = w->vlan, .mtu = w->mtu, .has_own_mac = true, .has_no_tso = true, .owns_device = true, .iface = iface};
    char args[64];
    struct pktio *io;

    memcpy(cfg.mac, mac, 6);
    cfg.mac[0] = (uint8_t)((cfg.mac[0] & 0xfc) | 2); /* local, unicast */
    snprintf(args, sizeof(args), "iface=%.15s", iface);
    cfg.devargs = args;
    rte_log_set_level_pattern("pmd.net.tap", RTE_LOG_CRIT); /* it complains of flow rules that nobody asked for */
    if (ethdev_create_vdev("net_tap0", args, &cfg.port_id, err) < 0)
        return NULL;
    io = ethdev_open(&cfg, err);
    if (io)
        snprintf(io->text, sizeof(io->text), "tap %.15s mtu %u", iface, io->link.mtu);
    return io;
}

int ethdev_open_pci(const char *address, const struct ethdev_wishes *w, struct pktio **ios, unsigned cap, char err[256])
{
    struct ethdev_config cfg = {.queues = w->queues, .vlan = w->vlan, .mtu = w->mtu, .has_ip6 = w->has_ip6, .has_no_wait = true, .devargs = ""};

    if (rte_eth_dev_get_port_by_name(address, &cfg.port_id) < 0) {
        snprintf(err, 256, "vfio: DPDK has no port %.40s: is it a NIC of a driver that is installed, bound to vfio-pci, its group in /dev/vfio?",
                 address);
        return -1;
    }
    return ethdev_open_queues(&cfg, ios, cap, err);
}
