/* rpc_call_events.c: a call's batches and what their completions mean */
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "base/log.h"
#include "rpc/rpc_bundle.h"
#include "rpc/rpc_call_impl.h"
#include "rpc/rpc_slice.h"

static bool is_over(const struct rpc_call *c)
{
    return c->close_seen && c->pending == 0 && !c->ended;
}

static void count_outcome(struct rpc_call *c, int code, bool by_peer)
{
    struct rpc_totals *t = &c->home->totals;

    if (c->is_server && by_peer)
        RPC_COUNT(t->cancelled, 1);
    else if (code == RPC_CODE_OK)
        RPC_COUNT(t->ok, 1);
    else
        RPC_COUNT(t->failed, 1);
}

/* Requests and answers of what we serve; messages hold payloads and stay out. */
static void log_end(const struct rpc_call *c, const struct rpc_status *st)
{
    log_debug("\"gRPC call end\" method=%s status=%s why=\"%s\" ms=%lld peer=%s", c->path, rpc_code_name(st->code), st->message,
              (long long)gpr_time_to_millis(gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), c->made_at)), rpc_call_peer(c));
}

/* The last thing that happens to a call. c may be gone when this returns. */
static void end(struct rpc_call *c, grpc_call *call)
{
    bool by_peer = c->is_server && c->close_cancelled && !c->aborted;
    struct rpc_home *home = c->home;
    struct rpc_status st = {c->code, c->message ? c->message : ""};
    char *text = NULL;

    if (by_peer) {
        st = (struct rpc_status){RPC_CODE_CANCELLED, "the client went away"};
    } else if (!c->is_server) {
        text = grpc_slice_to_c_string(c->in_message);
        st = (struct rpc_status){(int)c->in_code, text};
    }
    rpc_home_del(home, &c->live);
    count_outcome(c, st.code, by_peer);
    if (c->is_server && log_is_on(LOG_DEBUG_L))
        log_end(c, &st);
    if (c->on.on_close)
        c->on.on_close(c, &st, c->user);
    gpr_free(text);
    grpc_call_unref(call);
    rpc_home_done(home);
    rpc_call_unref(c);
}

static void end_if_over(struct rpc_call *c)
{
    grpc_call *call = NULL;

    pthread_mutex_lock(&c->lock);
    if (is_over(c)) {
        c->ended = true;
        call = c->call;
        c->call = NULL;
        rpc_call_count_drops(c, rpc_queue_clear(&c->out));
    }
    pthread_mutex_unlock(&c->lock);
    if (call)
        end(c, call);
}

/* Under the lock. A batch that core refuses is our bug, or metadata it does not like: the call cannot go on. */
static bool start_batch(struct rpc_call *c, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    grpc_call_error err = grpc_call_start_batch(c->call, ops, count, tag, NULL);

    if (err == GRPC_CALL_OK) {
        c->pending++;
        return true;
    }
    log_error("\"grpc batch refused\" path=%s why=%s", c->path, grpc_call_error_to_string(err));
    grpc_call_cancel_with_status(c->call, GRPC_STATUS_INTERNAL, "batch refused", NULL);
    return false;
}

/* Under the lock, which is let go in between: while `sending` stands nobody else sends. */
static void tell_dropped(struct rpc_call *c)
{
    uint64_t messages = c->stats.dropped_must + c->stats.refused - c->noticed.messages;
    uint64_t bytes = c->stats.lost_bytes - c->noticed.bytes;
    struct rpc_msg *m;

    if (!messages || !c->on.on_dropped || c->finish_wanted || c->notice)
        return;
    c->noticed.messages += messages;
    c->noticed.bytes += bytes;
    pthread_mutex_unlock(&c->lock);
    m = c->on.on_dropped(c, messages, bytes, c->user);
    pthread_mutex_lock(&c->lock);
    c->notice = m;
}

static void on_sent(struct rpc_tag *t, bool ok)
{
    struct rpc_call *c = CONTAINER_OF(t, struct rpc_call, tag_send);
    bool drained;

    pthread_mutex_lock(&c->lock);
    if (ok)
        tell_dropped(c);
    c->pending--;
    c->sending = false;
    if (ok && c->send_count) {
        c->stats.sent += c->send_count;
        c->stats.sent_bytes += c->send_len;
        c->stats.bundles += c->send_count > 1;
        RPC_COUNT(c->home->totals.sent, c->send_count);
        RPC_COUNT(c->home->totals.sent_bytes, c->send_len);
    }
    if (!ok) {
        c->send_broken = true;
        rpc_call_count_drops(c, (struct rpc_queue_drops){.must = c->send_count, .must_bytes = c->send_len}); /* under way */
        rpc_call_count_drops(c, rpc_queue_clear(&c->out));
    }
    drained = ok && c->starved && c->out.count == 0 && !c->finish_wanted;
    if (drained)
        c->starved = false;
    rpc_call_pump(c);
    pthread_mutex_unlock(&c->lock);
    if (drained && c->on.on_drained)
        c->on.on_drained(c, c->user);
    end_if_over(c);
}

