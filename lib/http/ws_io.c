/* ws_io.c: a WebSocket connection on its server thread: frames in by wslay, batches out
 * Note:    wslay answers pings and protocol errors by itself; its frames join our reply queue. Message bytes are gathered here and not
 *          by wslay, which would hold one heap block a fragment and would take the whole length a header announces
 */
#include <stdlib.h>

#include "http/ws_private.h"

#define PING_BYTES 2           /* an empty ping on the wire */
#define TURN_BYTES (256u << 10) /* of input a turn: what more one client has sent waits until the others had theirs */
#define KEEP_BYTES (64u << 10) /* an input buffer above this is given back after its message */

static uint64_t now_ms(const struct ws_conn *c)
{
    return h2o_now(c->th->loop);
}

static size_t waiting_replies(struct ws_conn *c)
{
    size_t n;

    pthread_mutex_lock(&c->lock);
    n = c->out.replies.bytes;
    pthread_mutex_unlock(&c->lock);
    return n + wslay_event_get_queued_msg_length(c->wslay) +
           WS_OUT_ITEM_COST * wslay_event_get_queued_msg_count(c->wslay);
}

static bool is_paused(struct ws_conn *c)
{
    return atomic_load(&c->holds) > 0 || waiting_replies(c) > c->cfg.pause_bytes;
}

/* ---- wslay's callbacks ---- */

