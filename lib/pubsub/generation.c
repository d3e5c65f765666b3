/* generation.c: one coded message at one node */
#include "pubsub/generation.h"

#include <stdlib.h>

#include "pubsub/generation_ahead.h"
#include "pubsub/generation_hash.h"
#include "pubsub/generation_int.h"


/* header_field begins with the RPC's tag and length; the slices of h may lie in another copy of the content. */
static struct slice content_of(const struct buf *header_field, size_t content_len)
{
    return slice_of(header_field->data + header_field->len - content_len, content_len);
}

/* Each shard as long as what is there of it: the last stays the only one that may be shorter. */
static struct rlnc_shape work_of(const struct rlnc_shape *s, uint32_t elide_bytes)
{
    struct rlnc_shape w = *s;

    if (!elide_bytes || elide_bytes >= s->shard_bytes)
        return w;
    w.shard_bytes = elide_bytes;
    w.size_bytes = (s->k - 1u) * elide_bytes + generation_hash_length(s, s->k - 1u, elide_bytes);
    return w;
}

static bool is_elided(const struct generation *g)
{
    return g->work.shard_bytes != g->shape.shard_bytes;
}

struct generation *generation_new(const struct coded_header *h, struct buf *header_field, uint32_t elide_bytes)
{
    unsigned k = h->shape.k;
    size_t rows = k * sizeof(struct generation_row), size = sizeof(struct generation) + 2 * rows + rlnc_rank_bytes(k);
    struct coded_header own;
    struct generation *g;

    if (peer_id_from_bytes(&(struct peer_id){0}, h->from))
        return NULL;
    g = calloc(1, size);
    if (!g)
        return NULL;
    if (coded_header_read(content_of(header_field, h->core.len + 2 + h->signature.len), &own)) {
        free(g);
        return NULL;
    }
    g->shape = own.shape;
    g->work = work_of(&own.shape, elide_bytes);
    g->topic = own.topic;
    g->hashes = own.hashes.p;
    g->seqno = own.seqno;
    peer_id_from_bytes(&g->from, own.from);
    g->header = buf_ref(header_field);
    g->source = (struct generation_row *)(g + 1);
    g->coded = g->source + k;
    rlnc_rank_init(&g->rank, k, g->coded + k);
    g->block_bytes = (uint32_t)(size + header_field->len + GENERATION_LINKS_FIRST * sizeof(struct generation_link));
    g->bytes = g->block_bytes;
    g->hint_at_ns = g->repair_at_ns = g->ahead_at_ns = g->expire_at_ns = TIMER_NEVER;
    return g;
}

void generation_row_release(struct generation *g, struct generation_row *r)
{
    if (!r->buf)
        return;
    g->bytes -= r->len;
    buf_unref(r->buf);
    *r = (struct generation_row){0};
}

static void rows_release(struct generation *g, struct generation_row *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        generation_row_release(g, &rows[i]);
}

void generation_free(struct generation *g)
{
    rows_release(g, g->source, g->shape.k);
    rows_release(g, g->coded, g->coded_count);
    generation_release_dropped(g);
    generation_ahead_drop(g);
    buf_unref(g->payload);
    buf_unref(g->header);
    generation_links_free(g);
    free(g);
}

bool generation_is_genuine(const struct generation *g, unsigned index, struct slice payload)
{
    uint8_t digest[CODED_HASH_BYTES];
    uint32_t there = rlnc_shape_length(&g->work, index);

    if (payload.len > there)
        payload.len = there;
    generation_hash_shard(payload, digest);
    return memcmp(digest, g->hashes + index * CODED_HASH_BYTES, CODED_HASH_BYTES) == 0;
}

bool generation_row_keep(struct generation *g, struct generation_row *r, struct slice coefs, struct slice payload,
                         struct buf *frame, pubsub_peer from)
{
    r->p = payload.p;
    r->coefs = coefs.p;
    r->len = (uint32_t)payload.len;
    r->from = from;
    if (payload.len >= frame->len / 2) {
        r->buf = buf_ref(frame);
    } else {
        r->buf = buf_new((uint32_t)(payload.len + coefs.len));
        if (!r->buf)
            return false;
        memcpy(r->buf->data, payload.p, payload.len);
        if (coefs.len)
            memcpy(r->buf->data + payload.len, coefs.p, coefs.len);
        r->buf->len = (uint32_t)(payload.len + coefs.len);
        r->p = r->buf->data;
        r->coefs = coefs.len ? r->buf->data + payload.len : NULL;
    }
    g->bytes += r->len;
    return true;
}

