#include "pubsub/message.h"

#include <stdlib.h>

#include "base/pb.h"
#include "crypto/sha256.h"

const char *message_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case MESSAGE_EFORMAT: return "malformed message";
    case MESSAGE_EFROM: return "invalid author";
    case MESSAGE_ESEQNO: return "invalid seqno";
    case MESSAGE_ETOPIC: return "invalid topic";
    case MESSAGE_EKEY: return "key is not the author's";
    case MESSAGE_ESIGNATURE: return "invalid signature";
    case MESSAGE_EUNEXPECTED: return "signed where none must be";
    case MESSAGE_EID: return "no message id";
    case MESSAGE_EMEM: return "no memory";
    default: return "unknown";
    }
}

static struct slice *field_of(struct message_fields *m, uint32_t number)
{
    switch (number) {
    case MESSAGE_F_FROM: return &m->from;
    case MESSAGE_F_DATA: return &m->data;
    case MESSAGE_F_SEQNO: return &m->seqno;
    case MESSAGE_F_TOPIC: return &m->topic;
    case MESSAGE_F_SIGNATURE: return &m->signature;
    case MESSAGE_F_KEY: return &m->key;
    default: return NULL;
    }
}

int message_parse(struct message_fields *m, struct slice body)
{
    struct rd rd = rd_of(body);
    struct pb_field f;
    uint32_t last = 0;
    size_t minimal = 0;
    int rc;

    *m = (struct message_fields){.is_canonical = true};
    while ((rc = pb_next(&rd, &f)) > 0) {
        struct slice *to = f.type == PB_BYTES ? field_of(m, f.number) : NULL;
        if (!to || f.number <= last)
            m->is_canonical = false;
        if (!to)
            continue;
        *to = f.bytes;
        m->has |= (uint8_t)(1u << f.number);
        last = f.number;
        minimal += 1 + uvarint_size(f.bytes.len) + f.bytes.len;
    }
    if (minimal != body.len) /* a padded varint somewhere */
        m->is_canonical = false;
    return rc ? -MESSAGE_EFORMAT : 0;
}

static bool has(const struct message_fields *m, uint32_t number)
{
    return m->has >> number & 1;
}

static void put_fields(struct wr *w, const struct message_fields *m, uint32_t first, uint32_t last)
{
    struct message_fields copy = *m;

    for (uint32_t n = first; n <= last; n++)
        if (has(m, n))
            pb_put_bytes(w, n, *field_of(&copy, n));
}

static int check_signed(const struct message_fields *m, struct peer_id *from)
{
    if (!has(m, MESSAGE_F_SIGNATURE) || !m->signature.len)
        return -MESSAGE_ESIGNATURE;
    if (m->seqno.len != MESSAGE_SEQNO_BYTES)
        return -MESSAGE_ESEQNO;
    if (!m->from.len || peer_id_from_bytes(from, m->from))
        return -MESSAGE_EFROM;
    return 0;
}

int message_check(const struct message_fields *m, enum pubsub_signing signing, struct peer_id *from)
{
    int rc = 0;

    from->len = 0;
    if (signing == PUBSUB_STRICT_SIGN)
        rc = check_signed(m, from);
    else if (m->from.len || m->seqno.len || m->signature.len || m->key.len)
        rc = -MESSAGE_EUNEXPECTED;
    if (!rc && (!m->topic.len || m->topic.len > PUBSUB_TOPIC_MAX))
        rc = -MESSAGE_ETOPIC;
    return rc;
}

void message_scratch_fini(struct message_scratch *s)
{
    free(s->p);
    *s = (struct message_scratch){0};
}

static bool scratch_reserve(struct message_scratch *s, size_t n)
{
    if (n <= s->cap)
        return true;
    uint8_t *p = realloc(s->p, n);
    if (!p)
        return false;
    s->p = p;
    s->cap = n;
    return true;
}

/* What the signature covers, in scratch; len 0: no memory. */
static struct slice signed_bytes(const struct message_fields *m, struct message_scratch *scratch)
{
    struct message_fields f = *m;
    struct wr count = wr_counter();

