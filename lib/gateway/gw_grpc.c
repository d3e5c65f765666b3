/* gw_grpc.c: the gRPC services ProxyStream (by both names) and SessionService, and what their files share
 * Source:  proto/gateway.proto; requests are read in place, so that a payload is shared and not copied
 */
#include "base/pb.h"
#include "gateway/gw_grpc_impl.h"

struct rpc_msg *gw_grpc_texts(const struct text_field *f, unsigned n)
{
    struct wr w = wr_counter();
    struct rpc_msg *m = NULL;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < n; i++)
            if (f[i].text.len)
                pb_put_bytes(&w, f[i].number, f[i].text);
        if (pass == 0) {
            m = rpc_msg_new(w.len);
            if (!m)
                return NULL;
            w = wr_of(rpc_msg_bytes(m), w.len);
        }
    }
    return m;
}

void gw_grpc_error(struct gateway *gw, struct rpc_call *c, int err)
{
    struct gw_result r = {.outcome = {.err = err < 0 ? -err : err}};
    char text[256];

    gw_result_text(gw, &r, text, sizeof(text));
    rpc_call_finish(c, (enum rpc_code)gw_err_rpc(err), text);
}

struct rpc_msg *gw_grpc_payload(struct rpc_msg *m, struct slice part)
{
    return part.len ? rpc_msg_part(m, part) : rpc_msg_copy(part);
}

int gw_grpc_add(struct gateway *gw)
{
    struct rpc_queue_limits queue = {.max_messages = 1u << 20,
                                     .max_bytes = gw->cfg.client_queue_bytes,
                                     .policy = gw->cfg.grpc_policy == WS_DROP_OLDEST ? RPC_DROP_OLDEST : RPC_REFUSE,
                                     .budget = &gw->deliveries};
    const struct rpc_method methods[] = {{"ClientStream", RPC_BIDI, gw_grpc_stream_handlers, queue, false},
                                         {"Stream", RPC_BIDI, gw_grpc_stream_handlers, queue, false},
                                         {"Publish", RPC_UNARY, {.on_open = gw_grpc_unary_open, .on_close = gw_grpc_unary_close, .on_message = gw_grpc_publish}, {0}, false},
                                         {"Subscribe", RPC_UNARY, {.on_open = gw_grpc_unary_open, .on_close = gw_grpc_unary_close, .on_message = gw_grpc_subscribe}, {0}, false},
                                         {"ExposeNodes", RPC_UNARY, {.on_open = gw_grpc_unary_open, .on_close = gw_grpc_unary_close, .on_message = gw_grpc_expose}, {0}, false}};
    static const struct rpc_method session_methods[] = {
        {"CreateSession", RPC_UNARY, {.on_open = gw_grpc_unary_open, .on_close = gw_grpc_unary_close, .on_message = gw_grpc_session}, {0}, false}};
    static const struct rpc_service session_service = {"proto.SessionService", session_methods, 1};
    int rc;

    memcpy(gw->grpc_methods, methods, sizeof(methods));
    gw->grpc_services[0] = (struct rpc_service){"proto.ProxyStream", gw->grpc_methods, 5};
    gw->grpc_services[1] = (struct rpc_service){"proto.GatewayStream", gw->grpc_methods, 5};
    rc = rpc_server_add(gw->grpc, &gw->grpc_services[0], gw);
    if (!rc)
        rc = rpc_server_add(gw->grpc, &gw->grpc_services[1], gw);
    return rc ? rc : rpc_server_add(gw->grpc, &session_service, gw);
}
