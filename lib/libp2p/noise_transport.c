/* Transport frames of an established channel. */
#include <assert.h>

#include "libp2p/noise.h"
#include "libp2p/noise_symmetric.h"

#define NONCE_LAST (UINT64_MAX - 1) /* 2^64-1 is reserved by the specification */

static const struct slice no_ad;

void noise_transport_fini(struct noise_transport *t)
{
    aead_fini(&t->tx);
    aead_fini(&t->rx);
    memset(t, 0, sizeof(*t));
}

ssize_t noise_seal(struct noise_transport *t, const struct slice *pieces, size_t count, uint8_t *out,
                   size_t cap)
{
    uint8_t nonce[AEAD_NONCE_BYTES];
    size_t len = 0, body;

    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > NOISE_SEAL_MAX - len)
            return -NOISE_ESPACE;
        len += pieces[i].len;
    }
    body = len + NOISE_TAG_BYTES;
    if (cap < NOISE_HEAD_BYTES + body)
        return -NOISE_ESPACE;
    if (t->tx_n > NONCE_LAST)
        return -NOISE_ENONCE;
    noise_nonce(t->tx_n++, nonce);
    out[0] = (uint8_t)(body >> 8);
    out[1] = (uint8_t)body;
    aead_sealv(&t->tx, nonce, no_ad, pieces, count, out + NOISE_HEAD_BYTES);
    return (ssize_t)(NOISE_HEAD_BYTES + body);
}

ssize_t noise_frame_bytes(struct slice in)
{
    size_t body;

    if (in.len < NOISE_HEAD_BYTES)
        return 0;
    body = (size_t)in.p[0] << 8 | in.p[1];
    return body < NOISE_TAG_BYTES ? -NOISE_ELENGTH : (ssize_t)(NOISE_HEAD_BYTES + body);
}

int noise_open_begin(struct noise_transport *t, struct aead_run *r)
{
    uint8_t nonce[AEAD_NONCE_BYTES];

    if (t->rx_n > NONCE_LAST)
        return -NOISE_ENONCE;
    noise_nonce(t->rx_n, nonce);
    aead_open_begin(r, &t->rx, nonce, no_ad);
    return 0;
}

int noise_open_end(struct noise_transport *t, struct aead_run *r, const uint8_t tag[NOISE_TAG_BYTES])
{
    if (aead_open_end(r, tag))
        return -NOISE_EDECRYPT;
    t->rx_n++;
    return 0;
}

ssize_t noise_openv(struct noise_transport *t, const struct slice *pieces, size_t count, uint8_t *out,
                    size_t cap)
{
    uint8_t nonce[AEAD_NONCE_BYTES];
    size_t body = 0;

    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > NOISE_BODY_MAX - body)
            return -NOISE_ELENGTH;
        body += pieces[i].len;
    }
    if (body < NOISE_TAG_BYTES)
        return -NOISE_ELENGTH;
    if (cap < body - NOISE_TAG_BYTES)
        return -NOISE_ESPACE;
    if (t->rx_n > NONCE_LAST)
        return -NOISE_ENONCE;
    noise_nonce(t->rx_n, nonce);
    if (aead_openv(&t->rx, nonce, no_ad, pieces, count, out))
        return -NOISE_EDECRYPT;
    t->rx_n++;
    return (ssize_t)(body - NOISE_TAG_BYTES);
}

ssize_t noise_open(struct noise_transport *t, struct slice frame, uint8_t *out, size_t cap)
{
    struct slice body = {frame.p + NOISE_HEAD_BYTES, frame.len - NOISE_HEAD_BYTES};

    assert(noise_frame_bytes(frame) == (ssize_t)frame.len);
    return noise_openv(t, &body, 1, out, cap);
}
