/* gateway.h: the clients' side of the network: HTTP, WebSocket and gRPC in front, nodes behind
 * Shape:   a checked configuration, maybe a node's own link -> running servers
 * Owner:   the program's main thread starts, stops and frees it
 * Errors:  gateway_start: NULL and a sentence in err that names the setting
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/gw_config.h"

struct gateway;

/* local: the link to the node that this gateway lives in, before cfg's nodes; taken, also when it fails; NULL: cfg's nodes
 * alone. cfg is copied, its texts are not. */
struct gateway *gateway_start(const struct gw_config *cfg, struct gw_link *local, char err[256]);
/* Says goodbye to clients, lets what is under way end within drain_ms, stops all threads. */
void gateway_stop(struct gateway *gw);
void gateway_free(struct gateway *gw); /* NULL is allowed */
/* Adds the families of everything the gateway counts, but those that a node has under the same name. */
struct metrics;
void gateway_metrics(struct gateway *gw, struct metrics *m);
/* The ports in use, when 0 was asked for by a test. */
void gateway_ports(const struct gateway *gw, uint16_t *proxy, uint16_t *grpc, uint16_t *api);

#endif
