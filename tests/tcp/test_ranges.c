/* test_ranges.c: sequence arithmetic and sets, send queue, receive queue: each against a plain model */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rng.h"
#include "tcp/recvq.h"
#include "tcp/sendq.h"
#include "tcp/seqset.h"

#define SPAN 2000

static void test_seq_compares_across_the_wrap(void **state)
{
    (void)state;
    assert_true(seq_lt(0xfffffff0, 5) && seq_gt(5, 0xfffffff0) && seq_leq(7, 7) && seq_geq(7, 7));
    assert_true(seq_max(0xfffffff0, 5) == 5 && seq_min(0xfffffff0, 5) == 0xfffffff0);
    assert_int_equal(seq_diff(5, 0xfffffffb), 10);
}

/* ---- seqset ---- */

static void check_set(const struct seqset *s, const uint8_t *model, uint32_t base)
{
    uint32_t bytes = 0, i = 0;

    for (uint32_t at = 0; at < SPAN; at++) {
        bytes += model[at];
        uint32_t k = seqset_find(s, base + at);
        bool in = k < s->count && seq_leq(s->r[k].lo, base + at);
        assert_int_equal(in, model[at]);
    }
    assert_int_equal(s->bytes, bytes);
    for (; i + 1 < s->count; i++)
        assert_true(seq_lt(s->r[i].lo, s->r[i].hi) && seq_lt(s->r[i].hi, s->r[i + 1].lo));
}

static void test_seqset_equals_a_bitmap(void **state)
{
    struct rng r;

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint8_t model[SPAN] = {0};
        struct seqset s;
        uint32_t base = seed % 2 ? 0xfffffc00u : (uint32_t)seed * 77777; /* half of them wrap */
        rng_init_seeded(&r, seed);
        seqset_init(&s, SPAN);
        for (unsigned n = 0; n < 120; n++) {
            uint32_t lo = (uint32_t)rng_below(&r, SPAN - 1);
            uint32_t hi = lo + 1 + (uint32_t)rng_below(&r, seed % 3 ? 20 : SPAN - lo - 1);
            if (hi > SPAN)
                hi = SPAN;
            if (rng_below(&r, 30) == 0) {
                seqset_trim(&s, base + lo);
                memset(model, 0, lo);
            } else {
                assert_int_equal(seqset_add(&s, base + lo, base + hi), 0);
                memset(model + lo, 1, hi - lo);
            }
            check_set(&s, model, base);
        }
        seqset_fini(&s);
    }
}

