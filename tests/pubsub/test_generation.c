/* test_generation.c: one generation: hashes, headers, rows, decoding, forged rows */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/sha256.h"
#include "gf/gf.h"
#include "pubsub/coded_maker.h"
#include "pubsub/generation_ahead.h"
#include "pubsub/generation_doubt.h"
#include "pubsub/generation_hash.h"
#include "pubsub/generation_int.h"

static struct maker m;
static uint8_t *scratch;

static int open_all(void **state)
{
    maker_open(&m, 1);
    scratch = malloc(generation_decode_bytes());
    return 0;
}

static int close_all(void **state)
{
    maker_close(&m);
    free(scratch);
    return 0;
}

/* Of the message that was made last. */
static struct generation *make_again(void)
{
    struct coded_header h;
    struct pb_field f;
    struct rd r;

    r = rd_of(maker_header(&m));
    assert_int_equal(pb_next(&r, &f), 1);
    assert_int_equal(coded_header_read(f.bytes, &h), 0);
    assert_int_equal(generation_header_verify(&h), 0);
    return generation_new(&h, m.header, 0);
}

static struct generation *make(unsigned k, uint32_t size)
{
    maker_message(&m, k, size);
    return make_again();
}

/* A frame of its own exact size that holds one shard field; the shard read from it. */
static struct buf *frame_of(struct slice field, struct coded_shard *s)
{
    struct buf *b = buf_copy(field);
    struct rd r = rd_of(buf_slice(b));
    struct pb_field f;

    assert_int_equal(pb_next(&r, &f), 1);
    assert_int_equal(coded_shard_read(f.bytes, s), 0);
    return b;
}

static enum generation_verdict give_coded(struct generation *g, const struct coded_shard *s, struct buf *frame, pubsub_peer from)
{
    struct generation_arrival a = {.coefs = s->coefs, .payload = s->payload, .frame = frame, .from = from, .hand_count = 1,
                                   .hands = {from}};

    return generation_is_in_doubt(g) ? generation_doubt_add(g, &a) : generation_add_coded(g, &a);
}

static enum generation_verdict give(struct generation *g, struct slice field, pubsub_peer from)
{
    struct coded_shard s;
    struct buf *b = frame_of(field, &s);
    enum generation_verdict v = s.coefs.len == 1
                                    ? generation_add_source(g, s.coefs.p[0], s.payload, b, from)
                                    : give_coded(g, &s, b, from);

    buf_unref(b);
    return v;
}

static int decode(struct generation *g)
{
    struct buf *out = buf_new(g->shape.size_bytes);
    int err = generation_decode(g, out, scratch);

    if (err)
        buf_unref(out);
    return err;
}

/* The tree as docs/PROTOCOL.md 4 defines it, written a second time. */
static void shard_hash_by_text(struct slice s, uint8_t out[32])
{
    uint8_t be[4] = {(uint8_t)(s.len >> 24), (uint8_t)(s.len >> 16), (uint8_t)(s.len >> 8), (uint8_t)s.len};
    struct sha256 root;

    sha256_init(&root);
    sha256_update(&root, SLICE_LIT("codecast-rlnc-shard-v1:"));
    sha256_update(&root, slice_of(be, 4));
    for (size_t at = 0; at < s.len; at += 16384) {
        uint8_t leaf[32];
        sha256_of(slice_of(s.p + at, s.len - at < 16384 ? s.len - at : 16384), leaf);
        sha256_update(&root, slice_of(leaf, 32));
    }
    sha256_final(&root, out);
}