    if (scratch->elide_bytes && f.data.len > scratch->elide_bytes)
        f.data.len = scratch->elide_bytes;
    put_fields(&count, &f, MESSAGE_F_FROM, MESSAGE_F_TOPIC);
    if (!scratch_reserve(scratch, sizeof(MESSAGE_SIGN_PREFIX) - 1 + count.len))
        return (struct slice){0};
    struct wr w = wr_of(scratch->p, scratch->cap);
    wr_bytes(&w, MESSAGE_SIGN_PREFIX, sizeof(MESSAGE_SIGN_PREFIX) - 1);
    put_fields(&w, &f, MESSAGE_F_FROM, MESSAGE_F_TOPIC);
    return slice_of(w.p, w.len);
}

int message_verify(const struct message_fields *m, const struct peer_id *from, struct message_scratch *scratch)
{
    struct public_key key;
    struct slice text;
    int rc = m->key.len ? public_key_check_peer(&key, m->key, from) : public_key_of_peer(&key, from);

    if (rc)
        return -MESSAGE_EKEY;
    text = signed_bytes(m, scratch);
    if (!text.len)
        return -MESSAGE_EMEM;
    rc = public_key_verify(&key, text, m->signature);
    switch (-rc) {
    case 0: return 0;
    case KEY_ESIGNATURE: return -MESSAGE_ESIGNATURE;
    case KEY_ENOMEM: return -MESSAGE_EMEM;
    default: return -MESSAGE_EKEY;
    }
}

size_t message_id(uint8_t out[MESSAGE_ID_MAX], struct slice from, uint64_t seqno)
{
    struct wr w = wr_of(out, MESSAGE_ID_MAX);

    wr_slice(&w, from);
    wr_be(&w, seqno, MESSAGE_SEQNO_BYTES);
    return w.bad ? 0 : w.len;
}

size_t message_fields_id(uint8_t out[MESSAGE_ID_MAX], const struct message_fields *m, const struct message_ids *ids)
{
    struct rd seqno = rd_of(m->seqno);

    if (ids->rule == PUBSUB_ID_CUSTOM) {
        struct pubsub_id_input in = {m->from, m->seqno, m->topic, m->data};
        size_t n = ids->custom(ids->ctx, &in, out);
        return n <= MESSAGE_ID_MAX ? n : 0;
    }
    if (ids->rule == PUBSUB_ID_SPEC && m->seqno.len)
        return message_id(out, m->from, rd_be64(&seqno));
    sha256_of(m->data, out);
    return SHA256_BYTES;
}

#define POOL_IDLE_MAX 4096

struct message_pool {
    struct message *idle;
    uint32_t nidle;
    uint64_t out; /* messages in use */
    bool is_closed;
    struct buf *(*alloc)(void *ctx, uint32_t cap);
    void *ctx;
    struct message_ids ids;
};

struct message_pool *message_pool_new(struct buf *(*alloc)(void *ctx, uint32_t cap), void *ctx)
{
    struct message_pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->alloc = alloc;
    p->ctx = ctx;
    return p;
}

void message_pool_ids(struct message_pool *p, const struct message_ids *ids)
{
    p->ids = *ids;
}

void message_pool_close(struct message_pool *p)
{
    if (!p)
        return;
    while (p->idle) {
        struct message *m = p->idle;
        p->idle = m->next_free;
        free(m);
    }
    p->nidle = 0;
    p->is_closed = true;
    if (!p->out)
        free(p);
}

static struct message *pool_get(struct message_pool *p, const struct peer_id *from, uint64_t seqno, struct slice id)
{
    struct message *m = p->idle;

    if (m) {
        p->idle = m->next_free;
        p->nidle--;
    } else if (!(m = malloc(sizeof(*m)))) {
        return NULL;
    }
    p->out++;
    *m = (struct message){.refs = 1, .pool = p, .from = *from, .seqno = seqno, .id_len = (uint8_t)id.len};
    memcpy(m->id, id.p, id.len);
    return m;
}