static void test_seqset_refuses_one_range_too_many_and_keeps_the_rest(void **state)
{
    struct seqset s;

    (void)state;
    seqset_init(&s, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(seqset_add(&s, i * 10, i * 10 + 2), 0);
    assert_int_equal(seqset_add(&s, 40, 42), -1);
    assert_int_equal(seqset_add(&s, 2, 10), 0); /* joining needs no new range */
    assert_int_equal(s.count, 2);
    assert_int_equal(seqset_add(&s, 40, 42), 0);
    assert_int_equal(s.bytes, 12 + 2 + 2);
    seqset_fini(&s);
}

/* ---- send queue ---- */

static void test_sendq_gives_every_byte_at_its_place(void **state)
{
    struct buf *b = buf_new(SPAN);
    struct slice v[8];
    struct sendq q;
    struct rng r;
    uint32_t base = 0xffffff00u;

    (void)state;
    rng_init_seeded(&r, 5);
    rng_fill(&r, b->data, SPAN);
    sendq_init(&q, base);
    for (uint32_t at = 0; at < SPAN;) {
        uint32_t n = 1 + (uint32_t)rng_below(&r, 9);
        if (n > SPAN - at)
            n = SPAN - at;
        /* Every other piece from a copy, so that not all runs join. */
        struct buf *from = at % 2 ? buf_copy(slice_of(b->data + at, n)) : buf_ref(b);
        assert_int_equal(sendq_push(&q, from, from == b ? b->data + at : from->data, n), 0);
        buf_unref(from);
        at += n;
    }
    for (unsigned k = 0; k < 5000; k++) {
        uint32_t una = q.una - base, seq = una + (uint32_t)rng_below(&r, SPAN - una);
        uint32_t len = 1 + (uint32_t)rng_below(&r, 100), sum = 0;
        uint16_t count;
        uint32_t got = sendq_slices(&q, base + seq, len, v, 8, &count);
        assert_true(got <= len && (got == len || count == 8 || seq + got == SPAN));
        for (unsigned i = 0; i < count; i++) {
            assert_memory_equal(v[i].p, b->data + seq + sum, v[i].len);
            sum += (uint32_t)v[i].len;
        }
        assert_int_equal(sum, got);
        if (k % 100 == 0 && q.una != q.end)
            sendq_ack(&q, q.una + 1 + (uint32_t)rng_below(&r, 15) % (q.end - q.una));
    }
    sendq_fini(&q);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
}

static void test_sendq_joins_runs_of_one_buffer(void **state)
{
    struct buf *b = buf_new(100);
    struct sendq q;

    (void)state;
    sendq_init(&q, 1);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(sendq_push(&q, b, b->data + i, 1), 0);
    assert_int_equal(b->refs, 2);
    assert_int_equal(sendq_bytes(&q), 100);
    sendq_ack(&q, 101);
    assert_int_equal(b->refs, 1);
    sendq_fini(&q);
    buf_unref(b);
}

/* ---- receive queue ---- */

#define RX_BYTES (RECVQ_MAX_PIECES + 4 * RECVQ_MAX_RANGES) /* what the tests of the bounds go through */

struct rx {
    struct rxpool pool;
    struct recvq q;
    uint8_t stream[RX_BYTES], has[RX_BYTES];
    uint32_t base, read;
};

static void rx_init(struct rx *x, uint64_t pool_bytes, uint32_t base)
{
    struct rng r;

    memset(x, 0, sizeof(*x));
    rng_init_seeded(&r, 11);
    rng_fill(&r, x->stream, sizeof(x->stream));
    rxpool_init(&x->pool, pool_bytes);
    recvq_init(&x->q, &x->pool, base);
    x->base = base;
}

static enum recvq_result rx_insert(struct rx *x, uint32_t at, uint32_t len, bool lend)
{
    struct buf *b = buf_copy(slice_of(x->stream + at, len));
    uint32_t dup = 0;
    enum recvq_result r = recvq_insert(&x->q, x->base + at, buf_slice(b), lend ? b : NULL, &dup);

    if (!lend)
        memset(b->data, 0, len);
    buf_unref(b);
    assert_true(dup <= len);
    return r;
}

static void rx_read_all(struct rx *x)
{
    struct slice v[3];
    unsigned n;

    while ((n = recvq_peek(&x->q, v, 3))) {
        uint32_t sum = 0;
        for (unsigned i = 0; i < n; i++) {
            assert_memory_equal(v[i].p, x->stream + x->read + sum, v[i].len);
            sum += (uint32_t)v[i].len;
        }
        uint32_t take = sum > 10 ? sum - 3 : sum; /* also within a piece */
        recvq_consume(&x->q, take);
        x->read += take;
    }
    assert_int_equal(x->q.unread_bytes, 0);
}

static void rx_fini(struct rx *x)
{
    recvq_fini(&x->q);
    assert_int_equal(x->pool.used_bytes, 0);
    assert_int_equal(x->pool.pieces.used, 0);
    rxpool_fini(&x->pool);
}

/* The ranges beyond the hole are what the model has there. */
static void rx_check(const struct rx *x)
{
    uint32_t nxt = x->q.nxt - x->base, want = 0, pieces = 0;

    while (want < sizeof(x->has) && x->has[want])
        want++;
    assert_int_equal(nxt, want);
    uint32_t at = nxt;
    for (uint32_t i = 0; i < x->q.range_count; i++) {
        const struct rx_range *r = &x->q.range[i];
        uint32_t bytes = 0;
        for (; at < r->lo - x->base; at++)
            assert_false(x->has[at]);
        for (; at < r->hi - x->base; at++)
            assert_true(x->has[at]);
        for (const struct rx_piece *p = r->chain.first; p; p = p->next, pieces++)
            bytes += p->len;
        assert_int_equal(bytes, r->hi - r->lo);
    }
    for (; at < sizeof(x->has); at++)
        assert_false(x->has[at]);
    assert_int_equal(pieces, x->q.ooo_pieces);
}

static void test_recvq_reassembles_any_order(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    struct rng r;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        rng_init_seeded(&r, seed);
        rx_init(x, 1 << 20, seed % 2 ? 0xfffff000u : 1000);
        uint32_t longest = seed % 3 ? 400 : 3000;
        for (unsigned n = 0; n < 400; n++) {
            uint32_t window = x->q.nxt - x->base;
            uint32_t at = window + (uint32_t)rng_below(&r, 4000);
            if (rng_below(&r, 8) == 0)
                at = window > 200 ? window - (uint32_t)rng_below(&r, 200) : window;
            uint32_t len = 1 + (uint32_t)rng_below(&r, longest);
            if (at >= sizeof(x->has))
                break;
            if (at + len > sizeof(x->has))
                len = (uint32_t)sizeof(x->has) - at;
            enum recvq_result res = rx_insert(x, at, len, rng_below(&r, 2));
            assert_true(res == RECVQ_IN_ORDER || res == RECVQ_OUT_OF_ORDER);
            memset(x->has + at, 1, len);
            rx_check(x);
            if (rng_below(&r, 3) == 0)
                rx_read_all(x);
        }
        rx_read_all(x);
        assert_int_equal(x->read, x->q.nxt - x->base);
        rx_fini(x);
    }
    free(x);
}