static void test_hash_follows_the_text(void **state)
{
    static const struct { uint32_t size; unsigned k; } cases[] = {
        {2, 2}, {100, 3}, {32768, 2}, {32769, 2}, {65536, 4}, {255 * 20, 255}, {40 * 16384 + 5, 1}, {200000, 40}, {1 << 20, 4},
    };
    uint8_t out[255 * 32], want[32];

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct rlnc_shape s;
        uint8_t *p = malloc(cases[c].size);

        rng_fill(&m.rng, p, cases[c].size);
        rlnc_shape_init(&s, cases[c].size, cases[c].k);
        generation_hash_payload(&s, p, 0, out);
        for (unsigned i = 0; i < s.k; i++) {
            struct slice shard = slice_of(p + rlnc_shape_offset(&s, i), rlnc_shape_length(&s, i));
            shard_hash_by_text(shard, want);
            assert_memory_equal(out + 32 * i, want, 32);
            generation_hash_shard(shard, out + 32 * i);
            assert_memory_equal(out + 32 * i, want, 32);
        }
        free(p);
    }
}

static void test_header_is_bound_to_publisher_and_content(void **state)
{
    struct generation *g = make(4, 4000);
    struct coded_header h, other;
    struct pb_field f;
    struct rd r = rd_of(maker_header(&m));
    uint8_t id[CODED_ID_BYTES], id2[CODED_ID_BYTES], bent[2048];

    generation_free(g);
    assert_int_equal(pb_next(&r, &f), 1);
    coded_header_read(f.bytes, &h);
    generation_header_id(&h, id);
    assert_memory_equal(id, m.id, sizeof(id));
    for (size_t i = 0; i < f.bytes.len; i += 7) {
        memcpy(bent, f.bytes.p, f.bytes.len);
        bent[i] ^= 1;
        if (coded_header_read(slice_of(bent, f.bytes.len), &other))
            continue; /* no longer a header */
        assert_true(generation_header_verify(&other) < 0);
        if (i < f.bytes.len - 66) { /* the signature is not part of the name */
            generation_header_id(&other, id2);
            assert_memory_not_equal(id, id2, sizeof(id));
        }
    }
}

static void test_header_k_leaves_no_shard_empty(void **state)
{
    for (uint32_t size = 2; size < 3000; size += 7)
        for (unsigned want = 2; want <= 255; want += 11) {
            struct rlnc_shape s;
            unsigned k = generation_header_k(size, want);

            assert_true(k >= 1 && k <= want);
            assert_int_equal(rlnc_shape_init(&s, size, k), 0);
            assert_true(rlnc_shape_length(&s, k - 1) > 0);
        }
    assert_int_equal(generation_header_k(1 << 20, 4), 4);
    assert_int_equal(generation_header_k(2000, 255), 250);
}

static void test_generation_decodes_any_mixture(void **state)
{
    static const unsigned ks[] = {2, 3, 4, 16, 64, 255};

    for (size_t c = 0; c < 6; c++)
        for (unsigned coded = 0; coded <= ks[c]; coded += 1 + ks[c] / 5) {
            unsigned k = ks[c], tries = 0;
            struct generation *g = make(k, 37 * k - 5);

            for (unsigned i = coded; i < k; i++)
                assert_int_equal(give(g, maker_source(&m, i, 0), 5), GENERATION_NEW);
            while (!rlnc_rank_is_full(&g->rank) && ++tries < 2 * k + 10)
                give(g, maker_coded(&m, NULL, 0), 6);
            assert_int_equal(decode(g), 0);
            assert_true(slice_is_equal(buf_slice(g->payload), buf_slice(m.payload)));
            assert_int_equal(g->bytes, g->block_bytes); /* no row is left */
            for (unsigned i = 0; i < k; i++) {
                struct pubsub_piece p = generation_source_piece(g, i);
                assert_int_equal(p.len, rlnc_shape_length(&m.shape, i));
                assert_memory_equal(p.buf->data + p.off, m.payload->data + rlnc_shape_offset(&m.shape, i), p.len);
            }
            generation_free(g);
        }
}

static void expect_pieces(const struct generation *g)
{
    for (unsigned i = 0; i < m.shape.k; i++) {
        struct pubsub_piece p = generation_source_piece(g, i);
        assert_int_equal(p.len, rlnc_shape_length(&m.shape, i));
        assert_memory_equal(p.buf->data + p.off, m.payload->data + rlnc_shape_offset(&m.shape, i), p.len);
    }
}

