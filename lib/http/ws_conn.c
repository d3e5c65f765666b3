/* ws_conn.c: the handle: handshake, sending and closing from any thread */
#include "http/ws_conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/ws_handshake.h"
#include "http/ws_private.h"

static void config_defaults(struct ws_config *c)
{
    c->max_message_bytes = c->max_message_bytes ? c->max_message_bytes : 1u << 20;
    c->out_max_bytes = c->out_max_bytes ? c->out_max_bytes : 16u << 20;
    c->pause_bytes = c->pause_bytes ? c->pause_bytes : 1u << 20;
    c->ping_ms = c->ping_ms ? c->ping_ms : 30000;
    c->idle_ms = c->idle_ms ? c->idle_ms : 90000;
}

/* Under the lock: whether the next round may have it. Half a batch waits for nothing that would be gained. */
static bool can_wait(const struct ws_conn *c)
{
    return !c->is_due && !c->close_code && c->out.replies.count == 0 && c->out.deliveries.count < WS_BATCH / 2 &&
           c->out.deliveries.bytes < WS_BATCH_BYTES / 2;
}

static void run_wake(struct http_msg *m, struct http_thread *th)
{
    struct ws_conn *c = CONTAINER_OF(m, struct ws_conn, wake);
    bool waits, is_parked;

    pthread_mutex_lock(&c->lock);
    c->posted = false;
    is_parked = c->parked;
    waits = c->state == WS_EXPECT_FRAMES && can_wait(c) && ws_fan_is_resting(&th->fan);
    c->parked |= waits;
    pthread_mutex_unlock(&c->lock);
    if (waits && !is_parked) {
        list_push_back(&th->fan.parked, &c->parked_link); /* with the wake-up's reference */
        return;
    }
    if (!waits)
        ws_io_deliver(c);
    ws_conn_unref(c);
}

void ws_conn_unpark(struct ws_conn *c)
{
    pthread_mutex_lock(&c->lock);
    c->parked = false;
    pthread_mutex_unlock(&c->lock);
    ws_io_deliver(c);
    ws_conn_unref(c);
}

static struct ws_conn *conn_new(const struct ws_config *cfg, void *user, struct http_thread *th)
{
    struct ws_conn *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    atomic_init(&c->refs, 2); /* the thread's and the caller's */
    c->cfg = *cfg;
    config_defaults(&c->cfg);
    c->user = user;
    c->th = th;
    pthread_mutex_init(&c->lock, NULL);
    ws_out_init(&c->out, c->cfg.out_max_bytes, c->cfg.policy);
    c->out.budget = c->cfg.budget;
    c->wake.run = run_wake;
    c->scheduled = true; /* until the upgrade is through */
    list_push_back(&th->ws, &c->link);
    http_count(&th->count.ws_conns);
    return c;
}

static struct http_reply *refuse(int status, const char *error)
{
    struct http_reply *r = http_reply_error(status, "%s", error);

    if (status == 426) {
        http_reply_header(r, "upgrade", "websocket");
        http_reply_header(r, "sec-websocket-version", "13");
    }
    return r;
}