static struct buf *insert_late(struct rx *x, uint32_t len)
{
    uint32_t at = x->q.nxt - x->base, dup = 0;
    struct buf *b = buf_copy(slice_of(x->stream + at, len));

    x->pool.may_be_late = true;
    assert_int_equal(recvq_insert(&x->q, x->base + at, buf_slice(b), NULL, &dup), RECVQ_IN_ORDER);
    x->pool.may_be_late = false;
    return b;
}

static void throw_away(struct buf *b)
{
    memset(b->data, 0xee, b->len);
    buf_unref(b);
}

static void test_recvq_copies_late_what_is_not_read_before(void **state)
{
    struct rx *x = malloc(sizeof(*x));

    (void)state;
    for (uint32_t read = 0; read <= 20001; read += 6667) {
        struct slice v;
        struct buf *a, *b;

        rx_init(x, 1 << 20, 0xfffff000u);
        rx_insert(x, 0, 100, false);
        a = insert_late(x, 10000);
        rx_insert(x, 10100, 100, false); /* a short one between them is copied at once */
        b = insert_late(x, 20000);
        recvq_consume(&x->q, 100);
        assert_int_equal(recvq_peek(&x->q, &v, 1), 1);
        assert_ptr_equal(v.p, a->data); /* where it came */
        recvq_consume(&x->q, read);
        x->read = 100 + read;
        rxpool_settle(&x->pool);
        throw_away(a);
        throw_away(b);
        rx_insert(x, 30200, 3000, false);
        rx_read_all(x);
        assert_int_equal(x->read, 33200);
        rx_fini(x);
    }
    rx_init(x, 1 << 20, 7); /* an end before the copy */
    struct buf *a = insert_late(x, 20000);
    recvq_fini(&x->q);
    throw_away(a);
    rxpool_settle(&x->pool);
    rx_fini(x);
    free(x);
}

static enum recvq_result insert_unread(struct rx *x, uint32_t at, struct buf *b, uint32_t len, uint32_t *dup)
{
    enum recvq_result r;

    b->len = len;
    memset(b->data, 0xee, len);
    *dup = 0;
    x->pool.is_unread = true;
    r = recvq_insert(&x->q, x->base + at, buf_slice(b), b, dup);
    x->pool.is_unread = false;
    return r;
}

