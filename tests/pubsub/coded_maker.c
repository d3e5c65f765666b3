/* coded_maker.c: a publisher without a node */
#include "pubsub/coded_maker.h"

#include <stdlib.h>

void maker_open(struct maker *m, uint8_t key_byte)
{
    uint8_t seed[32] = {key_byte, 77};

    memset(m, 0, sizeof(*m));
    key_pair_from_seed(&m->key, seed);
    key_pair_peer_id(&m->key, &m->self);
    rng_init_seeded(&m->rng, key_byte);
}

void maker_close(struct maker *m)
{
    buf_unref(m->payload);
    buf_unref(m->header);
    key_pair_fini(&m->key);
}

void maker_message(struct maker *m, unsigned k, uint32_t size)
{
    struct coded_header h;
    struct pb_field f;
    struct rd r;

    buf_unref(m->payload);
    buf_unref(m->header);
    m->payload = buf_new(size);
    m->payload->len = size;
    rng_fill(&m->rng, m->payload->data, size);
    rlnc_shape_init(&m->shape, size, k);
    m->header = generation_header_make(&m->key, &m->self, SLICE_LIT("demo"), ++m->seqno, &m->shape, m->payload->data, 0);
    r = rd_of(buf_slice(m->header));
    if (pb_next(&r, &f) <= 0 || coded_header_read(f.bytes, &h))
        abort();
    generation_header_id(&h, m->id);
}

struct slice maker_header(const struct maker *m)
{
    return buf_slice(m->header);
}

struct slice maker_shard(struct maker *m, struct slice coefs, struct slice payload, unsigned rank, unsigned flags)
{
    struct coded_shard s = {.id = m->id, .coefs = coefs, .payload = payload, .rank = (uint8_t)rank, .flags = (uint8_t)flags,
                            .hops = coefs.len == 1};
    struct wr w = wr_of(m->field, sizeof(m->field));

    coded_shard_put(&w, &s);
    wr_slice(&w, payload);
    if (w.bad)
        abort();
    return slice_of(m->field, w.len);
}

struct slice maker_source(struct maker *m, unsigned index, unsigned rank)
{
    struct rlnc_row r = rlnc_source_row(&m->shape, m->payload->data, index);
    uint8_t byte = (uint8_t)index;

    return maker_shard(m, slice_of(&byte, 1), slice_of(r.p, r.len), rank, 0);
}

struct slice maker_coded(struct maker *m, const uint8_t *coefs, unsigned rank)
{
    static uint8_t out[1 << 16], own[RLNC_K_MAX];

    if (!coefs) {
        rlnc_coefs_random(own, m->shape.k, &m->rng);
        coefs = own;
    }
    rlnc_expect(&m->shape, m->payload->data, coefs, out);
    return maker_shard(m, slice_of(coefs, m->shape.k), slice_of(out, m->shape.shard_bytes), rank, 0);
}

struct slice maker_have(struct maker *m, unsigned rank, struct coded_bits verified)
{
    struct coded_have h = {.id = m->id, .verified = verified, .rank = (uint8_t)rank};
    struct wr w = wr_of(m->field, sizeof(m->field));

    coded_have_put(&w, &h, m->shape.k);
    return slice_of(m->field, w.len);
}

struct slice maker_want(struct maker *m, unsigned rank, unsigned count, unsigned flags, struct coded_bits verified)
{
    struct coded_want a = {.id = m->id, .verified = verified, .rank = (uint8_t)rank, .count = (uint8_t)count, .flags = (uint8_t)flags};
    struct wr w = wr_of(m->field, sizeof(m->field));

    coded_want_put(&w, &a, m->shape.k);
    return slice_of(m->field, w.len);
}
