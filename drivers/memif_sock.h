/* memif_sock.h: the sockets of memif's conversations
 * Owner:   whoever opened them
 * Memory:  descriptors that come with a message are the caller's to close
 * Errors:  -1 with errno
 */
#ifndef DRIVERS_MEMIF_SOCK_H
#define DRIVERS_MEMIF_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "drivers/memif_wire.h"

#define MEMIF_PATH_MAX 108

/* Listens at path; a socket that a dead server left there is removed first, any other file is ENOTSOCK. Nothing waits in any call. */
int memif_sock_listen(const char *path);
int memif_sock_accept(int fd);
/* Calls who listens at path. */
int memif_sock_call(const char *path);
/* One message, with a descriptor or -1. */
int memif_sock_send(int fd, const uint8_t msg[MEMIF_MSG_BYTES], int attached);
/* One message: its length (one more than MEMIF_MSG_BYTES: it is too long), 0 at the end, -1 with EAGAIN: none now. */
ssize_t memif_sock_recv(int fd, uint8_t msg[MEMIF_MSG_BYTES + 1], int *attached);

#endif
