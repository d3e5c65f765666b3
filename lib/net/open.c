/* open.c: opens the configured driver (open.h) */
#include "net/open.h"

#include <stdio.h>

#include "net/transport_kernel.h"

struct transport *net_open_transport(const struct net_config *cfg, uint64_t now, char err[256], char why[512])
{
    switch (cfg->driver) {
    case NET_AUTO:
    case NET_KERNEL:
        snprintf(why, 512, "kernel: %s", cfg->driver == NET_KERNEL ? "as configured" : "the only driver here");
        return transport_kernel_new(cfg->listen_ip, cfg->listen_port, err);
    default:
        snprintf(err, 256, "NET_DRIVER: this driver is not built in");
        return NULL;
    }
}
