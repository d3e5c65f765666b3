#include "world.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 20000ull

static const char *const protocols[] = {"/meshsub/1.2.0", "/meshsub/1.1.0"};

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void init_node(struct world *w, unsigned i, world_tweak tweak)
{
    struct wnode *n = &w->nodes[i];
    struct net_config cfg = {.driver = w->is_mem ? NET_MEMPAIR : NET_KERNEL};
    uint8_t seed[32] = {(uint8_t)(i + 1)};
    char ip[32], err[256] = "", why[512] = "";

    n->world = w;
    if (w->is_mem)
        rng_init_seeded(&n->rng, i + 1 + 1000 * n->lives);
    else
        rng_init_system(&n->rng);
    key_pair_from_seed(&n->key, seed);
    key_pair_peer_id(&n->key, &n->id);
    noise_identity_init(&n->noise, &n->key, &n->rng);
    n->local = (struct session_local){.version = 1,
                                      .agent = "codecast-test",
                                      .protocols = protocols,
                                      .nprotocols = 2};
    snprintf(ip, sizeof(ip), w->is_mem ? "10.1.0.%u/24" : "127.0.0.%u", i + 10);
    cfg.listen_ip = w->is_mem ? NULL : ip;
    cfg.addr = w->is_mem ? ip : NULL;
    cfg.listen_port = w->is_mem ? 7070 : 0;
    cfg.port = w->is_mem ? mempair_port(w->cable, i) : NULL;
    cfg.identity = &n->noise;
    cfg.local = &n->local;
    cfg.protocols[0] = protocols[0];
    cfg.protocols[1] = protocols[1];
    cfg.rng = &n->rng;
    if (tweak)
        tweak(i, &cfg);
    n->net = net_new(&cfg, w->now, err, why);
    if (!n->net)
        fail_msg("%s", err);
    n->addr = *net_listen_addr(n->net);
    assert_true(n->addr.len > 0);
}

void world_init(struct world *w, bool is_mem, unsigned count, const struct mempair_config *cable,
                world_tweak tweak)
{
    struct mempair_config c =
        cable ? *cable : (struct mempair_config){.has_csum = true, .gso_max_bytes = 64000};

    memset(w, 0, sizeof(*w));
    w->is_mem = is_mem;
    w->count = count;
    w->now = is_mem ? 1000000000ull : clock_ns();
    if (is_mem) {
        if (c.ports < count)
            c.ports = count;
        w->cable = mempair_new(&c);
    }
    for (unsigned i = 0; i < count; i++)
        init_node(w, i, tweak);
}

static void fini_node(struct wnode *n)
{
    net_free(n->net);
    for (unsigned k = 0; k < n->nconns; k++)
        net_identity_free(n->conns[k].identity);
    noise_identity_fini(&n->noise);
    key_pair_fini(&n->key);
}

void world_fini(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++)
        fini_node(&w->nodes[i]);
    mempair_free(w->cable);
}

void world_relive(struct world *w, unsigned i, world_tweak tweak)
{
    struct wnode *n = &w->nodes[i];
    unsigned lives = n->lives;

    mempair_set_loss(w->cable, 1000000);
    fini_node(n);
    mempair_set_loss(w->cable, 0);
    *n = (struct wnode){.lives = lives + 1};
    init_node(w, i, tweak);
}

static struct wconn *conn_of(struct wnode *n, net_conn_id id)
{
    for (unsigned i = 0; i < n->nconns; i++)
        if (n->conns[i].id == id)
            return &n->conns[i];
    return NULL;
}

static void on_up(struct wnode *n, const struct net_event *ev)
{
    struct wconn *c = &n->conns[n->nconns];

    assert_true(n->nconns < WORLD_CONNS && ev->conn != 0);
    assert_null(conn_of(n, ev->conn));
    n->nconns++;
    *c = (struct wconn){.id = ev->conn, .peer = ev->peer, .is_dialer = ev->is_dialer, .is_up = true};
    assert_true(ev->addr.len > 0);
    if (ev->is_dialer)
        n->dial_token = ev->token;
}

static void on_rpc(struct wconn *c, struct buf *frame)
{
    c->frames++;
    c->bytes += frame->len;
    c->hash = world_hash(c->hash, frame);
    buf_unref(frame);
}

static void on_message(struct wconn *c, struct buf *message)
{
    c->message_len = message->len;
    snprintf(c->message, sizeof(c->message), "%.*s", (int)message->len, (const char *)message->data);
    buf_unref(message);
}

