/* isn.h: initial sequence numbers and local ports that strangers cannot guess
 * Source:  RFC 6528 (keyed hash of the endpoints plus a clock of 4 us), RFC 6056 algorithm 1 (random start, then the
 *          next free)
 */
#ifndef TCP_ISN_H
#define TCP_ISN_H

#include "tcp/table.h"

static inline uint32_t isn_make(const uint64_t key[2], const struct ip_endpoint *remote, uint16_t local_port,
                                uint64_t now)
{
    return (uint32_t)flow_hash(key, remote, local_port) + (uint32_t)(now >> 12);
}

#endif
