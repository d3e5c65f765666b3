/* fuzz_noise.c: the handshake's ends with the keys of tests/vectors/noise.json, its payload, and transport frames
 * Input: first byte: 0 initiator, 1 responder, 2 payload, 3 frames; the rest is what the peer sends
 */
#include <stdlib.h>

#include "base/text.h"
#include "libp2p/noise.h"
#include "libp2p/noise_payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const alice[] = {"2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90",
                                    "2630626c69f2dfd4996c3d6e6226ae9c24319ab22a6104fd5d1789463442e962",
                                    "4ccd34df4f7e78ddcaafb207b46fd68deb14cc0ceb786f528a993f1562c2366f"};
static const char *const bob[] = {"81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9",
                                  "5c1e62361622fd564757aa7cb0159f10de9d38720908e221bb2230c2be656e98",
                                  "edfdd5101ec2337eeefa74814f8511ce63b756ca67c378ec690abedbd00545ba"};

/* Hands out one fixed secret. */
static uint8_t secret[32];

static void fill(struct rng *r, void *out, size_t len)
{
    memcpy(out, secret, len < sizeof(secret) ? len : sizeof(secret));
}

static struct rng fixed = {.fill = fill};

static void identity_init(struct noise_identity *id, const char *const *keys)
{
    struct key_pair key;
    uint8_t seed[32];

    hex_decode(seed, sizeof(seed), slice_str(keys[0]));
    key_pair_from_seed(&key, seed);
    hex_decode(secret, sizeof(secret), slice_str(keys[1]));
    noise_identity_init(id, &key, &fixed);
    hex_decode(secret, sizeof(secret), slice_str(keys[2])); /* what the handshake draws next */
}

static void try_handshake(enum noise_role role, struct slice in)
{
    struct noise_identity id;
    struct noise_handshake h;
    struct noise_transport t;
    struct noise_peer peer;
    uint8_t out[512];
    ssize_t n = 1;

    identity_init(&id, role == NOISE_INITIATOR ? alice : bob);
    noise_handshake_init(&h, &id, role, NULL, true, &fixed);
    while (n > 0 && !noise_handshake_is_done(&h)) {
        while (noise_handshake_output(&h, out, sizeof(out)))
            ;
        n = noise_handshake_input(&h, in);
        if (n > 0)
            in = slice_of(in.p + n, in.len - (size_t)n);
    }
    if (noise_handshake_is_done(&h)) {
        while (noise_handshake_output(&h, out, sizeof(out)))
            ;
        if (noise_handshake_finish(&h, &t, &peer))
            abort();
        noise_transport_fini(&t);
    }
    noise_handshake_fini(&h);
}

static void try_payload(struct slice in)
{
    struct noise_identity id;
    struct noise_peer peer;

    identity_init(&id, alice);
    (void)noise_payload_consume(in, id.static_key.public, true, &peer);
    (void)noise_payload_consume(in, id.static_key.public, false, &peer);
}

static void try_frames(struct slice in)
{
    static uint8_t out[NOISE_OPEN_MAX];
    struct noise_transport t = {.rx_n = 0};
    static const uint8_t key[32];
    ssize_t n, opened;

    if (aead_init(&t.rx, key))
        abort();
    while ((n = noise_frame_bytes(in)) > 0 && (size_t)n <= in.len) {
        opened = noise_open(&t, slice_of(in.p, (size_t)n), out, sizeof(out));
        if (opened < 0)
            break;
        if (opened != n - NOISE_FRAME_EXTRA)
            abort();
        in = slice_of(in.p + n, in.len - (size_t)n);
    }
    noise_transport_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in;

    if (!len)
        return 0;
    in = slice_of(data + 1, len - 1);
    switch (data[0] & 3) {
    case 0: try_handshake(NOISE_INITIATOR, in); break;
    case 1: try_handshake(NOISE_RESPONDER, in); break;
    case 2: try_payload(in); break;
    default: try_frames(in); break;
    }
    return 0;
}
