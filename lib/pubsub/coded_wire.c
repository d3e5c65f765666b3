/* coded_wire.c: the coded extension's messages on the wire (docs/PROTOCOL.md 3) */
#include "pubsub/coded_wire.h"

enum {
    H_TOPIC = 1, H_FROM, H_SEQNO, H_SIZE, H_K, H_SHARD, H_HASHES, H_SIGNATURE,
    S_ID = 1, S_RANK, S_COEFS, S_FLAGS, S_SENT, S_HOPS, S_PAYLOAD = 15,
    V_ID = 1, V_RANK, V_VERIFIED, V_COMING, V_SENDING,
    W_ID = 1, W_RANK, W_VERIFIED, W_SKIP, W_COUNT, W_FLAGS,
    N_TOPIC = 1, N_TAGS,
    SIG_HEAD_BYTES = 2, /* tag and length of the signature */
};

static struct slice id_slice(const uint8_t *id)
{
    return slice_of(id, CODED_ID_BYTES);
}

/* The header is strict where others are lenient: what was signed must be what a second writer would write, or two
 * byte strings would name one message. */
static int header_field(struct coded_header *h, const struct pb_field *f)
{
    static const enum pb_type types[] = {
        [H_TOPIC] = PB_BYTES, [H_FROM] = PB_BYTES,   [H_SEQNO] = PB_VARINT, [H_SIZE] = PB_VARINT,
        [H_K] = PB_VARINT,    [H_SHARD] = PB_VARINT, [H_HASHES] = PB_BYTES, [H_SIGNATURE] = PB_BYTES,
    };

    if (f->type != types[f->number])
        return -CODED_E_FORMAT;
    switch (f->number) {
    case H_TOPIC: h->topic = f->bytes; return f->bytes.len && f->bytes.len <= CODED_TOPIC_MAX ? 0 : -CODED_E_TOPIC;
    case H_FROM: h->from = f->bytes; return f->bytes.len && f->bytes.len <= CODED_FROM_MAX ? 0 : -CODED_E_FROM;
    case H_SEQNO: h->seqno = f->u; return 0;
    case H_SIZE:
        if (f->u == 0 || f->u > UINT32_MAX)
            return -CODED_E_SIZE;
        h->shape.size_bytes = (uint32_t)f->u;
        return 0;
    case H_K:
        if (f->u < CODED_K_MIN || f->u > RLNC_K_MAX)
            return -CODED_E_K;
        return rlnc_shape_init(&h->shape, h->shape.size_bytes, (unsigned)f->u) ? -CODED_E_K : 0;
    case H_SHARD: return f->u == h->shape.shard_bytes ? 0 : -CODED_E_SHARD_LENGTH;
    case H_HASHES:
        h->hashes = f->bytes;
        return f->bytes.len == (size_t)h->shape.k * CODED_HASH_BYTES ? 0 : -CODED_E_HASHES;
    default: h->signature = f->bytes; return f->bytes.len && f->bytes.len <= CODED_SIG_MAX ? 0 : -CODED_E_SIGNATURE;
    }
}

int coded_header_read(struct slice in, struct coded_header *h)
{
    uint8_t core[CODED_HEADER_MAX];
    struct rd r = rd_of(in);
    struct wr canonical = wr_of(core, sizeof(core));
    struct pb_field f;
    int err, rc;

    *h = (struct coded_header){0};
    for (uint32_t expect = H_TOPIC; expect <= H_SIGNATURE; expect++) {
        rc = pb_next(&r, &f);
        if (rc <= 0)
            return -CODED_E_FORMAT;
        if (f.number != expect)
            return -CODED_E_CANONICAL;
        err = header_field(h, &f);
        if (err)
            return err;
    }
    /* Varints have many spellings, too long ones and ones that overflow: only ours is taken. */
    coded_header_core_put(&canonical, h);
    if (rd_left(&r) || canonical.bad || canonical.len + SIG_HEAD_BYTES + h->signature.len != in.len ||
        memcmp(core, in.p, canonical.len) != 0)
        return -CODED_E_CANONICAL;
    if (rlnc_shape_length(&h->shape, h->shape.k - 1u) == 0)
        return -CODED_E_SHARD_LENGTH;
    h->core = slice_of(in.p, canonical.len);
    return 0;
}

void coded_header_core_put(struct wr *w, const struct coded_header *h)
{
    pb_put_bytes(w, H_TOPIC, h->topic);
    pb_put_bytes(w, H_FROM, h->from);
    pb_put_varint(w, H_SEQNO, h->seqno);
    pb_put_varint(w, H_SIZE, h->shape.size_bytes);
    pb_put_varint(w, H_K, h->shape.k);
    pb_put_varint(w, H_SHARD, h->shape.shard_bytes);
    pb_put_bytes(w, H_HASHES, h->hashes);
}

