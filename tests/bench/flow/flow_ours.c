/* flow_ours.c: either end over our stack, on whatever driver (flow.h); the loop idles as a node's lcore does */
#include "tcp/tcp.h"
#include "flow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/pktio.h"
#include "libp2p/multiaddr.h"
#include "net/open.h"
#include "net/transport.h"
#include "net/transport_tcp.h"
#include "tcp/tcp.h"

#include <arpa/inet.h>

#define SPIN_NS  50000
#define HOT_MOST 1024 /* chunks at once: more than any send buffer */
#define PONG_NS  5000000000ull /* a path that answers no ping for so long is dead */

/* One connection. */
struct end {
    struct pipe *pipe;
    char mode;
    bool is_open;
    uint64_t bytes, first_ns, last_ns;
};

struct ours {
    const struct flow_config *c;
    struct transport *t;
    struct rng rng;
    struct buf *hot;
    struct end ends[FLOW_CONNS_MAX]; /* of a client; a server's are on the heap */
    uint64_t idle_since, pong; /* pong: bytes echoed to a client */
    bool is_client, is_broken;
};

static void open_transport(struct ours *o)
{
    char err[256] = "", why[512] = "";
    struct net_share share = {0};
    struct net_config net = o->c->net;

    net.tcp_ecn = TCP_ECN_ACCEPT;
    net.tcp_cc = o->c->cc && strcmp(o->c->cc, "cubic") == 0 ? TCP_CC_CUBIC : TCP_CC_BBR; /* as a node's default */
    if (o->c->cc && net.tcp_cc != TCP_CC_CUBIC && strcmp(o->c->cc, "bbr") != 0)
        flow_die("our stack has cubic and bbr");
    net.nroles = 1;
    net.max_conns = 4096;
    net.max_handshakes = 4096;
    net.rng = &o->rng;
    net.listen_port = o->c->tcp_port;
    rng_init_system(&o->rng);
    if (o->c->port) {
        net.driver = NET_MEMPAIR; /* a port of ours alone, whatever is behind it */
        net.port = o->c->port;
    }
    o->t = net_open_transport(&net, NULL, &share, bench_now_ns(), err, why);
    if (!o->t)
        flow_die(err);
    o->hot = buf_new(FLOW_CHUNK);
    o->hot->len = FLOW_CHUNK;
    memset(o->hot->data, 7, FLOW_CHUNK);
}

/* ---- both ends ---- */

/* Bounded: a pipe whose connection has ended takes anything until its end is told. */
static void send_hot(struct ours *o, struct end *e, uint64_t now)
{
    for (unsigned i = 0; i < HOT_MOST; i++) {
        uint64_t room = pipe_room(e->pipe);

        if (room < 1)
            return;
        pipe_send(e->pipe, o->hot, 0, room < FLOW_CHUNK ? (uint32_t)room : FLOW_CHUNK, now);
    }
}

static void send_bytes(struct end *e, struct slice bytes, uint64_t now)
{
    struct buf *b = buf_new((uint32_t)bytes.len);

    memcpy(b->data, bytes.p, bytes.len);
    b->len = (uint32_t)bytes.len;
    pipe_send(e->pipe, b, 0, b->len, now);
    buf_unref(b);
}

static void gone(struct ours *o, struct end *e, uint64_t now)
{
    pipe_close(e->pipe, false, now);
    e->pipe = NULL;
    if (o->is_client)
        o->is_broken = true;
    else
        free(e);
}

/* ---- server ---- */

static void serve_bytes(struct ours *o, struct end *e, struct slice in, uint64_t now)
{
    if (!e->mode && in.len) {
        e->mode = (char)in.p[0];
        in.p++;
        in.len--;
        if (e->mode == 'G')
            send_hot(o, e, now);
    }
    if (in.len == 0)
        return;
    e->bytes += in.len;
    e->first_ns = e->first_ns ? e->first_ns : now;
    e->last_ns = now;
    if (e->mode == 'E')
        send_bytes(e, in, now);
}

static void serve_end(struct ours *o, struct end *e, uint64_t now)
{
    struct flow_swallowed r = {e->bytes, e->last_ns - e->first_ns};

    if (e->mode == 'S')
        send_bytes(e, slice_of((const uint8_t *)&r, sizeof(r)), now);
    pipe_close(e->pipe, e->mode == 'S', now);
    free(e);
}

