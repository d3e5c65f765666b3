/* xdp_steer.h: the XDP program that sends our ports to AF_XDP sockets, one for each receive queue, and leaves the rest to the kernel
 * Shape:   address and ports -> instructions; instructions and an interface -> a steering that ends with its descriptors. Program and
 *          map outlive an interface: they serve the next one
 * Steers:  TCP to our IPv4 or IPv6 address and one of our ports, without IP options or extension headers, not in fragments. All
 *          else goes on to the kernel, and so does ours as long as no socket is in the map
 * Source:  linux/bpf.h; the program is put together here, so no compiler or object file is needed where a node runs
 * Owner:   an af_xdp port
 * Rights:  CAP_BPF and CAP_NET_ADMIN (before 5.8 CAP_SYS_ADMIN) to open, and before 5.19 or so to attach; none to close: the kernel
 *          takes the program off when the last descriptor goes, also when the process is killed
 * Errors:  NULL, or the step that failed (errno says why); call close also then
 */
#ifndef DRIVERS_XDP_STEER_H
#define DRIVERS_XDP_STEER_H

#include <stdbool.h>
#include <stdint.h>

struct bpf_insn;

#define XDP_STEER_MAX    72
#define XDP_STEER_QUEUES 64

struct xdp_steer_rule {
    uint8_t ip4[4], ip6[16]; /* ip6 zeroes: none */
    uint16_t listen_port; /* 0: none */
    uint16_t dial_first, dial_count;
};

/* insns: XDP_STEER_MAX entries; map_fd: of the sockets. Returns how many were written. */
unsigned xdp_steer_build(struct bpf_insn *insns, const struct xdp_steer_rule *rule, int map_fd);

struct xdp_steer {
    int map_fd, prog_fd, link_fd;
    bool is_generic; /* the device has no XDP of its own: the kernel runs it on packets it has made already */
};

const char *xdp_steer_open(struct xdp_steer *s, const struct xdp_steer_rule *rule);
/* Sends what comes to this receive queue, below XDP_STEER_QUEUES, to this socket, as long as that lives. */
const char *xdp_steer_queue(struct xdp_steer *s, uint32_t queue, int xsk_fd);
const char *xdp_steer_attach(struct xdp_steer *s, int ifindex);
/* Off the interface; program and map stay. */
void xdp_steer_detach(struct xdp_steer *s);
void xdp_steer_close(struct xdp_steer *s);

#endif
