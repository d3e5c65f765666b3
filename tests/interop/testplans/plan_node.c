#include "plan_node.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rd.h"
#include "crypto/sha256.h"
#include "libp2p/noise.h"

#define S         1000000000ull
#define PLAN_HELD 64
#define PLAN_WAIT 4096 /* messages that wait for their delay */
#define FDS       64

static const enum pubsub_proto versions[] = {PUBSUB_MESHSUB_12, PUBSUB_MESHSUB_11};

/* A peer and its first connection; frames of another connection of the same peer count as its own. */
struct plan_peer {
    struct peer_id id;
    net_conn_id conns[4]; /* [0] carries our stream */
    bool is_used, is_dialer, is_ready;
    struct multiaddr addr;
    struct buf *held[PLAN_HELD];
    unsigned nheld;
};

struct plan_wait {
    uint64_t token, due_ns;
};

struct plan_node {
    struct key_pair key;
    struct peer_id self;
    struct noise_identity noise;
    struct session_local local;
    const char *protocols[2];
    struct rng rng;
    struct net *net;
    struct pubsub *ps;
    struct plan_peer peers[PLAN_PEERS]; /* its place + 1 is the core's handle */
    struct plan_delay delays[PLAN_DELAYS];
    unsigned ndelays;
    struct plan_wait waits[PLAN_WAIT];
    unsigned nwaits;
    uint64_t dialed;    /* token of the dial that is waited for; 0: answered */
    bool has_dialed_well;
};

uint64_t plan_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

void plan_say(const char *msg, const char *fmt, ...)
{
    struct timespec ts;
    struct tm tm;
    char date[32];
    va_list ap;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    printf("{\"time\": \"%s.%06ld+00:00\", \"level\": \"INFO\", \"msg\": \"%s\"", date, ts.tv_nsec / 1000, msg);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("}\n");
}

void plan_key(struct key_pair *k, uint32_t id)
{
    uint8_t seed[ED25519_SEED_BYTES] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

    key_pair_from_seed(k, seed);
}

struct plan_node *plan_node_new(uint32_t id, uint64_t now)
{
    struct plan_node *n = calloc(1, sizeof(*n));
    char err[256] = "", why[512];

    if (!n)
        return NULL;
    rng_init_system(&n->rng);
    plan_key(&n->key, id);
    key_pair_peer_id(&n->key, &n->self);
    noise_identity_init(&n->noise, &n->key, &n->rng);
    for (unsigned i = 0; i < 2; i++)
        n->protocols[i] = pubsub_proto_ids[versions[i]];
    n->local = (struct session_local){.version = 1, .agent = "codecast-testplan/1", .protocols = n->protocols, .nprotocols = 2};
    struct net_config cfg = {.driver = NET_KERNEL, .listen_port = PLAN_PORT, .identity = &n->noise, .local = &n->local,
                             .protocols = {n->protocols[0], n->protocols[1]}, .max_conns = PLAN_PEERS,
                             .max_conns_per_ip = PLAN_PEERS, .max_frame_bytes = PLAN_MSG_MAX + (1u << 20),
                             .max_queue_bytes = 8ull * PLAN_MSG_MAX, .rng = &n->rng};
    n->net = net_new(&cfg, now, err, why);
    if (n->net)
        return n;
    fprintf(stderr, "gossipsub: %s\n", err);
    plan_node_free(n);
    return NULL;
}

static void drop_held(struct plan_peer *p)
{
    while (p->nheld > 0)
        buf_unref(p->held[--p->nheld]);
}

void plan_node_free(struct plan_node *n)
{
    for (unsigned i = 0; i < PLAN_PEERS; i++)
        drop_held(&n->peers[i]);
    if (n->ps)
        pubsub_free(n->ps);
    if (n->net)
        net_free(n->net);
    noise_identity_fini(&n->noise);
    key_pair_fini(&n->key);
    free(n);
}

static size_t message_id(void *ctx, const struct pubsub_id_input *in, uint8_t out[PUBSUB_ID_MAX])
{
    if (in->data.len < PLAN_ID_BYTES)
        return 0;
    memcpy(out, in->data.p, PLAN_ID_BYTES);
    return PLAN_ID_BYTES;
}