/* ---- client ---- */

static void client_bytes(struct ours *o, struct end *e, struct slice in)
{
    e->bytes += in.len;
    o->pong += in.len;
}

/* ---- the turn ---- */

static void on_in(struct ours *o, struct end *e, uint64_t now)
{
    const char *reason;
    struct slice in;
    int rc;

    while ((rc = pipe_recv(e->pipe, &in, &reason)) == 1) {
        if (o->is_client)
            client_bytes(o, e, in);
        else
            serve_bytes(o, e, in, now);
    }
    if (rc == PIPE_BROKEN || (rc == PIPE_END && o->is_client))
        gone(o, e, now);
    else if (rc == PIPE_END)
        serve_end(o, e, now);
}

static void on_event(struct ours *o, struct pipe_event *ev, uint64_t now)
{
    struct end *e = ev->pipe->user;

    switch (ev->type) {
    case PIPE_NEW:
        e = calloc(1, sizeof(*e));
        e->pipe = ev->pipe;
        ev->pipe->user = e;
        break;
    case PIPE_OPEN:
        e->is_open = true;
        if (o->c->mode == FLOW_CONNECT)
            send_bytes(e, slice_of((const uint8_t *)"Ex", 2), now);
        else
            send_bytes(e, slice_of((const uint8_t *)&e->mode, 1), now);
        if (e->mode == 'S')
            send_hot(o, e, now);
        break;
    case PIPE_IN: on_in(o, e, now); break;
    case PIPE_ROOM:
        if (e->mode == (o->is_client ? 'S' : 'G'))
            send_hot(o, e, now);
        break;
    case PIPE_GONE: gone(o, e, now); break;
    }
}