/* Its bytes come: what was put off is copied then, or read before. */
static void read_unread(struct rx *x, struct buf *const *b, const uint32_t *at, unsigned n, bool settles_first)
{
    for (unsigned i = 0; i < n; i++)
        memcpy(b[i]->data, x->stream + at[i], b[i]->len);
    if (settles_first)
        rxpool_settle(&x->pool);
    for (unsigned i = 0; settles_first && i < n; i++)
        if (b[i]->refs == 1)
            memset(b[i]->data, 0xee, b[i]->len);
    rx_read_all(x);
    rxpool_settle(&x->pool);
}

/* What is not there yet is kept, or its copy waits until it is there. */
static void test_recvq_copies_nothing_before_it_is_read(void **state)
{
    struct rx *x = malloc(sizeof(*x));

    (void)state;
    for (unsigned settles_first = 0; settles_first < 2; settles_first++) {
        struct buf *b[2] = {buf_new(20000), buf_new(20000)};
        uint32_t dup;

        rx_init(x, 2 * RXPOOL_BLOCK_BYTES + 21000, 0xfffff000u); /* two blocks, and one buffer */
        rx_insert(x, 0, 100, false);
        rx_insert(x, 19900, 50, false);
        assert_int_equal(insert_unread(x, 0, b[0], 20000, &dup), RECVQ_IN_ORDER); /* kept */
        assert_int_equal(b[0]->refs, 2);
        assert_int_equal(insert_unread(x, 20000, b[1], 20000, &dup), RECVQ_IN_ORDER); /* it has room as a copy alone */
        assert_int_equal(b[1]->refs, 1);
        assert_int_equal(x->q.unread_bytes, 40000);
        assert_int_equal(insert_unread(x, 50000, b[1], 20000, &dup), RECVQ_NO_MEMORY);
        read_unread(x, b, (const uint32_t[]){0, 20000}, 2, settles_first);
        assert_int_equal(x->read, 40000);
        assert_int_equal(insert_unread(x, 22000, b[0], 20000, &dup), RECVQ_IN_ORDER); /* a tenth of it new */
        assert_int_equal(dup, 18000);
        assert_int_equal(b[0]->refs, 1);
        read_unread(x, b, (const uint32_t[]){22000}, 1, settles_first);
        assert_int_equal(x->read, 42000);
        rx_fini(x);
        buf_unref(b[0]);
        buf_unref(b[1]);
    }
    free(x);
}

/* Ranges at every second byte, and one frame over all of them: it is not charged as a whole for each gap that it closes. */
static void test_recvq_charges_an_unread_frame_by_its_bytes(void **state)
{
    struct rx *x = malloc(sizeof(*x));

    (void)state;
    for (unsigned settles_first = 0; settles_first < 2; settles_first++) {
        struct buf *b = buf_new(65536);
        uint32_t dup;

        rx_init(x, 1 << 28, 0xfffff000u);
        for (uint32_t at = 2; at <= 6000; at += 2)
            rx_insert(x, at, 1, false);
        assert_int_equal(insert_unread(x, 1, b, 6001, &dup), RECVQ_OUT_OF_ORDER);
        assert_int_equal(dup, 3000);
        assert_int_equal(b->refs, 1);
        assert_int_equal(x->q.range_count, 1);
        assert_int_equal(x->pool.used_bytes, RXPOOL_BLOCK_BYTES + 6001 * sizeof(struct rx_piece));
        rx_insert(x, 0, 1, false);
        read_unread(x, &b, (const uint32_t[]){1}, 1, settles_first);
        assert_int_equal(x->read, 6002);
        rx_fini(x);
        buf_unref(b);
    }
    free(x);
}

