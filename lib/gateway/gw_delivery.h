/* gw_delivery.h: one message on its way to clients
 * Shape:   a node's JSON (or raw bytes) -> parsed once -> each wire form built once, when the first client needs it
 * Owner:   the thread that delivers it; the built forms are counted and shared with the clients' queues
 * Memory:  slices are borrowed from the node's message for the time of the delivery
 * Errors:  parse: 0, or -GW_E_JSON; building: NULL, no memory or not base64
 */
#ifndef GATEWAY_GW_DELIVERY_H
#define GATEWAY_GW_DELIVERY_H

#include "gateway/gw_err.h"
#include "gateway/gw_seen.h"
#include "http/ws_conn.h"
#include "rpc/rpc_msg.h"

#define GW_NAME_MAX 256 /* bytes of a topic or client id */

struct gw_delivery {
    char topic_text[GW_NAME_MAX];
    struct slice topic;
    uint8_t id[GW_ID_BYTES];
    char id_hex[2 * GW_ID_BYTES + 1];
    char source[128], upstream[128];
    struct slice base64; /* the payload as the node wrote it, or */
    struct slice raw;    /* as bytes, */
    struct rpc_msg *whole; /* which may be part of this message; borrowed, or NULL */
    size_t payload_len;
    struct budget *budget; /* its forms are charged to; NULL: none */
    double of_all; /* the share of all named nodes that have it; 0: not known */
    struct ws_msg *ws;
    struct rpc_msg *grpc;
    struct ws_wakes wakes; /* of the clients that it was queued for; for ws_wakes_post */
};

/* data: API section 1's JSON; names are read in either spelling. */
int gw_delivery_parse(struct gw_delivery *d, struct slice data);
/* The JSON without a payload, which came beside it: raw lies in whole. */
int gw_delivery_parse_raw(struct gw_delivery *d, struct slice data, struct slice raw, struct rpc_msg *whole);
/* For payloads that come as bytes. */
void gw_delivery_init(struct gw_delivery *d, struct slice topic, const uint8_t id[GW_ID_BYTES],
                      const char *source, const char *upstream, struct slice raw);
void gw_delivery_fini(struct gw_delivery *d);
/* The JSON frame for WebSocket clients. Owned by d. */
struct ws_msg *gw_delivery_ws(struct gw_delivery *d);
/* The ProxyMessage for gRPC clients. Owned by d. */
struct rpc_msg *gw_delivery_grpc(struct gw_delivery *d);

#endif
