/* The handshake against damage, cuts and liars. */
#include "noise_pair.h"

#include "base/pb.h"
#include "libp2p/noise_payload.h"
#include "libp2p/noise_symmetric.h"

static void test_noise_muxer_needs_both(void **state)
{
    for (unsigned k = 0; k < 4; k++) {
        struct noise_pair p;
        noise_pair_init(&p, k);
        noise_pair_begin(&p, k & 1, k & 2);
        noise_pair_connect(&p);
        assert_int_equal(p.i.peer.muxer, k == 3 ? NOISE_MUXER_YAMUX : NOISE_MUXER_OPEN);
        assert_int_equal(p.r.peer.muxer, p.i.peer.muxer);
        assert_true(peer_id_is_equal(&p.i.peer.id, &p.r.id));
        assert_true(peer_id_is_equal(&p.r.peer.id, &p.i.id));
        noise_pair_fini(&p);
    }
}

/* Both directions byte by byte, and the transport's first bytes right behind stay untouched. */
static void test_noise_handshake_at_every_chunk_size(void **state)
{
    for (size_t chunk = 1; chunk < 230; chunk++) {
        struct noise_pair p;
        struct noise_handshake *from[3], *to[3];
        noise_pair_init(&p, 1);
        from[0] = to[1] = from[2] = &p.i.h;
        to[0] = from[1] = to[2] = &p.r.h;
        for (size_t m = 0; m < 3; m++) {
            uint8_t wire[1024];
            size_t len = 0, n;
            while ((n = noise_handshake_output(from[m], wire + len, chunk)))
                len += n;
            memset(wire + len, 0xff, 8);
            for (size_t at = 0; at < len; at += (size_t)n) {
                bool is_last = m == 2 && at + chunk >= len; /* what follows message 3 is transport */
                size_t take = is_last ? len + 8 - at : len - at < chunk ? len - at : chunk;
                struct bytes part = vec_copy(slice_of(wire + at, take));
                ssize_t got = noise_handshake_input(to[m], bytes_slice(part));
                assert_int_equal(got, is_last ? len - at : take);
                n = (size_t)got;
                free(part.p);
            }
        }
        assert_true(noise_handshake_is_done(&p.i.h) && noise_handshake_is_done(&p.r.h));
        noise_pair_fini(&p);
    }
}

/* The framed message m of a seeded handshake, and the end that is about to take it. */
static struct bytes message_for(struct noise_pair *p, size_t m, struct noise_handshake **to)
{
    uint8_t wire[1024];
    struct noise_handshake *from = m == 1 ? &p->r.h : &p->i.h;

    noise_pair_init(p, 1);
    *to = m == 1 ? &p->i.h : &p->r.h;
    if (m > 0)
        noise_pair_move(&p->i.h, &p->r.h);
    if (m > 1)
        noise_pair_move(&p->r.h, &p->i.h);
    return vec_copy(slice_of(wire, noise_handshake_output(from, wire, sizeof(wire))));
}

static void test_noise_handshake_waits_on_truncation(void **state)
{
    struct noise_pair p;
    struct noise_handshake *to;

    for (size_t m = 0; m < 3; m++) {
        struct bytes b = message_for(&p, m, &to);
        for (size_t len = 0; len < b.len; len++) {
            struct noise_handshake copy = *to;
            struct bytes part = vec_copy(slice_of(b.p, len));
            assert_int_equal(noise_handshake_input(&copy, bytes_slice(part)), len);
            assert_false(noise_handshake_is_done(&copy));
            free(part.p);
        }
        free(b.p);
        noise_pair_fini(&p);
    }
}

/* Messages shortened with a length that says so: never accepted, and the state is as it was before. */
static void test_noise_consume_refuses_short_messages(void **state)
{
    struct noise_pair p;
    struct noise_handshake *to;

    for (size_t m = 0; m < 3; m++) {
        struct bytes b = message_for(&p, m, &to);
        for (size_t len = 0; len < b.len - 2; len++) {
            struct noise_handshake before = *to;
            struct bytes part = vec_copy(slice_of(b.p + 2, len));
            int rc = m == 0   ? noise_consume_message1(to, bytes_slice(part))
                     : m == 1 ? noise_consume_message2(to, bytes_slice(part))
                              : noise_consume_message3(to, bytes_slice(part));
            assert_true(rc == -NOISE_ELENGTH || rc == -NOISE_EDECRYPT);
            assert_memory_equal(&before, to, sizeof(before));
            free(part.p);
        }
        free(b.p);
        noise_pair_fini(&p);
    }
}

