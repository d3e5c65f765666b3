/* Transport frames. */
#include "noise_pair.h"

static struct noise_pair pair;

static int setup(void **state)
{
    noise_pair_init(&pair, 1);
    noise_pair_connect(&pair);
    return 0;
}

static int teardown(void **state)
{
    noise_pair_fini(&pair);
    return 0;
}

static size_t seal(struct noise_transport *t, const void *p, size_t len, uint8_t *out, size_t cap)
{
    struct slice piece = {p, len};
    ssize_t n = noise_seal(t, &piece, 1, out, cap);

    assert_int_equal(n, len + NOISE_FRAME_EXTRA);
    return (size_t)n;
}

static void test_noise_transport_both_ways(void **state)
{
    static uint8_t in[NOISE_SEAL_MAX], frame[NOISE_SEAL_MAX + NOISE_FRAME_EXTRA], out[NOISE_SEAL_MAX];

    rng_fill(&pair.rng, in, sizeof(in));
    for (unsigned k = 0; k < 200; k++) {
        struct noise_transport *tx = k % 3 ? &pair.i.t : &pair.r.t, *rx = k % 3 ? &pair.r.t : &pair.i.t;
        size_t len = k == 7 ? NOISE_SEAL_MAX : rng_below(&pair.rng, k % 10 ? 2000 : NOISE_SEAL_MAX + 1);
        size_t n = seal(tx, in, len, frame, sizeof(frame));
        assert_int_equal(noise_frame_bytes(slice_of(frame, n)), n);
        assert_int_equal(noise_frame_bytes(slice_of(frame, 2)), n);
        if (k % 2) {
            assert_int_equal(noise_open(rx, slice_of(frame, n), out, len), len);
            assert_memory_equal(out, in, len);
        } else { /* in its own place */
            assert_int_equal(noise_open(rx, slice_of(frame, n), frame + 2, len), len);
            assert_memory_equal(frame + 2, in, len);
        }
    }
}

/* Header and payload pieces in, and a frame that lies in packets out. */
static void test_noise_transport_pieces(void **state)
{
    static uint8_t in[4000], frame[4018], out[4000];

    rng_fill(&pair.rng, in, sizeof(in));
    for (unsigned k = 0; k < 500; k++) {
        size_t len = rng_below(&pair.rng, sizeof(in) + 1), a = rng_below(&pair.rng, len + 1), n, at = 2,
               count = 0;
        struct slice two[] = {{in, a}, {in + a, len - a}}, many[64];
        ssize_t sealed = noise_seal(&pair.i.t, two, 2, frame, sizeof(frame));
        assert_int_equal(sealed, len + NOISE_FRAME_EXTRA);
        for (; at < (size_t)sealed; at += n) {
            n = 1 + rng_below(&pair.rng, 200);
            if (n > (size_t)sealed - at || count == 63)
                n = (size_t)sealed - at;
            many[count++] = slice_of(frame + at, n);
        }
        assert_int_equal(noise_openv(&pair.r.t, many, count, out, len), len);
        assert_memory_equal(out, in, len);
    }
}

/* Others fill a frame to the brim: 65519 bytes of plaintext. Sealed here with the room's parts. */
static void test_noise_transport_opens_the_largest_frame(void **state)
{
    static uint8_t in[NOISE_OPEN_MAX], frame[2 + NOISE_BODY_MAX], out[NOISE_OPEN_MAX];
    uint8_t nonce[AEAD_NONCE_BYTES] = {0};

    rng_fill(&pair.rng, in, sizeof(in));
    for (unsigned b = 0; b < 8; b++)
        nonce[4 + b] = (uint8_t)(pair.i.t.tx_n >> 8 * b);
    pair.i.t.tx_n++;
    frame[0] = frame[1] = 0xff;
    aead_seal(&pair.i.t.tx, nonce, slice_of(NULL, 0), in, sizeof(in), frame + 2);
    assert_int_equal(noise_frame_bytes(slice_of(frame, sizeof(frame))), sizeof(frame));
    assert_int_equal(noise_open(&pair.r.t, slice_of(frame, sizeof(frame)), out, sizeof(out)), sizeof(out));
    assert_memory_equal(out, in, sizeof(in));
}

static void test_noise_transport_refuses_damage_and_goes_on(void **state)
{
    uint8_t frame[64], damaged[64], out[64];
    size_t n = seal(&pair.i.t, "payload", 7, frame, sizeof(frame));

    for (size_t bit = 16; bit < n * 8; bit++) {
        memcpy(damaged, frame, n);
        damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(noise_open(&pair.r.t, slice_of(damaged, n), out, sizeof(out)), -NOISE_EDECRYPT);
    }
    for (size_t body = 16; body < n - 2; body++) { /* shortened */
        memcpy(damaged, frame, n);
        damaged[1] = (uint8_t)body;
        assert_int_equal(noise_open(&pair.r.t, slice_of(damaged, body + 2), out, sizeof(out)),
                         -NOISE_EDECRYPT);
    }
    assert_int_equal(noise_open(&pair.r.t, slice_of(frame, n), out, sizeof(out)), 7);
    /* the same again, or from the wrong direction */
    assert_int_equal(noise_open(&pair.r.t, slice_of(frame, n), out, sizeof(out)), -NOISE_EDECRYPT);
    assert_int_equal(noise_open(&pair.i.t, slice_of(frame, n), out, sizeof(out)), -NOISE_EDECRYPT);
}

