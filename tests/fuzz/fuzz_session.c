/* fuzz_session.c: a session past the handshake, keys of zeroes, under a script; and a second one that is never offered a place for bytes: both
 * must tell the same
 * Input: first byte: bit 0 dialer, bit 1 the muxer is still to be chosen; then commands: a byte, an argument byte, and
 * for "frame" as many bytes of plaintext as it says
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libp2p/session_pvt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const protos[] = {"/test/a", "/test/b", "/test/c"};
static struct rng rng;
static struct noise_identity identity;
static struct peer_id peer;
static struct session_local local = {.agent = "fuzz", .protocols = protos, .nprotocols = 2};

enum { PLAIN_MAX = 255 * 64, PLACE_UNIT = 128 };

struct run {
    struct session *s;
    struct aead seal; /* the peer's side of s->transport.rx */
    uint64_t n, now;
    bool is_closed;
    uint64_t told;    /* hash of all events; bytes of a stream count one by one, however they came */
    uint64_t len[16]; /* of a stream's bytes since the last frame */
    bool may_place;
    uint8_t *place; /* PLACE_UNIT * its argument, exactly */
    uint8_t cut;    /* the next frame comes in two parts, between which the place is taken back; 0: whole */
};

static void once(void)
{
    static const uint8_t seed[32] = {1};
    struct key_pair key;

    if (rng.fill)
        return;
    rng_init_zero(&rng);
    key_pair_from_seed(&key, seed);
    key_pair_peer_id(&key, &peer);
    noise_identity_init(&identity, &key, &rng);
}

/* As noise_done leaves it, without the arithmetic. */
static void skip_handshake(struct session *s, bool is_muxer_open)
{
    static const uint8_t zero[32];

    assert(aead_init(&s->transport.tx, zero) == 0 && aead_init(&s->transport.rx, zero) == 0);
    s->peer = peer;
    if (is_muxer_open) {
        handshake_muxer_begin(s);
        return;
    }
    handshake_free(s->handshake);
    s->handshake = NULL;
    s->phase = PHASE_OPEN;
    session_went_up(s);
}

static void tell(struct run *r, uint64_t what)
{
    r->told = (r->told ^ what) * 0x100000001b3ull;
}

static void drain(struct run *r)
{
    struct session_event ev;

    while (session_next_event(r->s, &ev)) {
        assert(!r->is_closed);
        r->is_closed = ev.type == SESSION_CLOSED;
        if (ev.type == SESSION_STREAM_DATA) {
            for (size_t i = 0; i < ev.data.len; i++)
                tell(r, (uint64_t)ev.stream << 8 | ev.data.p[i]);
            r->len[ev.stream % 16] += ev.data.len;
        } else {
            tell(r, 1ull << 60 | (uint64_t)ev.stream << 8 | (uint64_t)ev.type);
        }
        if (ev.type == SESSION_STREAM_EOF && ev.stream % 4 < 2)
            session_stream_close(r->s, ev.stream);
        if (ev.type == SESSION_STREAM_OPENED && ev.stream % 16 == 1)
            session_stream_reset(r->s, ev.stream);
    }
}

/* Some of what came goes back. */
static void echo(struct run *r)
{
    static const uint8_t bytes[64];

    for (uint32_t id = 0; id < 16; id++) {
        if (r->len[id] && id % 4 < 2)
            session_stream_copy(r->s, id, slice_of(bytes, r->len[id] < 64 ? r->len[id] : 64));
        r->len[id] = 0;
    }
}

static void take_back(struct run *r)
{
    session_stream_place(r->s, 0, NULL, 0);
    free(r->place);
    r->place = NULL;
}

static void offer(struct run *r, uint32_t id, uint8_t arg)
{
    take_back(r);
    r->place = malloc(arg * PLACE_UNIT + 1u);
    assert(r->place);
    session_stream_place(r->s, id, r->place, arg * PLACE_UNIT);
}

/* Everything of *in, as lib/net does: what waits is drained before the next call. */
static void input(struct run *r, struct slice *in)
{
    while (!r->is_closed && in->len) {
        if (session_input(r->s, in, r->now))
            in->len = 0;
        drain(r);
    }
}

