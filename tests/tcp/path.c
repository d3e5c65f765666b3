#include "path.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "path: %s (%s:%d)\n", #x, __FILE__, __LINE__);                                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

void path_fill(struct flows *f, struct tcp_conn *c)
{
    unsigned i = (unsigned)(uintptr_t)tcp_conn_user(c) - 1;

    for (;;) {
        uint64_t left = f->most_bytes - f->queued[i];
        uint32_t n = left < f->data->len ? (uint32_t)left : f->data->len;
        int took = n ? tcp_send_buf(c, f->data, 0, n) : 0;
        if (took > 0)
            f->queued[i] += (uint32_t)took;
        if (!n || took < (int)n)
            return;
    }
}

void path_on_event(struct sim *sim, int side, const struct tcp_event *ev, void *arg)
{
    struct flows *f = arg;

    if (side == 0 && ev->type == TCP_EV_CONNECTED)
        f->opened_ns[(unsigned)(uintptr_t)ev->user - 1] = sim->now;
    if (side == 0 && (ev->type == TCP_EV_CONNECTED || ev->type == TCP_EV_WRITABLE))
        path_fill(f, ev->conn);
    if (side == 1 && ev->type == TCP_EV_ACCEPTED) {
        struct tcp_conn_info info;
        tcp_conn_info(ev->conn, &info);
        for (unsigned i = 0; i < f->count; i++) {
            struct tcp_conn_info other;
            tcp_conn_info(f->out[i], &other);
            if (other.local.port == info.remote.port) {
                f->in[i] = ev->conn;
                tcp_conn_set_user(ev->conn, (void *)(uintptr_t)(i + 1));
            }
        }
    }
    if (side == 1 && ev->type == TCP_EV_READABLE) {
        unsigned i = (unsigned)(uintptr_t)ev->user - 1;
        uint32_t n = tcp_recv_unread(ev->conn);
        if (i < PATH_FLOWS_MAX)
            f->received[i] += n;
        tcp_recv_consume(ev->conn, n);
    }
}

void path_open(struct flows *f, const struct path *p, enum tcp_cc cc, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    sim_init(&f->sim, seed);
    f->sim.net = (struct sim_net){.delay_ns = p->delay_ns,
                                  .bytes_per_s = p->bytes_per_s,
                                  .queue_bytes = p->queue_bytes,
                                  .loss_ppm = p->loss_ppm,
                                  .reorder_ppm = p->reorder_ppm,
                                  .reorder_ns = p->reorder_ns,
                                  .mark_bytes = p->mark_bytes,
                                  .stall_ns = p->stall_ns,
                                  .lend = true};
    for (int i = 0; i < 2; i++) {
        f->sim.cfg[i].cc = cc;
        f->sim.cfg[i].csum_tx = true;
        f->sim.cfg[i].ecn = p->mark_bytes ? TCP_ECN_ON : TCP_ECN_ACCEPT;
        f->sim.cfg[i].gso_max_bytes = p->gso;
        f->sim.cfg[i].recv_buf_bytes = 32u << 20;
    }
    sim_start(&f->sim);
    f->sim.on_event = path_on_event;
    f->sim.event_arg = f;
    f->data = buf_new(1 << 20);
    memset(f->data->data, 'x', 1 << 20);
    f->data->len = 1 << 20;
    f->most_bytes = UINT64_MAX;
    CHECK(tcp_listen(f->sim.stack[1], 7070, PATH_FLOWS_MAX) == 0);
}

unsigned path_add(struct flows *f, const struct cc_ops *ops)
{
    struct ip_endpoint to = sim_endpoint(1, 7070);
    unsigned i = f->count++;

    CHECK(tcp_connect(f->sim.stack[0], &to, 0, (void *)(uintptr_t)(i + 1), &f->out[i], f->sim.now) == 0);
    if (ops)
        cc_init(&f->out[i]->cc, ops, f->out[i]->mss, i * 77 + 1);
    return i;
}

void path_run(struct flows *f, uint64_t ns)
{
    for (unsigned i = 0; i < f->count; i++)
        f->at_mark[i] = f->received[i];
    sim_run(&f->sim, f->sim.now + ns);
}

uint64_t path_got(const struct flows *f, unsigned i)
{
    return f->received[i] - f->at_mark[i];
}

void path_close(struct flows *f)
{
    sim_fini(&f->sim);
    buf_unref(f->data);
}

const struct tcp_counters *path_sender(const struct flows *f)
{
    return tcp_stack_counters(f->sim.stack[0]);
}

double path_jain(const uint64_t *x, unsigned n)
{
    double sum = 0, squares = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    return sum * sum / (n * squares);
}
