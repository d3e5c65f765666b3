#include "vec.h"

#include "libp2p/noise.h"
#include "libp2p/noise_payload.h"
#include "libp2p/noise_symmetric.h"

/* Hands out fixed bytes: the vectors' ephemeral and static secrets. */
struct fixed_rng {
    struct rng rng;
    const uint8_t *next;
};

static void fixed_fill(struct rng *r, void *out, size_t len)
{
    struct fixed_rng *f = (struct fixed_rng *)(void *)r;

    memcpy(out, f->next, len);
}

static struct rng *fixed(struct fixed_rng *f, struct bytes b)
{
    f->rng.fill = fixed_fill;
    f->next = b.p;
    return &f->rng;
}

/* One side of a vector. */
struct side {
    struct bytes seed, secret, ephemeral, payload;
    struct key_pair key;
    struct noise_identity identity;
    struct peer_id id;
    bool offers_muxer;
    struct noise_handshake h;
};

static void side_init(struct side *s, json_t *v, enum noise_role role, const struct peer_id *expected)
{
    struct fixed_rng f;

    s->seed = vec_hex(v, "identity_seed");
    s->secret = vec_hex(v, "static_private");
    s->ephemeral = vec_hex(v, "ephemeral_private");
    s->payload = vec_hex(v, "payload");
    key_pair_from_seed(&s->key, s->seed.p);
    key_pair_peer_id(&s->key, &s->id);
    noise_identity_init(&s->identity, &s->key, fixed(&f, s->secret));
    s->offers_muxer = json_is_true(vec_get(vec_get(v, "payload_fields"), "has_extensions"));
    noise_handshake_init(&s->h, &s->identity, role, expected, s->offers_muxer, fixed(&f, s->ephemeral));
}

static void side_fini(struct side *s)
{
    noise_handshake_fini(&s->h);
    noise_identity_fini(&s->identity);
    key_pair_fini(&s->key);
    free(s->seed.p), free(s->secret.p), free(s->ephemeral.p), free(s->payload.p);
}

static void assert_hash(const struct noise_handshake *h, json_t *v, size_t i)
{
    struct bytes want = vec_unhex(json_string_value(json_array_get(vec_get(v, "handshake_hash_after"), i)));

    assert_memory_equal(h->sym.h, want.p, want.len);
    free(want.p);
}

static void replay_handshake(json_t *v, struct side *i, struct side *r)
{
    json_t *messages = vec_get(v, "messages");
    struct noise_handshake *from[] = {&i->h, &r->h, &i->h}, *to[] = {&r->h, &i->h, &r->h};
    uint8_t out[1024];

    for (size_t m = 0; m < 3; m++) {
        struct bytes want = vec_hex(json_array_get(messages, m), "framed");
        size_t n = noise_handshake_output(from[m], out, sizeof(out));
        assert_slice(slice_of(out, n), bytes_slice(want));
        assert_hash(from[m], v, m);
        assert_int_equal(noise_handshake_input(to[m], bytes_slice(want)), want.len);
        if (m == 2)
            assert_hash(to[m], v, m);
        free(want.p);
    }
}

static void replay_transport(json_t *v, struct noise_transport *i, struct noise_transport *r)
{
    json_t *t;
    size_t k;

    json_array_foreach(vec_get(v, "transport"), k, t)
    {
        bool is_forth = strcmp(vec_str(t, "dir"), "i->r") == 0;
        struct bytes plain = vec_hex(t, "plaintext"), framed = vec_hex(t, "framed");
        struct bytes got = {malloc(framed.len), framed.len},
                     back = {malloc(plain.len + !plain.len), plain.len};
        struct slice piece = bytes_slice(plain);

        assert_int_equal(noise_seal(is_forth ? i : r, &piece, 1, got.p, got.len), framed.len);
        assert_slice(bytes_slice(got), bytes_slice(framed));
        assert_int_equal(noise_frame_bytes(bytes_slice(framed)), framed.len);
        assert_int_equal(noise_open(is_forth ? r : i, bytes_slice(framed), back.p, back.len), plain.len);
        assert_slice(bytes_slice(back), bytes_slice(plain));
        free(plain.p), free(framed.p), free(got.p), free(back.p);
    }
}

