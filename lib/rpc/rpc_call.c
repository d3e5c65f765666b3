#include "rpc/rpc_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "rpc/rpc_call_impl.h"
#include "rpc/rpc_gather.h"
#include "rpc/rpc_slice.h"

#define GATHER_BYTES 32768 /* so much goes out at once, also from a thread that gathers */
#define GATHER_COUNT 32

struct rpc_call *rpc_call_make(grpc_call *call, struct slice path, const struct rpc_call_setup *s)
{
    struct rpc_call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->path = strndup((const char *)path.p, path.len);
    if (!c->path) {
        free(c);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    c->is_server = s->is_server;
    c->is_unary = s->is_unary;
    c->home = s->home;
    c->may_bundle = s->may_bundle;
    c->on = *s->on;
    c->user = s->user;
    atomic_init(&c->data, s->data);
    c->max_send_bytes = s->max_send_bytes;
    c->max_recv_bytes = s->max_recv_bytes;
    c->deadline = s->deadline;
    c->made_at = gpr_now(GPR_CLOCK_MONOTONIC);
    grpc_metadata_array_init(&c->in_headers);
    grpc_metadata_array_init(&c->in_trailers);
    c->in_message = grpc_empty_slice();
    pthread_mutex_init(&c->lock, NULL);
    c->call = call;
    rpc_queue_init(&c->out, s->queue);
    c->code = RPC_CODE_CANCELLED;
    if (c->is_server)
        c->peer = grpc_call_get_peer(call);
    if (!rpc_home_add(c->home, &c->live, call)) {
        rpc_call_unref(c);
        return NULL;
    }
    return c;
}

struct rpc_call *rpc_call_ref(struct rpc_call *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void rpc_call_unref(struct rpc_call *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* a server's are our references; a client's were the grpc_call's own and are not looked at */
    for (size_t i = 0; c->is_server && i < c->in_headers.count; i++) {
        grpc_slice_unref(c->in_headers.metadata[i].key);
        grpc_slice_unref(c->in_headers.metadata[i].value);
    }
    grpc_metadata_array_destroy(&c->in_headers);
    grpc_metadata_array_destroy(&c->in_trailers);
    grpc_slice_unref(c->in_message);
    rpc_msg_unref(c->notice);
    rpc_msg_unref(c->rest);
    for (size_t i = 0; i < c->out_header_count; i++) {
        grpc_slice_unref(c->out_headers[i].key);
        grpc_slice_unref(c->out_headers[i].value);
    }
    free(c->out_headers);
    pthread_mutex_destroy(&c->lock);
    gpr_free(c->peer);
    free(c->path);
    free(c->message);
    free(c);
}

void rpc_call_set_data(struct rpc_call *c, void *data)
{
    atomic_store(&c->data, data);
}

void *rpc_call_data(const struct rpc_call *c)
{
    return atomic_load(&c->data);
}

void rpc_call_count_drops(struct rpc_call *c, struct rpc_queue_drops d)
{
    c->stats.dropped_must += d.must;
    c->stats.dropped_may += d.may;
    c->stats.lost_bytes += d.must_bytes;
    RPC_COUNT(c->home->totals.dropped_must, d.must);
    RPC_COUNT(c->home->totals.dropped_may, d.may);
    if (d.must || d.may)
        c->starved = true;
}

int rpc_call_send(struct rpc_call *c, struct rpc_msg *m, enum rpc_worth worth)
{
    struct rpc_queue_drops drops;
    int err;

    if (c->max_send_bytes && rpc_msg_len(m) > c->max_send_bytes)
        return -RPC_ETOOBIG;
    pthread_mutex_lock(&c->lock);
    if (c->ended || c->finish_wanted || c->send_broken) {
        err = -RPC_ECLOSED;
    } else {
        err = rpc_queue_push(&c->out, m, worth, &drops);
        rpc_call_count_drops(c, drops);
        if (err == -RPC_EFULL && worth == RPC_MAY) {
            rpc_call_count_drops(c, (struct rpc_queue_drops){.may = 1});
        } else if (err == -RPC_EFULL) {
            c->stats.refused++;
            c->stats.lost_bytes += rpc_msg_len(m);
            RPC_COUNT(c->home->totals.refused, 1);
            c->starved = true;
        }
        if (c->sending || c->out.bytes >= GATHER_BYTES || c->out.count >= GATHER_COUNT || !rpc_gather_add(c))
            rpc_call_pump(c);
    }
    pthread_mutex_unlock(&c->lock);
    return err;
}

bool rpc_call_squeeze(struct rpc_call *c)
{
    struct rpc_queue_drops d;

    pthread_mutex_lock(&c->lock);
    d = rpc_queue_squeeze(&c->out);
    rpc_call_count_drops(c, d);
    pthread_mutex_unlock(&c->lock);
    return d.must || d.may;
}

void rpc_call_pump_now(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    rpc_call_pump(c);
    pthread_mutex_unlock(&c->lock);
}

/* Under the lock. The first outcome stays. */
static void set_outcome(struct rpc_call *c, int code, const char *message)
{
    c->finish_wanted = true;
    c->code = code;
    free(c->message);
    c->message = message ? strdup(message) : NULL;
}

static int finish_with(struct rpc_call *c, struct rpc_msg *last, enum rpc_code code, const char *message)
{
    struct rpc_queue_drops drops;
    int err = 0;

    if (last && c->max_send_bytes && rpc_msg_len(last) > c->max_send_bytes) {
        finish_with(c, NULL, RPC_CODE_RESOURCE_EXHAUSTED, "the answer is larger than this server sends");
        return -RPC_ETOOBIG;
    }
    pthread_mutex_lock(&c->lock);
    if (c->ended || c->finish_wanted || c->send_broken) {
        err = -RPC_ECLOSED;
    } else {
        if (last) {
            err = rpc_queue_push(&c->out, last, RPC_MUST, &drops);
            rpc_call_count_drops(c, drops);
        }
        if (err)
            set_outcome(c, RPC_CODE_RESOURCE_EXHAUSTED, "no room for the answer");
        else
            set_outcome(c, code, message);
        rpc_call_pump(c);
    }
    pthread_mutex_unlock(&c->lock);
    return err;
}

int rpc_call_finish(struct rpc_call *c, enum rpc_code code, const char *message)
{
    return c->is_server ? finish_with(c, NULL, code, message) : -RPC_ESTATE;
}

int rpc_call_reply(struct rpc_call *c, struct rpc_msg *m)
{
    return c->is_server ? finish_with(c, m, RPC_CODE_OK, NULL) : -RPC_ESTATE;
}

int rpc_call_half_close(struct rpc_call *c)
{
    return c->is_server ? -RPC_ESTATE : finish_with(c, NULL, RPC_CODE_OK, NULL);
}

void rpc_call_abort(struct rpc_call *c, enum rpc_code code, const char *message)
{
    if (code == RPC_CODE_OK)
        code = RPC_CODE_CANCELLED;
    pthread_mutex_lock(&c->lock);
    if (!c->ended && !c->aborted) {
        c->aborted = true;
        c->finish_sent = true; /* nothing more goes out by the pump */
        set_outcome(c, code, message);
        rpc_call_count_drops(c, rpc_queue_clear(&c->out));
        grpc_call_cancel_with_status(c->call, (grpc_status_code)code, message ? message : rpc_code_name(code), NULL);
    }
    pthread_mutex_unlock(&c->lock);
}

void rpc_call_pause(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->paused = true;
    pthread_mutex_unlock(&c->lock);
}

void rpc_call_resume(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->paused = false;
    rpc_call_read(c);
    pthread_mutex_unlock(&c->lock);
}

struct slice rpc_call_metadata(const struct rpc_call *c, const char *key)
{
    if (c->is_server)
        for (size_t i = 0; i < c->in_headers.count; i++)
            if (grpc_slice_str_cmp(c->in_headers.metadata[i].key, key) == 0)
                return rpc_slice_view(&c->in_headers.metadata[i].value);
    return (struct slice){NULL, 0};
}

bool rpc_call_has_header(const struct rpc_call *c, const char *key)
{
    for (size_t i = 0; i < c->in_headers.count; i++)
        if (grpc_slice_str_cmp(c->in_headers.metadata[i].key, key) == 0)
            return slice_is_equal(rpc_slice_view(&c->in_headers.metadata[i].value), SLICE_LIT("1"));
    return false;
}

const char *rpc_call_peer(const struct rpc_call *c)
{
    return c->peer ? c->peer : "";
}

void rpc_call_remote(struct rpc_call *c, char *out, size_t cap)
{
    char *peer;

    pthread_mutex_lock(&c->lock);
    peer = c->call ? grpc_call_get_peer(c->call) : NULL;
    pthread_mutex_unlock(&c->lock);
    snprintf(out, cap, "%s", peer ? peer : "");
    gpr_free(peer);
}

const char *rpc_call_path(const struct rpc_call *c)
{
    return c->path;
}

int64_t rpc_call_remaining_ms(const struct rpc_call *c)
{
    gpr_timespec left;
    int64_t ms;

    if (gpr_time_cmp(c->deadline, gpr_inf_future(c->deadline.clock_type)) == 0)
        return -1;
    left = gpr_time_sub(c->deadline, gpr_now(c->deadline.clock_type));
    ms = left.tv_sec * 1000 + left.tv_nsec / 1000000;
    return ms > 0 ? ms : 0;
}

bool rpc_call_is_closed(const struct rpc_call *c)
{
    struct rpc_call *w = (struct rpc_call *)(uintptr_t)c; /* the lock is not part of what is promised constant */
    bool is;

    pthread_mutex_lock(&w->lock);
    is = c->ended;
    pthread_mutex_unlock(&w->lock);
    return is;
}

void rpc_call_get_stats(const struct rpc_call *c, struct rpc_call_stats *out)
{
    struct rpc_call *w = (struct rpc_call *)(uintptr_t)c;

    pthread_mutex_lock(&w->lock);
    *out = c->stats;
    out->queued = c->out.count;
    out->queued_bytes = c->out.bytes;
    pthread_mutex_unlock(&w->lock);
}