static size_t put_headers(struct rpc_call *c, grpc_op *op)
{
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = c->start_flags};
    op->data.send_initial_metadata.count = c->out_header_count;
    op->data.send_initial_metadata.metadata = c->out_headers;
    c->headers_sent = true;
    return 1;
}

/* The status on a server, half-close on a client. details must live until the batch has started. */
static size_t put_last(struct rpc_call *c, grpc_op *op, grpc_slice *details)
{
    c->finish_sent = true;
    if (!c->is_server) {
        *op = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        return 1;
    }
    *op = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op->data.send_status_from_server.status = (grpc_status_code)c->code;
    if (c->message) {
        *details = grpc_slice_from_copied_string(c->message);
        op->data.send_status_from_server.status_details = details;
    }
    return 1;
}

void rpc_call_pump(struct rpc_call *c)
{
    grpc_slice details = grpc_empty_slice();
    grpc_byte_buffer *bb = NULL;
    struct rpc_msg *m;
    grpc_op ops[3];
    size_t n = 0;
    bool last;

    if (!c->started || c->sending || c->ended || c->send_broken || c->aborted)
        return;
    m = c->notice ? c->notice : rpc_queue_pop(&c->out);
    c->notice = NULL;
    c->send_count = m != NULL;
    c->send_len = m ? rpc_msg_len(m) : 0;
    if (m && c->may_bundle)
        m = rpc_bundle_make(&c->out, m, &c->send_count, &c->send_len);
    last = c->finish_wanted && !c->finish_sent && c->out.count == 0;
    if (!c->headers_sent && (c->headers_due || m || last))
        n += put_headers(c, &ops[n]);
    if (m) {
        bb = rpc_msg_to_buffer(m);
        /* more is waiting: core may hold this one back and write them together, a third of the CPU per small message */
        ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .flags = c->out.count ? GRPC_WRITE_BUFFER_HINT : 0};
        ops[n++].data.send_message.send_message = bb;
    }
    if (last)
        n += put_last(c, &ops[n], &details);
    if (n && start_batch(c, ops, n, &c->tag_send))
        c->sending = true;
    else if (n) {
        c->send_broken = true;
        rpc_call_count_drops(c, (struct rpc_queue_drops){.must = c->send_count, .must_bytes = c->send_len});
    }
    /* core has moved the content out of the shell by now */
    if (bb)
        grpc_byte_buffer_destroy(bb);
    rpc_msg_unref(m);
    grpc_slice_unref(details);
}

/* Whether messages that still come are of interest. */
static bool wants_messages(const struct rpc_call *c)
{
    return !c->aborted && !(c->is_server && c->finish_wanted);
}

static void deliver_one(struct rpc_call *c, struct rpc_msg *m)
{
    pthread_mutex_lock(&c->lock);
    c->stats.received++;
    c->stats.received_bytes += rpc_msg_len(m);
    pthread_mutex_unlock(&c->lock);
    RPC_COUNT(c->home->totals.received, 1);
    RPC_COUNT(c->home->totals.received_bytes, rpc_msg_len(m));
    if (c->on.on_message)
        c->on.on_message(c, m, c->user);
}

/* Whether to go on with the bundle m from at on; a pause keeps the rest. */
static bool goes_on(struct rpc_call *c, struct rpc_msg *m, size_t at)
{
    bool goes;

    pthread_mutex_lock(&c->lock);
    goes = wants_messages(c) && !c->paused;
    if (c->paused && wants_messages(c)) {
        c->rest = rpc_msg_ref(m);
        c->rest_at = at;
    }
    pthread_mutex_unlock(&c->lock);
    return goes;
}

/* Each message is copied, or one that is kept would keep them all. */
static void deliver_bundle(struct rpc_call *c, struct rpc_msg *m, size_t at)
{
    struct slice all = rpc_msg_slice(m), item;
    int rc = 0;

    while (goes_on(c, m, at) && (rc = rpc_bundle_next(all, &at, &item)) > 0) {
        struct rpc_msg *one = rpc_msg_copy(item);

        if (!one) {
            rpc_call_abort(c, RPC_CODE_RESOURCE_EXHAUSTED, "no memory");
            return;
        }
        deliver_one(c, one);
        rpc_msg_unref(one);
    }
    if (rc < 0)
        rpc_call_abort(c, RPC_CODE_INTERNAL, "a bundle does not decode");
}

static void deliver(struct rpc_call *c, grpc_byte_buffer *bb)
{
    struct rpc_msg *m;
    int err = rpc_msg_from_buffer(&m, bb, c->max_recv_bytes);

    if (err == -RPC_EARG)
        rpc_call_abort(c, RPC_CODE_INTERNAL, "the message does not decompress");
    else if (err < 0)
        rpc_call_abort(c, RPC_CODE_RESOURCE_EXHAUSTED, "Received message larger than max, once decompressed");
    if (err < 0)
        return;
    if (c->may_bundle && rpc_bundle_is(rpc_msg_slice(m)) && rpc_msg_len(m) > RPC_BUNDLE_BYTES)
        rpc_call_abort(c, RPC_CODE_INTERNAL, "a bundle is larger than bundles are"); /* it would hold up the other calls of this thread */
    else if (c->may_bundle && rpc_bundle_is(rpc_msg_slice(m)))
        deliver_bundle(c, m, 0);
    else
        deliver_one(c, m);
    rpc_msg_unref(m);
}

