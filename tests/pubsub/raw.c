#include "pubsub/raw.h"

#include <assert.h>
#include <stdlib.h>

static void note_message(struct raw_note *n, struct slice body)
{
    struct message_fields f;

    if (message_parse(&f, body))
        return;
    struct rd seqno = rd_of(f.seqno);
    n->id_len = (uint8_t)message_id(n->id, f.from, rd_be64(&seqno));
    n->hash = netsim_hash(f.data);
    n->len = (uint32_t)f.data.len;
    memcpy(n->topic, f.topic.p, f.topic.len < sizeof(n->topic) - 1 ? f.topic.len : sizeof(n->topic) - 1);
}

static void on_frame(void *user, struct netsim *s, unsigned from, struct slice frame)
{
    struct raw *r = user;
    struct rpc_reader rd = rpc_reader_of(frame);
    struct rpc_item it;

    assert(rpc_check(frame) == 0);
    r->rpcs++;
    while (rpc_next(&rd, &it) && r->count < RAW_NOTES_MAX) {
        struct raw_note *n = &r->notes[r->count++];
        struct slice id;
        *n = (struct raw_note){.type = it.type, .at_ns = netsim_now(s), .backoff_s = it.backoff_s, .number = it.number,
                               .rpc = r->rpcs};
        if (it.topic.len)
            memcpy(n->topic, it.topic.p, it.topic.len < sizeof(n->topic) - 1 ? it.topic.len : sizeof(n->topic) - 1);
        struct rd peers = rd_of(it.type == RPC_PRUNE ? it.body : (struct slice){0});
        for (struct rpc_px px; rpc_px_next(&peers, &px); n->nids++)
            n->nrecords += px.record.len != 0;
        if (it.type == RPC_MESSAGE)
            note_message(n, it.body);
        while ((it.type == RPC_IHAVE || it.type == RPC_IWANT || it.type == RPC_IDONTWANT) &&
               rpc_ids_next(&it.ids, &id))
            if (n->nids++ == 0) {
                memcpy(n->id, id.p, id.len);
                n->id_len = (uint8_t)id.len;
            }
    }
}

struct raw *raw_new(struct netsim *s, unsigned to, enum pubsub_proto proto, bool is_dialer)
{
    struct raw *r = calloc(1, sizeof(*r));

    assert(r);
    r->notes = calloc(RAW_NOTES_MAX, sizeof(*r->notes));
    assert(r->notes);
    r->s = s;
    r->node = netsim_add_raw(s, on_frame, r);
    if (is_dialer)
        netsim_connect(s, r->node, to, proto);
    else
        netsim_connect(s, to, r->node, proto);
    netsim_run(s, 10 * NETSIM_MS);
    return r;
}

void raw_free(struct raw *r)
{
    free(r->notes);
    free(r);
}

unsigned raw_count(const struct raw *r, enum rpc_item_type type)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->count; i++)
        n += r->notes[i].type == type;
    return n;
}

const struct raw_note *raw_last(const struct raw *r, enum rpc_item_type type)
{
    for (unsigned i = r->count; i-- > 0;)
        if (r->notes[i].type == type)
            return &r->notes[i];
    return NULL;
}

void raw_forget(struct raw *r)
{
    r->count = 0;
}

void raw_send(struct raw *r, unsigned to, struct slice frame)
{
    netsim_send(r->s, r->node, to, frame);
    netsim_run(r->s, 10 * NETSIM_MS);
}

static void send_control(struct raw *r, unsigned to, const struct wr *control)
{
    struct buf *b = buf_new((uint32_t)control->len + 16);
    struct wr w = wr_of(b->data, b->cap);

    pb_put_bytes(&w, RPC_F_CONTROL, slice_of(control->p, control->len));
    assert(!w.bad && !control->bad);
    raw_send(r, to, slice_of(w.p, w.len));
    buf_unref(b);
}

void raw_subscribe(struct raw *r, unsigned to, const char *topic, bool is_subscribe)
{
    uint8_t out[PUBSUB_TOPIC_MAX + 64];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_subscription(&w, slice_str(topic), is_subscribe);
    raw_send(r, to, slice_of(out, w.len));
}

