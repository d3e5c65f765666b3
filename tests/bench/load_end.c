#include "bench/load_end.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "pubsub/rpc.h"

void load_die(const char *what)
{
    fprintf(stderr, "relay_load: %s\n", what);
    exit(1);
}

static void choose_protocols(struct load_end *e)
{
    if (e->ps) {
        e->protocols[0] = pubsub_proto_ids[PUBSUB_CODED_1];
        return;
    }
    e->protocols[0] = pubsub_proto_ids[PUBSUB_MESHSUB_12];
    e->protocols[1] = pubsub_proto_ids[PUBSUB_MESHSUB_11];
}

void load_end_open(struct load_end *e, uint8_t seed, const char *ip, const struct pubsub_config *cfg, struct rng *rng)
{
    struct net_config nc = {.driver = NET_KERNEL, .max_conns = 4, .listen_ip = ip, .rng = rng, .max_frame_bytes = 4u << 20,
                            .max_queue_bytes = 8u << 20};
    uint8_t bytes[ED25519_SEED_BYTES] = {seed};
    struct pubsub_config pc;
    char err[256] = "";

    *e = (struct load_end){0};
    key_pair_from_seed(&e->key, bytes);
    key_pair_peer_id(&e->key, &e->self);
    noise_identity_init(&e->noise, &e->key, rng);
    if (cfg) {
        pc = *cfg;
        pc.key = &e->key;
        e->ps = pubsub_new(&pc, rng, bench_now_ns(), bench_now_ns());
        if (!e->ps || pubsub_subscribe(e->ps, slice_str(LOAD_TOPIC), bench_now_ns()))
            load_die("no memory for a core");
    }
    choose_protocols(e);
    e->local = (struct session_local){.version = 1, .agent = "relay_load", .protocols = e->protocols, .nprotocols = e->protocols[1] ? 2 : 1};
    bufpool_init(&e->frames, 2ull << 30, 64u << 20);
    for (unsigned i = 0; e->protocols[i]; i++)
        nc.protocols[i] = e->protocols[i];
    nc.identity = &e->noise;
    nc.local = &e->local;
    nc.frame_alloc = bufpool_alloc;
    nc.frame_ctx = &e->frames;
    e->net = net_new(&nc, bench_now_ns(), err, NULL);
    if (!e->net)
        load_die(err);
}

void load_end_close(struct load_end *e)
{
    if (e->ps)
        pubsub_free(e->ps);
    net_free(e->net);
    bufpool_fini(&e->frames);
    noise_identity_fini(&e->noise);
    key_pair_fini(&e->key);
}

void load_end_dial(struct load_end *e, const char *addr)
{
    struct multiaddr a;

    if (multiaddr_parse(&a, slice_str(addr)) || net_dial(e->net, &a, NULL, 1, bench_now_ns()))
        load_die("not an address that can be dialed");
}

bool load_end_send(struct load_end *e, struct buf *frame, uint64_t now)
{
    struct net_piece p = {frame, 0, frame->len};

    return e->is_ready && net_send(e->net, e->conn, &p, 1, now) == 0;
}

void load_end_join(struct load_end *e, uint64_t now)
{
    struct buf *b = buf_new(256);
    uint8_t graft[64];
    struct wr w = wr_of(b->data, b->cap), c = wr_of(graft, sizeof(graft));

    rpc_put_subscription(&w, slice_str(LOAD_TOPIC), true);
    rpc_put_graft(&c, slice_str(LOAD_TOPIC));
    pb_put_head(&w, RPC_F_CONTROL, c.len);
    wr_bytes(&w, graft, c.len);
    b->len = (uint32_t)w.len;
    if (w.bad || c.bad || !load_end_send(e, b, now))
        load_die("cannot join the topic");
}

static void take_outputs(struct load_end *e, uint64_t now)
{
    struct pubsub_output o;

    while (pubsub_next_output(e->ps, &o)) {
        struct net_piece p[NET_MAX_PIECES];
        for (unsigned i = 0; i < o.npieces; i++)
            p[i] = (struct net_piece){o.pieces[i].buf, o.pieces[i].off, o.pieces[i].len};
        if (o.type == PUBSUB_SEND && (!e->is_ready || net_send(e->net, e->conn, p, o.npieces, now)))
            for (unsigned i = 0; i < o.npieces; i++)
                buf_unref(p[i].buf);
        if (o.type == PUBSUB_DELIVER && o.upstream.len) {
            e->messages++;
            e->bytes += o.payload->len;
            e->last_ns = now;
        }
        if (o.type == PUBSUB_DELIVER)
            buf_unref(o.payload);
        if (o.type == PUBSUB_DIAL)
            buf_unref(o.record);
    }
}

static void on_frame(struct load_end *e, struct buf *frame, uint64_t now)
{
    struct rpc_reader r = rpc_reader_of(buf_slice(frame));
    struct rpc_item it;

    if (e->ps) {
        pubsub_rpc(e->ps, 1, frame, now);
        return;
    }
    while (rpc_next(&r, &it))
        if (it.type == RPC_MESSAGE) {
            e->messages++;
            e->bytes += it.body.len;
            e->last_ns = now;
        }
    buf_unref(frame);
}

static void on_event(struct load_end *e, const struct net_event *ev, uint64_t now)
{
    switch (ev->type) {
    case NET_EV_CONN_UP:
        e->conn = ev->conn;
        e->peer = ev->peer;
        net_pubsub_open(e->net, e->conn, now);
        break;
    case NET_EV_PUBSUB_READY:
        e->is_ready = true;
        if (e->ps)
            pubsub_peer_up(e->ps, 1, &e->peer, PUBSUB_CODED_1, true, slice_of("\0\0\0\0", 4), now);
        break;
    case NET_EV_RPC: on_frame(e, ev->frame, now); break;
    case NET_EV_CONN_DOWN:
        if (e->is_ready)
            fprintf(stderr, "relay_load: a connection went down: %s\n", ev->reason);
        e->is_ready = false;
        break;
    case NET_EV_DIAL_FAILED: load_die(ev->reason);
    default: break;
    }
    if (ev->identity)
        net_identity_free(ev->identity);
}

unsigned load_end_turn(struct load_end *e, uint64_t now)
{
    struct net_event ev;
    unsigned work = net_poll(e->net, now);

    for (; net_next_event(e->net, &ev); work++)
        on_event(e, &ev, now);
    if (!e->ps)
        return work;
    if (now >= pubsub_next_deadline(e->ps))
        pubsub_on_deadline(e->ps, now);
    take_outputs(e, now);
    return work;
}

void load_end_wait(struct load_end *const *ends, unsigned count, uint64_t ns)
{
    struct pollfd pfd[16];
    unsigned n = 0;
    int fds[8];

    for (unsigned i = 0; i < count; i++) {
        unsigned k = net_wait_fds(ends[i]->net, fds, 4);
        for (unsigned j = 0; j < k && n < 16; j++)
            pfd[n++] = (struct pollfd){.fd = fds[j], .events = POLLIN};
    }
    ppoll(pfd, n, &(struct timespec){0, (long)ns}, NULL);
}