void coded_header_put(struct wr *w, struct slice core, struct slice signature)
{
    pb_put_head(w, CODED_HEADER, core.len + SIG_HEAD_BYTES + signature.len);
    wr_slice(w, core);
    pb_put_bytes(w, H_SIGNATURE, signature);
}

static int read_id(const struct pb_field *f, const uint8_t **id)
{
    if (f->type != PB_BYTES || f->bytes.len != CODED_ID_BYTES)
        return -CODED_E_ID;
    *id = f->bytes.p;
    return 0;
}

static int read_byte(const struct pb_field *f, uint8_t *out, int err)
{
    if (f->type != PB_VARINT || f->u > RLNC_K_MAX)
        return err;
    *out = (uint8_t)f->u;
    return 0;
}

static int read_bits(const struct pb_field *f, struct coded_bits *out)
{
    if (f->type != PB_BYTES || f->bytes.len > sizeof(out->w))
        return -CODED_E_LIST;
    *out = coded_bits_read(f->bytes);
    return 0;
}

static int read_tags(const struct pb_field *f, size_t max, struct slice *out)
{
    if (f->type != PB_BYTES || f->bytes.len % CODED_TAG_BYTES || f->bytes.len > max * CODED_TAG_BYTES)
        return -CODED_E_LIST;
    *out = f->bytes;
    return 0;
}

static int shard_field(struct coded_shard *s, const struct pb_field *f)
{
    switch (f->number) {
    case S_ID: return read_id(f, &s->id);
    case S_RANK: return read_byte(f, &s->rank, -CODED_E_RANK);
    case S_COEFS:
        if (f->type != PB_BYTES || f->bytes.len == 0 || f->bytes.len > RLNC_K_MAX)
            return -CODED_E_COEFS;
        s->coefs = f->bytes;
        return 0;
    case S_FLAGS: return read_byte(f, &s->flags, -CODED_E_FORMAT);
    case S_SENT: return read_tags(f, CODED_SENT_MAX, &s->sent);
    case S_HOPS: return read_byte(f, &s->hops, -CODED_E_FORMAT);
    case S_PAYLOAD:
        if (f->type != PB_BYTES)
            return -CODED_E_FORMAT;
        s->payload = f->bytes;
        return 0;
    }
    return 0;
}

int coded_shard_read(struct slice in, struct coded_shard *s)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    bool has_payload = false;
    int rc, err;

    *s = (struct coded_shard){0};
    while ((rc = pb_next(&r, &f)) > 0) {
        if (has_payload)
            return -CODED_E_PAYLOAD;
        err = shard_field(s, &f);
        if (err)
            return err;
        has_payload = f.number == S_PAYLOAD;
    }
    if (rc < 0)
        return -CODED_E_FORMAT;
    if (!s->id)
        return -CODED_E_ID;
    if (!s->coefs.len)
        return -CODED_E_COEFS;
    return has_payload ? 0 : -CODED_E_PAYLOAD;
}

/* Fields of a shard before the payload's bytes. */
static void shard_fields(struct wr *w, const struct coded_shard *s)
{
    pb_put_bytes(w, S_ID, id_slice(s->id));
    pb_put_varint(w, S_RANK, s->rank);
    pb_put_bytes(w, S_COEFS, s->coefs);
    if (s->flags)
        pb_put_varint(w, S_FLAGS, s->flags);
    if (s->sent.len)
        pb_put_bytes(w, S_SENT, s->sent);
    if (s->hops)
        pb_put_varint(w, S_HOPS, s->hops);
    pb_put_head(w, S_PAYLOAD, s->payload.len);
}

void coded_shard_put(struct wr *w, const struct coded_shard *s)
{
    struct wr n = wr_counter();

    shard_fields(&n, s);
    pb_put_head(w, CODED_SHARD, n.len + s->payload.len);
    shard_fields(w, s);
}

int coded_have_read(struct slice in, struct coded_have *h)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc, err = 0;

    *h = (struct coded_have){0};
    while (!err && (rc = pb_next(&r, &f)) > 0) {
        switch (f.number) {
        case V_ID: err = read_id(&f, &h->id); break;
        case V_RANK: err = read_byte(&f, &h->rank, -CODED_E_RANK); break;
        case V_VERIFIED: err = read_bits(&f, &h->verified); break;
        case V_COMING: err = read_bits(&f, &h->coming); break;
        case V_SENDING: err = read_bits(&f, &h->sending); break;
        }
    }
    if (err)
        return err;
    if (rc < 0)
        return -CODED_E_FORMAT;
    return h->id ? 0 : -CODED_E_ID;
}

static void put_bits(struct wr *w, uint32_t number, const struct coded_bits *b, unsigned k)
{
    uint8_t bytes[sizeof(b->w)];
    size_t len = (k + 7) / 8;

    if (coded_bits_is_empty(b))
        return;
    coded_bits_write(b, bytes, len);
    pb_put_bytes(w, number, slice_of(bytes, len));
}