static void half_closed(struct rpc_call *c)
{
    if (c->is_unary && !c->got_message)
        rpc_call_finish(c, RPC_CODE_INTERNAL, "the call carries no request");
    else if (c->on.on_half_close)
        c->on.on_half_close(c, c->user);
}

static void delivered(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->delivering = false;
    rpc_call_read(c);
    pthread_mutex_unlock(&c->lock);
    end_if_over(c);
}

static void on_received(struct rpc_tag *t, bool ok)
{
    struct rpc_call *c = CONTAINER_OF(t, struct rpc_call, tag_recv);
    grpc_byte_buffer *bb;
    bool wanted, is_half_close;

    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->reading = false;
    bb = c->in;
    c->in = NULL;
    wanted = wants_messages(c);
    is_half_close = ok && !bb && c->is_server && !c->close_seen && !grpc_call_failed_before_recv_message(c->call);
    if (bb && ok) {
        if (!c->got_message && !c->is_server && c->offers_bundles)
            c->may_bundle = rpc_call_has_header(c, RPC_BUNDLE_KEY);
        c->got_message = true;
    } else {
        c->read_done = true;
    }
    c->delivering = true;
    pthread_mutex_unlock(&c->lock);

    if (bb && ok && wanted)
        deliver(c, bb);
    else if (bb)
        grpc_byte_buffer_destroy(bb);
    else if (is_half_close && wanted)
        half_closed(c);

    delivered(c);
}

/* Under the lock: the rest of a bundle is the loop thread's to deliver, whoever ended the pause. An empty batch completes at once,
 * over there. */
static void go_on_with_rest(struct rpc_call *c)
{
    if (!c->rest_called)
        c->rest_called = start_batch(c, NULL, 0, &c->tag_rest);
}

static void on_rest(struct rpc_tag *t, bool ok)
{
    struct rpc_call *c = CONTAINER_OF(t, struct rpc_call, tag_rest);
    struct rpc_msg *m = NULL;

    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->rest_called = false;
    if (!c->paused) {
        m = c->rest;
        c->rest = NULL;
        c->delivering = true;
    }
    pthread_mutex_unlock(&c->lock);
    if (m)
        deliver_bundle(c, m, c->rest_at);
    rpc_msg_unref(m);
    delivered(c);
}

void rpc_call_read(struct rpc_call *c)
{
    grpc_op ops[2];
    size_t n = 0;

    if (!c->started || c->reading || c->delivering || c->paused || c->ended)
        return;
    if (c->rest && wants_messages(c)) {
        go_on_with_rest(c);
        return;
    }
    if (c->read_done)
        return;
    if (c->is_server && (c->close_seen || c->finish_wanted || (c->is_unary && c->got_message)))
        return;
    if (!c->is_server && !c->in_headers_asked) {
        ops[n] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
        ops[n++].data.recv_initial_metadata.recv_initial_metadata = &c->in_headers;
        c->in_headers_asked = true;
    }
    ops[n] = (grpc_op){.op = GRPC_OP_RECV_MESSAGE};
    ops[n++].data.recv_message.recv_message = &c->in;
    if (start_batch(c, ops, n, &c->tag_recv))
        c->reading = true;
    else
        c->read_done = true;
}

static void on_end(struct rpc_tag *t, bool ok)
{
    struct rpc_call *c = CONTAINER_OF(t, struct rpc_call, tag_close);

    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->close_seen = true;
    pthread_mutex_unlock(&c->lock);
    end_if_over(c);
}

void rpc_call_watch_end(struct rpc_call *c)
{
    grpc_op op;

    c->tag_send.fn = on_sent;
    c->tag_recv.fn = on_received;
    c->tag_close.fn = on_end;
    c->tag_rest.fn = on_rest;
    if (c->is_server) {
        op = (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
        op.data.recv_close_on_server.cancelled = &c->close_cancelled;
    } else {
        op = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
        op.data.recv_status_on_client.trailing_metadata = &c->in_trailers;
        op.data.recv_status_on_client.status = &c->in_code;
        op.data.recv_status_on_client.status_details = &c->in_message;
    }
    pthread_mutex_lock(&c->lock);
    start_batch(c, &op, 1, &c->tag_close);
    pthread_mutex_unlock(&c->lock);
}

void rpc_call_start(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->started = true;
    /* a stream's headers go at once, so that the client knows it stands; a unary answer carries its own */
    c->headers_due = !c->is_unary;
    rpc_call_pump(c);
    rpc_call_read(c);
    pthread_mutex_unlock(&c->lock);
}
