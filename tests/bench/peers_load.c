/* peers_load.c: many light peers of one node, for peers.py: each a net of its own, kernel sockets, and a pub/sub core
 * usage: peers_load ADDR PREFIX COUNT MODE BYTES
 *   ADDR /ip4/../tcp/../p2p/.. of the node; PREFIX the first three bytes of the peers' addresses, 127.77.21, of which and
 *   whose successors they take .1 to .250; MODE optimum or gossipsub; BYTES of a payload
 * stdin, a line each: "publish N RATE": the first peer publishes N payloads, RATE a second; "report": one line of figures
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/timerq.h"
#include "crypto/sha256.h"
#include "net/net.h"
#include "pubsub/pubsub.h"
#include "clock.h"

#define TOPIC   "bench"
#define TURN_NS 2000000ull

struct light {
    struct net *net;
    struct pubsub *ps;
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    net_conn_id conn;
    struct peer_id peer;
    bool is_ready;
};

static struct rng keys, fast;
static struct light *lights;
static unsigned count, bytes, next_payload;
static uint64_t delivered;
static enum pubsub_mode mode;
static const char *protocol[1];

static void die(const char *what)
{
    fprintf(stderr, "peers_load: %s\n", what);
    exit(1);
}

static void make(struct light *l, unsigned i, const char *prefix, uint64_t now)
{
    struct net_config nc = {.driver = NET_KERNEL, .identity = &l->noise, .local = &l->local, .max_conns = 4, .rng = &keys,
                            .protocols = {protocol[0]}};
    struct pubsub_config pc = {.mode = mode, .key = &l->key, .mesh_target = 6, .mesh_min = 4, .mesh_max = 12, .mesh_out = 2,
                               .max_msg_bytes = 1u << 20, .k = 4, .mult = 1.5, .threshold = 0.75, .seen_max = 1u << 14};
    uint8_t seed[ED25519_SEED_BYTES];
    char ip[32], head[16], err[256];
    unsigned last = 0;
    const char *dot = strrchr(prefix, '.');

    snprintf(head, sizeof(head), "%.*s", (int)(dot - prefix), prefix);
    last = (unsigned)atoi(dot + 1) + i / 250;
    snprintf(ip, sizeof(ip), "%s.%u.%u", head, last, i % 250 + 1);
    rng_fill(&keys, seed, sizeof(seed));
    key_pair_from_seed(&l->key, seed);
    noise_identity_init(&l->noise, &l->key, &keys);
    l->local = (struct session_local){.version = 1, .agent = "peers_load", .protocols = protocol, .nprotocols = 1};
    nc.listen_ip = ip;
    l->net = net_new(&nc, now, err, NULL);
    if (!l->net)
        die(err);
    l->ps = pubsub_new(&pc, &fast, now, now);
    if (!l->ps || pubsub_subscribe(l->ps, slice_str(TOPIC), now))
        die("no memory for a core");
}

static void take_outputs(struct light *l, uint64_t now)
{
    struct pubsub_output o;

    while (pubsub_next_output(l->ps, &o)) {
        struct net_piece p[NET_MAX_PIECES];
        for (unsigned i = 0; i < o.npieces; i++)
            p[i] = (struct net_piece){o.pieces[i].buf, o.pieces[i].off, o.pieces[i].len};
        if (o.type == PUBSUB_SEND && (!l->is_ready || net_send(l->net, l->conn, p, o.npieces, now)))
            for (unsigned i = 0; i < o.npieces; i++)
                buf_unref(p[i].buf);
        delivered += o.type == PUBSUB_DELIVER && o.upstream.len;
        if (o.type == PUBSUB_DELIVER)
            buf_unref(o.payload);
        if (o.type == PUBSUB_DIAL)
            buf_unref(o.record);
    }
}

static void on_event(struct light *l, const struct net_event *ev, uint64_t now)
{
    struct multiaddr_target t;

    switch (ev->type) {
    case NET_EV_CONN_UP:
        l->conn = ev->conn;
        l->peer = ev->peer;
        net_pubsub_open(l->net, l->conn, now);
        break;
    case NET_EV_PUBSUB_READY:
        l->is_ready = true;
        multiaddr_target(multiaddr_slice(&ev->addr), &t);
        pubsub_peer_up(l->ps, 1, &l->peer, mode == PUBSUB_CODED ? PUBSUB_CODED_1 : PUBSUB_MESHSUB_12, true,
                       slice_of("\0\0\0\0", 4), now);
        break;
    case NET_EV_RPC: pubsub_rpc(l->ps, 1, ev->frame, now); break;
    case NET_EV_CONN_DOWN:
        fprintf(stderr, "peers_load: a connection went down: %s\n", ev->reason);
        if (l->is_ready)
            pubsub_peer_down(l->ps, 1, now);
        l->is_ready = false;
        break;
    case NET_EV_DIAL_FAILED: fprintf(stderr, "peers_load: a dial failed: %s\n", ev->reason); break;
    default: break;
    }
    if (ev->identity)
        net_identity_free(ev->identity);
}

static void turn(struct light *l, uint64_t now)
{
    struct net_event ev;

    net_poll(l->net, now);
    while (net_next_event(l->net, &ev))
        on_event(l, &ev, now);
    if (now >= pubsub_next_deadline(l->ps))
        pubsub_on_deadline(l->ps, now);
    take_outputs(l, now);
}

static void publish(struct light *l, uint64_t now)
{
    struct buf *b = buf_new(bytes < 16 ? 16 : bytes);
    uint8_t sha[32];

    if (!b)
        die("no memory");
    b->len = b->cap < bytes ? b->cap : bytes;
    rng_fill(&fast, b->data, b->len);
    memcpy(b->data, &next_payload, sizeof(next_payload));
    next_payload++;
    sha256_of(buf_slice(b), sha);
    if (pubsub_publish(l->ps, slice_str(TOPIC), b, sha, now))
        buf_unref(b);
}

static unsigned ready(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        n += lights[i].is_ready;
    return n;
}

int main(int argc, char **argv)
{
    struct multiaddr addr;
    unsigned left = 0, rate = 0, dialed = 0;
    uint64_t next_publish = 0, now = bench_now_ns(), next_dial = now;
    char line[128];
    size_t have = 0;

    if (argc != 6 || multiaddr_parse(&addr, slice_str(argv[1])))
        die("usage: peers_load ADDR PREFIX COUNT MODE BYTES");
    count = (unsigned)atoi(argv[3]);
    mode = strcmp(argv[4], "optimum") == 0 ? PUBSUB_CODED : PUBSUB_GOSSIP;
    protocol[0] = pubsub_proto_ids[mode == PUBSUB_CODED ? PUBSUB_CODED_1 : PUBSUB_MESHSUB_12];
    bytes = (unsigned)atoi(argv[5]);
    rng_init_system(&keys);
    rng_init_seeded(&fast, 1);
    lights = calloc(count, sizeof(*lights));
    for (unsigned i = 0; i < count; i++)
        make(&lights[i], i, argv[2], now);
    fcntl(0, F_SETFL, O_NONBLOCK);
    for (;;) {
        now = bench_now_ns();
        if (dialed < count && now >= next_dial) { /* a hundred a second: handshakes cost both sides */
            net_dial(lights[dialed++].net, &addr, NULL, 1, now);
            next_dial = now + 10000000ull;
        }
        for (; left && now >= next_publish; left--) {
            publish(&lights[0], now);
            next_publish += 1000000000ull / rate;
        }
        for (unsigned i = 0; i < count; i++)
            turn(&lights[i], now);
        ssize_t n = read(0, line + have, sizeof(line) - 1 - have);
        if (n == 0)
            return 0;
        have += n > 0 ? (size_t)n : 0;
        line[have] = 0;
        for (char *end; (end = strchr(line, '\n'));) {
            if (sscanf(line, "publish %u %u", &left, &rate) == 2)
                next_publish = now;
            else
                printf("ready %u left %u delivered %" PRIu64 "\n", ready(), left, delivered), fflush(stdout);
            have -= (size_t)(end + 1 - line);
            memmove(line, end + 1, have + 1);
        }
        uint64_t spent = bench_now_ns() - now;
        if (spent < TURN_NS)
            nanosleep(&(struct timespec){0, (long)(TURN_NS - spent)}, NULL);
    }
}