static void pool_put(struct message *m)
{
    struct message_pool *p = m->pool;

    p->out--;
    if (!p->is_closed && p->nidle < POOL_IDLE_MAX) {
        m->next_free = p->idle;
        p->idle = m;
        p->nidle++;
        return;
    }
    free(m);
    if (p->is_closed && !p->out)
        free(p);
}

static void add_piece(struct message *m, struct buf *b, uint32_t off, uint32_t len)
{
    m->pieces[m->npieces++] = (struct pubsub_piece){buf_ref(b), off, len};
    m->bytes += len;
}

/* The publish field's head up to the payload, and its tail after it, one after the other in w; *tail is where it begins. */
static void put_around(struct wr *w, const struct message_fields *f, size_t *tail)
{
    struct wr body = wr_counter();

    put_fields(&body, f, MESSAGE_F_FROM, MESSAGE_F_KEY);
    pb_put_head(w, RPC_F_PUBLISH, body.len);
    put_fields(w, f, MESSAGE_F_FROM, MESSAGE_F_FROM);
    pb_put_head(w, MESSAGE_F_DATA, f->data.len);
    *tail = w->len;
    put_fields(w, f, MESSAGE_F_SEQNO, MESSAGE_F_KEY);
}

static bool sign(const struct key_pair *key, struct message_fields *f, struct message_scratch *scratch,
                 uint8_t signature[KEY_SIGNATURE_MAX])
{
    struct slice text = signed_bytes(f, scratch);

    if (!text.len)
        return false;
    f->signature = slice_of(signature, key_pair_sign(key, text, signature));
    f->has |= 1u << MESSAGE_F_SIGNATURE;
    return true;
}

/* A message of ours with these fields, the payload by reference. */
static struct message *make_ours(struct message_pool *pool, const struct message_fields *f, const struct peer_id *self,
                                 uint64_t seqno, struct slice id, struct buf *payload)
{
    uint8_t around[PUBSUB_TOPIC_MAX + 256];
    struct wr w = wr_of(around, sizeof(around));
    size_t tail;

    put_around(&w, f, &tail);
    struct buf *b = w.bad || !id.len ? NULL : pool->alloc(pool->ctx, (uint32_t)w.len);
    struct message *m = b ? pool_get(pool, self, seqno, id) : NULL;
    if (!m) {
        buf_unref(b);
        return NULL;
    }
    memcpy(b->data, w.p, w.len);
    b->len = (uint32_t)w.len;
    m->is_ours = true;
    add_piece(m, b, 0, (uint32_t)tail);
    add_piece(m, payload, 0, payload->len);
    add_piece(m, b, (uint32_t)tail, (uint32_t)(w.len - tail));
    buf_unref(b);
    m->payload = (struct pubsub_piece){payload, 0, payload->len};
    m->held_bytes = (uint64_t)payload->cap + w.len;
    return m;
}

struct message *message_new_signed(struct message_pool *pool, const struct key_pair *key, const struct peer_id *self,
                                   uint64_t seqno, struct slice topic, struct buf *payload,
                                   struct message_scratch *scratch)
{
    uint8_t seqno_be[MESSAGE_SEQNO_BYTES], signature[KEY_SIGNATURE_MAX], id[MESSAGE_ID_MAX];
    struct wr be = wr_of(seqno_be, sizeof(seqno_be));
    struct message_fields f = {
        .from = peer_id_slice(self),
        .data = buf_slice(payload),
        .seqno = slice_of(seqno_be, sizeof(seqno_be)),
        .topic = topic,
        .has = 1u << MESSAGE_F_FROM | 1u << MESSAGE_F_DATA | 1u << MESSAGE_F_SEQNO | 1u << MESSAGE_F_TOPIC,
    };

    wr_be(&be, seqno, MESSAGE_SEQNO_BYTES);
    if (!sign(key, &f, scratch, signature))
        return NULL;
    return make_ours(pool, &f, self, seqno, slice_of(id, message_fields_id(id, &f, &pool->ids)), payload);
}