static void test_noise_transport_refuses_reordering(void **state)
{
    uint8_t first[32], second[32], out[32];
    size_t n = seal(&pair.i.t, "one", 3, first, sizeof(first)),
           m = seal(&pair.i.t, "two", 3, second, sizeof(second));

    assert_int_equal(noise_open(&pair.r.t, slice_of(second, m), out, sizeof(out)), -NOISE_EDECRYPT);
    assert_int_equal(noise_open(&pair.r.t, slice_of(first, n), out, sizeof(out)), 3);
    assert_int_equal(noise_open(&pair.r.t, slice_of(second, m), out, sizeof(out)), 3);
}

static void test_noise_frame_heads(void **state)
{
    assert_int_equal(noise_frame_bytes(slice_of(NULL, 0)), 0);
    assert_int_equal(noise_frame_bytes(slice_of("\0", 1)), 0);
    for (unsigned body = 0; body < 16; body++)
        assert_int_equal(noise_frame_bytes(slice_of((uint8_t[]){0, (uint8_t)body}, 2)), -NOISE_ELENGTH);
    assert_int_equal(noise_frame_bytes(slice_of("\0\x10", 2)), 18);
    assert_int_equal(noise_frame_bytes(slice_of("\xff\xff", 2)), 65537);
}

static void test_noise_seal_respects_room(void **state)
{
    static uint8_t in[NOISE_SEAL_MAX + 1], out[NOISE_SEAL_MAX + 100];
    struct slice whole = {in, NOISE_SEAL_MAX + 1}, parts[] = {{in, 1}, {in, NOISE_SEAL_MAX}}, three = {in, 3};
    uint64_t before = pair.i.t.tx_n;

    assert_int_equal(noise_seal(&pair.i.t, &whole, 1, out, sizeof(out)), -NOISE_ESPACE);
    assert_int_equal(noise_seal(&pair.i.t, parts, 2, out, sizeof(out)), -NOISE_ESPACE);
    for (size_t cap = 0; cap < 3 + NOISE_FRAME_EXTRA; cap++) {
        uint8_t *small = malloc(cap + !cap);
        assert_int_equal(noise_seal(&pair.i.t, &three, 1, small, cap), -NOISE_ESPACE);
        free(small);
    }
    assert_int_equal(pair.i.t.tx_n, before);
    size_t n = seal(&pair.i.t, in, 0, out, sizeof(out)); /* an empty frame is legal */
    assert_int_equal(noise_open(&pair.r.t, slice_of(out, n), out, 0), 0);
    n = seal(&pair.i.t, in, 10, out, sizeof(out));
    assert_int_equal(noise_open(&pair.r.t, slice_of(out, n), in, 9), -NOISE_ESPACE);
    assert_int_equal(noise_open(&pair.r.t, slice_of(out, n), in, 10), 10);
}

static void test_noise_transport_ends_with_its_nonces(void **state)
{
    uint8_t frame[64], out[64];
    struct slice piece = SLICE_LIT("x");

    pair.i.t.tx_n = pair.r.t.rx_n = UINT64_MAX - 1;
    size_t n = seal(&pair.i.t, "x", 1, frame, sizeof(frame));
    assert_int_equal(noise_open(&pair.r.t, slice_of(frame, n), out, sizeof(out)), 1);
    assert_int_equal(noise_seal(&pair.i.t, &piece, 1, frame, sizeof(frame)), -NOISE_ENONCE);
    assert_int_equal(noise_seal(&pair.i.t, &piece, 1, frame, sizeof(frame)), -NOISE_ENONCE);
    assert_int_equal(noise_open(&pair.r.t, slice_of(frame, n), out, sizeof(out)), -NOISE_ENONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_transport_both_ways),
        cmocka_unit_test(test_noise_transport_pieces),
        cmocka_unit_test(test_noise_transport_opens_the_largest_frame),
        cmocka_unit_test(test_noise_transport_refuses_damage_and_goes_on),
        cmocka_unit_test(test_noise_transport_refuses_reordering),
        cmocka_unit_test(test_noise_frame_heads),
        cmocka_unit_test(test_noise_seal_respects_room),
        cmocka_unit_test(test_noise_transport_ends_with_its_nonces), /* last: it uses the pair up */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