enum generation_verdict generation_add_source(struct generation *g, unsigned index, struct slice payload, struct buf *frame,
                                              pubsub_peer from)
{
    return generation_add_hashed(g, index, payload, NULL, frame, from);
}

enum generation_verdict generation_add_hashed(struct generation *g, unsigned index, struct slice payload, const uint8_t *digest,
                                              struct buf *frame, pubsub_peer from)
{
    if (coded_bits_has(&g->have, index))
        return GENERATION_DUPLICATE;
    if (digest ? memcmp(digest, g->hashes + index * CODED_HASH_BYTES, CODED_HASH_BYTES) != 0 : !generation_is_genuine(g, index, payload))
        return GENERATION_FORGED;
    if (!generation_row_keep(g, &g->source[index], (struct slice){0}, payload, frame, from))
        return GENERATION_UNHELPFUL;
    coded_bits_put(&g->have, index);
    if (rlnc_rank_add_source(&g->rank, index))
        return GENERATION_NEW;
    generation_ahead_drop(g); /* it takes the place of a coded row, which may be the forged one */
    return GENERATION_VERIFIED;
}

enum generation_verdict generation_add_coded(struct generation *g, const struct generation_arrival *a)
{
    struct generation_row *r = &g->coded[g->coded_count];

    if (g->coded_count == g->shape.k || !rlnc_rank_would_add(&g->rank, a->coefs.p))
        return GENERATION_UNHELPFUL;
    if (!generation_row_keep(g, r, a->coefs, a->payload, a->frame, a->from))
        return GENERATION_UNHELPFUL;
    generation_row_hands(g, r, a);
    rlnc_rank_add(&g->rank, a->coefs.p);
    g->coded_count++;
    return GENERATION_NEW;
}

size_t generation_decode_bytes(void)
{
    return rlnc_decode_bytes(RLNC_K_MAX) + rlnc_rank_bytes(RLNC_K_MAX);
}

struct rlnc_row generation_source_row(const struct generation *g, unsigned i)
{
    const uint8_t *p = g->payload ? g->payload->data + rlnc_shape_offset(&g->shape, i) : g->source[i].p;

    return (struct rlnc_row){p, NULL, rlnc_shape_length(&g->work, i), (uint16_t)i};
}

unsigned generation_verified_rows(const struct generation *g, struct rlnc_row *rows, struct rlnc_rank *rank)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->shape.k; i++)
        if (coded_bits_has(&g->have, i)) {
            rlnc_rank_add_source(rank, i);
            rows[n++] = generation_source_row(g, i);
        }
    return n;
}

unsigned generation_choose_rows(const struct generation *g, struct rlnc_row *rows, void *rank_mem)
{
    struct rlnc_rank rank;
    unsigned n;

    rlnc_rank_init(&rank, g->shape.k, rank_mem);
    n = generation_verified_rows(g, rows, &rank);
    for (unsigned i = 0; i < g->coded_count && n < g->shape.k; i++)
        if (rlnc_rank_add(&rank, g->coded[i].coefs))
            rows[n++] = generation_coded_row(g, &g->coded[i]);
    return n;
}

/* All that was computed, hashed side by side. */
static bool computed_is_genuine(const struct generation *g, const uint8_t *payload)
{
    uint8_t digest[RLNC_K_MAX][CODED_HASH_BYTES], index[RLNC_K_MAX];
    struct slice shard[RLNC_K_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < g->shape.k; i++)
        if (!coded_bits_has(&g->have, i)) {
            index[n] = (uint8_t)i;
            shard[n++] = slice_of(payload + rlnc_shape_offset(&g->shape, i), rlnc_shape_length(&g->work, i));
        }
    if (n == 0)
        return true;
    generation_hash_shards(shard, n, digest);
    for (unsigned i = 0; i < n; i++)
        if (memcmp(digest[i], g->hashes + index[i] * CODED_HASH_BYTES, CODED_HASH_BYTES))
            return false;
    return true;
}

void generation_drop_coded(struct generation *g)
{
    generation_ahead_drop(g);
    generation_doubt_rows(g);
    g->failures += g->failures < UINT8_MAX;
    rlnc_rank_reset(&g->rank);
    for (unsigned i = 0; i < g->shape.k; i++)
        if (coded_bits_has(&g->have, i))
            rlnc_rank_add_source(&g->rank, i);
}