static void test_recvq_reports_the_latest_ranges_first(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    struct seq_range s[4];

    (void)state;
    rx_init(x, 1 << 20, 0);
    for (uint32_t i = 1; i <= 6; i++)
        rx_insert(x, i * 100, 10, false);
    for (uint32_t k = 1; k <= 6; k++) { /* as if each had been told when it came */
        assert_int_equal(x->q.untold, 7 - k);
        assert_int_equal(recvq_sacks(&x->q, s, 4), k < 4 ? k : 4);
        for (uint32_t i = 0; i < k && i < 4; i++)
            assert_true(s[i].lo == (k - i) * 100 && s[i].hi == (k - i) * 100 + 10);
    }
    assert_int_equal(x->q.untold, 0);
    assert_int_equal(recvq_sacks(&x->q, s, 4), 4); /* again, as none changed */
    assert_true(s[0].lo == 600 && s[3].lo == 300);
    rx_insert(x, 210, 5, false); /* the range at 200 grows: it is the latest now */
    rx_insert(x, 215, 5, false);
    assert_int_equal(recvq_sacks(&x->q, s, 3), 3);
    assert_true(s[0].lo == 200 && s[0].hi == 220 && s[1].lo == 600 && s[2].lo == 500);
    rx_insert(x, 205, 5, false); /* a duplicate comes first, once (RFC 2883) */
    assert_int_equal(recvq_sacks(&x->q, s, 3), 3);
    assert_true(s[0].lo == 205 && s[0].hi == 210 && s[1].lo == 200 && s[1].hi == 220);
    assert_int_equal(recvq_sacks(&x->q, s, 1), 1);
    assert_true(s[0].lo == 200);
    rx_insert(x, 0, 1000, false); /* all of them came twice now, the one at 600 last */
    assert_int_equal(recvq_sacks(&x->q, s, 4), 1);
    assert_true(s[0].lo == 600 && s[0].hi == 610);
    assert_int_equal(recvq_sacks(&x->q, s, 4), 0);
    rx_fini(x);
    free(x);
}

/* Of those that change between two ACKs none is left out, however they grow together. */
static void test_recvq_tells_of_every_change(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    struct seq_range s[3];
    uint8_t *told = malloc(40000);
    struct rng rng;

    (void)state;
    rng_init_seeded(&rng, 11);
    rx_init(x, 1 << 20, 0);
    memset(told, 0, 40000);
    for (unsigned turn = 0; turn < 300; turn++) {
        for (unsigned k = 0; k < RECVQ_RECENT / 2; k++)
            rx_insert(x, 1 + (uint32_t)rng_below(&rng, 300) * 100, 100, false);
        if (turn % 10 == 9)
            rx_insert(x, x->q.nxt, (uint32_t)rng_below(&rng, 200), false);
        for (unsigned acks = 0; acks == 0 || x->q.untold; acks++) {
            unsigned n = recvq_sacks(&x->q, s, 3);
            assert_true(acks < RECVQ_RECENT);
            for (unsigned i = 0; i < n; i++)
                memset(told + s[i].lo, 1, s[i].hi - s[i].lo);
        }
        for (uint32_t i = 0; i < x->q.range_count; i++)
            assert_null(memchr(told + x->q.range[i].lo, 0, x->q.range[i].hi - x->q.range[i].lo));
    }
    rx_fini(x);
    free(told);
    free(x);
}

static void test_recvq_leaves_room_for_those_without_holes(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    uint64_t piece = 1000 + sizeof(struct rx_piece), pool = 8 * piece;
    unsigned kept = 0;

    (void)state;
    rx_init(x, pool, 0);
    for (uint32_t i = 0; i < 12; i++)
        kept += rx_insert(x, 1001 + i * 1001, 1000, true) == RECVQ_OUT_OF_ORDER;
    assert_int_equal(kept, 6); /* three quarters */
    assert_int_equal(x->pool.used_bytes, 6 * piece);
    /* What was refused is not in the set: nobody was told we have it. */
    assert_int_equal(x->q.range_count, 6);
    assert_int_equal(rx_insert(x, 0, 1000, true), RECVQ_IN_ORDER);
    assert_int_equal(rx_insert(x, 1000, 1000, true), RECVQ_IN_ORDER);
    assert_int_equal(rx_insert(x, 2001, 1000, true), RECVQ_NO_MEMORY); /* full: also in order */
    rx_read_all(x);
    rx_fini(x);
    free(x);
}

