/* ws_io.c: a WebSocket connection on its server thread: its turns, batches out, closing */
#include <stdlib.h>
#include <sys/uio.h>

#include "http/ws_private.h"

#define PING_BYTES 2           /* an empty ping on the wire */
#define TURN_BYTES (256u << 10) /* of input a turn: what more one client has sent waits until the others had theirs */

static uint64_t now_ms(const struct ws_conn *c)
{
    return h2o_now(c->th->loop);
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

/* Under the lock: a batch into inflight. When that is all, whoever queues something next wakes us. True: more is left. */
static bool take_batch(struct ws_conn *c)
{
    c->n_inflight = ws_out_pop(&c->out, c->inflight, WS_BATCH, WS_BATCH_BYTES);
    c->scheduled = !ws_out_is_empty(&c->out);
    return c->scheduled;
}

/* Straight to the socket, which nearly always takes it all; h2o waits for room when it does not, and for TLS. Returns what the socket
 * took. */
static size_t write_now(struct ws_conn *c, const h2o_iovec_t *iov)
{
    ssize_t n = c->sock->ssl ? 0 : writev(c->peer->fd, (const struct iovec *)iov, (int)c->n_inflight);

    return n > 0 ? (size_t)n : 0; /* h2o hears of the error, too */
}

/* True: on_written will come. */
static bool write_batch(struct ws_conn *c)
{
    h2o_iovec_t iov[WS_BATCH], *rest = iov;
    size_t bytes = 0, n;

    for (unsigned i = 0; i < c->n_inflight; i++) {
        struct slice wire = ws_msg_wire(c->inflight[i]);

        iov[i] = h2o_iovec_init(wire.p, wire.len);
        bytes += wire.len;
    }
    atomic_fetch_add_explicit(&c->out_msgs, c->n_inflight, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->out_bytes, bytes, memory_order_relaxed);
    n = write_now(c, iov);
    if (n == bytes) {
        release_inflight(c);
        return false;
    }
    for (; n >= rest->len; rest++)
        n -= rest->len;
    rest->base += n;
    rest->len -= n;
    pthread_mutex_lock(&c->lock);
    c->scheduled = true; /* by on_written */
    pthread_mutex_unlock(&c->lock);
    h2o_socket_write(c->sock, rest, c->n_inflight - (unsigned)(rest - iov), on_written);
    return true;
}

/* False: nothing waits, and whoever queues something next wakes us. */
static bool flush(struct ws_conn *c)
{
    bool has_more;

    if (c->n_inflight)
        return true;
    tell_lost(c);
    pthread_mutex_lock(&c->lock);
    has_more = take_batch(c);
    pthread_mutex_unlock(&c->lock);
    if (c->n_inflight == 0)
        return false;
    if (write_batch(c))
        return true;
    if (has_more)
        ws_conn_wake_again(c); /* the others come first */
    return has_more;
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
    ws_rare_close(c, code, reason); /* without memory the silence that follows ends it */
    stop_taking(c);
}

/* Everything is out. With our close frame, and nothing more to learn from theirs, say FIN and wait for theirs: closing the
 * socket over unread input would send RST, and RST would eat our close frame. */
static void after_flush(struct ws_conn *c)
{
    if (c->state != WS_EXPECT_CLOSE || !ws_rare_has_said_close(c) || ws_rare_reads(c))
        return;
    c->state = WS_EXPECT_EOF;
    c->closing_ms = now_ms(c);
    shutdown(c->peer->fd, SHUT_WR);
    h2o_buffer_consume(&c->sock->input, c->sock->input->size);
}

void ws_io_die(struct ws_conn *c)
{
    uint16_t code = ws_rare_final_code(c);

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
    ws_rare_free(c);
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
    bool takes = ws_rare_reads(c) && !ws_is_paused(c);
    bool is_rest = takes && c->turn_bytes == 0 && c->sock->input->size; /* this turn was over before it */
    bool want = c->state == WS_EXPECT_EOF || (takes && !is_rest);

    if (is_rest)
        ws_conn_wake_again(c);

    if (want && !h2o_socket_is_reading(c->sock))
        h2o_socket_read_start(c->sock, on_readable);
    else if (!want && h2o_socket_is_reading(c->sock))
        h2o_socket_read_stop(c->sock);
}

/* False: it cannot go on. */
static bool turn(struct ws_conn *c)
{
    if (!ws_input_run(c))
        return false;
    take_close_request(c);
    if (!ws_rare_send(c))
        return false;
    if (ws_rare_has_said_close(c) && c->state == WS_EXPECT_FRAMES)
        stop_taking(c);
    return true;
}

void ws_io_run(struct ws_conn *c)
{
    bool busy, was_paused;

    if (c->state == WS_EXPECT_UPGRADE || c->state == WS_DEAD)
        return;
    if (c->state == WS_EXPECT_EOF) {
        h2o_buffer_consume(&c->sock->input, c->sock->input->size);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->scheduled = true;
    c->is_due = false;
    pthread_mutex_unlock(&c->lock);
    c->turn_bytes = TURN_BYTES;
    do {
        if (!turn(c)) {
            ws_io_die(c);
            return;
        }
        was_paused = ws_is_paused(c);
        busy = flush(c);
        /* Flushing may have ended a pause with input still in the buffer. */
    } while (!busy && was_paused && c->turn_bytes && c->sock->input->size && ws_rare_reads(c) && !ws_is_paused(c));
    if (!busy)
        after_flush(c);
    set_reading(c);
}

void ws_io_deliver(struct ws_conn *c)
{
    bool is_plain, has_more = false;

    pthread_mutex_lock(&c->lock);
    is_plain = c->state == WS_EXPECT_FRAMES && !c->n_inflight && !c->close_code && !c->is_due && c->out.replies.count == 0 &&
               c->out.dropped_msgs == c->noticed.msgs;
    if (is_plain)
        has_more = take_batch(c);
    pthread_mutex_unlock(&c->lock);
    if (!is_plain) {
        ws_io_run(c);
        return;
    }
    if (!c->n_inflight)
        return; /* went with something else meanwhile */
    c->th->fan.written++;
    if (!write_batch(c) && has_more)
        ws_conn_wake_again(c);
}

void ws_io_upgraded(void *arg, h2o_socket_t *sock, size_t reqsize)
{
    struct ws_conn *c = arg;

    if (!sock) {
        ws_io_die(c);
        return;
    }
    c->sock = sock;
    h2o_buffer_consume(&sock->input, reqsize);
    if (!ws_move(c))
        ws_io_begin(c);
}

void ws_io_begin(struct ws_conn *c)
{
    c->peer->upgraded = true;
    c->sock->data = c;
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
    ws_input_give_back(c); /* of one that is silent: others would get it anew in a moment */
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
        c->ping_ms = now;
        ws_push_control(c, WS_PING, (struct slice){0});
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
