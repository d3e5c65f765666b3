/* rpc_unary.c: one request, one reply: a single batch
 * Owner:   the struct is core's until the batch completes, then the loop thread's, which frees it
 */
#include <stdlib.h>

#include <grpc/support/alloc.h>

#include "base/log.h"
#include "rpc/rpc_client_impl.h"
#include "rpc/rpc_slice.h"

struct unary {
    struct rpc_tag tag;
    struct rpc_live live;
    struct rpc_client *client;
    rpc_reply_fn *on_reply;
    void *user;
    size_t sent_bytes;
    grpc_metadata *headers;
    size_t header_count;
    grpc_metadata_array in_headers, in_trailers;
    grpc_byte_buffer *in;
    grpc_status_code code;
    grpc_slice message;
};

static void count(struct unary *u, const struct rpc_status *st, struct rpc_msg *reply)
{
    struct rpc_totals *t = &u->client->home.totals;

    if (st->code != RPC_CODE_OK) {
        RPC_COUNT(t->failed, 1);
        return;
    }
    RPC_COUNT(t->ok, 1);
    RPC_COUNT(t->sent, 1);
    RPC_COUNT(t->sent_bytes, u->sent_bytes);
    RPC_COUNT(t->received, 1);
    RPC_COUNT(t->received_bytes, rpc_msg_len(reply));
}

static void unary_free(struct unary *u)
{
    rpc_client_headers_free(u->headers, u->header_count);
    grpc_metadata_array_destroy(&u->in_headers);
    grpc_metadata_array_destroy(&u->in_trailers);
    grpc_slice_unref(u->message);
    free(u);
}

static void on_done(struct rpc_tag *t, bool ok)
{
    struct unary *u = CONTAINER_OF(t, struct unary, tag);
    struct rpc_home *home = &u->client->home;
    char *text = grpc_slice_to_c_string(u->message);
    struct rpc_status st = {(int)u->code, text};
    struct rpc_msg *reply = NULL;

    if (u->in && rpc_msg_from_buffer(&reply, u->in, u->client->max_recv_bytes) < 0)
        st = (struct rpc_status){RPC_CODE_RESOURCE_EXHAUSTED, "the reply does not decompress within the bound"};
    else if (st.code == RPC_CODE_OK && !reply)
        st = (struct rpc_status){RPC_CODE_INTERNAL, "status OK without a reply"};
    if (st.code != RPC_CODE_OK) {
        rpc_msg_unref(reply);
        reply = NULL;
    }
    rpc_home_del(home, &u->live);
    count(u, &st, reply);
    u->on_reply(&st, reply, u->user);
    rpc_msg_unref(reply);
    gpr_free(text);
    grpc_call_unref(u->live.call);
    unary_free(u);
    rpc_home_done(home);
}

static grpc_call_error start(struct unary *u, struct rpc_msg *req, uint32_t flags)
{
    grpc_byte_buffer *bb = rpc_msg_to_buffer(req);
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = flags},
        {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
    };
    grpc_call_error err;

    ops[0].data.send_initial_metadata.count = u->header_count;
    ops[0].data.send_initial_metadata.metadata = u->headers;
    ops[1].data.send_message.send_message = bb;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->in_headers;
    ops[4].data.recv_message.recv_message = &u->in;
    ops[5].data.recv_status_on_client.trailing_metadata = &u->in_trailers;
    ops[5].data.recv_status_on_client.status = &u->code;
    ops[5].data.recv_status_on_client.status_details = &u->message;
    err = grpc_call_start_batch(u->live.call, ops, 6, &u->tag, NULL);
    grpc_byte_buffer_destroy(bb);
    return err;
}

int rpc_client_unary(struct rpc_client *c, const char *path, struct rpc_msg *req, const struct rpc_call_options *opt,
                     rpc_reply_fn *on_reply, void *user)
{
    grpc_call_error refused;
    struct unary *u;
    grpc_call *call;
    int err;

    if (c->max_send_bytes && rpc_msg_len(req) > c->max_send_bytes)
        return -RPC_ETOOBIG;
    u = calloc(1, sizeof(*u));
    if (!u)
        return -RPC_ENOMEM;
    grpc_metadata_array_init(&u->in_headers);
    grpc_metadata_array_init(&u->in_trailers);
    u->message = grpc_empty_slice();
    err = rpc_client_headers(opt, &u->headers, &u->header_count);
    if (err) {
        unary_free(u);
        return err;
    }
    u->tag.fn = on_done;
    u->client = c;
    u->on_reply = on_reply;
    u->user = user;
    u->sent_bytes = rpc_msg_len(req);
    call = rpc_client_call(c, path, rpc_client_deadline(opt));
    if (!rpc_home_add(&c->home, &u->live, call)) {
        grpc_call_unref(call);
        unary_free(u);
        return -RPC_ECLOSED;
    }
    refused = start(u, req, rpc_client_flags(opt));
    if (refused != GRPC_CALL_OK) {
        log_error("\"grpc batch refused\" path=%s why=%s", path, grpc_call_error_to_string(refused));
        rpc_home_del(&c->home, &u->live);
        grpc_call_unref(call);
        unary_free(u);
        rpc_home_done(&c->home);
        return -RPC_EARG;
    }
    return 0;
}
