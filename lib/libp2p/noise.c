/* The XX handshake: three messages, framed. */
#include "libp2p/noise.h"

#include <assert.h>

#include "libp2p/noise_payload.h"
#include "libp2p/noise_symmetric.h"

/* Named by what must happen next. */
enum state { CREATES_1, CONSUMES_1, CREATES_2, CONSUMES_2, CREATES_3, CONSUMES_3, DONE };

const char *noise_err_name(int err)
{
    switch (-err) {
    case NOISE_ENOMEM: return "NOISE_ENOMEM";
    case NOISE_ELENGTH: return "NOISE_ELENGTH";
    case NOISE_EDECRYPT: return "NOISE_EDECRYPT";
    case NOISE_EDH: return "NOISE_EDH";
    case NOISE_EPAYLOAD: return "NOISE_EPAYLOAD";
    case NOISE_EKEY: return "NOISE_EKEY";
    case NOISE_ESIGNATURE: return "NOISE_ESIGNATURE";
    case NOISE_EPEER: return "NOISE_EPEER";
    case NOISE_EMUXER: return "NOISE_EMUXER";
    case NOISE_ENONCE: return "NOISE_ENONCE";
    case NOISE_ESPACE: return "NOISE_ESPACE";
    default: return "?";
    }
}

void noise_handshake_init(struct noise_handshake *h, const struct noise_identity *identity,
                          enum noise_role role, const struct peer_id *expected, bool offers_muxer,
                          struct rng *rng)
{
    memset(h, 0, offsetof(struct noise_handshake, out));
    h->identity = identity;
    h->role = role;
    h->state = role == NOISE_INITIATOR ? CREATES_1 : CONSUMES_1;
    h->offers_muxer = offers_muxer;
    if (expected)
        h->expected = *expected;
    noise_symmetric_init(&h->sym, slice_of(NULL, 0));
    /* The public half waits until we have heard a first message: strangers who say nothing cost no arithmetic. */
    rng_fill(rng, h->e.secret, sizeof(h->e.secret));
}

void noise_handshake_fini(struct noise_handshake *h)
{
    crypto_wipe(h, sizeof(*h));
}

/* MixKey(DH(ours, theirs)) */
static int mix_dh(struct noise_symmetric *s, const struct x25519_key *ours,
                  const uint8_t theirs[NOISE_KEY_BYTES])
{
    uint8_t shared[X25519_BYTES];

    if (x25519_shared(ours, theirs, shared))
        return -NOISE_EDH;
    noise_symmetric_mix_key(s, shared);
    crypto_wipe(shared, sizeof(shared));
    return 0;
}

static struct slice key_slice(const uint8_t key[NOISE_KEY_BYTES])
{
    return slice_of(key, NOISE_KEY_BYTES);
}

/* s, payload: the static key and then, after the DH that the token names, the payload. out has room for both. */
static ssize_t create_static(struct noise_handshake *h, struct noise_symmetric *s, uint8_t *out)
{
    uint8_t payload[NOISE_OUT_MAX];
    size_t len, at = 0;
    int rc;

    at += noise_symmetric_encrypt(s, key_slice(h->identity->static_key.public), out); /* s */
    rc = mix_dh(s, &h->identity->static_key, h->re);                                  /* es or se */
    if (rc)
        return rc;
    len = noise_payload_create(h->identity, h->offers_muxer, payload, sizeof(payload));
    at += noise_symmetric_encrypt(s, slice_of(payload, len), out + at);
    return (ssize_t)at;
}

/* The other end of create_static: in is the rest of the message from s on. Everything goes to locals. */
static int consume_static(const struct noise_handshake *h, struct noise_symmetric *s, struct slice in,
                          uint8_t *rs, struct noise_peer *peer)
{
    const size_t head = NOISE_KEY_BYTES + NOISE_TAG_BYTES;
    uint8_t payload[NOISE_HANDSHAKE_MAX];
    struct slice rest = {in.p + head, in.len - head};
    int rc;

    if (noise_symmetric_decrypt(s, slice_of(in.p, head), rs)) /* s */
        return -NOISE_EDECRYPT;
    rc = mix_dh(s, &h->e, rs); /* es or se */
    if (rc)
        return rc;
    if (noise_symmetric_decrypt(s, rest, payload))
        return -NOISE_EDECRYPT;
    rc = noise_payload_consume(slice_of(payload, rest.len - NOISE_TAG_BYTES), rs, h->offers_muxer, peer);
    if (rc)
        return rc;
    return h->expected.len && !peer_id_is_equal(&h->expected, &peer->id) ? -NOISE_EPEER : 0;
}

