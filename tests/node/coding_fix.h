/* coding_fix.h: the coding role between a net and a hub that are the test
 * Shape:   setup_with, then events and frames in, messages out of the rings f.to_net and f.to_control
 */
#ifndef TESTS_NODE_CODING_FIX_H
#define TESTS_NODE_CODING_FIX_H

#include "node/coding_role.h"

#ifndef CODING_FIX_RING
#define CODING_FIX_RING 64
#endif

/* The role between a net and a hub that are the test. */
struct fix {
    struct xdoor door;
    struct xring to_net, to_control, from_net, from_control;
    struct coding_role r;
    struct key_pair key;
    struct rng rng;
    uint32_t wants_traces;
    uint64_t now;
};

static struct fix f;
static const uint8_t key_seed[ED25519_SEED_BYTES] = {7};

/* What a test may change of the configuration before the role is made. */
static int setup_with(void (*tweak)(struct coding_config *cc))
{
    struct coding_config cc = {.own_mode = "gossipsub", .other_protocol = "/x", .rng = &f.rng,
                               .protocols = {PUBSUB_MESHSUB_12, PUBSUB_MESHSUB_11}, .wants_traces = &f.wants_traces,
                               .max_peers = 64, .conn_low = 8, .conn_high = 32};

    f = (struct fix){.now = 1000000000ull};
    rng_init_seeded(&f.rng, 3);
    key_pair_from_seed(&f.key, key_seed);
    key_pair_peer_id(&f.key, &cc.self);
    cc.pubsub = (struct pubsub_config){.mode = PUBSUB_GOSSIP, .key = &f.key, .mesh_target = 6, .mesh_min = 4,
                                       .mesh_max = 8, .mesh_out = 2, .max_msg_bytes = 1 << 20, .k = 4, .mult = 1.5,
                                       .threshold = 0.7, .seen_max = 1024};
    assert_int_equal(xdoor_init(&f.door), 0);
    assert_int_equal(xring_init(&f.to_net, "tn", CODING_FIX_RING, &f.door), 0);
    assert_int_equal(xring_init(&f.to_control, "tc", 4096, &f.door), 0);
    assert_int_equal(xring_init(&f.from_net, "fn", 4096, &f.door), 0);
    assert_int_equal(xring_init(&f.from_control, "fc", 4096, &f.door), 0);
    f.r.nnets = 1;
    f.r.nets[0].out.ring = &f.to_net;
    f.r.nets[0].in = &f.from_net;
    f.r.to_control.ring = &f.to_control;
    f.r.from_control = &f.from_control;
    if (tweak)
        tweak(&cc);
    return coding_role_init(&f.r, &cc, f.now, 1);
}

static void drop_msg(struct xmsg *m)
{
    if (m->type == X_SEND)
        for (unsigned i = 0; i < m->send.count; i++)
            buf_unref(m->send.piece[i].buf);
    else if (m->type == X_PUBLISHED)
        free(m->publish);
    else if (m->type == X_NOTE)
        free(m->note);
    else if (m->type == X_DIAL)
        free(m->dial);
    else if (m->type == X_REQUEST || m->type == X_ANSWER)
        free(m->exchange);
    else if (m->type == X_SELF)
        free(m->self);
    else if (m->type == X_RESOLVE)
        free(m->name);
    else if (m->type == X_FRAMES_HOME)
        for (unsigned i = 0; i < m->homes.count; i++)
            free(m->homes.buf[i]);
}

/* Takes what is in a ring to a net role or to control; how many of that type were there. */
static unsigned count_in(struct xring *ring, enum xmsg_type type)
{
    struct xmsg m;
    unsigned n = 0;

    while (xring_pop_sc(ring, &m)) {
        if (m.type == type)
            n += type == X_FRAMES_HOME ? m.homes.count : 1;
        drop_msg(&m);
    }
    return n;
}

/* Of all net roles that the test gave it, with their rings. */
static __attribute__((unused)) int teardown(void **state)
{
    static const struct xout none;
    const struct xout *kept[NET_ROLES_MAX];

    for (unsigned i = 0; i < f.r.nnets; i++) {
        struct xout *out = &f.r.nets[i].out;
        kept[i] = &none;
        count_in(out->ring, X_EVENT);
        for (unsigned j = 0; j < out->nheld; j++)
            drop_msg(&out->held[j]);
    }
    count_in(&f.to_control, X_EVENT);
    coding_role_settle(&f.r, kept);
    for (unsigned i = 0; i < f.r.nnets; i++)
        for (struct buf *b = f.r.nets[i].frames.head, *next; b; b = next) {
            next = b->next;
            free(b);
        }
    coding_role_fini(&f.r);
    for (unsigned i = 0; i < f.r.nnets; i++) {
        xring_fini(f.r.nets[i].out.ring);
        xring_fini(f.r.nets[i].in);
    }
    xring_fini(&f.to_control);
    xring_fini(&f.from_control);
    xdoor_fini(&f.door);
    key_pair_fini(&f.key);
    return 0;
}

static void poll_some(void)
{
    for (int i = 0; i < 8; i++)
        coding_role_poll(&f.r, f.now += 1000);
}

/* At a net role; token: of our dial, 0: theirs. */
static __attribute__((unused)) void event_at(unsigned role, enum net_event_type type, net_conn_id conn, unsigned who, uint64_t token)
{
    struct net_event *ev = calloc(1, sizeof(*ev));
    uint8_t key[32] = {(uint8_t)who, 9}, ip[4] = {10, 0, 0, (uint8_t)who};
    struct xmsg m = {.type = X_EVENT, .event = ev, .conn = conn};

    assert_non_null(ev);
    *ev = (struct net_event){.type = type, .conn = conn, .is_dialer = token != 0, .token = token};
    peer_id_from_ed25519(&ev->peer, key);
    multiaddr_of_tcp(&ev->addr, ip, 4, 7070, &ev->peer);
    assert_true(xring_push_sp(f.r.nets[role].in, &m));
}

static __attribute__((unused)) void event_of(enum net_event_type type, net_conn_id conn, unsigned who, uint64_t token)
{
    event_at(0, type, conn, who, token);
}

static __attribute__((unused)) void event(enum net_event_type type, net_conn_id conn, unsigned who)
{
    event_of(type, conn, who, 0);
}

static __attribute__((unused)) void frame(net_conn_id conn, uint32_t len)
{
    struct buf *b = calloc(1, sizeof(*b) + len);
    struct xmsg m = {.type = X_RPC, .conn = conn, .buf = b};

    assert_non_null(b);
    *b = (struct buf){.data = (uint8_t *)(b + 1), .len = len, .cap = len, .refs = 1};
    assert_true(xring_push_sp(&f.from_net, &m));
}

static __attribute__((unused)) unsigned count_net(enum xmsg_type type)
{
    return count_in(&f.to_net, type);
}

#endif