/* A flipped bit in message 2 or 3 is found there; in message 1 it is found in message 2. */
static void test_noise_handshake_finds_flipped_bits(void **state)
{
    struct noise_pair p;
    struct noise_handshake *to;

    for (size_t m = 0; m < 3; m++) {
        struct bytes b = message_for(&p, m, &to);
        for (size_t bit = 16; bit < b.len * 8; bit += 3) {
            struct noise_handshake copy = *to;
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            ssize_t rc = noise_handshake_input(&copy, bytes_slice(b));
            if (m > 0) {
                assert_true(rc == -NOISE_EDECRYPT || rc == -NOISE_EDH);
            } else if (rc > 0) {
                uint8_t wire[1024];
                struct noise_handshake i = p.i.h;
                size_t n = noise_handshake_output(&copy, wire, sizeof(wire));
                /* the unused top bit of an X25519 key changes the hash alone, and that suffices */
                assert_int_equal(noise_handshake_input(&i, slice_of(wire, n)), -NOISE_EDECRYPT);
            }
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(b.p);
        noise_pair_fini(&p);
    }
}

static void test_noise_handshake_judges_lengths_before_bodies(void **state)
{
    static const struct {
        unsigned message;
        uint8_t head[2];
        bool is_allowed;
    } table[] = {
        {0, {0, 32}, true},       {0, {0, 31}, false},      {0, {0, 33}, false}, {0, {0, 0}, false},
        {0, {0xff, 0xff}, false}, {1, {0, 95}, false},      {1, {0, 96}, true},  {1, {0x0f, 0xfe}, true},
        {1, {0x0f, 0xff}, false}, {1, {0xff, 0xff}, false}, {2, {0, 63}, false}, {2, {0, 64}, true},
        {2, {0x0f, 0xff}, false}, {0, {'G', 'E'}, false},
    };

    for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
        struct noise_pair p;
        struct noise_handshake *to;
        struct bytes b = message_for(&p, table[k].message, &to);
        assert_int_equal(noise_handshake_input(to, slice_of(table[k].head, 2)),
                         table[k].is_allowed ? 2 : -NOISE_ELENGTH);
        free(b.p);
        noise_pair_fini(&p);
    }
}

static void test_noise_initiator_refuses_another_peer(void **state)
{
    struct noise_pair p;
    uint8_t wire[1024];
    size_t n;

    noise_pair_init(&p, 3);
    noise_handshake_init(&p.i.h, &p.i.identity, NOISE_INITIATOR, &p.i.id, true, &p.rng);
    noise_pair_move(&p.i.h, &p.r.h);
    n = noise_handshake_output(&p.r.h, wire, sizeof(wire));
    assert_int_equal(noise_handshake_input(&p.i.h, slice_of(wire, n)), -NOISE_EPEER);
    assert_false(noise_handshake_is_done(&p.i.h));
    noise_pair_fini(&p);
}

static void test_noise_refuses_low_order_ephemeral(void **state)
{
    struct noise_pair p;
    uint8_t message1[34] = {0, 32}; /* e = 0 */

    noise_pair_init(&p, 4);
    assert_int_equal(noise_handshake_input(&p.r.h, slice_of(message1, sizeof(message1))), -NOISE_EDH);
    noise_pair_fini(&p);
}

static void test_noise_message1_carries_no_payload(void **state)
{
    struct noise_pair p;
    uint8_t message1[40] = {9};

    noise_pair_init(&p, 5);
    assert_int_equal(noise_consume_message1(&p.r.h, slice_of(message1, 40)), -NOISE_EPAYLOAD);
    assert_int_equal(noise_consume_message1(&p.r.h, slice_of(message1, 31)), -NOISE_ELENGTH);
    noise_pair_fini(&p);
}

