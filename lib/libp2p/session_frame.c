/* session_frame.c: Noise frames in and out. */
#include <assert.h>
#include <stdlib.h>

#include "libp2p/session_pvt.h"

/* What is left of the caller's block below this is not worth a frame of its own. */
#define TAIL_BYTES 1024
/* Less than this is copied and decrypted with what follows it: each call of the cipher costs as much as copying a few KiB. */
#define DIRECT_BYTES 4096
/* A place for less than this is not worth a call of the cipher for the header that tells whose the bytes are. */
#define PLACE_BYTES 4096

#define PLAIN_BYTES ((NOISE_OPEN_MAX + 63) & ~63)

_Static_assert((NOISE_SEAL_MAX - YAMUX_HEAD_BYTES) % 64 == 0, "bodies in frames of ours go on at the same place within a cache line");

/* ---- in ---- */

static int open_failed(struct session *s, int err)
{
    struct frame_in *f = &s->frame;

    crypto_wipe(s->plain, f->done);
    if (f->placed)
        crypto_wipe(f->to, f->placed);
    return session_fail(s, -SESSION_ENOISE, noise_err_name(err));
}

static uint32_t take(struct slice *in, uint8_t *out, size_t want)
{
    size_t n = in->len < want ? in->len : want;

    memcpy(out, in->p, n);
    *in = slice_of(in->p + n, in->len - n);
    return (uint32_t)n;
}

/* Of the bytes that follow, how many are the body of the stream that has a place. `head`: a yamux header that comes first, or NULL. */
static uint32_t body_of_place(const struct session *s, const uint8_t *head)
{
    const struct yamux *y = &s->yamux;
    struct yamux_head h;

    if (!head)
        return y->body && y->body->id == s->place.stream ? y->body_left : 0;
    h = yamux_head_decode(head);
    return h.version == YAMUX_VERSION && h.type == YAMUX_DATA && !(h.flags & (YAMUX_SYN | YAMUX_RST)) && h.stream == s->place.stream
               ? h.length
               : 0;
}

/* Is a place offered, and is the frame long enough for it? */
static bool may_place(const struct session *s)
{
    return s->place.stream && s->place.len >= PLACE_BYTES && s->frame.len >= PLACE_BYTES && s->is_up && !s->yamux.head_have;
}

/* What goes where. The header has no tag yet: what it says is used for that alone, and read again when the frame is known to be good. */
static void settle_place(struct session *s, const uint8_t *head)
{
    struct frame_in *f = &s->frame;
    uint32_t n = body_of_place(s, head), left = f->len - f->done;

    n = n < s->place.len ? n : s->place.len;
    n = n < left ? n : left;
    f->is_placed = true;
    f->before = f->done;
    if (n < PLACE_BYTES)
        return;
    f->placed = n;
    f->to = s->place.p;
}

/* Where the byte at `done` of the plaintext goes, and how many go on from there. */
static uint8_t *target(const struct session *s, uint32_t at, uint32_t *room)
{
    const struct frame_in *f = &s->frame;

    if (!f->is_placed) {
        *room = YAMUX_HEAD_BYTES - at;
        return s->plain + at;
    }
    if (at < f->before + f->placed && at >= f->before) {
        *room = f->before + f->placed - at;
        return f->to + (at - f->before);
    }
    *room = f->len - at;
    return s->plain + at;
}

/* The runs of one target lie behind each other, so what is pending ends where the next one goes. */
static void decrypt(struct session *s, struct slice *in)
{
    struct frame_in *f = &s->frame;
    uint32_t room, n;
    uint8_t *out = target(s, f->done, &room);

    n = in->len < room ? (uint32_t)in->len : room;
    if (n + f->pending < DIRECT_BYTES && n < room) { /* more of this comes */
        f->pending += take(in, out, n);
        f->done += n;
        return;
    }
    if (n < DIRECT_BYTES) {
        take(in, out, n);
        aead_open_some(&f->run, out - f->pending, out - f->pending, f->pending + n);
    } else {
        aead_open_some(&f->run, out - f->pending, out - f->pending, f->pending);
        aead_open_some(&f->run, out, in->p, n);
        *in = slice_of(in->p + n, in->len - n);
    }
    f->pending = 0;
    f->done += n;
    if (!f->is_placed)
        settle_place(s, s->plain);
}