void raw_graft(struct raw *r, unsigned to, const char *topic)
{
    uint8_t out[PUBSUB_TOPIC_MAX + 64];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_graft(&w, slice_str(topic));
    send_control(r, to, &w);
}

void raw_need(struct raw *r, unsigned to, const char *topic)
{
    uint8_t out[PUBSUB_TOPIC_MAX + 64];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_need(&w, slice_str(topic));
    raw_send(r, to, slice_of(out, w.len));
}

void raw_prune(struct raw *r, unsigned to, const char *topic, uint64_t backoff_s)
{
    uint8_t out[PUBSUB_TOPIC_MAX + 64];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_prune(&w, slice_str(topic), backoff_s);
    send_control(r, to, &w);
}

void raw_prune_px(struct raw *r, unsigned to, const char *topic, const struct rpc_px *px, unsigned n)
{
    size_t cap = 256;

    for (unsigned i = 0; i < n; i++)
        cap += px[i].peer_id.len + px[i].record.len + 16;
    uint8_t *peers = malloc(cap), *out = malloc(cap + 64);
    assert(peers && out);
    struct wr pw = wr_of(peers, cap), w = wr_of(out, cap + 64);
    for (unsigned i = 0; i < n; i++)
        rpc_put_px(&pw, &px[i]);
    rpc_put_prune_px(&w, slice_str(topic), slice_of(peers, pw.len), 60);
    send_control(r, to, &w);
    free(peers);
    free(out);
}

void raw_ids(struct raw *r, unsigned to, enum control_field field, const char *topic, const struct slice *ids, unsigned n)
{
    struct wr size = wr_counter();
    uint8_t *out = NULL;

    for (int pass = 0; pass < 2; pass++) {
        struct wr w = size;
        if (pass) {
            out = malloc(size.len + 16);
            assert(out);
            w = wr_of(out, size.len + 16);
            pb_put_head(&w, field, size.len);
        }
        if (topic)
            pb_put_bytes(&w, IHAVE_F_TOPIC, slice_str(topic));
        for (unsigned i = 0; i < n; i++)
            pb_put_bytes(&w, field == CONTROL_F_IHAVE ? (uint32_t)IHAVE_F_IDS : (uint32_t)IDS_F_IDS, ids[i]);
        if (pass) {
            send_control(r, to, &w);
            free(out);
        } else {
            size = w;
        }
    }
}

static struct buf *heap(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

struct buf *raw_field(const struct key_pair *key, const char *topic, uint64_t seqno, struct slice payload,
                      bool is_damaged)
{
    struct message_pool *pool = message_pool_new(heap, NULL);
    struct message_scratch scratch = {0};
    struct buf *data = buf_copy(payload), *out;
    struct peer_id self;

    key_pair_peer_id(key, &self);
    struct message *m = message_new_signed(pool, key, &self, seqno, slice_str(topic), data, &scratch);
    assert(m);
    out = buf_new(m->bytes);
    for (unsigned i = 0; i < m->npieces; i++) {
        memcpy(out->data + out->len, m->pieces[i].buf->data + m->pieces[i].off, m->pieces[i].len);
        out->len += m->pieces[i].len;
    }
    if (is_damaged)
        out->data[out->len - 1] ^= 1;
    message_unref(m);
    buf_unref(data);
    message_scratch_fini(&scratch);
    message_pool_close(pool);
    return out;
}

void raw_message(struct raw *r, unsigned to, const char *topic, uint64_t seqno, struct slice payload, bool is_damaged)
{
    struct buf *b = raw_field(netsim_key(r->s, r->node), topic, seqno, payload, is_damaged);

    raw_send(r, to, buf_slice(b));
    buf_unref(b);
}

struct slice raw_id(uint8_t space[46], uint64_t n)
{
    memset(space, 7, 46);
    memcpy(space, &n, sizeof(n));
    return slice_of(space, 46);
}
