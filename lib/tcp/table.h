/* table.h: flows by remote endpoint and local port
 * Shape:   intrusive chains in a fixed number of buckets, hashed with the stack's key so that a peer who chooses its
 *          ports cannot choose a chain
 * Owner:   the stack
 */
#ifndef TCP_TABLE_H
#define TCP_TABLE_H

#include <stdint.h>

#include "tcp/ip_addr.h"

enum flow_kind { FLOW_CONN = 1, FLOW_TIMEWAIT };

struct flow {
    struct flow *next;
    struct ip_endpoint remote;
    uint16_t local_port;
    uint8_t kind; /* enum flow_kind */
    uint32_t bucket;
};

struct table {
    struct flow **buckets;
    uint32_t mask, count;
    uint64_t key[2];
};

/* expected: flows at most; more only make chains longer. 0, or -1 without memory. */
int table_init(struct table *t, uint32_t expected, const uint64_t key[2]);
void table_fini(struct table *t);
struct flow *table_find(const struct table *t, const struct ip_endpoint *remote, uint16_t local_port);
/* f's endpoints and kind are filled in, and no equal flow is in the table. */
void table_add(struct table *t, struct flow *f);
void table_del(struct table *t, struct flow *f);
/* Keyed hash of the endpoints, for ISNs and timestamp offsets too. */
uint64_t flow_hash(const uint64_t key[2], const struct ip_endpoint *remote, uint16_t local_port);

#endif
