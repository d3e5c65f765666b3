/* noise_pair.h: two ends of a Noise channel for tests, keys from a seed */
#ifndef TESTS_NOISE_PAIR_H
#define TESTS_NOISE_PAIR_H

#include "vec.h"

#include "libp2p/noise.h"

struct noise_end {
    struct key_pair key;
    struct peer_id id;
    struct noise_identity identity;
    struct noise_handshake h;
    struct noise_transport t;
    struct noise_peer peer;
};

struct noise_pair {
    struct rng rng;
    struct noise_end i, r;
};

static inline void noise_end_init(struct noise_end *e, struct rng *rng)
{
    memset(&e->t, 0, sizeof(e->t));
    key_pair_init(&e->key, rng);
    key_pair_peer_id(&e->key, &e->id);
    noise_identity_init(&e->identity, &e->key, rng);
}

static inline void noise_pair_begin(struct noise_pair *p, bool i_offers, bool r_offers)
{
    noise_handshake_init(&p->i.h, &p->i.identity, NOISE_INITIATOR, &p->r.id, i_offers, &p->rng);
    noise_handshake_init(&p->r.h, &p->r.identity, NOISE_RESPONDER, NULL, r_offers, &p->rng);
}

static inline void noise_pair_init(struct noise_pair *p, uint64_t seed)
{
    rng_init_seeded(&p->rng, seed);
    noise_end_init(&p->i, &p->rng);
    noise_end_init(&p->r, &p->rng);
    noise_pair_begin(p, true, true);
}

/* Moves the next message whole; returns its framed bytes. */
static inline size_t noise_pair_move(struct noise_handshake *from, struct noise_handshake *to)
{
    uint8_t wire[NOISE_HANDSHAKE_MAX];
    size_t n = noise_handshake_output(from, wire, sizeof(wire));

    assert_int_equal(noise_handshake_input(to, slice_of(wire, n)), n);
    return n;
}

static inline void noise_pair_connect(struct noise_pair *p)
{
    noise_pair_move(&p->i.h, &p->r.h);
    noise_pair_move(&p->r.h, &p->i.h);
    noise_pair_move(&p->i.h, &p->r.h);
    assert_int_equal(noise_handshake_finish(&p->i.h, &p->i.t, &p->i.peer), 0);
    assert_int_equal(noise_handshake_finish(&p->r.h, &p->r.t, &p->r.peer), 0);
}

static inline void noise_pair_fini(struct noise_pair *p)
{
    noise_transport_fini(&p->i.t);
    noise_transport_fini(&p->r.t);
    noise_handshake_fini(&p->i.h);
    noise_handshake_fini(&p->r.h);
}

#endif