static int begin_frame(struct session *s)
{
    struct frame_in *f = &s->frame;
    ssize_t n = noise_frame_bytes(slice_of(f->head, NOISE_HEAD_BYTES));
    int err = n < 0 ? (int)n : noise_open_begin(&s->transport, &f->run);

    f->done = f->pending = f->before = f->placed = f->tag_have = 0;
    f->is_placed = true;
    if (err)
        return open_failed(s, err);
    f->len = (uint32_t)n - NOISE_FRAME_EXTRA;
    if (may_place(s) && s->yamux.body_left)
        settle_place(s, NULL);
    else if (may_place(s))
        f->is_placed = false; /* its first bytes will tell */
    return 0;
}

static int end_frame(struct session *s)
{
    struct frame_in *f = &s->frame;
    uint32_t after = f->before + f->placed;
    int err = noise_open_end(&s->transport, &f->run, f->tag);

    f->head_have = 0;
    if (err)
        return open_failed(s, err);
    s->counters.noise_frames_in++;
    if (!f->placed) {
        s->rest = slice_of(s->plain, f->len);
    } else {
        s->rest = slice_of(s->plain, f->before);
        s->parts[0] = slice_of(f->to, f->placed);
        s->parts[1] = slice_of(s->plain + after, f->len - after);
        s->place = (struct place){0}; /* some of it is used: the application offers what is left */
        f->placed = 0;
    }
    return s->phase == PHASE_MUXER ? handshake_muxer_input(s, &s->rest) : 0;
}

bool frame_next_part(struct session *s)
{
    if (!s->parts[0].len && !s->parts[1].len)
        return false;
    s->rest = s->parts[0];
    s->parts[0] = s->parts[1];
    s->parts[1] = (struct slice){0};
    return true;
}

static void forget_place(struct session *s)
{
    struct frame_in *f = &s->frame;
    uint32_t n = f->done - f->before < f->placed ? f->done - f->before : f->placed;
    uint8_t *gap; /* in s->plain, where these bytes would be without a place */

    s->place = (struct place){0};
    if (!f->to || f->to == (gap = s->plain + f->before))
        return;
    if (s->parts[0].len && s->parts[0].p == f->to) { /* come, and not told of yet */
        memcpy(gap, f->to, s->parts[0].len);
        s->parts[0].p = gap;
    } else if (f->placed) {
        memcpy(gap, f->to, n);
    }
    f->to = gap;
}

void session_stream_place(struct session *s, uint32_t stream, uint8_t *p, uint32_t len)
{
    const struct stream *st = stream && len ? stream_of(s, stream) : NULL;

    forget_place(s);
    if (st && st->is_talking && st->kind == KIND_APP)
        s->place = (struct place){stream, p, len};
}

int frame_input(struct session *s, struct slice *in)
{
    struct frame_in *f = &s->frame;
    int err;

    if (!s->plain && !(s->plain = aligned_alloc(64, PLAIN_BYTES)))
        return session_fail(s, -SESSION_EMEM, "no memory for a frame");
    if (f->head_have < NOISE_HEAD_BYTES) {
        f->head_have += (uint8_t)take(in, f->head + f->head_have, NOISE_HEAD_BYTES - f->head_have);
        if (f->head_have < NOISE_HEAD_BYTES)
            return 0;
        if ((err = begin_frame(s)))
            return err;
    }
    while (in->len && f->done < f->len)
        decrypt(s, in);
    if (f->done < f->len)
        return 0;
    f->tag_have += (uint8_t)take(in, f->tag + f->tag_have, NOISE_TAG_BYTES - f->tag_have);
    return f->tag_have == NOISE_TAG_BYTES ? end_frame(s) : 0;
}

void frame_fini(struct session *s)
{
    crypto_wipe(&s->frame, sizeof(s->frame));
    free(s->plain);
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
