/* transport_kernel.h: pipes over kernel TCP sockets and epoll: no rights needed, and the baseline of every benchmark
 * Owner:   one net role
 * Errors:  NULL with the reason in err
 */
#ifndef NET_TRANSPORT_KERNEL_H
#define NET_TRANSPORT_KERNEL_H

#include "net/listener.h"
#include "net/transport.h"

/* listen_ip: address to listen on and to dial from, NULL: any. Port 0: the kernel's choice (transport.listen tells). */
struct transport *transport_kernel_new(const char *listen_ip, uint16_t listen_port, enum listener_share share, char err[256]);

#endif