/* -> e */
ssize_t noise_create_message1(struct noise_handshake *h, uint8_t *out, size_t cap)
{
    assert(h->state == CREATES_1);
    if (cap < NOISE_MESSAGE1_BYTES)
        return -NOISE_ESPACE;
    x25519_key_init(&h->e, h->e.secret);
    memcpy(out, h->e.public, NOISE_KEY_BYTES);
    noise_symmetric_mix_hash(&h->sym, key_slice(h->e.public)); /* e */
    noise_symmetric_mix_hash(&h->sym, slice_of(NULL, 0));      /* payload */
    h->state = CONSUMES_2;
    return NOISE_MESSAGE1_BYTES;
}

int noise_consume_message1(struct noise_handshake *h, struct slice in)
{
    assert(h->state == CONSUMES_1);
    if (in.len < NOISE_MESSAGE1_BYTES)
        return -NOISE_ELENGTH;
    if (in.len > NOISE_MESSAGE1_BYTES)
        return -NOISE_EPAYLOAD; /* it would travel in the clear */
    memcpy(h->re, in.p, NOISE_KEY_BYTES);
    noise_symmetric_mix_hash(&h->sym, in);                /* e */
    noise_symmetric_mix_hash(&h->sym, slice_of(NULL, 0)); /* payload */
    h->state = CREATES_2;
    return 0;
}

/* <- e, ee, s, es */
ssize_t noise_create_message2(struct noise_handshake *h, uint8_t *out, size_t cap)
{
    struct noise_symmetric s = h->sym;
    ssize_t n = -NOISE_ESPACE;
    int rc;

    assert(h->state == CREATES_2);
    if (cap < NOISE_OUT_MAX)
        return n;
    x25519_key_init(&h->e, h->e.secret);
    memcpy(out, h->e.public, NOISE_KEY_BYTES);
    noise_symmetric_mix_hash(&s, key_slice(h->e.public)); /* e */
    rc = mix_dh(&s, &h->e, h->re);                        /* ee */
    n = rc ? rc : create_static(h, &s, out + NOISE_KEY_BYTES);
    if (n > 0) {
        n += NOISE_KEY_BYTES;
        h->sym = s;
        h->state = CONSUMES_3;
    }
    crypto_wipe(&s, sizeof(s));
    return n;
}

int noise_consume_message2(struct noise_handshake *h, struct slice in)
{
    struct noise_symmetric s = h->sym;
    struct noise_peer peer;
    uint8_t rs[NOISE_KEY_BYTES];
    int rc;

    assert(h->state == CONSUMES_2);
    if (in.len < NOISE_MESSAGE2_MIN_BYTES || in.len > NOISE_HANDSHAKE_MAX)
        return -NOISE_ELENGTH;
    noise_symmetric_mix_hash(&s, key_slice(in.p)); /* e */
    rc = mix_dh(&s, &h->e, in.p);                  /* ee */
    if (!rc)
        rc = consume_static(h, &s, slice_of(in.p + NOISE_KEY_BYTES, in.len - NOISE_KEY_BYTES), rs, &peer);
    if (!rc) {
        h->sym = s;
        memcpy(h->re, in.p, sizeof(h->re));
        memcpy(h->rs, rs, sizeof(h->rs));
        h->peer = peer;
        h->state = CREATES_3;
    }
    crypto_wipe(&s, sizeof(s));
    return rc;
}

/* -> s, se */
ssize_t noise_create_message3(struct noise_handshake *h, uint8_t *out, size_t cap)
{
    struct noise_symmetric s = h->sym;
    ssize_t n = -NOISE_ESPACE;

    assert(h->state == CREATES_3);
    if (cap < NOISE_OUT_MAX)
        return n;
    n = create_static(h, &s, out);
    if (n > 0) {
        h->sym = s;
        h->state = DONE;
    }
    crypto_wipe(&s, sizeof(s));
    return n;
}

int noise_consume_message3(struct noise_handshake *h, struct slice in)
{
    struct noise_symmetric s = h->sym;
    struct noise_peer peer;
    uint8_t rs[NOISE_KEY_BYTES];
    int rc;

    assert(h->state == CONSUMES_3);
    if (in.len < NOISE_MESSAGE3_MIN_BYTES || in.len > NOISE_HANDSHAKE_MAX)
        return -NOISE_ELENGTH;
    rc = consume_static(h, &s, in, rs, &peer);
    if (!rc) {
        h->sym = s;
        memcpy(h->rs, rs, sizeof(h->rs));
        h->peer = peer;
        h->state = DONE;
    }
    crypto_wipe(&s, sizeof(s));
    return rc;
}

