/* bench_noise.c: what the secure channel costs: frames by size, handshakes, signatures
 * Prints:  median ns and GB/s of seal, of seal from a header and a payload piece, and of open, warm, one frame at a time;
 *          then handshakes and Ed25519 operations per second. The frame sizes include the largest that others send
 *          (65519) beside ours (65420), which a plain call of the library seals at different speeds: last column
 * Usage:   bench_noise (pin it with taskset)
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "libp2p/noise.h"
#include "clock.h"

enum { SAMPLES = 15 };

struct bench {
    struct rng rng;
    struct key_pair key;
    struct noise_identity identity;
    struct noise_transport tx, rx;
    EVP_CIPHER_CTX *plain;
    size_t len;
    uint8_t in[NOISE_OPEN_MAX], frame[2 + NOISE_BODY_MAX], out[NOISE_OPEN_MAX];
};

static uint8_t zero_nonce[AEAD_NONCE_BYTES];

static void seal(struct bench *b)
{
    aead_seal(&b->tx.tx, zero_nonce, slice_of(NULL, 0), b->in, b->len, b->frame + 2);
}

static void seal_pieces(struct bench *b)
{
    size_t head = b->len < 12 ? b->len : 12; /* a yamux header */
    struct slice pieces[] = {{b->in, head}, {b->in + head, b->len - head}};

    aead_sealv(&b->tx.tx, zero_nonce, slice_of(NULL, 0), pieces, 2, b->frame + 2);
}

static void open_frame(struct bench *b)
{
    b->rx.rx_n = 0;
    if (noise_open(&b->rx, slice_of(b->frame, b->len + NOISE_FRAME_EXTRA), b->out, sizeof(b->out)) < 0)
        abort();
}

static void library_seal(struct bench *b)
{
    uint8_t tag[16];
    int n;

    EVP_CipherInit_ex(b->plain, NULL, NULL, NULL, zero_nonce, 1);
    EVP_CipherUpdate(b->plain, b->out, &n, b->in, (int)b->len);
    EVP_CipherFinal_ex(b->plain, b->out + b->len, &n);
    EVP_CIPHER_CTX_ctrl(b->plain, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag);
}

static void handshake(struct bench *b)
{
    static struct noise_handshake i, r;
    uint8_t wire[512];
    size_t n;

    noise_handshake_init(&i, &b->identity, NOISE_INITIATOR, NULL, true, &b->rng);
    noise_handshake_init(&r, &b->identity, NOISE_RESPONDER, NULL, true, &b->rng);
    for (unsigned m = 0; m < 3; m++) {
        n = noise_handshake_output(m == 1 ? &r : &i, wire, sizeof(wire));
        if (noise_handshake_input(m == 1 ? &i : &r, slice_of(wire, n)) != (ssize_t)n)
            abort();
    }
}

static uint8_t signature[64];

static void sign(struct bench *b)
{
    ed25519_sign(&b->key.ed25519, slice_of(b->in, 128), signature);
}

static void verify(struct bench *b)
{
    if (ed25519_verify(b->key.ed25519.public, slice_of(b->in, 128), slice_of(signature, 64)))
        abort();
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Median of the ns per call; the samples of one round are short enough to sit between two disturbances. */
static double measure(struct bench *b, void (*op)(struct bench *), unsigned rounds)
{
    double ns[SAMPLES];

    op(b);
    for (unsigned s = 0; s < SAMPLES; s++) {
        uint64_t begin = bench_now_ns();
        for (unsigned i = 0; i < rounds; i++)
            op(b);
        ns[s] = (double)(bench_now_ns() - begin) / rounds;
    }
    qsort(ns, SAMPLES, sizeof(ns[0]), by_value);
    return ns[SAMPLES / 2];
}

static void print_frame(struct bench *b, size_t len)
{
    unsigned rounds = (unsigned)(2000000 / (len + 300)) + 1;
    double a, p, o, l;

    b->len = len;
    b->frame[0] = (uint8_t)((len + 16) >> 8);
    b->frame[1] = (uint8_t)(len + 16);
    a = measure(b, seal, rounds);
    p = measure(b, seal_pieces, rounds);
    o = measure(b, open_frame, rounds);
    l = measure(b, library_seal, rounds);
    printf("%6zu B  seal %7.0f ns %5.2f GB/s  of 12 B + rest %7.0f ns %5.2f GB/s  open %7.0f ns %5.2f GB/s  "
           "library %7.0f ns\n",
           len, a, (double)len / a, p, (double)len / p, o, (double)len / o, l);
}

int main(void)
{
    static const size_t sizes[] = {64,    256,   1024,           1420,  4096,
                                   16384, 64511, NOISE_SEAL_MAX, 65472, NOISE_OPEN_MAX};
    static const uint8_t key[32] = {1};
    static struct bench b;

    rng_init_seeded(&b.rng, 1);
    b.plain = EVP_CIPHER_CTX_new();
    if (crypto_init() || !b.plain || aead_init(&b.tx.tx, key) || aead_init(&b.rx.rx, key))
        return 1;
    EVP_CipherInit_ex(b.plain, EVP_chacha20_poly1305(), NULL, key, NULL, 1);
    key_pair_init(&b.key, &b.rng);
    noise_identity_init(&b.identity, &b.key, &b.rng);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        print_frame(&b, sizes[i]);
    printf("handshake, both ends  %7.1f us\n", measure(&b, handshake, 20) / 1000);
    printf("Ed25519 sign 128 B    %7.1f us\n", measure(&b, sign, 100) / 1000);
    printf("Ed25519 verify 128 B  %7.1f us\n", measure(&b, verify, 100) / 1000);
    return 0;
}
