/* tap.h: an end of the emulated network: an interface in a namespace whose other side is ours
 * Shape:   namespace, name, address -> a descriptor of whole frames, each behind a virtio header
 * Note:    the interface offers checksums and segmentation of TCP over IPv4, so big segments come and go whole (frame.h)
 * Rights:  CAP_NET_ADMIN and CAP_SYS_ADMIN (namespaces), /dev/net/tun
 * Errors:  -1 with the reason in err; the process is in its own namespace again
 */
#ifndef WANEMU_TAP_H
#define WANEMU_TAP_H

#include <stdbool.h>
#include <stdint.h>

struct tap_config {
    const char *ns;     /* a name as in `ip netns`; NULL: here */
    const char *iface;
    uint8_t mac[6];
    uint32_t ip4, mask; /* host order; 0: no address */
    uint32_t queue;     /* frames that may wait for us */
    bool is_plain;      /* offer neither checksums nor segmentation */
};

struct tap {
    int fd;
    int ns; /* descriptor of its namespace, for tap_dropped; -1: here */
    char iface[16];
};

int tap_open(struct tap *t, const struct tap_config *cfg, char err[256]);
void tap_close(struct tap *t);
/* Frames that the kernel dropped because we did not read them in time. UINT64_MAX: not known. */
uint64_t tap_dropped(const struct tap *t);

#endif