struct message *message_new_unsigned(struct message_pool *pool, struct slice topic, struct buf *payload)
{
    uint8_t id[MESSAGE_ID_MAX];
    struct message_fields f = {
        .data = buf_slice(payload),
        .topic = topic,
        .has = 1u << MESSAGE_F_DATA | 1u << MESSAGE_F_TOPIC,
    };
    struct slice ids = slice_of(id, message_fields_id(id, &f, &pool->ids));

    return make_ours(pool, &f, &(struct peer_id){0}, 0, ids, payload);
}

/* A buffer that holds the canonical publish field; *data gets where the payload begins. */
static struct buf *encode_field(struct message_pool *pool, const struct message_fields *f, uint32_t *data)
{
    struct wr body = wr_counter(), field = wr_counter();

    put_fields(&body, f, MESSAGE_F_FROM, MESSAGE_F_KEY);
    pb_put_head(&field, RPC_F_PUBLISH, body.len);
    size_t len = field.len + body.len;
    struct buf *b = len > UINT32_MAX ? NULL : pool->alloc(pool->ctx, (uint32_t)len);
    if (!b)
        return NULL;
    struct wr w = wr_of(b->data, b->cap);
    pb_put_head(&w, RPC_F_PUBLISH, body.len);
    put_fields(&w, f, MESSAGE_F_FROM, MESSAGE_F_DATA);
    *data = (uint32_t)(w.len - f->data.len);
    put_fields(&w, f, MESSAGE_F_SEQNO, MESSAGE_F_KEY);
    b->len = (uint32_t)w.len;
    return b;
}

struct message *message_new_received(struct message_pool *pool, const struct message_fields *f,
                                     const struct peer_id *from, struct slice id, struct slice whole,
                                     struct buf *frame)
{
    struct rd seqno = rd_of(f->seqno);
    struct message *m = pool_get(pool, from, rd_be64(&seqno), id);
    bool is_by_ref = f->is_canonical && whole.len >= 1024 && whole.len * 4 >= frame->cap;
    struct buf *b;
    uint32_t data = 0;

    if (!m)
        return NULL;
    if (is_by_ref) {
        b = buf_ref(frame);
        add_piece(m, b, (uint32_t)(whole.p - frame->data), (uint32_t)whole.len);
        data = f->data.len ? (uint32_t)(f->data.p - frame->data) : 0;
    } else {
        b = encode_field(pool, f, &data);
        if (!b) {
            pool_put(m);
            return NULL;
        }
        add_piece(m, b, 0, b->len);
    }
    buf_unref(b); /* the piece holds it */
    m->payload = (struct pubsub_piece){b, data, (uint32_t)f->data.len};
    m->held_bytes = b->cap;
    return m;
}

struct message *message_ref(struct message *m)
{
    m->refs++;
    return m;
}

void message_unref(struct message *m)
{
    if (!m || --m->refs)
        return;
    for (unsigned i = 0; i < m->npieces; i++)
        buf_unref(m->pieces[i].buf);
    free(m->served);
    pool_put(m);
}

static void view_release(struct buf *view)
{
    message_unref(view->home);
}

struct buf *message_payload(struct message *m)
{
    struct buf *b = m->payload.buf;

    if (m->payload.off == 0 && m->payload.len == b->len)
        return buf_ref(b);
    if (m->view.refs)
        return buf_ref(&m->view);
    m->view = (struct buf){.data = b->data + m->payload.off, .len = m->payload.len, .cap = m->payload.len, .refs = 1,
                           .release = view_release, .home = message_ref(m)};
    return &m->view;
}

void seqno_init(struct seqno *s, uint64_t unix_ns, uint64_t now)
{
    *s = (struct seqno){.base_unix_ns = unix_ns, .base_now = now};
}

uint64_t seqno_next(struct seqno *s, uint64_t now)
{
    uint64_t t = s->base_unix_ns + (now > s->base_now ? now - s->base_now : 0);

    s->last = t > s->last ? t : s->last + 1;
    return s->last;
}