/* What the length of the awaited message may be, judged before any of its body is kept. */
static bool is_length_allowed(const struct noise_handshake *h, size_t len)
{
    switch ((enum state)h->state) {
    case CONSUMES_1: return len == NOISE_MESSAGE1_BYTES;
    case CONSUMES_2: return len >= NOISE_MESSAGE2_MIN_BYTES && len <= NOISE_HANDSHAKE_MAX - NOISE_HEAD_BYTES;
    case CONSUMES_3: return len >= NOISE_MESSAGE3_MIN_BYTES && len <= NOISE_HANDSHAKE_MAX - NOISE_HEAD_BYTES;
    default: return false;
    }
}

static bool is_consuming(const struct noise_handshake *h)
{
    return h->state == CONSUMES_1 || h->state == CONSUMES_2 || h->state == CONSUMES_3;
}

/* Copies towards in_len == want. */
static void gather(struct noise_handshake *h, struct slice *in, size_t want)
{
    size_t take = want - h->in_len < in->len ? want - h->in_len : in->len;

    memcpy(h->in + h->in_len, in->p, take);
    h->in_len = (uint16_t)(h->in_len + take);
    *in = slice_of(in->p + take, in->len - take);
}

static int consume(struct noise_handshake *h, struct slice message)
{
    switch ((enum state)h->state) {
    case CONSUMES_1: return noise_consume_message1(h, message);
    case CONSUMES_2: return noise_consume_message2(h, message);
    default: return noise_consume_message3(h, message);
    }
}

/* The next message of ours, framed, into h->out. Only message 2 can fail: the DH with a key that was not ours to choose. */
static int create(struct noise_handshake *h)
{
    uint8_t *body = h->out + NOISE_HEAD_BYTES;
    ssize_t n = 0;

    switch ((enum state)h->state) {
    case CREATES_1: n = noise_create_message1(h, body, NOISE_OUT_MAX); break;
    case CREATES_2: n = noise_create_message2(h, body, NOISE_OUT_MAX); break;
    case CREATES_3: n = noise_create_message3(h, body, NOISE_OUT_MAX); break;
    default: return 0;
    }
    if (n < 0)
        return (int)n;
    h->out[0] = (uint8_t)(n >> 8);
    h->out[1] = (uint8_t)n;
    h->out_len = (uint16_t)(NOISE_HEAD_BYTES + n);
    h->out_sent = 0;
    return 0;
}

/* One step; 1 when a whole message was taken, 0 when more bytes are needed. */
static int input_step(struct noise_handshake *h, struct slice *in)
{
    size_t len;
    int rc;

    gather(h, in, h->in_len < NOISE_HEAD_BYTES ? NOISE_HEAD_BYTES : h->in_len);
    if (h->in_len < NOISE_HEAD_BYTES)
        return 0;
    len = (size_t)h->in[0] << 8 | h->in[1];
    if (!is_length_allowed(h, len))
        return -NOISE_ELENGTH;
    gather(h, in, NOISE_HEAD_BYTES + len);
    if (h->in_len < NOISE_HEAD_BYTES + len)
        return 0;
    h->in_len = 0;
    rc = consume(h, slice_of(h->in + NOISE_HEAD_BYTES, len));
    if (!rc)
        rc = create(h);
    return rc ? rc : 1;
}

ssize_t noise_handshake_input(struct noise_handshake *h, struct slice in)
{
    size_t given = in.len;

    /* A peer that answers what we have not sent yet has to wait. */
    while (is_consuming(h) && h->out_sent == h->out_len && in.len) {
        int rc = input_step(h, &in);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
    }
    return (ssize_t)(given - in.len);
}

size_t noise_handshake_output(struct noise_handshake *h, uint8_t *out, size_t cap)
{
    size_t left;

    if (h->state == CREATES_1) {
        int rc = create(h);
        assert(rc == 0);
    }
    left = h->out_len - (size_t)h->out_sent;
    if (left > cap)
        left = cap;
    memcpy(out, h->out + h->out_sent, left);
    h->out_sent = (uint16_t)(h->out_sent + left);
    return left;
}

bool noise_handshake_is_done(const struct noise_handshake *h)
{
    return h->state == DONE;
}

int noise_handshake_finish(struct noise_handshake *h, struct noise_transport *t, struct noise_peer *peer)
{
    uint8_t keys[2][NOISE_KEY_BYTES];
    unsigned ours = h->role == NOISE_INITIATOR ? 0 : 1;
    int rc;

    assert(h->state == DONE && h->out_sent == h->out_len);
    memset(t, 0, sizeof(*t));
    noise_symmetric_split(&h->sym, keys);
    rc = aead_init(&t->tx, keys[ours]) || aead_init(&t->rx, keys[!ours]) ? -NOISE_ENOMEM : 0;
    if (rc)
        noise_transport_fini(t);
    *peer = h->peer;
    crypto_wipe(keys, sizeof(keys));
    noise_handshake_fini(h);
    return rc;
}