static void on_event(struct wnode *n, struct net_event *ev)
{
    struct wconn *c = conn_of(n, ev->conn);

    if (ev->type != NET_EV_CONN_UP && ev->type != NET_EV_DIAL_FAILED && ev->type != NET_EV_LINK) {
        assert_non_null(c);       /* never an event before UP ... */
        assert_false(c->is_down); /* ... nor after DOWN */
    }
    switch (ev->type) {
    case NET_EV_CONN_UP: on_up(n, ev); break;
    case NET_EV_DIAL_FAILED:
        n->dials_failed++;
        n->dial_reason = ev->reason;
        n->dial_token = ev->token;
        break;
    case NET_EV_IDENTIFIED:
        net_identity_free(c->identity);
        c->identity = ev->identity;
        c->is_identified = true;
        break;
    case NET_EV_PUBSUB_READY:
        c->is_ready = true;
        c->protocol = ev->protocol;
        break;
    case NET_EV_PUBSUB_NONE: c->has_no_pubsub = true; break;
    case NET_EV_PUBSUB_CLOSED: c->is_closed_stream = true; break;
    case NET_EV_PUBSUB_IN: c->opened_by_peer++; break;
    case NET_EV_RPC: on_rpc(c, ev->frame); break;
    case NET_EV_REQUEST:
        c->requests++;
        c->request = ev->token;
        on_message(c, ev->frame);
        break;
    case NET_EV_ANSWER:
        c->answers++;
        c->token = ev->token;
        on_message(c, ev->frame);
        break;
    case NET_EV_REQUEST_FAILED:
        c->requests_failed++;
        c->token = ev->token;
        c->request_reason = ev->reason;
        break;
    case NET_EV_WRITABLE: c->writables++; break;
    case NET_EV_CONN_DOWN:
        c->is_down = true;
        c->reason = ev->reason;
        break;
    case NET_EV_RTT:
    case NET_EV_LINK: break;
    }
}

void world_step(struct world *w)
{
    struct net_event ev;

    w->now = w->is_mem ? w->now + STEP_NS : clock_ns() + w->offset;
    for (unsigned i = 0; i < w->count; i++) {
        struct wnode *n = &w->nodes[i];

        if (n->is_paused)
            continue;
        net_poll(n->net, w->now);
        while (!n->is_stuffed && net_next_event(n->net, &ev))
            on_event(n, &ev);
    }
}

bool world_run(struct world *w, bool (*cond)(struct world *w, void *arg), void *arg, unsigned ms)
{
    uint64_t end = w->now + ms * 1000000ull;

    while (w->now < end) {
        world_step(w);
        if (cond && cond(w, arg))
            return true;
    }
    return false;
}

static struct wconn *find_conn(struct world *w, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < w->nodes[a].nconns; i++) {
        struct wconn *c = &w->nodes[a].conns[i];

        if (!c->is_down && peer_id_is_equal(&c->peer, &w->nodes[b].id))
            return c;
    }
    return NULL;
}

struct wconn *world_conn(struct world *w, unsigned a, unsigned b)
{
    struct wconn *c = find_conn(w, a, b);

    if (!c)
        fail_msg("node %u has no connection with node %u", a, b);
    return c;
}

struct two {
    unsigned a, b;
};

static bool are_identified(struct world *w, void *arg)
{
    struct two *t = arg;
    struct wconn *x = find_conn(w, t->a, t->b), *y = find_conn(w, t->b, t->a);

    return x && y && x->is_identified && y->is_identified;
}

void world_connect(struct world *w, unsigned a, unsigned b, unsigned *a_conn, unsigned *b_conn)
{
    struct two t = {a, b};
    int rc = net_dial(w->nodes[a].net, &w->nodes[b].addr, &w->nodes[b].id, 77, w->now);

    if (rc < 0)
        fail_msg("dial: %s", net_err_name(rc));
    if (!world_run(w, are_identified, &t, 5000))
        fail_msg("nodes %u and %u did not meet: %s", a, b,
                 w->nodes[a].dial_reason ? w->nodes[a].dial_reason : "no word");
    if (a_conn)
        *a_conn = (unsigned)(find_conn(w, a, b) - w->nodes[a].conns);
    if (b_conn)
        *b_conn = (unsigned)(find_conn(w, b, a) - w->nodes[b].conns);
}

static bool is_ready(struct world *w, void *arg)
{
    return ((struct wconn *)arg)->is_ready;
}

void world_open_stream(struct world *w, unsigned a, unsigned conn)
{
    struct wconn *c = &w->nodes[a].conns[conn];

    assert_int_equal(net_pubsub_open(w->nodes[a].net, c->id, w->now), 0);
    if (!world_run(w, is_ready, c, 3000))
        fail_msg("node %u: no pub/sub stream", a);
}

struct buf *world_frame(uint64_t i, uint32_t len)
{
    struct buf *b = buf_new(len);
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull;

    assert_non_null(b);
    b->len = len;
    for (uint32_t k = 0; k < len; k += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(b->data + k, &x, len - k < 8 ? len - k : 8);
    }
    return b;
}

uint64_t world_hash(uint64_t h, const struct buf *b)
{
    uint8_t sum[32];
    uint64_t x;

    sha256_of(buf_slice(b), sum);
    memcpy(&x, sum, 8);
    return (h ^ x) * 0x100000001b3ull + b->len;
}

/* In two pieces, as real RPCs are. */
int world_send(struct world *w, unsigned node, struct wconn *c, uint64_t i, uint32_t len)
{
    struct buf *b = world_frame(i, len);
    struct net_piece p[2] = {{b, 0, len / 3}, {b, len / 3, len - len / 3}};
    int rc;

    buf_ref(b);
    rc = net_send(w->nodes[node].net, c->id, p, 2, w->now);
    if (rc < 0) {
        buf_unref(b);
        buf_unref(b);
    }
    return rc;
}
