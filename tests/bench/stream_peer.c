/* stream_peer.c: one end of a link for figure3_stream: frames on one yamux stream over Noise, through the whole of lib/net
 * usage: stream_peer sink kernel|af_packet LISTEN_IP | source kernel|af_packet FROM_IP ADDR SIZE SECONDS
 * Each write of SIZE bytes is one frame, which the sink puts together as it does RPCs; others in this figure write bytes. stdout, JSON lines:
 * listening {addr}; streaming; streamed {bytes, seconds, ok}. A sink and a source that is done stay until stdin ends.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bufpool.h"
#include "net/net.h"
#include "clock.h"

#define PORT    7070
#define SPIN_NS 50000ull

static const char *const protocols[] = {"/bench/1.0.0"};

struct end {
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    struct rng rng;
    struct bufpool frames;
    struct net *net;
    net_conn_id conn;
    bool is_ready, is_sink, is_over;
    uint64_t bytes, answer, idle_since;
};

static void die(const char *what)
{
    fprintf(stderr, "stream_peer: %s\n", what);
    exit(1);
}

static void end_open(struct end *e, bool is_sink, const char *driver, const char *ip)
{
    struct net_config cfg = {.driver = driver[0] == 'k' ? NET_KERNEL : NET_AF_PACKET, .listen_port = PORT, .protocols = {protocols[0]},
                             .max_queue_bytes = 4u << 20, .max_frame_bytes = 4u << 20};
    char err[256] = "";

    e->is_sink = is_sink;
    rng_init_system(&e->rng);
    key_pair_init(&e->key, &e->rng);
    noise_identity_init(&e->noise, &e->key, &e->rng);
    e->local = (struct session_local){.version = 1, .agent = "bench", .protocols = protocols, .nprotocols = 1};
    bufpool_init(&e->frames, 1ull << 30, 64u << 20);
    cfg.listen_ip = cfg.driver == NET_KERNEL ? ip : NULL;
    cfg.iface = "eth0";
    cfg.identity = &e->noise;
    cfg.local = &e->local;
    cfg.rng = &e->rng;
    cfg.frame_alloc = bufpool_alloc;
    cfg.frame_ctx = &e->frames;
    e->net = net_new(&cfg, bench_now_ns(), err, NULL);
    if (!e->net)
        die(err);
}

static bool end_send(struct end *e, struct buf *b, uint64_t now)
{
    struct net_piece p = {buf_ref(b), 0, b->len};

    if (e->is_ready && net_send(e->net, e->conn, &p, 1, now) == 0)
        return true;
    buf_unref(b);
    return false;
}

/* A frame of one byte ends the stream and asks how much there was. */
static void on_frame(struct end *e, struct buf *frame, uint64_t now)
{
    if (!e->is_sink) {
        memcpy(&e->answer, frame->data, frame->len < 8 ? frame->len : 8);
        e->is_over = true;
    } else if (frame->len > 1) {
        e->bytes += frame->len;
    } else {
        struct buf *b = buf_copy(slice_of(&e->bytes, sizeof(e->bytes)));
        end_send(e, b, now);
        buf_unref(b);
    }
    buf_unref(frame);
}

static void on_event(struct end *e, struct net_event *ev, uint64_t now)
{
    switch (ev->type) {
    case NET_EV_CONN_UP:
        e->conn = ev->conn;
        net_pubsub_open(e->net, ev->conn, now);
        break;
    case NET_EV_PUBSUB_READY: e->is_ready = true; break;
    case NET_EV_RPC: on_frame(e, ev->frame, now); break;
    case NET_EV_IDENTIFIED: net_identity_free(ev->identity); break;
    case NET_EV_DIAL_FAILED: die(ev->reason); break;
    default: break;
    }
}

/* Spins a moment, then sleeps, as a node's lcore that is of use does (node/spin.h). */
static void turn(struct end *e)
{
    uint64_t now = bench_now_ns(), at;
    struct pollfd pfd[8];
    struct net_event ev;
    int fds[8];
    unsigned n, work = net_poll(e->net, now);

    for (; net_next_event(e->net, &ev); work++)
        on_event(e, &ev, now);
    if (work) {
        e->idle_since = 0;
        return;
    }
    if (!e->idle_since)
        e->idle_since = now;
    if (now - e->idle_since < SPIN_NS)
        return;
    n = net_wait_fds(e->net, fds, 8);
    for (unsigned i = 0; i < n; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    at = net_next_deadline(e->net);
    at = at > now && at - now < 1000000 ? at - now : at > now ? 1000000 : 0;
    ppoll(pfd, n, &(struct timespec){0, (long)at}, NULL);
}

static uint64_t pump(struct end *e, struct buf *b, double seconds)
{
    uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9), sent = 0;

    while (bench_now_ns() < end) {
        uint64_t now = bench_now_ns();
        for (int i = 0; i < 64 && end_send(e, b, now); i++)
            sent += b->len;
        turn(e);
    }
    return sent;
}

static void source(struct end *e, const char *addr, uint32_t size, double seconds)
{
    struct buf *b = buf_new(size), *last = buf_copy(slice_of("x", 1));
    uint64_t warm, sent, begun, end = bench_now_ns() + 20000000000ull;
    struct multiaddr a;

    rng_fill(&e->rng, b->data, size);
    b->len = size;
    if (multiaddr_parse(&a, slice_str(addr)) || net_dial(e->net, &a, NULL, 1, bench_now_ns()))
        die("not an address that can be dialed");
    while (!e->is_ready && bench_now_ns() < end)
        turn(e);
    warm = pump(e, b, seconds / 3);
    puts("{\"event\":\"streaming\"}");
    fflush(stdout);
    begun = bench_now_ns();
    sent = pump(e, b, seconds);
    while (!end_send(e, last, bench_now_ns()))
        turn(e);
    while (!e->is_over && bench_now_ns() < end)
        turn(e);
    printf("{\"event\":\"streamed\",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"ok\":%s}\n", sent, (double)(bench_now_ns() - begun) / 1e9,
           e->answer == sent + warm ? "true" : "false");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct end e;
    char byte;

    crypto_init();
    if (argc < 4)
        die("usage: stream_peer sink|source DRIVER IP [ADDR SIZE SECONDS]");
    end_open(&e, strcmp(argv[1], "sink") == 0, argv[2], argv[3]);
    if (!e.is_sink && argc > 6)
        source(&e, argv[4], (uint32_t)atoi(argv[5]), atof(argv[6]));
    else
        printf("{\"event\":\"listening\",\"addr\":\"/ip4/%s/tcp/%d\"}\n", argv[3], PORT);
    fflush(stdout);
    fcntl(0, F_SETFL, O_NONBLOCK);
    while (read(0, &byte, 1) != 0)
        turn(&e);
    net_free(e.net);
    return 0;
}
