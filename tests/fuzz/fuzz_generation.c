/* fuzz_generation.c: one coded message at one node, fed with right and forged shards in any order
 * Input:   k, then steps of two bytes and, for coded shards, k coefficients: what kind of shard, and from whom
 * Holds:   a payload that decodes is the published one; a forged source shard is never kept; a decode that fails leaves the verified
 *          rows, and with all of them the message still decodes; dropped rows name the forged ones alone; bytes are accounted for
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "pubsub/generation_ahead.h"
#include "pubsub/generation_doubt.h"
#include "pubsub/generation_header.h"

enum { SHARD = 5 };

struct field {
    struct rlnc_shape shape;
    struct generation *g;
    uint8_t payload[SHARD * RLNC_K_MAX];
    void *scratch;
    bool has_forged; /* a forged coded row is among those kept */
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void open_generation(struct field *f, unsigned k)
{
    static struct key_pair key;
    static struct peer_id self;
    struct coded_header h;
    struct buf *header;
    struct pb_field field;
    struct rd r;

    if (!self.len) {
        key_pair_from_seed(&key, (uint8_t[32]){1});
        key_pair_peer_id(&key, &self);
    }
    rlnc_shape_init(&f->shape, SHARD * k - 1, k); /* the last shard is cut */
    for (unsigned i = 0; i < sizeof(f->payload); i++)
        f->payload[i] = (uint8_t)(i * 13 + k);
    header = generation_header_make(&key, &self, SLICE_LIT("t"), k, &f->shape, f->payload, 0);
    r = rd_of(buf_slice(header));
    check(pb_next(&r, &field) == 1 && !coded_header_read(field.bytes, &h));
    check(!generation_header_verify(&h));
    f->g = generation_new(&h, header, 0);
    check(f->g);
    buf_unref(header);
    f->scratch = malloc(generation_decode_bytes());
    f->has_forged = false;
}

static void add_source(struct field *f, unsigned index, bool is_forged, pubsub_peer from)
{
    struct rlnc_row row = rlnc_source_row(&f->shape, f->payload, index);
    struct buf *frame = buf_copy(slice_of(row.p, row.len));
    enum generation_verdict v;
    bool had = coded_bits_has(&f->g->have, index);

    frame->data[row.len - 1] ^= is_forged;
    v = generation_add_source(f->g, index, buf_slice(frame), frame, from);
    check(had ? v == GENERATION_DUPLICATE : is_forged == (v == GENERATION_FORGED));
    check(coded_bits_has(&f->g->have, index) == (had || !is_forged));
    buf_unref(frame);
}

static void add_coded(struct field *f, const uint8_t *coefs, bool is_forged, pubsub_peer from)
{
    struct buf *frame = buf_new(SHARD + f->shape.k);
    unsigned rank = f->g->rank.rank;
    struct generation_arrival a;
    enum generation_verdict v;

    frame->len = SHARD + f->shape.k;
    rlnc_expect(&f->shape, f->payload, coefs, frame->data);
    memcpy(frame->data + SHARD, coefs, f->shape.k);
    frame->data[from % SHARD] ^= is_forged;
    a = (struct generation_arrival){.coefs = slice_of(frame->data + SHARD, f->shape.k), .frame = frame, .from = from, .hand_count = 2,
                                    .payload = slice_of(frame->data, f->shape.shard_bytes), .hands = {from, coefs[0]}};
    v = generation_is_in_doubt(f->g) ? generation_doubt_add(f->g, &a) : generation_add_coded(f->g, &a);
    check(v == GENERATION_NEW || v == GENERATION_UNHELPFUL || (v == GENERATION_ASIDE && generation_is_in_doubt(f->g)));
    check(f->g->dropped_count <= GENERATION_DOUBT_ROWS * f->shape.k);
    check(f->g->rank.rank == rank + (v == GENERATION_NEW));
    f->has_forged |= is_forged && v == GENERATION_NEW;
    buf_unref(frame);
}

/* Every choice that there is. What is found is the payload, whatever was forged. */
static bool decode_doubted(struct field *f)
{
    struct generation_choice c = {.mask = 0};
    uint8_t shard[SHARD];

    while (generation_doubt_next(f->g, &c, f->scratch)) {
        struct buf *payload;

        if (!generation_doubt_test(f->g, &c, shard, f->scratch))
            continue;
        payload = buf_new(f->shape.size_bytes);
        if (generation_doubt_decode(f->g, &c, payload, f->scratch)) {
            buf_unref(payload);
            continue;
        }
        check(slice_is_equal(buf_slice(payload), slice_of(f->payload, f->shape.size_bytes)));
        return true;
    }
    return false;
}

static void solve_ahead(struct field *f)
{
    struct buf *payload;

    if (f->g->rank.rank + 1u != f->shape.k || f->g->is_ahead_tried)
        return;
    payload = buf_new(f->shape.size_bytes);
    if (!generation_ahead_make(f->g, payload, f->scratch))
        buf_unref(payload);
}

static int decode_full(struct field *f)
{
    struct buf *payload;
    int err = f->g->ahead ? generation_ahead_finish(f->g) : -GENERATION_E_STALE;

    check(!f->g->ahead);
    if (err != -GENERATION_E_STALE)
        return err;
    payload = buf_new(f->shape.size_bytes);
    err = generation_decode(f->g, payload, f->scratch);
    if (err)
        buf_unref(payload);
    return err;
}

/* True once decoded. */
static bool decode(struct field *f)
{
    unsigned verified = coded_bits_count(&f->g->have);

    if (!rlnc_rank_is_full(&f->g->rank)) {
        solve_ahead(f);
        return decode_doubted(f);
    }
    if (decode_full(f)) {
        check(f->has_forged && f->g->rank.rank == verified && f->g->coded_count == 0);
        f->has_forged = false;
        return false;
    }
    check(slice_is_equal(buf_slice(f->g->payload), slice_of(f->payload, f->shape.size_bytes)));
    return true;
}

static void close_generation(struct field *f)
{
    uint8_t bytes[SHARD];

    for (unsigned i = 0; i < f->g->dropped_count; i++) {
        uint8_t want[SHARD];
        bool is_genuine = generation_dropped_is_genuine(f->g, i, bytes);

        rlnc_expect(&f->shape, f->payload, f->g->dropped[i].coefs, want);
        check(is_genuine == !memcmp(want, f->g->dropped[i].p, f->shape.shard_bytes));
    }
    generation_release_dropped(f->g);
    check(f->g->bytes == f->g->block_bytes);
    generation_free(f->g);
    free(f->scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field f;
    bool is_done = false;

    if (size < 1 || data[0] < CODED_K_MIN)
        return 0;
    open_generation(&f, data[0]);
    data++, size--;
    while (size >= 2 && !is_done) {
        uint8_t kind = data[0], arg = data[1];
        pubsub_peer from = 1 + kind / 8 % 4;

        data += 2, size -= 2;
        if (kind % 8 == 7) {
            generation_peer_gone(f.g, from);
        } else if (kind % 2) {
            if (size < f.shape.k)
                break;
            generation_link(f.g, from, true);
            add_coded(&f, data, kind & 4, from);
            data += f.shape.k, size -= f.shape.k;
        } else {
            add_source(&f, arg % f.shape.k, kind & 4, from);
        }
        is_done = decode(&f);
    }
    for (unsigned i = 0; i < f.shape.k && !is_done; i++) { /* honest shards end it, whatever came before */
        add_source(&f, i, false, 9);
        is_done = decode(&f);
    }
    check(is_done);
    close_generation(&f);
    return 0;
}