static void test_noise_replays_vectors(void **state)
{
    json_t *root = vec_load("noise.json"), *v;
    size_t n;

    json_array_foreach(vec_get(root, "vectors"), n, v)
    {
        if (strcmp(vec_str(v, "prologue"), "") != 0)
            continue; /* libp2p has none; test_noise_symmetric_replays_vectors takes this one */
        struct side i, r;
        struct noise_transport ti, tr;
        struct noise_peer pi, pr;
        uint8_t keys[2][32], payload[NOISE_OUT_MAX];
        struct bytes ck = vec_hex(v, "chaining_key"), k0 = vec_hex(v, "initiator_to_responder_key");
        struct bytes k1 = vec_hex(v, "responder_to_initiator_key");

        side_init(&r, vec_get(v, "responder"), NOISE_RESPONDER, NULL);
        side_init(&i, vec_get(v, "initiator"), NOISE_INITIATOR, &r.id);
        assert_slice(slice_of(payload,
                              noise_payload_create(&i.identity, i.offers_muxer, payload, sizeof(payload))),
                     bytes_slice(i.payload));
        assert_slice(slice_of(payload,
                              noise_payload_create(&r.identity, r.offers_muxer, payload, sizeof(payload))),
                     bytes_slice(r.payload));
        replay_handshake(v, &i, &r);
        assert_true(noise_handshake_is_done(&i.h) && noise_handshake_is_done(&r.h));
        assert_memory_equal(i.h.sym.ck, ck.p, 32);
        noise_symmetric_split(&r.h.sym, keys);
        assert_memory_equal(keys[0], k0.p, 32);
        assert_memory_equal(keys[1], k1.p, 32);
        assert_int_equal(noise_handshake_finish(&i.h, &ti, &pi), 0);
        assert_int_equal(noise_handshake_finish(&r.h, &tr, &pr), 0);
        assert_true(peer_id_is_equal(&pi.id, &r.id) && peer_id_is_equal(&pr.id, &i.id));
        assert_int_equal(pi.muxer, i.offers_muxer ? NOISE_MUXER_YAMUX : NOISE_MUXER_OPEN);
        assert_int_equal(pr.muxer, pi.muxer);
        replay_transport(v, &ti, &tr);
        noise_transport_fini(&ti);
        noise_transport_fini(&tr);
        side_fini(&i), side_fini(&r);
        free(ck.p), free(k0.p), free(k1.p);
    }
    assert_true(n >= 2);
    json_decref(root);
}

/* The same messages token by token, as the pattern is written: also the vector with a prologue and two muxers. */
static void test_noise_symmetric_replays_vectors(void **state)
{
    json_t *root = vec_load("noise.json"), *v;
    size_t n;

    json_array_foreach(vec_get(root, "vectors"), n, v)
    {
        json_t *ji = vec_get(v, "initiator"), *jr = vec_get(v, "responder");
        struct bytes prologue = vec_hex(v, "prologue"), keys[4], payload = vec_hex(jr, "payload");
        struct bytes want = vec_hex(json_array_get(vec_get(v, "messages"), 1), "hex");
        const char *names[] = {"ephemeral_private", "static_private"};
        struct x25519_key ie, re, rs;
        struct noise_symmetric s;
        struct noise_peer peer;
        uint8_t shared[32], out[1024];
        size_t at = 32;

        for (size_t k = 0; k < 4; k++)
            keys[k] = vec_hex(k < 2 ? ji : jr, names[k % 2]);
        x25519_key_init(&ie, keys[0].p), x25519_key_init(&re, keys[2].p), x25519_key_init(&rs, keys[3].p);
        noise_symmetric_init(&s, bytes_slice(prologue));
        noise_symmetric_mix_hash(&s, slice_of(ie.public, 32));
        assert_int_equal(noise_symmetric_encrypt(&s, slice_of(NULL, 0), out), 0);
        memcpy(out, re.public, 32);
        noise_symmetric_mix_hash(&s, slice_of(re.public, 32));
        assert_int_equal(x25519_shared(&re, ie.public, shared), 0);
        noise_symmetric_mix_key(&s, shared);
        at += noise_symmetric_encrypt(&s, slice_of(rs.public, 32), out + at);
        assert_int_equal(x25519_shared(&rs, ie.public, shared), 0);
        noise_symmetric_mix_key(&s, shared);
        at += noise_symmetric_encrypt(&s, bytes_slice(payload), out + at);
        assert_slice(slice_of(out, at), bytes_slice(want));
        assert_int_equal(noise_payload_consume(bytes_slice(payload), rs.public, true, &peer), 0);
        for (size_t k = 0; k < 4; k++)
            free(keys[k].p);
        free(prologue.p), free(payload.p), free(want.p);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_replays_vectors),
        cmocka_unit_test(test_noise_symmetric_replays_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
