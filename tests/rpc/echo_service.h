/* echo_service.h: a service that the room's tests, in C and Python, call
 *   Unary    echoes; an empty request: FAILED_PRECONDITION "empty"
 *   Later    echoes from another thread, 50 ms on
 *   Bidi     echoes each message; finishes at half-close. Plain: the same, and takes no bundles
 *   Nap      echoes as Bidi, but pauses after every 10th message until another thread resumes it; a message that comes meanwhile
 *            ends the call with INTERNAL
 *   Tail     sends nothing until half-close, then "count=N", then OK
 *   Source   the request is 3 little-endian uint32: count, size, worth (0 must, 1 may); sends them all at once, then, when
 *            drained or at once if nothing was lost, finishes OK with the message "refused=R dropped=D"
 *   Hold     takes everything, sends nothing, never finishes
 *   Status   the request is a code byte and a text: finishes with those
 *   Header   answers with the value of "authorization"
 */
#ifndef TESTS_ECHO_SERVICE_H
#define TESTS_ECHO_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rpc/rpc_server.h"

static void echo_send(struct rpc_call *c, struct rpc_msg *m)
{
    int err = rpc_call_send(c, m, RPC_MUST);

    if (err && err != -RPC_ECLOSED)
        rpc_call_abort(c, RPC_CODE_RESOURCE_EXHAUSTED, rpc_err_name(err));
}

static void echo_unary(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    if (rpc_msg_len(m) == 0)
        rpc_call_finish(c, RPC_CODE_FAILED_PRECONDITION, "empty");
    else
        rpc_call_reply(c, m);
}

struct echo_later {
    struct rpc_call *call;
    struct rpc_msg *msg;
};

static void *echo_later_main(void *arg)
{
    struct echo_later *l = arg;

    usleep(50000);
    rpc_call_reply(l->call, l->msg);
    rpc_msg_unref(l->msg);
    rpc_call_unref(l->call);
    free(l);
    return NULL;
}

static void echo_later(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct echo_later *l = malloc(sizeof(*l));
    pthread_t t;

    *l = (struct echo_later){rpc_call_ref(c), rpc_msg_ref(m)};
    pthread_create(&t, NULL, echo_later_main, l);
    pthread_detach(t);
}

static void echo_bidi(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    echo_send(c, m);
}

static void echo_done(struct rpc_call *c, void *user)
{
    rpc_call_finish(c, RPC_CODE_OK, NULL);
}

/* Per call: whether it is paused, and how many have come. */
struct echo_nap {
    atomic_bool is_napping;
    unsigned count;
};

static void echo_nap_open(struct rpc_call *c, void *user)
{
    rpc_call_set_data(c, calloc(1, sizeof(struct echo_nap)));
}

static void echo_nap_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    free(rpc_call_data(c)); /* no nap outlives its call: the client waits for all echoes */
}

static void *echo_nap_main(void *arg)
{
    struct rpc_call *c = arg;
    struct echo_nap *n = rpc_call_data(c);

    atomic_store(&n->is_napping, false);
    rpc_call_resume(c);
    rpc_call_unref(c);
    return NULL;
}

static void echo_nap(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct echo_nap *n = rpc_call_data(c);
    pthread_t t;

    if (atomic_load(&n->is_napping))
        rpc_call_abort(c, RPC_CODE_INTERNAL, "woken too early");
    if (++n->count % 10 == 0) {
        atomic_store(&n->is_napping, true);
        rpc_call_pause(c);
        pthread_create(&t, NULL, echo_nap_main, rpc_call_ref(c));
        pthread_detach(t);
    }
    echo_send(c, m);
}

static void echo_tail_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    rpc_call_set_data(c, (void *)((uintptr_t)rpc_call_data(c) + 1));
}

static void echo_tail_done(struct rpc_call *c, void *user)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "count=%lu", (unsigned long)(uintptr_t)rpc_call_data(c));
    struct rpc_msg *m = rpc_msg_copy(slice_of(text, (size_t)n));

    rpc_call_reply(c, m);
    rpc_msg_unref(m);
}

