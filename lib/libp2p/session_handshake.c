/* session_handshake.c: from the first byte to the muxer's first frame.
 *
 *     dialer                                       listener
 *     /multistream, /noise, Noise 1   ---------->
 *                                     <----------  /multistream, /noise, Noise 2
 *     Noise 3, [/multistream, /yamux],
 *     yamux frames                    ---------->  UP
 *     UP                              <----------  [/multistream, /yamux], yamux frames
 *
 * The dialer waits for no answer that it could only accept: each layer's first bytes go out behind the one below, and
 * each layer hands on what it did not take. The part in brackets is inside Noise, when the handshake named no muxer.
 */
#include <stdlib.h>

#include "libp2p/session_pvt.h"

static const char *const security_names[] = {"/noise"};
static const char *const muxer_names[] = {YAMUX_ID};

static void mss_begin(struct session *s, const char *const *names)
{
    struct handshake *h = s->handshake;

    if (s->cfg.is_dialer)
        mss_dialer_init(&h->mss.dialer, names, 1, true);
    else
        mss_listener_init(&h->mss.listener, names, 1);
}

static size_t mss_output(struct session *s, uint8_t *out, size_t cap)
{
    struct handshake *h = s->handshake;

    return s->cfg.is_dialer ? mss_dialer_output(&h->mss.dialer, out, cap)
                            : mss_listener_output(&h->mss.listener, out, cap);
}

static void mss_collect(struct session *s, struct outbox *o)
{
    size_t n;

    while ((n = mss_output(s, o->bytes + o->len, sizeof(o->bytes) - o->len)))
        o->len = (uint16_t)(o->len + n);
}

static void noise_collect(struct session *s)
{
    struct outbox *o = &s->handshake->clear;
    size_t n;

    while ((n = noise_handshake_output(&s->handshake->noise, o->bytes + o->len, sizeof(o->bytes) - o->len)))
        o->len = (uint16_t)(o->len + n);
}

struct handshake *handshake_new(struct session *s)
{
    struct handshake *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    s->handshake = h;
    noise_handshake_init(&h->noise, s->cfg.identity, s->cfg.is_dialer ? NOISE_INITIATOR : NOISE_RESPONDER,
                         s->expect.len ? &s->expect : NULL, !s->cfg.has_no_early_muxer, s->cfg.rng);
    mss_begin(s, security_names);
    if (s->cfg.is_dialer) {
        mss_collect(s, &h->clear);
        noise_collect(s); /* message 1 right behind the proposal */
    }
    return h;
}

void handshake_free(struct handshake *h)
{
    if (!h)
        return;
    noise_handshake_fini(&h->noise);
    free(h);
}

static int mss_failed(struct session *s, ssize_t err)
{
    return session_fail(s, -SESSION_EMULTISTREAM, mss_err_name((int)err));
}

static bool mss_is_done(const struct session *s)
{
    const struct handshake *h = s->handshake;

    return s->cfg.is_dialer ? mss_dialer_is_done(&h->mss.dialer) : mss_listener_is_done(&h->mss.listener);
}

/* Returns 1 when the choice is made. */
static int mss_step(struct session *s, struct slice *in, struct outbox *out)
{
    struct handshake *h = s->handshake;
    ssize_t n;

    do { /* a listener takes one question at a time, its answer has to be fetched in between */
        n = s->cfg.is_dialer ? mss_dialer_input(&h->mss.dialer, *in) : mss_listener_input(&h->mss.listener, *in);
        if (n < 0)
            return mss_failed(s, n);
        *in = slice_of(in->p + n, in->len - (size_t)n);
        mss_collect(s, out);
    } while (n > 0 && in->len && !mss_is_done(s));
    return mss_is_done(s);
}

void handshake_muxer_begin(struct session *s)
{
    s->phase = PHASE_MUXER;
    mss_begin(s, muxer_names);
    mss_collect(s, &s->handshake->sealed);
    if (s->cfg.is_dialer)
        session_went_up(s);
}

static int noise_failed(struct session *s, ssize_t err)
{
    int code = err == -NOISE_EPEER    ? -SESSION_EPEER
               : err == -NOISE_EMUXER ? -SESSION_EMUXER
               : err == -NOISE_ENOMEM ? -SESSION_EMEM
                                      : -SESSION_ENOISE;
    return session_fail(s, code, noise_err_name((int)err));
}

/* Both know each other. The last bytes in the clear, if any, are in h->out. */
static int noise_done(struct session *s)
{
    struct handshake *h = s->handshake;
    struct noise_peer peer;
    int err = noise_handshake_finish(&h->noise, &s->transport, &peer);

    if (err)
        return noise_failed(s, err);
    s->peer = peer.id;
    if (peer.muxer == NOISE_MUXER_OPEN) {
        handshake_muxer_begin(s);
    } else {
        s->phase = PHASE_OPEN;
        session_went_up(s);
    }
    return s->err;
}

static int noise_step(struct session *s, struct slice *in)
{
    struct handshake *h = s->handshake;
    ssize_t n;

    do {
        n = noise_handshake_input(&h->noise, *in);
        if (n < 0)
            return noise_failed(s, n);
        *in = slice_of(in->p + n, in->len - (size_t)n);
        noise_collect(s);
    } while (n > 0 && in->len && !noise_handshake_is_done(&h->noise));
    return noise_handshake_is_done(&h->noise) ? noise_done(s) : 0;
}

int handshake_input(struct session *s, struct slice *in)
{
    int n;

    if (s->phase == PHASE_NOISE)
        return noise_step(s, in);
    n = mss_step(s, in, &s->handshake->clear);
    if (n > 0)
        s->phase = PHASE_NOISE;
    return n < 0 ? n : 0;
}

int handshake_muxer_input(struct session *s, struct slice *in)
{
    int n = mss_step(s, in, &s->handshake->sealed);

    if (n > 0) {
        s->phase = PHASE_OPEN;
        if (!s->is_up)
            session_went_up(s);
    }
    return n < 0 ? n : 0;
}
