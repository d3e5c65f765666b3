/* gw_order.h: a request to publish or subscribe, as JSON says it: REST bodies and WebSocket frames alike
 * Shape:   text -> checked fields
 * Memory:  the payload is a counted message of its own; all else is inside
 * Errors:  -GW_E_...; the order is released by gw_order_fini in any case
 */
#ifndef GATEWAY_GW_ORDER_H
#define GATEWAY_GW_ORDER_H

#include "gateway/gw_delivery.h"
#include "http/http_flat.h"

enum {
    O_TYPE,
    O_CLIENT,
    O_TOPIC,
    O_TOPICS,
    O_MESSAGE,
    O_LENGTH,
    O_DATA,
    O_ENCODING,
    O_THRESHOLD,
    O_ID,
    O_AMOUNT,
    O_COUNT
};

struct gw_name {
    char text[GW_NAME_MAX];
    size_t len; /* 0: absent */
};

struct gw_order {
    struct flat_value v[O_COUNT];
    struct gw_name client, topic;
    struct rpc_msg *payload;
};

/* Reads client_id and topic where they are; absence is no error here. Whatever it returns, what was not found in v is absent. */
int gw_order_read(struct gw_order *o, struct slice json);
void gw_order_fini(struct gw_order *o);
/* message, message_length or data -> payload. max: the limit for message_length. */
struct gateway;
int gw_order_payload(struct gw_order *o, struct gateway *gw);
/* 0 with *out unchanged when absent. */
int gw_order_threshold(const struct gw_order *o, double *out);
/* The same of expose_amount. */
int gw_order_amount(const struct gw_order *o, unsigned *out);
/* A name from elsewhere (a query, a protobuf field). */
int gw_name_set(struct gw_name *n, struct slice s, int err_long, int err_text);
/* Calls each for topic and every one of topics; stops at the first error and returns it. -GW_E_TOPIC: there is none. */
int gw_order_topics(const struct gw_order *o, int (*each)(void *user, struct slice topic), void *user);

static inline struct slice gw_name_slice(const struct gw_name *n)
{
    return slice_of(n->text, n->len);
}

#endif