static void send_101(h2o_req_t *h, struct ws_conn *c, struct slice key, const char *protocol)
{
    char accept[WS_ACCEPT_LEN + 1];

    ws_handshake_accept(accept, key);
    h->res.status = 101;
    h->res.reason = "Switching Protocols";
    h2o_add_header(&h->pool, &h->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
    h2o_add_header_by_str(&h->pool, &h->res.headers, H2O_STRLIT("sec-websocket-accept"), 0, NULL,
                          h2o_strdup(&h->pool, accept, WS_ACCEPT_LEN).base, WS_ACCEPT_LEN);
    if (protocol) {
        h2o_iovec_t p = h2o_strdup(&h->pool, protocol, SIZE_MAX);

        h2o_add_header_by_str(&h->pool, &h->res.headers, H2O_STRLIT("sec-websocket-protocol"), 0, NULL,
                              p.base, p.len);
    }
    h2o_http1_upgrade(h, NULL, 0, ws_io_upgraded, c);
}

struct ws_conn *ws_upgrade(struct http_req *q, const struct ws_config *cfg, void *user, const char *protocol)
{
    struct ws_handshake hs = {.is_get = slice_is_equal(http_req_method(q), SLICE_LIT("GET")),
                              .is_http11 = q->h->version == 0x101,
                              .upgrade = http_slice(q->h->upgrade)};
    const char *error = "";
    struct ws_conn *c;
    int status;

    http_req_header(q, "sec-websocket-version", &hs.version);
    http_req_header(q, "sec-websocket-key", &hs.key);
    status = ws_handshake_check(&hs, &error);
    if (status) {
        http_req_reply(q, refuse(status, error));
        return NULL;
    }
    c = conn_new(cfg, user, q->thread);
    if (!c) {
        http_req_reply(q, NULL);
        return NULL;
    }
    c->peer = http_peer_of(q->h);
    q->done = true;
    if (cfg->on_open)
        cfg->on_open(c, user);
    send_101(q->h, c, hs.key, protocol);
    return c;
}

struct ws_conn *ws_conn_ref(struct ws_conn *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void ws_conn_unref(struct ws_conn *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    ws_out_fini(&c->out);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Under the lock: true when the caller must post the wake-up after unlocking. */
static bool must_wake(struct ws_conn *c)
{
    if (c->posted || (c->scheduled && (!c->parked || can_wait(c))))
        return false;
    c->scheduled = c->posted = true;
    ws_conn_ref(c); /* the wake-up's */
    return true;
}

static void wake(struct ws_conn *c)
{
    if (!http_thread_post(c->th, &c->wake))
        ws_conn_unref(c);
}

void ws_conn_wake_again(struct ws_conn *c)
{
    bool post;

    pthread_mutex_lock(&c->lock);
    post = !c->posted;
    c->posted = c->is_due = true;
    pthread_mutex_unlock(&c->lock);
    if (post) {
        ws_conn_ref(c);
        wake(c);
    }
}

static void want_close(struct ws_conn *c, uint16_t code, const char *reason)
{
    if (c->close_code)
        return;
    c->close_code = code;
    snprintf(c->close_reason, sizeof(c->close_reason), "%s", reason ? reason : "");
}

void ws_conn_count_drops(struct ws_conn *c)
{
    struct http_counters *count = &c->th->count;

    if (c->out.dropped_msgs == c->told.msgs)
        return;
    atomic_fetch_add_explicit(&count->ws_dropped_msgs, c->out.dropped_msgs - c->told.msgs, memory_order_relaxed);
    atomic_fetch_add_explicit(&count->ws_dropped_bytes, c->out.dropped_bytes - c->told.bytes, memory_order_relaxed);
    c->told.msgs = c->out.dropped_msgs;
    c->told.bytes = c->out.dropped_bytes;
}

/* *post: the caller must see to the wake-up. */
static int push(struct ws_conn *c, enum ws_kind kind, struct ws_msg *m, bool *post)
{
    int rc = 0;

    *post = false;
    pthread_mutex_lock(&c->lock);
    if (c->gone || c->close_code) {
        pthread_mutex_unlock(&c->lock);
        return -HTTP_E_CLOSED;
    }
    switch (ws_out_push(&c->out, kind, m)) {
    case WS_PUSHED: break;
    case WS_PUSH_DROPPED: rc = -HTTP_E_FULL; break;
    case WS_PUSH_DISCONNECT:
        want_close(c, 1008, "client too slow");
        rc = -HTTP_E_FULL;
        break;
    case WS_PUSH_NOMEM: rc = -HTTP_E_NOMEM; break;
    }
    ws_conn_count_drops(c);
    *post = must_wake(c);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int ws_conn_send(struct ws_conn *c, enum ws_kind kind, struct ws_msg *m)
{
    bool post;
    int rc = push(c, kind, m, &post);

    if (post)
        wake(c);
    return rc;
}

int ws_conn_deliver(struct ws_conn *c, struct ws_msg *m, struct ws_wakes *w)
{
    bool post;
    int rc = push(c, WS_DELIVERY, m, &post);

    if (post && !ws_wakes_add(w, c->th, &c->wake))
        wake(c);
    return rc;
}

void ws_conn_close(struct ws_conn *c, uint16_t code, const char *reason)
{
    bool post = false;

    pthread_mutex_lock(&c->lock);
    if (!c->gone) {
        want_close(c, code, reason);
        post = must_wake(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (post)
        wake(c);
}

bool ws_conn_squeeze(struct ws_conn *c)
{
    bool is_over = false, post = false;

    pthread_mutex_lock(&c->lock);
    if (!c->gone && !c->close_code && ws_out_squeeze(&c->out)) {
        ws_conn_count_drops(c);
        is_over = c->cfg.policy == WS_DISCONNECT;
        if (is_over) {
            want_close(c, 1008, "client too slow");
            post = must_wake(c);
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (post)
        wake(c);
    return is_over;
}

void ws_conn_hold(struct ws_conn *c)
{
    atomic_fetch_add(&c->holds, 1);
}

void ws_conn_release(struct ws_conn *c)
{
    bool is_gone;

    if (atomic_fetch_sub(&c->holds, 1) != 1)
        return;
    pthread_mutex_lock(&c->lock);
    is_gone = c->gone;
    pthread_mutex_unlock(&c->lock);
    if (!is_gone) /* also while the thread is at work on it: it may have looked at the holds already, and left input behind */
        ws_conn_wake_again(c);
}

static uint64_t get(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

void ws_conn_stats(struct ws_conn *c, struct ws_stats *out)
{
    *out = (struct ws_stats){.in_msgs = get(&c->in_msgs),
                             .in_bytes = get(&c->in_bytes),
                             .out_msgs = get(&c->out_msgs),
                             .out_bytes = get(&c->out_bytes)};
    pthread_mutex_lock(&c->lock);
    out->dropped_msgs = c->out.dropped_msgs;
    out->dropped_bytes = c->out.dropped_bytes;
    out->queued_bytes = c->out.deliveries.bytes + c->out.replies.bytes;
    pthread_mutex_unlock(&c->lock);
}
