/* fuzz_kad.c: the first byte chooses: a decoder that must agree with its encoder, a server, or a lookup's answer */
#include <stdlib.h>

#include "libp2p/kad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned addrs(void *ctx, const struct peer_id *id, struct multiaddr *out, unsigned cap)
{
    uint8_t ip[4] = {10, 0, 0, id->bytes[id->len - 1]};

    for (unsigned i = 0; i < cap && i < 2; i++)
        multiaddr_of_tcp(&out[i], ip, 4, 7070, NULL);
    return cap < 2 ? cap : 2;
}

static void check_codec(struct slice in)
{
    static uint8_t out[KAD_MESSAGE_MAX], again_out[KAD_MESSAGE_MAX];
    struct kad_msg m, again;
    ssize_t n;

    if (kad_decode(in, &m))
        return;
    n = kad_encode(&m, out, sizeof(out));
    if (n < 0)
        return;
    if (kad_decode(slice_of(out, (size_t)n), &again) || again.dropped || again.ncloser != m.ncloser ||
        again.nproviders != m.nproviders || kad_encode(&again, again_out, sizeof(again_out)) != n ||
        memcmp(out, again_out, (size_t)n) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t out[KAD_MESSAGE_MAX];
    struct kad_config cfg = {.is_server = true, .addrs = addrs};
    struct slice in = slice_of(data + 1, len - 1);
    uint8_t key[32] = {1};
    struct kad_output o;
    struct peer_id peer;
    struct rng rng;
    struct kad *k;

    if (len == 0)
        return 0;
    check_codec(in);
    rng_init_zero(&rng);
    cfg.rng = &rng;
    peer_id_from_ed25519(&cfg.self, key);
    key[0] = 2;
    peer_id_from_ed25519(&peer, key);
    k = kad_new(&cfg, 0);
    if (!k)
        abort();
    kad_peer_serves(k, &peer, 0);
    if (data[0] & 1) {
        kad_serve(k, &peer, in, out, sizeof(out), 1);
        kad_serve(k, &peer, in, out, sizeof(out), 2);
    } else {
        kad_lookup(k, peer_id_slice(&peer), 1);
        while (kad_next_output(k, &o))
            if (o.type == KAD_ASK)
                kad_answer(k, o.token, in, 2);
    }
    kad_on_deadline(k, 60000000000ull);
    kad_free(k);
    return 0;
}
