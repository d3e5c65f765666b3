#include "libp2p/noise_payload.h"

#include <assert.h>

#include "base/pb.h"

enum { FIELD_IDENTITY_KEY = 1, FIELD_IDENTITY_SIG = 2, FIELD_EXTENSIONS = 4 };
enum { FIELD_STREAM_MUXERS = 2 };

struct payload {
    struct slice key, signature;
    unsigned muxers; /* named, whichever */
    bool has_yamux;
};

/* prefix || static key, what the identity signs */
struct signed_bytes {
    uint8_t p[sizeof(NOISE_SIGNED_PREFIX) - 1 + NOISE_KEY_BYTES];
};

static struct signed_bytes signed_bytes_of(const uint8_t static_key[NOISE_KEY_BYTES])
{
    struct signed_bytes s;

    memcpy(s.p, NOISE_SIGNED_PREFIX, sizeof(NOISE_SIGNED_PREFIX) - 1);
    memcpy(s.p + sizeof(NOISE_SIGNED_PREFIX) - 1, static_key, NOISE_KEY_BYTES);
    return s;
}

void noise_identity_init(struct noise_identity *id, const struct key_pair *key, struct rng *rng)
{
    uint8_t secret[X25519_BYTES];
    struct signed_bytes s;
    ssize_t n;

    rng_fill(rng, secret, sizeof(secret));
    x25519_key_init(&id->static_key, secret);
    crypto_wipe(secret, sizeof(secret));
    n = key_pair_encode_public(key, id->key_pb, sizeof(id->key_pb));
    assert(n > 0);
    id->key_pb_len = (uint8_t)n;
    s = signed_bytes_of(id->static_key.public);
    id->signature_len = (uint8_t)key_pair_sign(key, slice_of(s.p, sizeof(s.p)), id->signature);
}

void noise_identity_fini(struct noise_identity *id)
{
    crypto_wipe(id, sizeof(*id));
}

size_t noise_payload_create(const struct noise_identity *id, bool offers_muxer, uint8_t *out, size_t cap)
{
    struct slice yamux = SLICE_LIT(NOISE_MUXER_YAMUX_ID);
    struct wr w = wr_of(out, cap);

    pb_put_bytes(&w, FIELD_IDENTITY_KEY, slice_of(id->key_pb, id->key_pb_len));
    pb_put_bytes(&w, FIELD_IDENTITY_SIG, slice_of(id->signature, id->signature_len));
    if (offers_muxer) {
        pb_put_head(&w, FIELD_EXTENSIONS, 2 + yamux.len);
        pb_put_bytes(&w, FIELD_STREAM_MUXERS, yamux);
    }
    assert(!w.bad);
    return w.len;
}

static int decode_extensions(struct slice in, struct payload *p)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f)) > 0) {
        if (!pb_is(&f, FIELD_STREAM_MUXERS, PB_BYTES))
            continue;
        if (++p->muxers > NOISE_MUXERS_MAX)
            return -NOISE_EPAYLOAD;
        if (slice_is_equal(f.bytes, SLICE_LIT(NOISE_MUXER_YAMUX_ID)))
            p->has_yamux = true;
    }
    return rc < 0 ? -NOISE_EPAYLOAD : 0;
}

static int decode(struct slice in, struct payload *p)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    *p = (struct payload){0};
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, FIELD_IDENTITY_KEY, PB_BYTES))
            p->key = f.bytes;
        else if (pb_is(&f, FIELD_IDENTITY_SIG, PB_BYTES))
            p->signature = f.bytes;
        else if (pb_is(&f, FIELD_EXTENSIONS, PB_BYTES) && decode_extensions(f.bytes, p))
            return -NOISE_EPAYLOAD;
    }
    return rc < 0 || !p->key.len || !p->signature.len ? -NOISE_EPAYLOAD : 0;
}

int noise_payload_consume(struct slice in, const uint8_t static_key[NOISE_KEY_BYTES], bool offers_muxer,
                          struct noise_peer *peer)
{
    struct signed_bytes s = signed_bytes_of(static_key);
    struct public_key key;
    struct noise_peer made = {.muxer = NOISE_MUXER_OPEN};
    struct payload p;
    int rc = decode(in, &p);

    if (rc)
        return rc;
    /* We name one muxer, so whose preference counts does not matter: js and the specification differ on it. */
    if (offers_muxer && p.muxers) {
        if (!p.has_yamux)
            return -NOISE_EMUXER;
        made.muxer = NOISE_MUXER_YAMUX;
    }
    if (public_key_decode(&key, p.key))
        return -NOISE_EKEY;
    rc = public_key_verify(&key, slice_of(s.p, sizeof(s.p)), p.signature);
    if (rc)
        return rc == -KEY_ESIGNATURE ? -NOISE_ESIGNATURE : rc == -KEY_ENOMEM ? -NOISE_ENOMEM : -NOISE_EKEY;
    public_key_peer_id(&key, &made.id);
    *peer = made;
    return 0;
}
