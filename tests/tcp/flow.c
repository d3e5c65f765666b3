#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "flow: %s (%s:%d)\n", #x, __FILE__, __LINE__);                                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

void flow_app_init(struct flow_app *a, struct sim *sim)
{
    struct rng rng;

    memset(a, 0, sizeof(*a));
    a->sim = sim;
    a->pattern = buf_new(2 * FLOW_PERIOD);
    CHECK(a->pattern);
    rng_init_seeded(&rng, 7);
    rng_fill(&rng, a->pattern->data, FLOW_PERIOD);
    memcpy(a->pattern->data + FLOW_PERIOD, a->pattern->data, FLOW_PERIOD);
    a->pattern->len = 2 * FLOW_PERIOD;
    for (int i = 0; i < 2; i++) {
        a->end[i].close_when_sent = true;
        a->end[i].max_chunk = 65536;
    }
}

void flow_app_fini(struct flow_app *a)
{
    CHECK(a->pattern->refs == 1); /* the stacks gave every reference back */
    buf_unref(a->pattern);
}

static void send_some(struct flow_app *a, int side)
{
    struct flow_end *e = &a->end[side];

    if (!e->conn || e->closed)
        return;
    while (e->sent < e->to_send) {
        uint64_t left = e->to_send - e->sent;
        uint32_t n = 1 + (uint32_t)rng_below(&a->sim->rng, e->max_chunk);
        if (n > left)
            n = (uint32_t)left;
        sim_in_stack(a->sim, true);
        int took = tcp_send_buf(e->conn, a->pattern, (uint32_t)(e->sent % FLOW_PERIOD), n);
        sim_in_stack(a->sim, false);
        if (took == -TCP_ENOMEM && a->sim->in_stack)
            return; /* the test wants it so: try again at the next turn */
        CHECK(took >= 0);
        e->sent += (uint32_t)took;
        if ((uint32_t)took < n)
            return;
    }
    if (e->close_when_sent && e->connected)
        tcp_close(e->conn);
}

static void read_some(struct flow_app *a, int side)
{
    struct flow_end *e = &a->end[side];
    struct slice s[8];
    unsigned n;

    if (!e->conn || e->closed || e->stop_reading)
        return;
    if (e->read_pause_ppm && rng_below(&a->sim->rng, PPM) < e->read_pause_ppm)
        return;
    while ((n = tcp_recv_peek(e->conn, s, 8))) {
        uint32_t total = 0;
        for (unsigned i = 0; i < n; i++) {
            for (size_t at = 0; at < s[i].len;) { /* the pattern is as long as two periods */
                size_t k = s[i].len - at < FLOW_PERIOD ? s[i].len - at : FLOW_PERIOD;
                CHECK(memcmp(s[i].p + at, a->pattern->data + (e->received + total) % FLOW_PERIOD, k) == 0);
                at += k;
                total += (uint32_t)k;
            }
        }
        tcp_recv_consume(e->conn, total);
        e->received += total;
        a->progress_ns = a->sim->now;
        if (e->closed)
            return;
    }
}

void flow_app_pump(struct flow_app *a)
{
    for (int i = 0; i < 2; i++) {
        read_some(a, i);
        send_some(a, i);
    }
}