/* As a node's lcore that is of use (node/spin.h): spins a little, then sleeps on the descriptors. */
static void idle(struct ours *o, uint64_t now)
{
    struct timespec ts = {0, 100000000};
    struct pollfd pfd[8];
    int fds[8];
    uint64_t at;
    unsigned n;

    if (o->c->port) /* a port in memory: an lcore of its own, which spins */
        return;
    if (!o->idle_since)
        o->idle_since = now;
    if (now - o->idle_since < SPIN_NS)
        return;
    n = transport_wait_fds(o->t, fds, 8);
    at = transport_next_deadline(o->t);
    if (at <= now)
        return;
    if (at - now < 100000000)
        ts.tv_nsec = (long)(at - now);
    for (unsigned i = 0; i < n; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    if (n > 0)
        ppoll(pfd, n, &ts, NULL);
    o->idle_since = 0;
}

static void turn(struct ours *o)
{
    uint64_t now = bench_now_ns();
    unsigned work = transport_poll(o->t, now);
    struct pipe_event ev;

    for (; transport_next_event(o->t, &ev); work++)
        on_event(o, &ev, now);
    transport_flush(o->t, now);
    if (work)
        o->idle_since = 0;
    else
        idle(o, now);
}

static void report_stats(struct ours *o)
{
    struct transport_stats s;

    transport_stats_get(o->t, &s);
    fprintf(stderr, "%s: packets in %lu, out %lu, dropped %lu and %lu, retransmits %lu, wrong checksums %lu\n", o->t->text,
            (unsigned long)s.packets_in, (unsigned long)s.packets_out, (unsigned long)s.packets_dropped_in,
            (unsigned long)s.packets_dropped_out, (unsigned long)s.tcp_retransmits, (unsigned long)s.tcp_checksum_errors);
}

int flow_ours_serve(const struct flow_config *c)
{
    struct ours *o = calloc(1, sizeof(*o));

    o->c = c;
    open_transport(o);
    printf("ready\n");
    fflush(stdout);
    while (!flow_stop)
        turn(o);
    report_stats(o);
    return 0; /* the process ends here; connections go with it */
}

/* ---- what a client measures ---- */

static void dial(struct ours *o, struct end *e)
{
    struct endpoint to = {.ip_len = 4, .port = o->c->tcp_port};
    const char *reason = "";

    if (inet_pton(AF_INET, o->c->ip, to.ip) != 1)
        flow_die(o->c->ip);
    e->pipe = transport_dial(o->t, &to, bench_now_ns(), &reason);
    if (!e->pipe)
        flow_die(reason);
    e->pipe->user = e;
}

static void dial_all(struct ours *o, char mode)
{
    uint64_t end = bench_now_ns() + FLOW_DIAL_NS;
    unsigned open = 0;

    for (unsigned i = 0; i < o->c->flows; i++) {
        o->ends[i].mode = mode;
        dial(o, &o->ends[i]);
    }
    while (open < o->c->flows) {
        turn(o);
        if (flow_stop || o->is_broken || bench_now_ns() > end)
            flow_die("the connections did not open");
        open = 0;
        for (unsigned i = 0; i < o->c->flows; i++)
            open += o->ends[i].is_open;
    }
}

static void turn_until(struct ours *o, uint64_t end)
{
    while (bench_now_ns() < end && !o->is_broken && !flow_stop)
        turn(o);
}

static void receive(struct ours *o)
{
    uint64_t bytes[FLOW_CONNS_MAX], ns[FLOW_CONNS_MAX], begun, end;

    dial_all(o, 'G');
    turn_until(o, bench_now_ns() + (uint64_t)(o->c->warm_seconds * 1e9));
    for (unsigned i = 0; i < o->c->flows; i++)
        o->ends[i].bytes = 0;
    begun = bench_now_ns();
    turn_until(o, begun + (uint64_t)(o->c->seconds * 1e9));
    if (o->is_broken)
        flow_die("a flow broke");
    end = bench_now_ns();
    for (unsigned i = 0; i < o->c->flows; i++) {
        bytes[i] = o->ends[i].bytes;
        ns[i] = end - begun;
    }
    flow_report_rate(bytes, ns, o->c->flows);
}

static void ping(struct ours *o)
{
    uint32_t *ns = calloc(FLOW_PINGS_MAX, sizeof(*ns));
    uint64_t end = bench_now_ns() + (uint64_t)(o->c->seconds * 1e9), t;
    uint8_t bytes[2048] = {0};
    unsigned n = 0;

    dial_all(o, 'E');
    while (n < FLOW_PINGS_MAX && (t = bench_now_ns()) < end && !flow_stop) {
        o->pong = 0;
        send_bytes(&o->ends[0], slice_of(bytes, o->c->size), t);
        transport_flush(o->t, t);
        while (o->pong < o->c->size && !o->is_broken && !flow_stop) {
            turn(o);
            o->is_broken |= bench_now_ns() - t > PONG_NS;
        }
        if (o->is_broken)
            flow_die("ping");
        if (flow_stop)
            break;
        ns[n++] = (uint32_t)(bench_now_ns() - t);
    }
    flow_report_ping(ns, n);
    free(ns);
}

/* As flow_linux.c's: connect, a byte there and back, reset, on each of `flows` places. */
static void connects(struct ours *o)
{
    uint64_t begun = bench_now_ns(), end = begun + (uint64_t)(o->c->seconds * 1e9), done = 0, failed = 0;

    for (unsigned i = 0; i < o->c->flows; i++)
        dial(o, &o->ends[i]);
    while (bench_now_ns() < end && !flow_stop) {
        turn(o);
        for (unsigned i = 0; i < o->c->flows; i++) {
            struct end *e = &o->ends[i];
            bool is_done = e->bytes > 0;

            if (e->pipe && !is_done)
                continue;
            done += is_done;
            failed += !is_done;
            if (e->pipe)
                pipe_close(e->pipe, false, bench_now_ns());
            *e = (struct end){0};
            dial(o, e);
        }
    }
    flow_report_connects(done, bench_now_ns() - begun, failed);
}

int flow_ours_client(const struct flow_config *c)
{
    struct ours *o = calloc(1, sizeof(*o));

    o->c = c;
    o->is_client = true;
    open_transport(o);
    if (c->mode == FLOW_RECV)
        receive(o);
    else if (c->mode == FLOW_PING && c->size <= 2048)
        ping(o);
    else if (c->mode == FLOW_CONNECT)
        connects(o);
    else
        flow_die("our client does recv, connect, and ping of up to 2048 bytes");
    report_stats(o);
    return 0;
}