int plan_node_start(struct plan_node *n, const struct plan_params *p, uint64_t now)
{
    /* Every message waits for a verdict: that is where its first receipt shows; where no delay is set it comes at once. */
    struct pubsub_config cfg = {.mode = PUBSUB_GOSSIP, .signing = PUBSUB_STRICT_NO_SIGN, .key = &n->key,
                                .mesh_target = p->mesh_target ? p->mesh_target : 6, .mesh_min = p->mesh_min ? p->mesh_min : 5,
                                .mesh_max = p->mesh_max ? p->mesh_max : 12, .mesh_out = p->mesh_out ? p->mesh_out : 2,
                                .gossip_factor = p->gossip_factor, .heartbeat_ns = p->heartbeat_ns,
                                .max_msg_bytes = PLAN_MSG_MAX, .k = 1, .mult = 1, .threshold = 1, .keep_bytes = 8ull * PLAN_MSG_MAX,
                                .has_validation = true, .id_rule = PUBSUB_ID_CUSTOM, .message_id = message_id, .has_trace = true};
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    n->ps = pubsub_new(&cfg, &n->rng, now, (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec);
    return n->ps ? 0 : -1;
}

/* ---- connections ---- */

static struct plan_peer *peer_of_conn(struct plan_node *n, net_conn_id conn)
{
    for (unsigned i = 0; i < PLAN_PEERS; i++)
        for (unsigned k = 0; k < 4 && n->peers[i].is_used; k++)
            if (n->peers[i].conns[k] == conn)
                return &n->peers[i];
    return NULL;
}

static struct plan_peer *peer_for(struct plan_node *n, const struct peer_id *id)
{
    struct plan_peer *spare = NULL;

    for (unsigned i = 0; i < PLAN_PEERS; i++) {
        struct plan_peer *p = &n->peers[i];
        if (p->is_used && peer_id_is_equal(&p->id, id))
            return p;
        if (!p->is_used && !spare)
            spare = p;
    }
    if (spare)
        *spare = (struct plan_peer){.is_used = true, .id = *id};
    return spare;
}

static pubsub_peer handle_of(const struct plan_node *n, const struct plan_peer *p)
{
    return (pubsub_peer)(p - n->peers) + 1;
}

static void conn_up(struct plan_node *n, const struct net_event *ev, uint64_t now)
{
    struct plan_peer *p = peer_for(n, &ev->peer);

    for (unsigned k = 0; p && k < 4; k++) {
        if (p->conns[k])
            continue;
        p->conns[k] = ev->conn;
        if (k > 0)
            return;
        p->is_dialer = ev->is_dialer;
        p->addr = ev->addr;
        net_pubsub_open(n->net, ev->conn, now);
        return;
    }
    net_conn_close(n->net, ev->conn, false, now);
}

static void peer_ready(struct plan_node *n, const struct net_event *ev, uint64_t now)
{
    struct plan_peer *p = peer_of_conn(n, ev->conn);
    struct multiaddr_target t;
    struct slice ip = {0};

    if (!p || p->is_ready || !n->ps)
        return;
    if (multiaddr_target(multiaddr_slice(&p->addr), &t) == 0 && t.kind == MULTIADDR_IP4)
        ip = slice_of(t.ip, 4);
    if (pubsub_peer_up(n->ps, handle_of(n, p), &p->id, versions[ev->protocol], p->is_dialer, ip, now))
        return;
    p->is_ready = true;
    for (unsigned i = 0; i < p->nheld; i++)
        pubsub_rpc(n->ps, handle_of(n, p), p->held[i], now);
    p->nheld = 0;
}

/* Another connection of that peer, if there is one, carries our stream from now. */
static void conn_down(struct plan_node *n, net_conn_id conn, uint64_t now)
{
    struct plan_peer *p = peer_of_conn(n, conn);
    unsigned k = 0;

    if (!p)
        return;
    while (p->conns[k] != conn)
        k++;
    memmove(&p->conns[k], &p->conns[k + 1], (3 - k) * sizeof(p->conns[0]));
    p->conns[3] = 0;
    if (k > 0)
        return;
    if (p->is_ready)
        pubsub_peer_down(n->ps, handle_of(n, p), now);
    p->is_ready = false;
    if (p->conns[0]) {
        net_pubsub_open(n->net, p->conns[0], now);
    } else {
        drop_held(p);
        p->is_used = false;
    }
}

static void rpc_in(struct plan_node *n, struct net_event *ev, uint64_t now)
{
    struct plan_peer *p = peer_of_conn(n, ev->conn);

    if (p && p->is_ready)
        pubsub_rpc(n->ps, handle_of(n, p), ev->frame, now);
    else if (p && p->nheld < PLAN_HELD)
        p->held[p->nheld++] = ev->frame;
    else
        buf_unref(ev->frame);
}

static void on_event(struct plan_node *n, struct net_event *ev, uint64_t now)
{
    switch (ev->type) {
    case NET_EV_CONN_UP:
    case NET_EV_DIAL_FAILED:
        if (ev->token && ev->token == n->dialed) {
            n->dialed = 0;
            n->has_dialed_well = ev->type == NET_EV_CONN_UP;
        }
        if (ev->type == NET_EV_CONN_UP)
            conn_up(n, ev, now);
        break;
    case NET_EV_PUBSUB_READY: peer_ready(n, ev, now); break;
    case NET_EV_RPC: rpc_in(n, ev, now); break;
    case NET_EV_CONN_DOWN: conn_down(n, ev->conn, now); break;
    case NET_EV_IDENTIFIED: net_identity_free(ev->identity); break;
    default: buf_unref(ev->frame); break;
    }
}

/* ---- messages ---- */

static void say_received(const struct peer_id *from, const char *topic, const uint8_t id[PLAN_ID_BYTES])
{
    char peer[PEER_ID_TEXT_MAX];
    struct rd rd = rd_of(slice_of(id, PLAN_ID_BYTES));

    peer_id_format(from, peer);
    plan_say("Received Message", ", \"service\": \"gossipsub\", \"from\": \"%s\", \"topic\": \"%s\", \"id\": \"%llu\"", peer,
             topic, (unsigned long long)rd_be64(&rd));
}

static uint64_t delay_of(const struct plan_node *n, const char *topic)
{
    for (unsigned i = 0; i < n->ndelays; i++)
        if (strcmp(n->delays[i].topic, topic) == 0)
            return n->delays[i].ns;
    return 0;
}

static void validate(struct plan_node *n, const struct pubsub_output *o, uint64_t now)
{
    uint64_t delay_ns = delay_of(n, o->topic);

    say_received(&o->upstream, o->topic, o->payload->data);
    if (delay_ns && n->nwaits < PLAN_WAIT)
        n->waits[n->nwaits++] = (struct plan_wait){o->token, now + delay_ns};
    else
        pubsub_validated(n->ps, o->token, PUBSUB_ACCEPT, now);
}

static void send_rpc(struct plan_node *n, struct pubsub_output *o, uint64_t now)
{
    struct net_piece pieces[PUBSUB_MAX_PIECES];

    for (unsigned i = 0; i < o->npieces; i++)
        pieces[i] = (struct net_piece){o->pieces[i].buf, o->pieces[i].off, o->pieces[i].len};
    if (net_send(n->net, n->peers[o->peer - 1].conns[0], pieces, o->npieces, now) == 0)
        return;
    fprintf(stderr, "gossipsub: an RPC was dropped\n");
    for (unsigned i = 0; i < o->npieces; i++)
        buf_unref(pieces[i].buf);
}

static void outputs(struct plan_node *n, uint64_t now)
{
    struct pubsub_output o;

    while (n->ps && pubsub_next_output(n->ps, &o)) {
        switch (o.type) {
        case PUBSUB_SEND: send_rpc(n, &o, now); break;
        case PUBSUB_WORK: break; /* not switched on */
        case PUBSUB_VALIDATE:
            validate(n, &o, now);
            buf_unref(o.payload);
            break;
        case PUBSUB_DELIVER: buf_unref(o.payload); break;
        case PUBSUB_TRACE:
            if (o.trace->type == TRACE_DUPLICATE_MESSAGE && o.trace->msg_id_len == PLAN_ID_BYTES)
                say_received(&o.trace->peer_id, o.trace->topic, o.trace->msg_id);
            break;
        case PUBSUB_DIAL: buf_unref(o.record); break;
        case PUBSUB_DISCONNECT: net_conn_close(n->net, n->peers[o.peer - 1].conns[0], false, now); break;
        }
    }
}

static void verdicts(struct plan_node *n, uint64_t now)
{
    unsigned left = 0;

    for (unsigned i = 0; i < n->nwaits; i++) {
        if (n->waits[i].due_ns <= now)
            pubsub_validated(n->ps, n->waits[i].token, PUBSUB_ACCEPT, now);
        else
            n->waits[left++] = n->waits[i];
    }
    n->nwaits = left;
}

/* ---- the loop ---- */

static void wait_for_work(struct plan_node *n, uint64_t until_ns, uint64_t now)
{
    uint64_t at = net_next_deadline(n->net);
    struct timespec ts = {0, 0};
    struct pollfd pfd[FDS];
    int fds[FDS];

    if (n->ps && pubsub_next_deadline(n->ps) < at)
        at = pubsub_next_deadline(n->ps);
    for (unsigned i = 0; i < n->nwaits; i++)
        at = n->waits[i].due_ns < at ? n->waits[i].due_ns : at;
    at = until_ns < at ? until_ns : at;
    if (at <= now)
        return;
    ts.tv_nsec = (long)(at - now < 100000000 ? at - now : 100000000);
    unsigned count = net_wait_fds(n->net, fds, FDS);
    for (unsigned i = 0; i < count; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    ppoll(pfd, count, &ts, NULL);
}

static unsigned turn(struct plan_node *n, uint64_t now)
{
    unsigned work = net_poll(n->net, now);
    struct net_event ev;

    while (net_next_event(n->net, &ev)) {
        on_event(n, &ev, now);
        outputs(n, now);
    }
    verdicts(n, now);
    if (n->ps && pubsub_next_deadline(n->ps) <= now)
        pubsub_on_deadline(n->ps, now);
    outputs(n, now);
    return work;
}

void plan_node_run(struct plan_node *n, uint64_t until_ns)
{
    for (uint64_t now; (now = plan_now()) < until_ns;)
        if (!turn(n, now))
            wait_for_work(n, until_ns, now);
}

int plan_node_connect(struct plan_node *n, uint32_t id, const struct multiaddr *addr)
{
    uint64_t end = plan_now() + 10 * S;
    struct key_pair key;
    struct peer_id peer;
    static uint64_t token;

    plan_key(&key, id);
    key_pair_peer_id(&key, &peer);
    key_pair_fini(&key);
    while (plan_now() < end) {
        n->dialed = ++token;
        if (net_dial(n->net, addr, &peer, n->dialed, plan_now()))
            return -1;
        while (n->dialed)
            plan_node_run(n, plan_now() + S / 1000);
        if (n->has_dialed_well)
            return 0;
        plan_node_run(n, plan_now() + S / 10); /* it may still be starting */
    }
    return -1;
}

int plan_node_subscribe(struct plan_node *n, const char *topic)
{
    uint64_t now = plan_now();
    int err = pubsub_subscribe(n->ps, slice_str(topic), now);

    outputs(n, now);
    return err;
}

int plan_node_publish(struct plan_node *n, const char *topic, uint64_t id, uint32_t size)
{
    struct buf *b = buf_new(size);
    uint64_t now = plan_now();
    uint8_t sha[32];

    if (!b)
        return -PUBSUB_EMEM;
    b->len = size;
    memset(b->data, 0, size);
    for (unsigned i = 0; i < PLAN_ID_BYTES; i++)
        b->data[i] = (uint8_t)(id >> (56 - 8 * i));
    sha256_of(buf_slice(b), sha);
    int err = pubsub_publish(n->ps, slice_str(topic), b, sha, now);
    if (err)
        buf_unref(b);
    outputs(n, now);
    return err;
}

int plan_node_delay(struct plan_node *n, const char *topic, uint64_t ns)
{
    struct plan_delay *d = &n->delays[n->ndelays];

    if (n->ndelays == PLAN_DELAYS || strlen(topic) > PUBSUB_TOPIC_MAX)
        return -1;
    memcpy(d->topic, topic, strlen(topic) + 1);
    d->ns = ns;
    n->ndelays++;
    return 0;
}