/* Where nobody reads the message its source rows stay where they are, and serve as the payload would. */
static void test_generation_keeps_its_rows_instead_of_a_payload(void **state)
{
    uint8_t coefs[8], mixed[2][600], *out[2] = {mixed[0], mixed[1]};
    struct generation *g = make(4, 2395), *again;

    for (unsigned i = 0; i < 4; i++) {
        assert_false(generation_keep_rows(g));
        assert_int_equal(give(g, maker_source(&m, i, 0), 5), i < 3 ? GENERATION_NEW : GENERATION_VERIFIED);
        if (i == 1)
            give(g, maker_coded(&m, NULL, 0), 6);
    }
    assert_false(generation_is_decoded(g));
    assert_true(generation_keep_rows(g));
    assert_true(generation_is_decoded(g));
    assert_null(g->payload);
    assert_int_equal(generation_rank(g), 4);
    assert_int_equal(g->bytes, g->block_bytes + 2395); /* the coded row is gone */
    expect_pieces(g);
    generation_recode(g, &m.rng, coefs, out, 2);
    again = make_again();
    assert_int_equal(give(again, maker_shard(&m, slice_of(coefs, 4), slice_of(mixed[0], 599), 0, 0), 5), GENERATION_NEW);
    for (unsigned i = 0; i < 4; i++)
        give(again, maker_source(&m, i, 0), 5);
    assert_int_equal(decode(again), 0);
    assert_true(slice_is_equal(buf_slice(again->payload), buf_slice(m.payload)));
    generation_free(again);
    generation_free(g);
}

/* Not at the price of large frames. */
static void test_generation_keeps_no_rows_of_loose_frames(void **state)
{
    struct generation *g = make(2, 20000);

    for (unsigned i = 0; i < 2; i++) {
        struct slice field = maker_source(&m, i, 0);
        struct buf *frame = buf_new(15000);
        struct coded_shard s;
        struct pb_field f;
        struct rd r;

        memcpy(frame->data, field.p, field.len);
        frame->len = 15000;
        r = rd_of(slice_of(frame->data, field.len));
        assert_int_equal(pb_next(&r, &f), 1);
        coded_shard_read(f.bytes, &s);
        assert_int_equal(generation_add_source(g, i, s.payload, frame, 5), GENERATION_NEW);
        buf_unref(frame);
    }
    assert_false(generation_keep_rows(g));
    assert_int_equal(decode(g), 0);
    generation_free(g);
}

static void test_generation_judges_each_shard(void **state)
{
    struct generation *g = make(4, 4000);
    uint8_t c[4] = {0, 9, 0, 0}, wrong[1000] = {1}, index = 2;

    assert_int_equal(give(g, maker_shard(&m, slice_of(&index, 1), slice_of(wrong, 1000), 0, 0), 5), GENERATION_FORGED);
    assert_int_equal(give(g, maker_source(&m, 2, 0), 5), GENERATION_NEW);
    assert_int_equal(give(g, maker_source(&m, 2, 0), 6), GENERATION_DUPLICATE);
    assert_int_equal(give(g, maker_coded(&m, c, 0), 5), GENERATION_NEW);
    assert_int_equal(give(g, maker_coded(&m, c, 0), 5), GENERATION_UNHELPFUL);
    assert_int_equal(give(g, maker_source(&m, 1, 0), 5), GENERATION_VERIFIED); /* no rank, but may be passed on now */
    assert_int_equal(g->rank.rank, 2);
    assert_true(coded_bits_has(&g->have, 1));
    assert_int_equal(give(g, maker_source(&m, 0, 0), 5), GENERATION_NEW);
    assert_int_equal(give(g, maker_coded(&m, NULL, 0), 5), GENERATION_NEW);
    assert_true(rlnc_rank_is_full(&g->rank));
    assert_int_equal(decode(g), 0);
    generation_free(g);
}