static void test_recvq_bounds_the_holes(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    unsigned refused = 0;

    (void)state;
    rx_init(x, 1 << 24, 0);
    for (uint32_t at = 1; at < 4 * RECVQ_MAX_RANGES; at += 2) /* one byte, one hole, one byte */
        refused += rx_insert(x, at, 1, false) == RECVQ_NO_ROOM;
    assert_int_equal(x->q.range_count, RECVQ_MAX_RANGES);
    assert_int_equal(refused, RECVQ_MAX_RANGES);
    /* Tiny pieces share a block, and each costs itself. */
    assert_int_equal(x->pool.used_bytes, RXPOOL_BLOCK_BYTES + RECVQ_MAX_RANGES * sizeof(struct rx_piece));
    assert_int_equal(rx_insert(x, 0, 1, false), RECVQ_IN_ORDER);
    rx_read_all(x);
    rx_fini(x);
    free(x);
}

static void test_recvq_bounds_the_pieces(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    unsigned refused = 0;

    (void)state;
    rx_init(x, 1 << 24, 0);
    for (uint32_t at = 1; at <= RECVQ_MAX_PIECES + 100;
         at++) /* one range, but every byte a lent buffer of its own */
        refused += rx_insert(x, at, 1, true) == RECVQ_NO_ROOM;
    assert_int_equal(refused, 100);
    assert_int_equal(x->q.range_count, 1);
    assert_int_equal(rx_insert(x, 0, 1, false), RECVQ_IN_ORDER);
    assert_int_equal(x->q.unread_bytes, RECVQ_MAX_PIECES + 1);
    assert_int_equal(x->q.ooo_pieces, 0);
    rx_fini(x);
    free(x);
}

/* Bytes that come last first are a piece each: what those cost is the pool's, or a peer could take forty times its window. */
static void test_recvq_charges_for_pieces(void **state)
{
    struct rx *x = malloc(sizeof(*x));
    uint64_t pool = 8 * RXPOOL_BLOCK_BYTES, piece = sizeof(struct rx_piece);
    uint32_t fit = (uint32_t)((pool / 4 * 3 - RXPOOL_BLOCK_BYTES) / piece), at = fit + 10;

    (void)state;
    rx_init(x, pool, 0);
    for (uint32_t i = 0; i < fit; i++)
        assert_int_equal(rx_insert(x, at--, 1, false), RECVQ_OUT_OF_ORDER);
    assert_int_equal(x->q.ooo_pieces, fit);
    assert_int_equal(x->pool.used_bytes, RXPOOL_BLOCK_BYTES + fit * piece);
    assert_int_equal(rx_insert(x, at, 1, false), RECVQ_NO_MEMORY);
    assert_int_equal(rx_insert(x, 0, at + 1, false), RECVQ_IN_ORDER); /* the hole and one more: all is readable */
    assert_int_equal(x->q.unread_bytes, fit + 11);
    rx_read_all(x);
    assert_int_equal(x->pool.used_bytes, 0);
    rx_fini(x);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seq_compares_across_the_wrap),
        cmocka_unit_test(test_seqset_equals_a_bitmap),
        cmocka_unit_test(test_seqset_refuses_one_range_too_many_and_keeps_the_rest),
        cmocka_unit_test(test_sendq_gives_every_byte_at_its_place),
        cmocka_unit_test(test_sendq_joins_runs_of_one_buffer),
        cmocka_unit_test(test_recvq_reassembles_any_order),
        cmocka_unit_test(test_recvq_copies_late_what_is_not_read_before),
        cmocka_unit_test(test_recvq_copies_nothing_before_it_is_read),
        cmocka_unit_test(test_recvq_charges_an_unread_frame_by_its_bytes),
        cmocka_unit_test(test_recvq_reports_the_latest_ranges_first),
        cmocka_unit_test(test_recvq_tells_of_every_change),
        cmocka_unit_test(test_recvq_leaves_room_for_those_without_holes),
        cmocka_unit_test(test_recvq_charges_for_pieces),
        cmocka_unit_test(test_recvq_bounds_the_holes),
        cmocka_unit_test(test_recvq_bounds_the_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
