/* http_place.h: which server thread has a connection
 * Shape:   what the threads have -> the index of one; pure
 * Why:     where CPUs are few, a second thread takes them from the first rather than adding one: it sleeps and is woken between
 *          smaller batches, and a request costs a fifth more (docs/PERFORMANCE.md, the gateway). So it gets plain connections when
 *          the first is full or has many (they may become busy later, and stay where they are), and WebSockets once there are many: writing to them is what two do better
 */
#ifndef HTTP_HTTP_PLACE_H
#define HTTP_HTTP_PLACE_H

#include <stdbool.h>

#define HTTP_PLACE_FEW_CPUS 2
#define HTTP_PLACE_FULL_PCT 70  /* of a CPU, over a second */
#define HTTP_PLACE_PLAIN    256 /* that stay together: from 400 on two threads cost no more than one */
#define HTTP_PLACE_WS       32  /* that stay together: with 32 subscribers one thread delivers as many as two, with 64 two more */

struct http_load {
    unsigned peers; /* connections of all kinds, and those on their way */
    unsigned ws;    /* WebSockets among them */
    bool is_full;
};

/* For a new connection. n >= 1. */
unsigned http_place_peer(const struct http_load *t, unsigned n, bool has_few_cpus);
/* For a connection of thread `here` that has become a WebSocket, and is counted there. */
unsigned http_place_ws(const struct http_load *t, unsigned n, unsigned here, bool has_few_cpus);

#endif
