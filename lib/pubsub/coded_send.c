/* coded_send.c: the coded extension's messages to one peer */
#include "pubsub/coded_int.h"

void coded_body_init(struct coded_body *b)
{
    b->w = wr_of(b->bytes, sizeof(b->bytes));
}

void coded_body_header(struct coded_body *b, const struct generation *g, struct generation_link *l)
{
    if (l->has_header)
        return;
    wr_slice(&b->w, buf_slice(g->header));
    l->has_header = true;
}

void coded_body_have(struct coded_body *b, const struct generation *g, struct generation_link *l)
{
    coded_body_promise(b, g, l, (struct coded_bits){{0}});
}

void coded_body_promise(struct coded_body *b, const struct generation *g, struct generation_link *l, struct coded_bits sending)
{
    struct coded_have h = {.id = g->id, .verified = g->have, .sending = sending, .rank = (uint8_t)generation_rank(g)};

    if (coded_bits_count(&h.verified) > h.rank) /* all are verified and not decoded yet: one is kept quiet about */
        coded_bits_del(&h.verified, g->shape.k - 1u);
    h.coming = coded_bits_minus(coded_bits_and(g->have, coded_bits_minus(l->sent, l->has)), sending);
    coded_have_put(&b->w, &h, g->shape.k);
    l->told_rank = h.rank;
    l->told = h.verified;
}

void coded_body_send(struct coded *c, struct coded_body *b, pubsub_peer p)
{
    if (!b->w.bad && b->w.len)
        c->host.send(c->host.core, p, slice_of(b->bytes, b->w.len), NULL, 0, 0);
}

bool coded_is_slow(const struct coded *c, pubsub_peer p)
{
    return c->host.queued_bytes(c->host.core, p) > c->cfg.queue_bytes;
}

static void send_shard(struct coded *c, const struct generation *g, struct generation_link *l, struct coded_shard *s,
                       struct pubsub_piece payload)
{
    struct coded_body b;

    s->id = g->id;
    s->rank = (uint8_t)generation_rank(g);
    s->payload.len = payload.len;
    coded_body_init(&b);
    coded_body_header(&b, g, l);
    coded_shard_put(&b.w, s);
    if (b.w.bad)
        return;
    l->told_rank = s->rank;
    if (s->flags & CODED_SHARD_SECOND_HAND)
        l->rows_sent++;
    else
        l->served++;
    c->host.counters->shards_out++;
    c->host.counters->shards_out_bytes += payload.len;
    c->host.send(c->host.core, l->peer, slice_of(b.bytes, b.w.len), payload.buf, payload.off, payload.len);
}

void coded_send_source(struct coded *c, const struct generation *g, struct generation_link *l, unsigned index, unsigned hops,
                       struct slice sent)
{
    uint8_t byte = (uint8_t)index;
    struct coded_shard s = {.coefs = slice_of(&byte, 1), .sent = sent, .hops = (uint8_t)(hops < UINT8_MAX ? hops : UINT8_MAX)};

    coded_bits_put(&l->sent, index);
    send_shard(c, g, l, &s, generation_source_piece(g, index));
}

void coded_send_mixed(struct coded *c, const struct generation *g, struct generation_link *l, unsigned n)
{
    enum { BATCH = 6 };
    uint8_t coefs[BATCH * RLNC_K_MAX], *out[BATCH];
    struct buf *bufs[BATCH];
    unsigned k = g->shape.k, part;

    for (; n; n -= part) {
        unsigned got = 0;

        part = n < BATCH ? n : BATCH;
        while (got < part && (bufs[got] = coded_alloc(c, g->shape.shard_bytes))) {
            bufs[got]->len = g->shape.shard_bytes;
            out[got] = bufs[got]->data;
            got++;
        }
        generation_recode(g, c->host.rng, coefs, out, got);
        for (unsigned i = 0; i < got; i++) {
            struct coded_shard s = {.coefs = slice_of(coefs + i * k, k)};

            send_shard(c, g, l, &s, (struct pubsub_piece){bufs[i], 0, g->shape.shard_bytes});
            buf_unref(bufs[i]);
        }
        if (got < part)
            return;
    }
}

void coded_send_second_hand(struct coded *c, const struct generation *g, struct generation_link *l, const struct generation_row *r)
{
    uint8_t hands[GENERATION_HANDS_MAX * CODED_TAG_BYTES];
    struct coded_shard s = {.coefs = slice_of(r->coefs, g->shape.k), .flags = CODED_SHARD_SECOND_HAND,
                            .sent = slice_of(hands, r->hand_count * CODED_TAG_BYTES)};

    for (unsigned i = 0; i < r->hand_count; i++)
        coded_tag_write(hands + i * CODED_TAG_BYTES, r->hands[i]);
    send_shard(c, g, l, &s, (struct pubsub_piece){r->buf, (uint32_t)(r->p - r->buf->data), r->len});
}
