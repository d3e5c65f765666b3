/* http_sweep.c: clients that are too slow, once a second
 * Why:     h2o closes a request that does not arrive in time without a word, and lets an answer that is not taken wait for ever
 */
#include <linux/tcp.h>
#include <stdio.h>

#include "base/log.h"
#include "http/http_private.h"

uint64_t http_tcp_acked(int fd)
{
    struct tcp_info ti = {0};
    socklen_t len = sizeof(ti);

    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
    return ti.tcpi_bytes_acked;
}

/* False once the peer has acknowledged nothing new for limit_ms. */
bool http_peer_has_moved(struct http_peer *p, uint64_t now_ms, uint32_t limit_ms)
{
    uint64_t acked = http_tcp_acked(p->fd);

    if (!p->has_acked || acked != p->acked) {
        p->has_acked = true;
        p->acked = acked;
        p->moved_at_ms = now_ms;
    }
    return now_ms - p->moved_at_ms < limit_ms;
}

static uint64_t ms_since(const struct timeval *t, uint64_t now_ms)
{
    uint64_t at = (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000;

    return now_ms > at ? now_ms - at : 0;
}

/* Nothing of an answer is on its way yet, so these bytes cannot land inside one. Over TLS they would have to be a record: there
 * the connection just ends. */
static void send_408(const struct http_peer *p)
{
    static const char text[] =
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Content-Length: 38\r\n\r\n{\"error\":\"request took too long here\"}";
    ssize_t n = p->sock->ssl ? 0 : send(p->fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

    (void)n; /* a full socket buffer: then not */
    shutdown(p->fd, SHUT_RDWR);
}

static int sweep_one(h2o_req_t *h, void *arg)
{
    struct http_thread *th = arg;
    const struct http_server_config *cfg = &th->server->cfg;
    struct http_peer *p = http_peer_of(h);
    uint64_t now_ms = h2o_now(th->loop);

    if (h->timestamps.response_start_at.tv_sec) {
        if (!http_peer_has_moved(p, now_ms, cfg->answer_timeout_ms)) {
            http_count(&th->count.slow_answers_cut);
            shutdown(p->fd, SHUT_RDWR); /* h2o's pending write fails, and h2o closes */
        }
    } else if (h->timestamps.request_begin_at.tv_sec && !h->processed_at.at.tv_sec &&
               ms_since(&h->timestamps.request_begin_at, now_ms) >= cfg->request_timeout_ms) {
        http_count(&th->count.answers[4]);
        log_debug("\"HTTP request took too long\" status=408 ms=%u", cfg->request_timeout_ms);
        send_408(p);
    }
    return 0;
}

static int close_idle_one(h2o_req_t *h, void *arg)
{
    (void)arg;
    if (!h->timestamps.request_begin_at.tv_sec)
        shutdown(http_peer_of(h)->fd, SHUT_RDWR);
    return 0;
}

static void each_request(struct http_thread *th, int (*fn)(h2o_req_t *, void *))
{
    th->ctx.globalconf->http1.callbacks.foreach_request(&th->ctx, fn, th);
}

void http_sweep(struct http_thread *th)
{
    each_request(th, sweep_one);
}

void http_sweep_close_idle(struct http_thread *th)
{
    each_request(th, close_idle_one);
}
