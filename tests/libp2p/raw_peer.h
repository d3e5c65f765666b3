/* raw_peer.h: a peer that gets through the handshake and then says what it likes, against one side */
#ifndef TEST_RAW_PEER_H
#define TEST_RAW_PEER_H

#include "libp2p/yamux_wire.h"
#include "session_tools.h"

struct raw {
    struct side *victim; /* a listener */
    struct noise_identity identity;
    struct key_pair key;
    struct noise_transport tr;
    struct wire heard; /* what the victim said, opened */
    size_t read_at;    /* of the victim's out */
    uint64_t now;
};

static inline int raw_give(struct raw *r, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    int err;

    memcpy(copy, p, n);
    err = side_input(r->victim, slice_of(copy, n), r->now);
    free(copy);
    return err;
}

/* Plaintext as one frame. */
static inline int raw_say(struct raw *r, const uint8_t *p, size_t n)
{
    static uint8_t frame[NOISE_SEAL_MAX + NOISE_FRAME_EXTRA];
    struct slice piece = {p, n};
    ssize_t k = noise_seal(&r->tr, &piece, 1, frame, sizeof(frame));

    assert_true(k > 0);
    return r->victim->closed ? r->victim->input_err : raw_give(r, frame, (size_t)k);
}

/* One yamux frame, with a body when there is one. */
static inline int raw_frame(struct raw *r, int type, unsigned flags, uint32_t id, uint32_t length, struct slice body)
{
    static uint8_t out[NOISE_SEAL_MAX];

    assert_true(body.len + YAMUX_HEAD_BYTES <= sizeof(out));
    yamux_head_encode(out, (enum yamux_type)type, flags, id, length);
    if (body.len)
        memcpy(out + YAMUX_HEAD_BYTES, body.p, body.len);
    return raw_say(r, out, YAMUX_HEAD_BYTES + body.len);
}

static inline int raw_data(struct raw *r, unsigned flags, uint32_t id, struct slice body)
{
    return raw_frame(r, YAMUX_DATA, flags, id, (uint32_t)body.len, body);
}

/* header, proposal and what follows as the body of one Data|SYN */
static inline int raw_open(struct raw *r, uint32_t id, unsigned flags, const char *protocol, struct slice more)
{
    uint8_t b[8192];
    size_t n = (size_t)snprintf((char *)b, sizeof(b), "\x13/multistream/1.0.0\n%c%s\n", (int)strlen(protocol) + 1,
                                protocol);
    memcpy(b + n, more.p, more.len);
    return raw_data(r, YAMUX_SYN | flags, id, slice_of(b, n + more.len));
}

/* Takes and opens all output of the victim. */
static inline void raw_listen(struct raw *r)
{
    static uint8_t plain[NOISE_OPEN_MAX];
    struct wire *w = &r->victim->out;

    side_output(r->victim, 65536, r->now);
    while (wire_left(w)) {
        struct slice in = {w->p + w->at, wire_left(w)};
        ssize_t n = noise_frame_bytes(in);
        assert_true(n > 0 && (size_t)n <= in.len);
        ssize_t k = noise_open(&r->tr, slice_of(in.p, (size_t)n), plain, sizeof(plain));
        assert_true(k >= 0);
        w->at += (size_t)n;
        wire_put(&r->heard, plain, (size_t)k);
    }
}

/* The next frame that the victim said; false when there is none. */
static inline bool raw_next(struct raw *r, struct yamux_head *h, struct slice *body)
{
    struct wire *w = &r->heard;

    if (wire_left(w) < YAMUX_HEAD_BYTES)
        return false;
    *h = yamux_head_decode(w->p + w->at);
    w->at += YAMUX_HEAD_BYTES;
    *body = slice_of(w->p + w->at, h->type == YAMUX_DATA ? h->length : 0);
    assert_true(wire_left(w) >= body->len);
    w->at += body->len;
    return true;
}

/* Counts frames of a kind in all that was said so far. */
static inline unsigned raw_count(struct raw *r, int type, unsigned flags)
{
    struct yamux_head h;
    struct slice body;
    unsigned n = 0;

    raw_listen(r);
    while (raw_next(r, &h, &body))
        n += h.type == type && (h.flags & flags) == flags;
    return n;
}

/* Dials the victim (initialised, not started). */
static inline void raw_connect(struct raw *r, struct side *victim)
{
    static const uint8_t hello[] = "\x13/multistream/1.0.0\n\x07/noise\n";
    struct noise_handshake *h = malloc(sizeof(*h));
    struct noise_peer peer;
    struct rng rng;
    uint8_t out[1024], seed[32];
    size_t n;

    memset(r, 0, sizeof(*r));
    r->victim = victim;
    r->now = 1000 * SECOND;
    rng_init_seeded(&rng, 77);
    rng_fill(&rng, seed, sizeof(seed));
    key_pair_from_seed(&r->key, seed);
    noise_identity_init(&r->identity, &r->key, &rng);
    noise_handshake_init(h, &r->identity, NOISE_INITIATOR, NULL, true, &rng);
    side_start(victim, r->now);
    assert_int_equal(raw_give(r, hello, sizeof(hello) - 1), 0);
    n = noise_handshake_output(h, out, sizeof(out));
    assert_int_equal(raw_give(r, out, n), 0);
    side_output(victim, 65536, r->now);
    struct wire *w = &victim->out;
    assert_true(wire_left(w) > sizeof(hello) - 1);
    w->at += sizeof(hello) - 1;
    w->at += (size_t)noise_handshake_input(h, slice_of(w->p + w->at, wire_left(w)));
    assert_true(noise_handshake_is_done(h));
    n = noise_handshake_output(h, out, sizeof(out));
    assert_int_equal(noise_handshake_finish(h, &r->tr, &peer), 0);
    assert_int_equal(raw_give(r, out, n), 0);
    assert_true(victim->up);
    free(h);
}

static inline void raw_fini(struct raw *r)
{
    noise_transport_fini(&r->tr);
    free(r->heard.p);
    side_fini(r->victim);
}

#endif