static void on_event(struct sim *sim, int side, const struct tcp_event *ev, void *arg)
{
    struct flow_app *a = arg;
    struct flow_end *e = &a->end[side];

    (void)sim;
    a->progress_ns =
        ev->type == TCP_EV_READABLE || ev->type == TCP_EV_WRITABLE ? a->progress_ns : a->sim->now;
    switch (ev->type) {
    case TCP_EV_ACCEPTED:
        CHECK(side == 1 && !e->conn && ev->local_port == 7070);
        e->conn = ev->conn;
        tcp_conn_set_user(ev->conn, e);
        e->connected = true;
        break;
    case TCP_EV_CONNECTED: e->connected = true; break;
    case TCP_EV_READABLE: e->readable_events++; break;
    case TCP_EV_WRITABLE: e->writable_events++; break;
    case TCP_EV_PEER_CLOSED:
        CHECK(!e->peer_closed);
        e->peer_closed = true;
        break;
    case TCP_EV_CLOSED:
        CHECK(!e->closed && ev->conn == e->conn && ev->user == e);
        read_some(a, side);
        e->closed = true;
        e->reason = ev->reason;
        return;
    case TCP_EV_NEIGH_WANTED: CHECK(false);
    }
    CHECK(!e->closed && ev->conn == e->conn);
    read_some(a, side);
    send_some(a, side);
}

void flow_app_open(struct flow_app *a)
{
    struct ip_endpoint to = sim_endpoint(1, 7070);

    a->sim->on_event = on_event;
    a->sim->event_arg = a;
    CHECK(tcp_listen(a->sim->stack[1], 7070, 8) == 0);
    CHECK(tcp_connect(a->sim->stack[0], &to, 0, &a->end[0], &a->end[0].conn, a->sim->now) == 0);
    a->progress_ns = a->sim->now;
}

bool flow_app_is_done(const struct flow_app *a)
{
    return a->end[0].closed && a->end[1].closed;
}

static void fail(const struct flow_app *a, const char *why)
{
    for (int i = 0; i < 2; i++) {
        const struct flow_end *e = &a->end[i];
        fprintf(stderr, "side %d: sent %llu of %llu, received %llu, peer_closed %d, closed %d (%s)\n", i,
                (unsigned long long)e->sent, (unsigned long long)e->to_send, (unsigned long long)e->received,
                e->peer_closed, e->closed, e->closed ? tcp_reason_name(e->reason) : "-");
        if (e->conn && !e->closed) {
            struct tcp_conn_info in;
            tcp_conn_info(e->conn, &in);
            fprintf(
                stderr,
                "  %s rto %llu ms srtt %llu us cwnd %llu ssthresh %lld flight %u wnd %u queued %u unread %u "
                "rtos %llu\n",
                tcp_state_name(in.state), (unsigned long long)(in.rto_ns / MS),
                (unsigned long long)(in.srtt_ns / 1000), (unsigned long long)in.cwnd_bytes,
                (long long)in.ssthresh_bytes, in.in_flight_bytes, in.snd_wnd_bytes, in.send_queued_bytes,
                in.unread_bytes, (unsigned long long)in.rto_count);
        }
    }
    fprintf(stderr, "flow: %s at %llu ms, last progress at %llu ms\n", why,
            (unsigned long long)(a->sim->now / MS), (unsigned long long)(a->progress_ns / MS));
    abort();
}

/* A reader that paused is to blame for itself: the clock may have leapt to some far deadline meanwhile. */
static bool is_reader_asleep(const struct flow_app *a)
{
    for (int i = 0; i < 2; i++)
        if (a->end[i].conn && !a->end[i].closed && a->end[i].read_pause_ppm &&
            tcp_recv_unread(a->end[i].conn))
            return true;
    return false;
}

void flow_app_run(struct flow_app *a, uint64_t stall_ns, uint64_t limit_ns)
{
    uint64_t began = a->sim->now;

    while (!flow_app_is_done(a)) {
        flow_app_pump(a);
        if (!sim_step(a->sim)) {
            flow_app_pump(a);
            if (flow_app_is_done(a))
                break;
            sim_settle(a->sim);
            if (sim_next(a->sim) == UINT64_MAX && !flow_app_is_done(a))
                fail(a, "nothing left to happen");
        }
        if (flow_app_is_done(a))
            break;
        if (a->sim->now - a->progress_ns > stall_ns && !is_reader_asleep(a))
            fail(a, "stall");
        if (a->sim->now - began > limit_ns)
            fail(a, "too slow");
    }
}
