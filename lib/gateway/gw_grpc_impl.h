/* gw_grpc_impl.h: what the gRPC files share (inside the room only) */
#ifndef GATEWAY_GW_GRPC_IMPL_H
#define GATEWAY_GW_GRPC_IMPL_H

#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"

/* A message of texts by field number; empty ones are left out. */
struct text_field {
    uint32_t number;
    struct slice text;
};

/* NULL: no memory. */
struct rpc_msg *gw_grpc_texts(const struct text_field *f, unsigned n);
void gw_grpc_error(struct gateway *gw, struct rpc_call *c, int err);
/* The payload as a message of its own that shares the request's bytes. */
struct rpc_msg *gw_grpc_payload(struct rpc_msg *m, struct slice part);

/* gw_auth_grpc.c: who may call; the grant is the call's data, NULL without tokens */
void gw_grpc_unary_open(struct rpc_call *c, void *user);
void gw_grpc_unary_close(struct rpc_call *c, const struct rpc_status *st, void *user);
/* gw_grpc_stream.c */
extern const struct rpc_handlers gw_grpc_stream_handlers;
/* gw_grpc_unary.c */
void gw_grpc_publish(struct rpc_call *c, struct rpc_msg *m, void *user);
void gw_grpc_subscribe(struct rpc_call *c, struct rpc_msg *m, void *user);
void gw_grpc_expose(struct rpc_call *c, struct rpc_msg *m, void *user);
void gw_grpc_session(struct rpc_call *c, struct rpc_msg *m, void *user);

#endif