static void give_frame(struct run *r, struct slice plain)
{
    static uint8_t frame[2 + PLAIN_MAX + 16];
    uint8_t nonce[12] = {0};
    size_t n = plain.len + 16, first = r->cut ? r->cut * (n + 2) / 256 : n + 2;
    struct slice in = {frame, first};

    frame[0] = (uint8_t)(n >> 8);
    frame[1] = (uint8_t)n;
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(r->n >> (8 * i));
    r->n++;
    aead_seal(&r->seal, nonce, slice_of(NULL, 0), plain.p, plain.len, frame + 2);
    input(r, &in);
    if (r->cut && r->may_place)
        take_back(r);
    in = slice_of(frame + first, n + 2 - first);
    input(r, &in);
    r->cut = 0;
    echo(r);
}

static void output(struct run *r)
{
    static uint8_t block[SESSION_OUTPUT_MIN];

    for (int i = 0; i < 100 && session_has_output(r->s); i++)
        assert(session_output(r->s, block, sizeof(block), r->now) > 0);
    drain(r);
}

static uint32_t pick(struct run *r, uint8_t arg)
{
    struct yamux_stream *y = yamux_walk(&r->s->yamux, NULL);

    for (unsigned i = arg % 8u; y && i; i--)
        y = yamux_walk(&r->s->yamux, y);
    return y ? y->id : arg;
}

static void send(struct run *r, uint32_t id, uint8_t arg)
{
    struct buf *b = buf_new(arg * 64u + 1);

    b->len = b->cap;
    memset(b->data, arg, b->len);
    if (session_stream_send(r->s, id, b, 0, b->len) < 0)
        buf_unref(b);
}

static void act(struct run *r, uint8_t op, uint8_t arg)
{
    uint32_t id = pick(r, op >> 4);

    switch (op % 16) {
    case 4: output(r); break;
    case 5: session_open_stream(r->s, protos, 1 + arg % 3u, NULL, r->now); break;
    case 6: send(r, id, arg); break;
    case 7: session_stream_copy(r->s, id, slice_of("abcdefgh", arg % 9)); break;
    case 8: session_stream_close(r->s, id); break;
    case 9: session_stream_reset(r->s, id); break;
    case 10: local.version++, session_local_changed(r->s, r->now); break;
    case 11: session_goaway(r->s); break;
    case 12:
        if (r->may_place)
            offer(r, id, arg);
        break;
    case 13: r->cut = arg; break;
    default:
        r->now += arg * 50000000ull;
        session_on_deadline(r->s, r->now);
        break;
    }
    drain(r);
}

/* A frame's plaintext; op 3: followed by 63 times its length, for a place is not used for less than some KiB. */
static size_t frame_of(struct run *r, uint8_t op, struct slice plain)
{
    static uint8_t big[PLAIN_MAX];

    if (op % 16 != 3 || plain.len == 0) {
        give_frame(r, plain);
        return plain.len;
    }
    memcpy(big, plain.p, plain.len);
    for (unsigned i = 1; i < 64; i++)
        memset(big + i * plain.len, (int)i, plain.len);
    give_frame(r, slice_of(big, 64 * plain.len));
    return plain.len;
}

static void play(struct run *r, const uint8_t *data, size_t len)
{
    static const uint8_t zero[32];
    uint8_t first = len ? data[0] : 0;
    struct session_config cfg = {.identity = &identity, .is_dialer = first & 1, .accepts = protos, .naccepts = 2,
                                 .local = &local, .rng = &rng,
                                 .limits = {.streams_in = 8, .streams_out = 8, .stream_queue_bytes = 20000,
                                            .ping_ns = 3000000000}};

    r->now = 1;
    local.version = 0;
    r->s = session_new(&cfg, r->now);
    assert(r->s && aead_init(&r->seal, zero) == 0);
    skip_handshake(r->s, first & 2);
    drain(r);
    for (size_t at = 1; at + 2 <= len;) {
        uint8_t op = data[at], arg = data[at + 1];
        at += 2;
        if (op % 16 < 4)
            at += frame_of(r, op, slice_of(data + at, arg < len - at ? arg : len - at));
        else
            act(r, op, arg);
    }
    output(r);
    take_back(r);
    session_free(r->s);
    aead_fini(&r->seal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct run with = {.may_place = true}, without = {.may_place = false};

    once();
    play(&with, data, len);
    play(&without, data, len);
    assert(with.told == without.told);
    return 0;
}