/* An answer that comes before our message is out has to wait for it. */
static void test_noise_input_waits_for_output(void **state)
{
    struct noise_pair p;
    uint8_t wire[64];

    noise_pair_init(&p, 6);
    assert_int_equal(noise_handshake_input(&p.i.h, slice_of(wire, 10)), 0);
    assert_int_equal(noise_handshake_output(&p.i.h, wire, 5), 5);
    assert_int_equal(noise_handshake_input(&p.i.h, slice_of("\0\xff", 2)), 0);
    assert_int_equal(noise_handshake_output(&p.i.h, wire, 64), 29);
    assert_int_equal(noise_handshake_input(&p.i.h, slice_of("\0\xff", 2)), 2);
    noise_pair_fini(&p);
}

/* What can be wrong inside a payload whose encryption is good. */
struct payload_case {
    const char *name;
    int key, sig, muxers; /* how each field is written */
    bool offers;
    int want;
    enum noise_muxer muxer;
};

enum { RIGHT, ABSENT, OTHER, BROKEN, RSA, EMPTY, MANY, WITH_MORE };

static size_t make_payload(const struct payload_case *c, const struct noise_identity *id,
                           const struct noise_identity *other, uint8_t *out, size_t cap)
{
    static const uint8_t rsa[] = {0x08, 0x00, 0x12, 0x03, 1, 2, 3};
    struct wr w = wr_of(out, cap);

    if (c->key == RSA)
        pb_put_bytes(&w, 1, slice_of(rsa, sizeof(rsa)));
    else if (c->key != ABSENT)
        pb_put_bytes(&w, 1, slice_of((c->key == OTHER ? other : id)->key_pb, c->key == BROKEN ? 20 : 36));
    if (c->sig != ABSENT)
        pb_put_bytes(&w, 2, slice_of((c->sig == OTHER ? other : id)->signature, c->sig == BROKEN ? 63 : 64));
    if (c->muxers == ABSENT)
        return w.len;
    if (c->muxers == EMPTY) {
        pb_put_head(&w, 4, 0);
    } else if (c->muxers == BROKEN) {
        pb_put_bytes(&w, 4, SLICE_LIT("\x12\x40/"));
    } else if (c->muxers == MANY) {
        pb_put_head(&w, 4, 33 * 3);
        for (unsigned i = 0; i < 33; i++)
            pb_put_bytes(&w, 2, SLICE_LIT("/"));
    } else if (c->muxers == OTHER) {
        pb_put_bytes(&w, 4, SLICE_LIT("\x12\x0c/mplex/6.7.0"));
    } else if (c->muxers == WITH_MORE) { /* certhashes, an unknown field, two muxers */
        pb_put_bytes(&w, 4, SLICE_LIT("\x0a\x02xx\x12\x0c/mplex/6.7.0\x18\x05\x12\x0c/yamux/1.0.0"));
        pb_put_varint(&w, 9, 1);
    } else {
        pb_put_bytes(&w, 4, SLICE_LIT("\x12\x0c/yamux/1.0.0"));
    }
    return w.len;
}

static const struct payload_case payload_cases[] = {
    {"all right", RIGHT, RIGHT, RIGHT, true, 0, NOISE_MUXER_YAMUX},
    {"not offered by us", RIGHT, RIGHT, RIGHT, false, 0, NOISE_MUXER_OPEN},
    {"no extensions", RIGHT, RIGHT, ABSENT, true, 0, NOISE_MUXER_OPEN},
    {"empty extensions", RIGHT, RIGHT, EMPTY, true, 0, NOISE_MUXER_OPEN},
    {"others beside", RIGHT, RIGHT, WITH_MORE, true, 0, NOISE_MUXER_YAMUX},
    {"no muxer in common", RIGHT, RIGHT, OTHER, true, -NOISE_EMUXER, 0},
    {"theirs alone, none of ours", RIGHT, RIGHT, OTHER, false, 0, NOISE_MUXER_OPEN},
    {"too many muxers", RIGHT, RIGHT, MANY, true, -NOISE_EPAYLOAD, 0},
    {"broken extensions", RIGHT, RIGHT, BROKEN, true, -NOISE_EPAYLOAD, 0},
    {"no key", ABSENT, RIGHT, ABSENT, true, -NOISE_EPAYLOAD, 0},
    {"no signature", RIGHT, ABSENT, ABSENT, true, -NOISE_EPAYLOAD, 0},
    {"broken key", BROKEN, RIGHT, ABSENT, true, -NOISE_EKEY, 0},
    {"a key type we cannot verify", RSA, RIGHT, ABSENT, true, -NOISE_EKEY, 0},
    {"signature too short", RIGHT, BROKEN, ABSENT, true, -NOISE_ESIGNATURE, 0},
    {"signed by another", RIGHT, OTHER, ABSENT, true, -NOISE_ESIGNATURE, 0},
    {"somebody else's key", OTHER, RIGHT, ABSENT, true, -NOISE_ESIGNATURE, 0},
    {"somebody else's key and signature", OTHER, OTHER, ABSENT, true, -NOISE_ESIGNATURE,
     0}, /* replayed elsewhere */
};