static void test_generation_survives_a_forged_row_and_names_it(void **state)
{
    struct generation *g = make(4, 4000);
    uint8_t coefs[4] = {1, 2, 3, 4}, wrong[1000] = {1}, shard[1000];

    give(g, maker_source(&m, 0, 0), 5);
    give(g, maker_coded(&m, NULL, 0), 6);
    assert_int_equal(give(g, maker_shard(&m, slice_of(coefs, 4), slice_of(wrong, 1000), 0, 0), 7), GENERATION_NEW);
    give(g, maker_source(&m, 1, 0), 5);
    generation_link(g, 6, true);
    generation_link(g, 7, true);
    assert_int_equal(decode(g), -GENERATION_E_FORGED);
    assert_int_equal(g->rank.rank, 2);
    assert_int_equal(g->dropped_count, 2);
    give(g, maker_source(&m, 2, 0), 5);
    give(g, maker_source(&m, 3, 0), 5);
    assert_int_equal(decode(g), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(generation_dropped_is_genuine(g, i, shard), g->dropped[i].from == 6);
    generation_release_dropped(g);
    generation_free(g);
}

/* A coded row with these coefficients (NULL: random), right or wrong, through these hands. */
static enum generation_verdict give_row(struct generation *g, const uint8_t *coefs, unsigned n, const uint32_t *hands, bool is_forged)
{
    struct generation_arrival a = {.from = hands[0], .is_second_hand = n > 1, .hand_count = (uint8_t)n};
    enum generation_verdict v;
    struct coded_shard s;

    memcpy(a.hands, hands, n * sizeof(hands[0]));
    a.frame = frame_of(maker_coded(&m, coefs, 0), &s);
    ((uint8_t *)(uintptr_t)s.payload.p)[3] ^= is_forged;
    a.coefs = s.coefs;
    a.payload = s.payload;
    v = generation_is_in_doubt(g) ? generation_doubt_add(g, &a) : generation_add_coded(g, &a);
    buf_unref(a.frame);
    return v;
}

static enum generation_verdict give_by(struct generation *g, unsigned n, const uint32_t *hands, bool is_forged)
{
    return give_row(g, NULL, n, hands, is_forged);
}

/* All but two verified, a forged row of 7 beside a right one of 6: decoded to nonsense. */
static struct generation *make_doubted_of(unsigned k)
{
    struct generation *g = make(k, 1000 * k);

    for (unsigned i = 0; i < k; i++)
        if (i != 1 && i != 3)
            give(g, maker_source(&m, i, 0), 5);
    give_by(g, 1, (uint32_t[]){6}, false);
    give_by(g, 1, (uint32_t[]){7}, true);
    assert_int_equal(decode(g), -GENERATION_E_FORGED);
    assert_true(generation_is_in_doubt(g));
    return g;
}

static struct generation *make_doubted(void)
{
    return make_doubted_of(4);
}

/* How many choices are tried until one is right; 0: none is. */
static unsigned tries_until_right(struct generation *g)
{
    struct generation_choice c = {.mask = 0};
    uint8_t out[1000];
    unsigned n = 0;

    while (generation_doubt_next(g, &c, scratch)) {
        struct buf *payload = buf_new(g->shape.size_bytes);

        n++;
        if (generation_doubt_test(g, &c, out, scratch) && !generation_doubt_decode(g, &c, payload, scratch)) {
            assert_true(slice_is_equal(buf_slice(g->payload), buf_slice(m.payload)));
            return n;
        }
        buf_unref(payload);
    }
    return 0;
}

static void test_doubt_leaves_the_forger_out(void **state)
{
    struct generation *g = make_doubted();

    assert_int_equal(tries_until_right(g), 0); /* without either one is too little */
    assert_int_equal(give_by(g, 2, (uint32_t[]){8, 7}, true), GENERATION_ASIDE);
    assert_int_equal(give_by(g, 2, (uint32_t[]){8, 6}, false), GENERATION_ASIDE);
    assert_in_range(tries_until_right(g), 1, 4);
    generation_free(g);
}

/* Two forgers: some pair is left out in the end. What was tried is not tried again. */
static void test_doubt_leaves_two_forgers_out(void **state)
{
    struct generation *g = make_doubted();

    assert_int_equal(give_by(g, 1, (uint32_t[]){9}, true), GENERATION_ASIDE);
    assert_int_equal(give_by(g, 1, (uint32_t[]){9}, true), GENERATION_ASIDE);
    assert_int_equal(tries_until_right(g), 0);
    assert_int_equal(tries_until_right(g), 0);
    assert_true(g->doubt->tries <= 8);
    assert_int_equal(give_by(g, 1, (uint32_t[]){10}, false), GENERATION_ASIDE);
    assert_in_range(tries_until_right(g), 1, 12);
    generation_free(g);
}

/* A forger that makes old rows give way to new ones, and names others, has every choice tried again and again. That may use up the
 * tries of a second, but not those of the next, when honest rows have come. */
static void test_doubt_has_tries_left_after_a_flood(void **state)
{
    struct generation *g = make_doubted_of(16);

    for (uint32_t i = 0; i < 46; i++)
        assert_int_equal(give_by(g, 2, (uint32_t[]){7, 100}, true), GENERATION_ASIDE);
    for (uint32_t i = 0; g->doubt->tries < GENERATION_TRIES_MAX; i++) {
        assert_int_equal(give_by(g, 2, (uint32_t[]){7, 200 + i}, true), GENERATION_ASIDE);
        assert_int_equal(tries_until_right(g), 0);
    }
    assert_int_equal(give_by(g, 1, (uint32_t[]){9}, false), GENERATION_ASIDE);
    assert_int_equal(tries_until_right(g), 0);
    generation_doubt_allow(g, 999999999);
    assert_int_equal(tries_until_right(g), 0);
    generation_doubt_allow(g, 1000000000);
    assert_in_range(tries_until_right(g), 1, GENERATION_TRIES_MAX);
    generation_free(g);
}

/* What a walk may cost is bounded also when nothing can be built; the next one goes on where it ended. */
static void test_doubt_walks_a_bounded_way_and_goes_on(void **state)
{
    struct generation_choice first = {.spans_max = 1}, second = {.spans_max = 1};
    struct generation *g = make_doubted();
    uint8_t coefs[4], out[1000];

    for (unsigned i = 0; i < 4; i++)
        coefs[i] = gf_byte_mul(2, g->dropped[1].coefs[i]); /* adds nothing to what 7 gave */
    assert_int_equal(give_row(g, coefs, 1, (uint32_t[]){8}, false), GENERATION_ASIDE);
    assert_false(generation_doubt_next(g, &first, scratch)); /* not without 6 */
    assert_true(first.is_cut);
    assert_int_equal(first.spans, 1);
    assert_true(generation_doubt_next(g, &second, scratch)); /* but without 7 */
    assert_int_equal(second.spans, 1);
    assert_true(generation_doubt_test(g, &second, out, scratch));
    generation_free(g);
}

/* The same row by another way: whoever is on both ways remains, and who vouches for it. */
static void test_doubt_joins_the_ways_of_a_row(void **state)
{
    struct generation *g = make_doubted();
    struct generation_row *r = &g->dropped[1];
    struct generation_arrival a = {.coefs = slice_of(r->coefs, 4), .payload = slice_of(r->p, 1000), .frame = r->buf, .from = 3,
                                   .is_second_hand = true, .hand_count = 2, .hands = {3, 7}};

    assert_int_equal(r->hands[0], 7);
    assert_int_equal(generation_doubt_add(g, &a), GENERATION_UNHELPFUL);
    assert_int_equal(g->dropped_count, 2);
    a.hands[1] = 4; /* nobody is on both: it stands beside it */
    assert_int_equal(generation_doubt_add(g, &a), GENERATION_ASIDE);
    a.hand_count = 3;
    a.hands[0] = 9, a.hands[1] = 4, a.hands[2] = 5;
    assert_int_equal(generation_doubt_add(g, &a), GENERATION_UNHELPFUL);
    r = &g->dropped[2];
    assert_int_equal(r->hand_count, 1);
    assert_int_equal(r->hands[0], 4);
    generation_free(g);
}

/* With no room left it is the flooder's rows that go, also when its neighbour passes them on, or it names others. */
static void test_doubt_keeps_room_for_the_others(void **state)
{
    struct generation *g = make_doubted();
    unsigned kept = 0;

    for (uint32_t i = 0; i < 40; i++)
        give_by(g, 3, (uint32_t[]){8, 7, 100 + i}, true);
    assert_int_equal(g->dropped_count, 12);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(give_by(g, 2, (uint32_t[]){8, 6}, false), GENERATION_ASIDE);
    assert_int_equal(g->dropped_count, 12);
    for (unsigned i = 0; i < 12; i++)
        kept += g->dropped[i].hands[g->dropped[i].hand_count - 1] == 6;
    assert_int_equal(kept, 4);
    assert_true(tries_until_right(g) > 0);
    generation_release_dropped(g);
    assert_int_equal(g->bytes, g->block_bytes);
    generation_free(g);
}

/* A small row in a large frame is copied, so that it does not pin the frame. */
static void test_generation_does_not_pin_large_frames(void **state)
{
    struct generation *g = make(4, 400);
    struct slice field = maker_source(&m, 0, 0);
    struct buf *frame = buf_new(10000);
    struct coded_shard s;
    struct pb_field f;
    struct rd r;

    memcpy(frame->data, field.p, field.len);
    frame->len = 10000;
    r = rd_of(slice_of(frame->data, field.len));
    assert_int_equal(pb_next(&r, &f), 1);
    coded_shard_read(f.bytes, &s);
    assert_int_equal(generation_add_source(g, 0, s.payload, frame, 5), GENERATION_NEW);
    assert_int_equal(frame->refs, 1);
    frame->len = (uint32_t)field.len;
    field = maker_coded(&m, NULL, 0);
    memcpy(frame->data, field.p, field.len);
    r = rd_of(slice_of(frame->data, field.len));
    pb_next(&r, &f);
    coded_shard_read(f.bytes, &s);
    frame->len = (uint32_t)field.len;
    assert_int_equal(give_coded(g, &s, frame, 5), GENERATION_NEW);
    assert_int_equal(frame->refs, 2);
    buf_unref(frame);
    generation_free(g);
}

static void test_links_are_bounded_and_forgotten(void **state)
{
    struct generation *g = make(4, 400);

    for (pubsub_peer p = 1; p <= GENERATION_LINKS_MAX; p++)
        assert_int_equal(generation_link(g, p, true)->peer, p);
    assert_null(generation_link(g, GENERATION_LINKS_MAX + 1, true));
    assert_null(generation_link(g, 0, true));
    give(g, maker_source(&m, 0, 0), 9);
    g->last_from = 9;
    generation_peer_gone(g, 9);
    assert_null(generation_link(g, 9, false));
    assert_int_equal(g->source[0].from, 0);
    assert_int_equal(g->last_from, 0);
    assert_int_equal(g->link_count, GENERATION_LINKS_MAX - 1);
    generation_free(g);
}

/* What others have is what we ask for while we collect; once we have it ourselves, who has it too needs no memory of ours. */
static void test_links_of_the_done_give_way_once_decoded(void **state)
{
    struct generation *g = make(4, 400);

    for (pubsub_peer p = 1; p <= GENERATION_LINKS_MAX; p++)
        generation_link(g, p, true)->is_done = p == 7 || p == 9;
    assert_null(generation_link(g, 1000, true));
    g->payload = buf_ref(m.payload);
    assert_int_equal(generation_link(g, 1000, true)->peer, 1000);
    assert_int_equal(generation_link(g, 1001, true)->peer, 1001);
    assert_false(generation_link(g, 1001, true)->is_done);
    assert_null(generation_link(g, 1002, true));
    assert_null(generation_link(g, 7, false));
    assert_null(generation_link(g, 9, false));
    assert_non_null(generation_link(g, 8, false));
    generation_free(g);
}

/* Who has a kept message, and knows that we have it, costs 12 bytes, and is still not served without end. */
static void test_links_of_the_done_become_short_once_decoded(void **state)
{
    struct generation *g = make(4, 400);
    struct generation_link *l;

    for (pubsub_peer p = 1; p <= 200; p++) {
        l = generation_link(g, p, true);
        l->is_done = p != 7;
        l->told_rank = p == 9 ? 3 : 4;
        l->served = (uint16_t)p;
        l->headers = 2;
    }
    assert_int_equal(generation_links_settle(g), (256 - 8) * sizeof(*l)); /* not while we collect */
    assert_int_equal(g->link_count, 200);
    g->payload = buf_ref(m.payload);
    assert_true(g->is_link_due == false);
    assert_int_equal(generation_links_settle(g), 256 * sizeof(struct generation_settled));
    assert_int_equal(g->link_count, 2);
    assert_false(generation_is_settled(g, 7) || generation_is_settled(g, 9));
    assert_true(generation_is_settled(g, 1) && generation_is_settled(g, 200));
    assert_non_null(generation_link(g, 7, false));
    assert_null(generation_link(g, 8, false));
    assert_int_equal(g->settled_count, 198);

    l = generation_link(g, 8, true); /* it asks for something all the same */
    assert_true(g->is_link_due && l->is_done && l->has_header);
    assert_int_equal(l->served, 8);
    assert_int_equal(l->headers, 2);
    assert_int_equal(l->told_rank, 4);
    assert_false(generation_is_settled(g, 8));
    l->served += 5;
    generation_links_settle(g);
    assert_true(generation_is_settled(g, 8));
    assert_int_equal(generation_link(g, 8, true)->served, 13);
    generation_peer_gone(g, 8);
    generation_peer_gone(g, 200);
    assert_false(generation_is_settled(g, 8) || generation_is_settled(g, 200));
    assert_int_equal(generation_link(g, 200, true)->served, 0);
    generation_free(g);
}

static void give_coded_until(struct generation *g, unsigned rank)
{
    for (unsigned i = 0; i < 1000 && g->rank.rank < rank; i++)
        give(g, maker_coded(&m, NULL, 0), 1);
    assert_int_equal(g->rank.rank, rank);
}

static bool solve_ahead(struct generation *g)
{
    struct buf *out = buf_new(g->shape.size_bytes);
    bool is_made = generation_ahead_make(g, out, scratch);

    if (!is_made)
        buf_unref(out);
    return is_made;
}

static void forget_last_coded(struct generation *g)
{
    generation_row_release(g, &g->coded[--g->coded_count]);
    rlnc_rank_reset(&g->rank);
    for (unsigned i = 0; i < g->coded_count; i++)
        rlnc_rank_add(&g->rank, g->coded[i].coefs);
}

/* Rows dropped, or another number of them, since it was solved ahead: said, and decoded anew. */
static void test_ahead_is_of_use_for_its_own_rows_alone(void **state)
{
    for (unsigned dropped = 0; dropped < 3; dropped++) {
        struct generation *g = make(16, 16000);

        give_coded_until(g, 15);
        assert_true(solve_ahead(g));
        assert_int_equal(g->bytes, g->block_bytes + 15 * 1000 + generation_ahead_bytes(g));
        for (unsigned i = 0; i < dropped; i++)
            forget_last_coded(g);
        for (unsigned i = 0; i < dropped; i++) /* as many as before at the last one, but others */
            assert_int_equal(give(g, maker_source(&m, 3 + 2 * i, 0), 1), GENERATION_NEW);
        give_coded_until(g, 16);
        assert_int_equal(generation_ahead_finish(g), dropped ? -GENERATION_E_STALE : 0);
        assert_null(g->ahead);
        if (dropped)
            assert_int_equal(decode(g), 0);
        assert_true(slice_is_equal(buf_slice(g->payload), buf_slice(m.payload)));
        assert_int_equal(g->bytes, g->block_bytes);
        generation_free(g);
    }
}

/* Forged where the missing shard is too short to tell: the verified shard stays as it was verified, and others' hashes tell. */
static void test_ahead_keeps_what_was_verified(void **state)
{
    struct generation *g = make(8, 793);
    uint8_t coefs[8], bytes[100];

    for (unsigned i = 0; i < 6; i++)
        give(g, maker_source(&m, i, 0), 1);
    rlnc_coefs_random(coefs, 8, &m.rng);
    rlnc_expect(&m.shape, m.payload->data, coefs, bytes);
    bytes[99]++;
    give(g, maker_shard(&m, slice_of(coefs, 8), slice_of(bytes, 100), 0, 0), 1);
    assert_true(solve_ahead(g));
    assert_int_equal(g->ahead->rest.gap, 7);
    assert_int_equal(give(g, maker_source(&m, 6, 0), 1), GENERATION_NEW);
    assert_int_equal(generation_ahead_finish(g), 0);
    assert_true(slice_is_equal(buf_slice(g->payload), buf_slice(m.payload)));
    generation_free(g);
}

static void test_ahead_pays_for_many_bytes_to_compute(void **state)
{
    static const struct { unsigned k, sources; uint32_t size; bool pays; } cases[] = {
        {64, 0, 64 * 4000, true}, {64, 0, 64 * 1000, false}, {64, 12, 64 * 4000, false}, {16, 0, 1 << 20, false},
        {24, 0, 1 << 20, true}, {24, 12, 1 << 20, false}, {4, 0, 240000, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct generation *g = make(cases[i].k, cases[i].size);

        for (unsigned j = 0; j < cases[i].sources; j++)
            give(g, maker_source(&m, j, 0), 1);
        give_coded_until(g, cases[i].k - 2);
        assert_false(generation_ahead_pays(g));
        give_coded_until(g, cases[i].k - 1);
        assert_int_equal(generation_ahead_pays(g), cases[i].pays);
        assert_true(solve_ahead(g));
        assert_false(generation_ahead_pays(g));
        generation_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_follows_the_text),
        cmocka_unit_test(test_header_is_bound_to_publisher_and_content),
        cmocka_unit_test(test_header_k_leaves_no_shard_empty),
        cmocka_unit_test(test_generation_decodes_any_mixture),
        cmocka_unit_test(test_generation_keeps_its_rows_instead_of_a_payload),
        cmocka_unit_test(test_generation_keeps_no_rows_of_loose_frames),
        cmocka_unit_test(test_generation_judges_each_shard),
        cmocka_unit_test(test_generation_survives_a_forged_row_and_names_it),
        cmocka_unit_test(test_doubt_leaves_the_forger_out),
        cmocka_unit_test(test_doubt_leaves_two_forgers_out),
        cmocka_unit_test(test_doubt_has_tries_left_after_a_flood),
        cmocka_unit_test(test_doubt_walks_a_bounded_way_and_goes_on),
        cmocka_unit_test(test_doubt_joins_the_ways_of_a_row),
        cmocka_unit_test(test_doubt_keeps_room_for_the_others),
        cmocka_unit_test(test_ahead_is_of_use_for_its_own_rows_alone),
        cmocka_unit_test(test_ahead_keeps_what_was_verified),
        cmocka_unit_test(test_ahead_pays_for_many_bytes_to_compute),
        cmocka_unit_test(test_generation_does_not_pin_large_frames),
        cmocka_unit_test(test_links_are_bounded_and_forgotten),
        cmocka_unit_test(test_links_of_the_done_give_way_once_decoded),
        cmocka_unit_test(test_links_of_the_done_become_short_once_decoded),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