/* What is there of a payload, side by side (true), or back to where it belongs. */
static void move_elided(const struct generation *g, uint8_t *payload, uint8_t *packed, bool is_packing)
{
    for (unsigned i = 0; i < g->shape.k; i++) {
        uint8_t *far = payload + rlnc_shape_offset(&g->shape, i), *near = packed + rlnc_shape_offset(&g->work, i);
        uint32_t len = rlnc_shape_length(&g->work, i);

        if (is_packing)
            memcpy(near, far, len);
        else if (memcmp(far, near, len) != 0) /* a page that stays zero is never touched */
            memcpy(far, near, len);
    }
}

static int decode_rows(const struct generation *g, struct rlnc_row *rows, unsigned n, uint8_t *payload, void *scratch)
{
    struct buf *packed;
    int err;

    if (!is_elided(g))
        return rlnc_decode(&g->shape, rows, n, payload, scratch);
    packed = buf_new(g->work.size_bytes);
    err = packed ? rlnc_decode(&g->work, rows, n, packed->data, scratch) : -RLNC_E_RANK;
    if (!err)
        move_elided(g, payload, packed->data, false);
    buf_unref(packed);
    return err;
}

bool generation_take_decoded(struct generation *g, struct buf *payload)
{
    if (!computed_is_genuine(g, payload->data))
        return false;
    generation_ahead_drop(g);
    payload->len = g->shape.size_bytes;
    rows_release(g, g->source, g->shape.k);
    rows_release(g, g->coded, g->coded_count);
    g->coded_count = 0;
    g->have = coded_bits_all(g->shape.k);
    g->payload = payload;
    return true;
}

/* What lies beside a row in its frame is kept with it: only a little is. */
static bool is_tight(const struct generation_row *r)
{
    return r->buf->len <= r->len + r->len / 8 + 1024;
}

bool generation_keep_rows(struct generation *g)
{
    if (g->dropped_count)
        return false;
    for (unsigned i = 0; i < g->shape.k; i++)
        if (!coded_bits_has(&g->have, i) || !is_tight(&g->source[i]))
            return false;
    generation_ahead_drop(g);
    rows_release(g, g->coded, g->coded_count);
    g->coded_count = 0;
    g->is_whole = true;
    return true;
}

bool generation_take(struct generation *g, struct rlnc_row *rows, struct buf *payload, void *scratch)
{
    return !decode_rows(g, rows, g->shape.k, payload->data, scratch) && generation_take_decoded(g, payload);
}

int generation_decode(struct generation *g, struct buf *payload, void *scratch)
{
    struct rlnc_row rows[RLNC_K_MAX];
    unsigned n = generation_choose_rows(g, rows, (uint8_t *)scratch + rlnc_decode_bytes(RLNC_K_MAX));

    if (n == g->shape.k && generation_take(g, rows, payload, scratch))
        return 0;
    generation_drop_coded(g);
    return -GENERATION_E_FORGED;
}

bool generation_dropped_is_genuine(const struct generation *g, unsigned i, uint8_t *scratch)
{
    struct buf *packed = is_elided(g) ? buf_new(g->work.size_bytes) : buf_ref(g->payload);

    if (!packed)
        return true; /* nobody is blamed for want of memory */
    if (is_elided(g))
        move_elided(g, g->payload->data, packed->data, true);
    rlnc_expect(&g->work, packed->data, g->dropped[i].coefs, scratch);
    buf_unref(packed);
    return memcmp(scratch, g->dropped[i].p, g->work.shard_bytes) == 0;
}

struct pubsub_piece generation_source_piece(const struct generation *g, unsigned i)
{
    const struct generation_row *r = &g->source[i];

    if (g->payload)
        return (struct pubsub_piece){g->payload, rlnc_shape_offset(&g->shape, i), rlnc_shape_length(&g->shape, i)};
    return (struct pubsub_piece){r->buf, (uint32_t)(r->p - r->buf->data), r->len};
}

void generation_recode(const struct generation *g, struct rng *rng, uint8_t *coefs, uint8_t *const *out, unsigned n)
{
    struct rlnc_row rows[RLNC_K_MAX];
    unsigned nrows = 0;

    for (unsigned i = 0; i < g->shape.k; i++)
        if (coded_bits_has(&g->have, i))
            rows[nrows++] = generation_source_row(g, i);
    rlnc_recode(&g->work, rows, nrows, rng, coefs, out, n);
}