static void echo_source_report(struct rpc_call *c, void *user)
{
    struct rpc_call_stats st;
    char text[64];

    rpc_call_get_stats(c, &st);
    snprintf(text, sizeof(text), "refused=%lu dropped=%lu", (unsigned long)st.refused,
             (unsigned long)(st.dropped_may + st.dropped_must));
    rpc_call_finish(c, RPC_CODE_OK, text);
}

static void echo_source(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct slice s = rpc_msg_slice(m);
    uint32_t arg[3];
    struct rpc_msg *out;
    struct rpc_call_stats st;

    if (s.len != sizeof(arg)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "three numbers");
        return;
    }
    memcpy(arg, s.p, sizeof(arg));
    out = rpc_msg_new(arg[1]); /* one message, sent again and again: shared, not copied */
    for (uint32_t i = 0; i < arg[1]; i++)
        rpc_msg_bytes(out)[i] = (uint8_t)(i * 7);
    for (uint32_t i = 0; i < arg[0]; i++)
        rpc_call_send(c, out, arg[2] ? RPC_MAY : RPC_MUST);
    rpc_msg_unref(out);
    rpc_call_get_stats(c, &st);
    if (!st.refused && !st.dropped_may && !st.dropped_must)
        echo_source_report(c, user);
}

static void echo_status(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct slice s = rpc_msg_slice(m);
    char text[128];

    snprintf(text, sizeof(text), "%.*s", s.len ? (int)(s.len - 1) : 0, s.len ? (const char *)s.p + 1 : "");
    rpc_call_finish(c, s.len ? (enum rpc_code)s.p[0] : RPC_CODE_OK, text);
}

static void echo_header(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct rpc_msg *out = rpc_msg_copy(rpc_call_metadata(c, "authorization"));

    rpc_call_reply(c, out);
    rpc_msg_unref(out);
}

static void echo_drop(struct rpc_call *c, struct rpc_msg *m, void *user)
{
}

static const struct rpc_method echo_methods[] = {
    {.name = "Unary", .kind = RPC_UNARY, .on = {.on_message = echo_unary}},
    {.name = "Later", .kind = RPC_UNARY, .on = {.on_message = echo_later}},
    {.name = "Bidi", .kind = RPC_BIDI, .on = {.on_message = echo_bidi, .on_half_close = echo_done},
     .queue = {.max_messages = 10000, .max_bytes = 64 << 20}, .takes_bundles = true},
    {.name = "Plain", .kind = RPC_BIDI, .on = {.on_message = echo_bidi, .on_half_close = echo_done},
     .queue = {.max_messages = 10000, .max_bytes = 64 << 20}},
    {.name = "Nap", .kind = RPC_BIDI, .on = {.on_open = echo_nap_open, .on_message = echo_nap, .on_half_close = echo_done,
     .on_close = echo_nap_close}, .queue = {.max_messages = 10000, .max_bytes = 64 << 20}, .takes_bundles = true},
    {.name = "Tail", .kind = RPC_BIDI, .on = {.on_message = echo_tail_message, .on_half_close = echo_tail_done}},
    {.name = "Source", .kind = RPC_BIDI, .on = {.on_message = echo_source, .on_drained = echo_source_report},
     .queue = {.max_messages = 100, .max_bytes = 1 << 20}},
    {.name = "SourceOldest", .kind = RPC_BIDI, .on = {.on_message = echo_source, .on_drained = echo_source_report},
     .queue = {.max_messages = 100, .max_bytes = 1 << 20, .policy = RPC_DROP_OLDEST}},
    {.name = "Hold", .kind = RPC_BIDI, .on = {.on_message = echo_drop}},
    {.name = "Status", .kind = RPC_UNARY, .on = {.on_message = echo_status}},
    {.name = "Header", .kind = RPC_UNARY, .on = {.on_message = echo_header}},
};

static const struct rpc_service echo_service = {"test.Echo", echo_methods,
                                                sizeof(echo_methods) / sizeof(*echo_methods)};

#endif