static ssize_t on_want_bytes(wslay_event_context_ptr w, uint8_t *buf, size_t len, int flags, void *arg)
{
    struct ws_conn *c = arg;
    h2o_buffer_t *in = c->sock->input;

    (void)flags;
    if (in->size == 0 || c->turn_bytes == 0 || is_paused(c)) {
        wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (len > in->size)
        len = in->size;
    if (len > c->turn_bytes)
        len = c->turn_bytes;
    c->turn_bytes -= len;
    memcpy(buf, in->bytes, len);
    h2o_buffer_consume(&c->sock->input, len);
    return (ssize_t)len;
}

/* wslay's own frames: pongs, our pings, close. It gives header and payload one after the other: they become one message, or
 * one that another thread sends would come between them. */
static ssize_t on_have_bytes(wslay_event_context_ptr w, const uint8_t *data, size_t len, int flags, void *arg)
{
    static const uint8_t close_1002[] = {0x88, 2, 0x03, 0xea};
    struct ws_conn *c = arg;
    enum ws_push rc = WS_PUSH_NOMEM;
    size_t taken = len;
    struct ws_msg *m;

    if (c->is_broken && len == 2 && data[0] == 0x88 && data[1] == 0) { /* the peer shall hear why */
        data = close_1002;
        len = sizeof(close_1002);
    }
    if ((flags & WSLAY_MSG_MORE) && c->n_head + len <= sizeof(c->head)) {
        memcpy(c->head + c->n_head, data, len);
        c->n_head += len;
        return (ssize_t)taken;
    }
    m = ws_msg_new(c->n_head + len);
    if (m) {
        memcpy(ws_msg_data(m), c->head, c->n_head);
        memcpy(ws_msg_data(m) + c->n_head, data, len);
        ws_msg_seal_raw(m, c->n_head + len);
        c->n_head = 0;
        pthread_mutex_lock(&c->lock);
        rc = ws_out_push(&c->out, WS_REPLY, m);
        pthread_mutex_unlock(&c->lock);
        ws_msg_unref(m);
    }
    if (rc != WS_PUSHED) {
        wslay_event_set_error(w, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)taken;
}

static void refuse_message(struct ws_conn *c, uint16_t code)
{
    wslay_event_queue_close(c->wslay, code, NULL, 0);
    wslay_event_shutdown_read(c->wslay);
}

static void on_frame_start(wslay_event_context_ptr w, const struct wslay_event_on_frame_recv_start_arg *f,
                           void *arg)
{
    struct ws_conn *c = arg;

    (void)w;
    c->in.in_control = wslay_is_ctrl_frame(f->opcode);
    if (f->opcode == WSLAY_CONNECTION_CLOSE && f->payload_length == 1) /* half a code */
        refuse_message(c, WSLAY_CODE_PROTOCOL_ERROR);
    if (c->in.in_control)
        return;
    if (f->opcode != WSLAY_CONTINUATION_FRAME) {
        c->in.len = 0;
        c->in.op = f->opcode == WSLAY_TEXT_FRAME ? WS_TEXT : WS_BINARY;
    }
    if (f->payload_length > c->cfg.max_message_bytes - c->in.len)
        refuse_message(c, WSLAY_CODE_MESSAGE_TOO_BIG);
}

static bool inbuf_reserve(struct ws_inbuf *in, size_t more, size_t max)
{
    size_t cap = in->cap ? in->cap : 4096;
    uint8_t *p;

    if (more <= in->cap - in->len)
        return true;
    while (cap < in->len + more)
        cap *= 2;
    if (cap > max && max >= in->len + more)
        cap = max;
    p = realloc(in->data, cap);
    if (!p)
        return false;
    in->data = p;
    in->cap = cap;
    return true;
}

static void on_frame_chunk(wslay_event_context_ptr w, const struct wslay_event_on_frame_recv_chunk_arg *f,
                           void *arg)
{
    struct ws_conn *c = arg;

    if (c->in.in_control || !f->data_length || !wslay_event_get_read_enabled(w))
        return;
    if (!inbuf_reserve(&c->in, f->data_length, c->cfg.max_message_bytes)) {
        refuse_message(c, WSLAY_CODE_INTERNAL_SERVER_ERROR);
        return;
    }
    memcpy(c->in.data + c->in.len, f->data, f->data_length);
    c->in.len += f->data_length;
}

static void on_msg(wslay_event_context_ptr w, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct ws_conn *c = arg;

    if (wslay_is_ctrl_frame(m->opcode) || !wslay_event_get_read_enabled(w) || c->state != WS_EXPECT_FRAMES)
        return;
    http_count(&c->in_msgs);
    atomic_fetch_add_explicit(&c->in_bytes, c->in.len, memory_order_relaxed);
    if (c->cfg.on_message)
        c->cfg.on_message(c, c->user, c->in.op, slice_of(c->in.data, c->in.len));
    c->in.len = 0;
    if (c->in.cap > KEEP_BYTES) {
        free(c->in.data);
        c->in = (struct ws_inbuf){0};
    }
}

/* ---- writing ---- */

static void on_written(h2o_socket_t *sock, const char *err);

static void release_inflight(struct ws_conn *c)
{
    for (unsigned i = 0; i < c->n_inflight; i++)
        ws_msg_unref(c->inflight[i]);
    c->n_inflight = 0;
}

/* What the policy dropped since the last time. */
static uint64_t take_lost(struct ws_conn *c, uint64_t *bytes)
{
    uint64_t msgs;

    pthread_mutex_lock(&c->lock);
    msgs = c->out.dropped_msgs - c->noticed.msgs;
    *bytes = c->out.dropped_bytes - c->noticed.bytes;
    c->noticed.msgs = c->out.dropped_msgs;
    c->noticed.bytes = c->out.dropped_bytes;
    pthread_mutex_unlock(&c->lock);
    return msgs;
}

/* As a reply, so that it goes out before the deliveries that are left. */
static void tell_lost(struct ws_conn *c)
{
    uint64_t bytes, msgs;
    struct ws_msg *m;

    if (!c->cfg.on_dropped || c->state != WS_EXPECT_FRAMES)
        return;
    msgs = take_lost(c, &bytes);
    m = msgs ? c->cfg.on_dropped(c, c->user, msgs, bytes) : NULL;
    if (!m)
        return;
    pthread_mutex_lock(&c->lock);
    ws_out_push(&c->out, WS_REPLY, m);
    pthread_mutex_unlock(&c->lock);
    ws_msg_unref(m);
}

/* False: nothing waits, and whoever queues something next wakes us. */
static bool flush(struct ws_conn *c)
{
    h2o_iovec_t iov[WS_BATCH];
    uint64_t bytes = 0;

    if (c->n_inflight)
        return true;
    tell_lost(c);
    pthread_mutex_lock(&c->lock);
    c->n_inflight = ws_out_pop(&c->out, c->inflight, WS_BATCH, WS_BATCH_BYTES);
    if (c->n_inflight == 0)
        c->scheduled = false;
    pthread_mutex_unlock(&c->lock);
    if (c->n_inflight == 0)
        return false;
    for (unsigned i = 0; i < c->n_inflight; i++) {
        struct slice wire = ws_msg_wire(c->inflight[i]);

        iov[i] = h2o_iovec_init(wire.p, wire.len);
        bytes += wire.len;
    }
    atomic_fetch_add_explicit(&c->out_msgs, c->n_inflight, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->out_bytes, bytes, memory_order_relaxed);
    h2o_socket_write(c->sock, iov, c->n_inflight, on_written);
    return true;
}

static void on_written(h2o_socket_t *sock, const char *err)
{
    struct ws_conn *c = sock->data;

    release_inflight(c);
    if (err)
        ws_io_die(c);
    else
        ws_io_run(c);
}

/* ---- closing ---- */

static void stop_taking(struct ws_conn *c)
{
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    ws_out_drop_deliveries(&c->out);
    ws_conn_count_drops(c);
    pthread_mutex_unlock(&c->lock);
    c->state = WS_EXPECT_CLOSE;
    c->closing_ms = now_ms(c);
}

/* A close that some thread asked for. */
static void take_close_request(struct ws_conn *c)
{
    char reason[WS_REASON_MAX + 1];
    uint16_t code;

    pthread_mutex_lock(&c->lock);
    code = c->close_code;
    memcpy(reason, c->close_reason, sizeof(reason));
    pthread_mutex_unlock(&c->lock);
    if (!code || c->state != WS_EXPECT_FRAMES)
        return;
    wslay_event_queue_close(c->wslay, code, (const uint8_t *)reason, strlen(reason));
    stop_taking(c);
}

/* Everything is out. With our close frame, and nothing more to learn from theirs, say FIN and wait for theirs: closing the
 * socket over unread input would send RST, and RST would eat our close frame. */
static void after_flush(struct ws_conn *c)
{
    if (c->state != WS_EXPECT_CLOSE || !wslay_event_get_close_sent(c->wslay) ||
        wslay_event_get_read_enabled(c->wslay))
        return;
    c->state = WS_EXPECT_EOF;
    c->closing_ms = now_ms(c);
    shutdown(c->peer->fd, SHUT_WR);
    h2o_buffer_consume(&c->sock->input, c->sock->input->size);
}

static uint16_t final_code(struct ws_conn *c)
{
    if (c->wslay && wslay_event_get_close_received(c->wslay))
        return wslay_event_get_status_code_received(c->wslay);
    if (c->wslay && wslay_event_get_close_sent(c->wslay))
        return wslay_event_get_status_code_sent(c->wslay);
    return 1006;
}

void ws_io_die(struct ws_conn *c)
{
    uint16_t code = final_code(c);

    if (c->state == WS_DEAD)
        return;
    c->state = WS_DEAD;
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    ws_out_drop_deliveries(&c->out);
    ws_conn_count_drops(c);
    pthread_mutex_unlock(&c->lock);
    if (c->sock)
        h2o_socket_close(c->sock);
    c->sock = NULL;
    c->peer = NULL; /* freed with the socket */
    release_inflight(c);
    wslay_event_context_free(c->wslay);
    c->wslay = NULL;
    free(c->in.data);
    c->in = (struct ws_inbuf){0};
    list_del(&c->link);
    atomic_fetch_sub_explicit(&c->th->count.ws_conns, 1, memory_order_relaxed);
    if (c->cfg.on_close)
        c->cfg.on_close(c, c->user, code);
    ws_conn_unref(c);
}

/* ---- the turn ---- */

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct ws_conn *c = sock->data;

    c->rx_ms = now_ms(c);
    if (err)
        ws_io_die(c);
    else
        ws_io_run(c);
}

static void set_reading(struct ws_conn *c)
{
    bool takes = wslay_event_get_read_enabled(c->wslay) && !is_paused(c);
    bool is_rest = takes && c->sock->input->size; /* this turn was over before it */
    bool want = c->state == WS_EXPECT_EOF || (takes && !is_rest);

    if (is_rest)
        ws_conn_wake_again(c);

    if (want && !h2o_socket_is_reading(c->sock))
        h2o_socket_read_start(c->sock, on_readable);
    else if (!want && h2o_socket_is_reading(c->sock))
        h2o_socket_read_stop(c->sock);
}

/* A frame that cannot be one is the end: wslay queues a close frame without a code and reads no further. */
static void recv_frames(struct ws_conn *c)
{
    if (!wslay_event_get_read_enabled(c->wslay) || wslay_event_recv(c->wslay) == 0)
        return;
    c->is_broken = true;
    wslay_event_shutdown_read(c->wslay);
}

/* False: wslay found nothing to go on with. */
static bool turn(struct ws_conn *c)
{
    recv_frames(c);
    take_close_request(c);
    if (wslay_event_want_write(c->wslay) && wslay_event_send(c->wslay) != 0)
        return false;
    if (wslay_event_get_close_sent(c->wslay) && c->state == WS_EXPECT_FRAMES)
        stop_taking(c);
    return true;
}

void ws_io_run(struct ws_conn *c)
{
    bool busy;

    if (c->state == WS_EXPECT_UPGRADE || c->state == WS_DEAD)
        return;
    if (c->state == WS_EXPECT_EOF) {
        h2o_buffer_consume(&c->sock->input, c->sock->input->size);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->scheduled = true;
    pthread_mutex_unlock(&c->lock);
    c->turn_bytes = TURN_BYTES;
    do {
        if (!turn(c)) {
            ws_io_die(c);
            return;
        }
        busy = flush(c);
        /* Flushing may have ended a pause with input still in the buffer. */
    } while (!busy && c->turn_bytes && c->sock->input->size && wslay_event_get_read_enabled(c->wslay) && !is_paused(c));
    if (!busy)
        after_flush(c);
    set_reading(c);
}

void ws_io_upgraded(void *arg, h2o_socket_t *sock, size_t reqsize)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_want_bytes,
                                                           .send_callback = on_have_bytes,
                                                           .on_frame_recv_start_callback = on_frame_start,
                                                           .on_frame_recv_chunk_callback = on_frame_chunk,
                                                           .on_msg_recv_callback = on_msg};
    struct ws_conn *c = arg;

    if (!sock || wslay_event_context_server_init(&c->wslay, &callbacks, c) != 0) {
        c->sock = sock;
        ws_io_die(c);
        return;
    }
    wslay_event_config_set_no_buffering(c->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(c->wslay, c->cfg.max_message_bytes);
    c->sock = sock;
    c->peer->upgraded = true;
    sock->data = c;
    h2o_buffer_consume(&sock->input, reqsize);
    c->rx_ms = c->ping_ms = c->peer->moved_at_ms = now_ms(c);
    c->state = WS_EXPECT_FRAMES;
    ws_io_run(c);
}

/* ---- once a second ---- */

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Being pinged is no sign of life, taking deliveries is. */
static void look_at_progress(struct ws_conn *c, uint64_t now)
{
    uint64_t acked = http_tcp_acked(c->peer->fd);

    if (acked - c->peer->acked > PING_BYTES)
        c->peer->moved_at_ms = now;
    c->peer->acked = acked;
}

static void tick_one(struct ws_conn *c)
{
    uint64_t now = now_ms(c);

    if (c->state == WS_EXPECT_UPGRADE)
        return;
    if (c->state == WS_EXPECT_FRAMES && now - c->rx_ms < 1000)
        return;
    look_at_progress(c, now);
    if (c->state != WS_EXPECT_FRAMES) {
        if (now - latest(c->closing_ms, c->peer->moved_at_ms) >= WS_CLOSE_WAIT_MS ||
            now - c->closing_ms >= c->cfg.idle_ms)
            ws_io_die(c);
        return;
    }
    if (now - latest(c->rx_ms, c->peer->moved_at_ms) >= c->cfg.idle_ms) {
        ws_io_die(c);
        return;
    }
    if (now - latest(c->rx_ms, c->ping_ms) >= c->cfg.ping_ms) {
        struct wslay_event_msg ping = {.opcode = WSLAY_PING};

        c->ping_ms = now;
        wslay_event_queue_msg(c->wslay, &ping);
        ws_io_run(c);
    }
}

void ws_conn_tick(struct http_thread *th)
{
    LIST_EACH(it, &th->ws)
    tick_one(CONTAINER_OF(it, struct ws_conn, link));
}

void ws_conn_close_all(struct http_thread *th, uint16_t code)
{
    LIST_EACH(it, &th->ws)
    ws_conn_close(CONTAINER_OF(it, struct ws_conn, link), code, "going away");
}

void ws_conn_kill_all(struct http_thread *th)
{
    LIST_EACH(it, &th->ws)
    {
        struct ws_conn *c = CONTAINER_OF(it, struct ws_conn, link);

        if (c->state != WS_EXPECT_UPGRADE) /* else shutting its socket ends it */
            ws_io_die(c);
    }
}
