/* listener.h: the kernel driver's listening socket, and socket addresses of endpoints
 * Owner:   the transport
 * Errors:  0, or -1 with the reason in err
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <sys/socket.h>

#include "net/transport.h"

struct listener {
    int fd;                         /* non-blocking */
    struct endpoint listen;         /* as peers on the same network dial it; ip_len 0: unknown */
    struct sockaddr_storage source; /* to dial from */
    socklen_t source_len;           /* 0: any */
};

/* Several sockets may listen on one address: the kernel deals the connections out by their hash. The first binds alone, so
 * that an address which another program has is noticed as ever. */
enum listener_share { LISTENER_ALONE, LISTENER_FIRST, LISTENER_NEXT };

/* listen_ip: "address" or "address/len", NULL: any, IPv6 too where there is such. Port 0: the kernel's choice. */
int listener_open(struct listener *l, const char *listen_ip, uint16_t port, enum listener_share share, char err[256]);

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa);
/* IPv4 inside IPv6 comes out as IPv4. */
struct endpoint endpoint_of_sockaddr(const struct sockaddr_storage *sa);

#endif
