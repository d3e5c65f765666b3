/* session_frame.c: Noise frames in and out. */
#include <assert.h>
#include <stdlib.h>

#include "libp2p/session_pvt.h"

#define FRAME_MAX (NOISE_HEAD_BYTES + NOISE_BODY_MAX)
/* What is left of the caller's block below this is not worth a frame of its own. */
#define TAIL_BYTES 1024

/* ---- in ---- */

static int open_failed(struct session *s, ssize_t err)
{
    return session_fail(s, err == -NOISE_ENOMEM ? -SESSION_EMEM : -SESSION_ENOISE, noise_err_name((int)err));
}

static void skip(struct slice *in, size_t n)
{
    *in = slice_of(in->p + n, in->len - n);
}

static int hold(struct session *s, struct slice *in, size_t n)
{
    if (!s->held && !(s->held = malloc(FRAME_MAX)))
        return session_fail(s, -SESSION_EMEM, "no memory for a frame");
    memcpy(s->held + s->held_len, in->p, n);
    s->held_len += n;
    skip(in, n);
    return 0;
}

static int opened(struct session *s, ssize_t n)
{
    if (n < 0)
        return open_failed(s, n);
    s->counters.noise_frames_in++;
    s->rest = slice_of(s->plain, (size_t)n);
    return s->phase == PHASE_MUXER ? handshake_muxer_input(s, &s->rest) : 0;
}

/* The frame begins in s->held and may end in *in: opened from both, so only what came early was copied. */
static int continue_frame(struct session *s, struct slice *in)
{
    struct slice pieces[2];
    ssize_t n;
    size_t left;

    if (s->held_len < NOISE_HEAD_BYTES) {
        size_t head = NOISE_HEAD_BYTES - s->held_len;
        hold(s, in, head < in->len ? head : in->len);
    }
    n = noise_frame_bytes(slice_of(s->held, s->held_len));
    if (n < 0)
        return open_failed(s, n);
    if (n == 0)
        return 0;
    left = (size_t)n - s->held_len;
    if (in->len < left)
        return hold(s, in, in->len);
    pieces[0] = slice_of(s->held + NOISE_HEAD_BYTES, s->held_len - NOISE_HEAD_BYTES);
    pieces[1] = slice_of(in->p, left);
    skip(in, left);
    s->held_len = 0;
    return opened(s, noise_openv(&s->transport, pieces, 2, s->plain, NOISE_OPEN_MAX));
}

int frame_input(struct session *s, struct slice *in)
{
    struct slice frame;
    ssize_t n;

    if (!s->plain && !(s->plain = malloc(NOISE_OPEN_MAX)))
        return session_fail(s, -SESSION_EMEM, "no memory for a frame");
    if (s->held_len)
        return continue_frame(s, in);
    n = noise_frame_bytes(*in);
    if (n < 0)
        return open_failed(s, n);
    if (n == 0 || (size_t)n > in->len)
        return hold(s, in, in->len);
    frame = slice_of(in->p, (size_t)n);
    skip(in, frame.len);
    return opened(s, noise_open(&s->transport, frame, s->plain, NOISE_OPEN_MAX));
}

/* ---- out ---- */

static size_t output_clear(struct session *s, uint8_t *out, size_t cap)
{
    struct outbox *o = &s->handshake->clear;
    size_t n = outbox_left(o) < cap ? outbox_left(o) : cap;

    memcpy(out, o->bytes + o->sent, n);
    o->sent = (uint16_t)(o->sent + n);
    if (!outbox_left(o))
        o->len = o->sent = 0;
    return n;
}

/* May yamux speak yet? A dialer's first frames follow its proposal. */
static bool is_muxing(const struct session *s)
{
    return s->is_up && s->err != -SESSION_EGOAWAY;
}

/* One Noise frame. 0: nothing to say, or no room. */
static size_t output_frame(struct session *s, uint8_t *out, size_t cap)
{
    struct outbox *box = s->handshake ? &s->handshake->sealed : NULL;
    size_t max = cap - NOISE_FRAME_EXTRA;
    struct yamux_gather g;
    ssize_t n;

    yamux_gather_begin(&g, max < NOISE_SEAL_MAX ? max : NOISE_SEAL_MAX);
    if (box && outbox_left(box)) {
        yamux_gather_copy(&g, slice_of(box->bytes + box->sent, outbox_left(box)));
        box->len = box->sent = 0;
    }
    if (is_muxing(s))
        yamux_gather(&s->yamux, &g, s->now);
    if (!g.bytes)
        return 0;
    n = noise_seal(&s->transport, g.pieces, g.npieces, out, cap);
    yamux_gather_end(&g);
    if (n < 0) {
        session_fail(s, -SESSION_ENOISE, noise_err_name((int)n));
        return 0;
    }
    s->counters.noise_frames_out++;
    return (size_t)n;
}

static bool has_plaintext(const struct session *s)
{
    return (s->handshake && outbox_left(&s->handshake->sealed)) || (is_muxing(s) && yamux_has_output(&s->yamux));
}

/* A frame that would be cut short by the end of the block waits for the next block, unless it is the first. */
static bool is_worth_a_frame(const struct session *s, size_t done, size_t left)
{
    size_t full = NOISE_SEAL_MAX + NOISE_FRAME_EXTRA;

    return left >= full || (left >= TAIL_BYTES && (!done || s->yamux.queued_bytes < left - TAIL_BYTES));
}

static void release_handshake(struct session *s)
{
    struct handshake *h = s->handshake;

    if (h && s->phase >= PHASE_OPEN && !outbox_left(&h->clear) && !outbox_left(&h->sealed)) {
        handshake_free(h);
        s->handshake = NULL;
    }
}

size_t session_output(struct session *s, uint8_t *out, size_t cap, uint64_t now)
{
    size_t done = 0, n = 0;

    assert(cap >= SESSION_OUTPUT_MIN);
    s->now = now;
    if (s->handshake)
        done = output_clear(s, out, cap);
    while (has_plaintext(s) && is_worth_a_frame(s, done, cap - done)) {
        n = output_frame(s, out + done, cap - done);
        if (!n)
            break;
        done += n;
    }
    s->counters.bytes_out += done;
    release_handshake(s);
    stream_output_done(s);
    return done;
}

bool session_has_output(const struct session *s)
{
    return (s->handshake && outbox_left(&s->handshake->clear)) || has_plaintext(s);
}
