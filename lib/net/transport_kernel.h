/* transport_kernel.h: pipes over kernel TCP sockets and epoll: no rights needed, and the baseline of every benchmark
 * Owner:   one net role
 * Errors:  NULL with the reason in err
 */
#ifndef NET_TRANSPORT_KERNEL_H
#define NET_TRANSPORT_KERNEL_H

#include "net/listener.h"
#include "net/transport.h"

/* listen_ip: address to listen on and to dial from, NULL: any. Port 0: the kernel's choice (transport.listen tells). cc: the
 * congestion control of its sockets by the kernel's name, NULL: the system's; where the kernel has not got it, or does not
 * allow it to us, they have the system's, and no_cc says so. */
struct transport *transport_kernel_new(const char *listen_ip, uint16_t listen_port, enum listener_share share, const char *cc, char err[256]);

#endif