static void test_noise_payload_is_checked(void **state)
{
    struct noise_pair p;

    noise_pair_init(&p, 8);
    for (size_t i = 0; i < sizeof(payload_cases) / sizeof(payload_cases[0]); i++) {
        const struct payload_case *c = &payload_cases[i];
        uint8_t payload[512];
        struct noise_peer peer = {.muxer = 77};
        size_t n = make_payload(c, &p.r.identity, &p.i.identity, payload, sizeof(payload));
        struct bytes b = vec_copy(slice_of(payload, n));
        int rc = noise_payload_consume(bytes_slice(b), p.r.identity.static_key.public, c->offers, &peer);
        if (rc != c->want)
            fail_msg("%s: %s", c->name, noise_err_name(rc));
        assert_int_equal(peer.muxer, rc ? 77 : c->muxer);
        if (!rc)
            assert_true(peer_id_is_equal(&peer.id, &p.r.id));
        for (size_t cut = 0; cut < n; cut++) {
            struct bytes part = vec_copy(slice_of(payload, cut));
            (void)noise_payload_consume(bytes_slice(part), p.r.identity.static_key.public, c->offers, &peer);
            free(part.p);
        }
        free(b.p);
    }
    noise_pair_fini(&p);
}

/* A peer whose payload is a good one, but whose static key is not the signed one: the check that ties both together. */
static void test_noise_handshake_refuses_a_stolen_payload(void **state)
{
    struct noise_pair p;
    struct noise_identity thief;
    uint8_t wire[1024];
    size_t n;

    noise_pair_init(&p, 9);
    noise_identity_init(&thief, &p.i.key, &p.rng); /* a static key of its own */
    memcpy(thief.key_pb, p.r.identity.key_pb, sizeof(thief.key_pb));
    memcpy(thief.signature, p.r.identity.signature, sizeof(thief.signature));
    noise_handshake_init(&p.r.h, &thief, NOISE_RESPONDER, NULL, true, &p.rng);
    noise_pair_move(&p.i.h, &p.r.h);
    n = noise_handshake_output(&p.r.h, wire, sizeof(wire));
    assert_int_equal(noise_handshake_input(&p.i.h, slice_of(wire, n)), -NOISE_ESIGNATURE);
    noise_pair_fini(&p);
}

static void test_noise_fini_wipes(void **state)
{
    struct noise_pair p;
    static const struct noise_handshake zero;

    noise_pair_init(&p, 10);
    noise_pair_connect(&p);
    assert_memory_equal(&p.i.h, &zero, sizeof(zero));
    assert_memory_equal(&p.r.h, &zero, sizeof(zero));
    noise_pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_muxer_needs_both),
        cmocka_unit_test(test_noise_handshake_at_every_chunk_size),
        cmocka_unit_test(test_noise_handshake_waits_on_truncation),
        cmocka_unit_test(test_noise_consume_refuses_short_messages),
        cmocka_unit_test(test_noise_handshake_finds_flipped_bits),
        cmocka_unit_test(test_noise_handshake_judges_lengths_before_bodies),
        cmocka_unit_test(test_noise_initiator_refuses_another_peer),
        cmocka_unit_test(test_noise_refuses_low_order_ephemeral),
        cmocka_unit_test(test_noise_message1_carries_no_payload),
        cmocka_unit_test(test_noise_input_waits_for_output),
        cmocka_unit_test(test_noise_payload_is_checked),
        cmocka_unit_test(test_noise_handshake_refuses_a_stolen_payload),
        cmocka_unit_test(test_noise_fini_wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