static void have_fields(struct wr *w, const struct coded_have *h, unsigned k)
{
    pb_put_bytes(w, V_ID, id_slice(h->id));
    pb_put_varint(w, V_RANK, h->rank);
    if (h->rank < k)
        put_bits(w, V_VERIFIED, &h->verified, k);
    if (!coded_bits_is_empty(&h->coming))
        put_bits(w, V_COMING, &h->coming, k);
    if (!coded_bits_is_empty(&h->sending))
        put_bits(w, V_SENDING, &h->sending, k);
}

void coded_have_put(struct wr *w, const struct coded_have *h, unsigned k)
{
    struct wr n = wr_counter();

    have_fields(&n, h, k);
    pb_put_head(w, CODED_HAVE, n.len);
    have_fields(w, h, k);
}

int coded_want_read(struct slice in, struct coded_want *w)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc, err = 0;

    *w = (struct coded_want){0};
    while (!err && (rc = pb_next(&r, &f)) > 0) {
        switch (f.number) {
        case W_ID: err = read_id(&f, &w->id); break;
        case W_RANK: err = read_byte(&f, &w->rank, -CODED_E_RANK); break;
        case W_VERIFIED: err = read_bits(&f, &w->verified); break;
        case W_SKIP: err = read_bits(&f, &w->skip); break;
        case W_COUNT: err = read_byte(&f, &w->count, -CODED_E_FORMAT); break;
        case W_FLAGS: err = read_byte(&f, &w->flags, -CODED_E_FORMAT); break;
        }
    }
    if (err)
        return err;
    if (rc < 0)
        return -CODED_E_FORMAT;
    return w->id ? 0 : -CODED_E_ID;
}

static void want_fields(struct wr *w, const struct coded_want *wa, unsigned k)
{
    pb_put_bytes(w, W_ID, id_slice(wa->id));
    pb_put_varint(w, W_RANK, wa->rank);
    put_bits(w, W_VERIFIED, &wa->verified, k);
    put_bits(w, W_SKIP, &wa->skip, k);
    pb_put_varint(w, W_COUNT, wa->count);
    if (wa->flags)
        pb_put_varint(w, W_FLAGS, wa->flags);
}

void coded_want_put(struct wr *w, const struct coded_want *wa, unsigned k)
{
    struct wr n = wr_counter();

    want_fields(&n, wa, k);
    pb_put_head(w, CODED_WANT, n.len);
    want_fields(w, wa, k);
}

int coded_near_read(struct slice in, struct coded_near *n)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc, err = 0;

    *n = (struct coded_near){0};
    while (!err && (rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, N_TOPIC, PB_BYTES))
            n->topic = f.bytes;
        else if (f.number == N_TAGS)
            err = read_tags(&f, CODED_NEAR_MAX, &n->tags);
    }
    if (err)
        return err;
    if (rc < 0)
        return -CODED_E_FORMAT;
    return n->topic.len && n->topic.len <= CODED_TOPIC_MAX ? 0 : -CODED_E_TOPIC;
}

void coded_near_put(struct wr *w, const struct coded_near *n)
{
    struct wr c = wr_counter();

    for (int pass = 0; pass < 2; pass++) {
        struct wr *o = pass ? w : &c;
        if (pass)
            pb_put_head(w, CODED_NEAR, c.len);
        pb_put_bytes(o, N_TOPIC, n->topic);
        if (n->tags.len)
            pb_put_bytes(o, N_TAGS, n->tags);
    }
}

const char *coded_err_name(int err)
{
    static const char *const names[] = {
        [0] = "ok",
        [CODED_E_FORMAT] = "coded: malformed message",
        [CODED_E_CANONICAL] = "coded: header is not canonical",
        [CODED_E_TOPIC] = "coded: bad topic",
        [CODED_E_FROM] = "coded: bad publisher id",
        [CODED_E_K] = "coded: k out of range",
        [CODED_E_SIZE] = "coded: bad message size",
        [CODED_E_SHARD_LENGTH] = "coded: wrong shard length in header",
        [CODED_E_HASHES] = "coded: wrong number of shard hashes",
        [CODED_E_SIGNATURE] = "coded: bad header signature",
        [CODED_E_ID] = "coded: bad generation id",
        [CODED_E_RANK] = "coded: rank out of range",
        [CODED_E_COEFS] = "coded: bad coefficients",
        [CODED_E_PAYLOAD] = "coded: payload is not the last field",
        [CODED_E_LIST] = "coded: list too long",
    };

    err = err < 0 ? -err : err;
    return (size_t)err < sizeof(names) / sizeof(names[0]) && names[err] ? names[err] : "unknown";
}
