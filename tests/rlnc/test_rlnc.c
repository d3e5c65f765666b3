/* test_rlnc.c: split, encode, recode, rank and decode as a whole */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gf/gf.h"
#include "rlnc/rlnc.h"

/* A receiver: rows in memory of its own, of exactly their size, so that the sanitizer sees every overrun. */
struct store {
    struct rlnc_shape shape;
    struct rlnc_row rows[RLNC_K_MAX];
    unsigned n;
    struct rlnc_rank rank;
    void *rank_mem;
};

static void store_open(struct store *st, const struct rlnc_shape *s)
{
    st->shape = *s;
    st->n = 0;
    st->rank_mem = malloc(rlnc_rank_bytes(s->k));
    rlnc_rank_init(&st->rank, s->k, st->rank_mem);
}

static void store_close(struct store *st)
{
    for (unsigned i = 0; i < st->n; i++) {
        free((void *)(uintptr_t)st->rows[i].p);
        free((void *)(uintptr_t)st->rows[i].coefs);
    }
    free(st->rank_mem);
}

static void *copy(const void *p, size_t len)
{
    void *m = malloc(len ? len : 1);

    if (len)
        memcpy(m, p, len);
    return m;
}

/* Keeps a copy when it is innovative. */
static bool store_offer(struct store *st, const struct rlnc_row *row)
{
    bool is_coded = row->index == RLNC_CODED, would, added;

    would = is_coded ? rlnc_rank_would_add(&st->rank, row->coefs) : rlnc_rank_would_add_source(&st->rank, row->index);
    added = is_coded ? rlnc_rank_add(&st->rank, row->coefs) : rlnc_rank_add_source(&st->rank, row->index);
    assert_int_equal(would, added);
    if (added) {
        struct rlnc_row *r = &st->rows[st->n++];
        *r = *row;
        r->p = copy(row->p, row->len);
        r->coefs = is_coded ? copy(row->coefs, st->shape.k) : NULL;
    }
    return added;
}

static void store_check(struct store *st, const uint8_t *payload)
{
    uint8_t *out = malloc(st->shape.size_bytes + 1), *scratch = malloc(rlnc_decode_bytes(st->shape.k));

    memset(out, 0x5A, st->shape.size_bytes + 1);
    assert_int_equal(rlnc_decode(&st->shape, st->rows, st->n, out, scratch), 0);
    if (st->shape.size_bytes)
        assert_memory_equal(out, payload, st->shape.size_bytes);
    assert_int_equal(out[st->shape.size_bytes], 0x5A);
    free(out);
    free(scratch);
}

/* Publisher -> relay -> receiver, each link losing the share of shards; the relay recodes from what it has. */
static void run(struct rng *rng, unsigned k, uint32_t size, unsigned loss_percent)
{
    struct rlnc_shape s;
    struct store relay, last;
    uint8_t *payload = malloc(size ? size : 1), coefs[2 * RLNC_K_MAX], *out[2];
    unsigned guard = 0;

    assert_int_equal(rlnc_shape_init(&s, size, k), 0);
    rng_fill(rng, payload, size);
    for (unsigned i = 0; i < 2; i++)
        out[i] = malloc(s.shard_bytes ? s.shard_bytes : 1);
    store_open(&relay, &s);
    store_open(&last, &s);
    for (unsigned i = 0; i < k; i++) {
        struct rlnc_row r = rlnc_source_row(&s, payload, i);
        if (rng_below(rng, 100) >= loss_percent)
            assert_true(store_offer(&relay, &r));
    }
    while (!rlnc_rank_is_full(&last.rank)) {
        struct rlnc_row r = {out[0], coefs, s.shard_bytes, RLNC_CODED};

        assert_true(++guard < 4 * k + 50);
        rlnc_encode(&s, payload, rng, coefs, out, 1);
        store_offer(&relay, &r);
        if (relay.n == 0)
            continue;
        assert_int_equal(rlnc_recode(&s, relay.rows, relay.n, rng, coefs, out, 2), 0);
        for (unsigned i = 0; i < 2 && !rlnc_rank_is_full(&last.rank); i++) {
            r = (struct rlnc_row){out[i], coefs + i * k, s.shard_bytes, RLNC_CODED};
            if (rng_below(rng, 100) >= loss_percent)
                store_offer(&last, &r);
        }
    }
    store_check(&last, payload);
    if (rlnc_rank_is_full(&relay.rank))
        store_check(&relay, payload);
    store_close(&relay);
    store_close(&last);
    free(out[0]);
    free(out[1]);
    free(payload);
}

static void test_generation_survives_loss_at_every_k(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 42);
    for (unsigned k = 1; k <= RLNC_K_MAX; k++)
        run(&rng, k, (uint32_t)(1 + rng_below(&rng, 3 * k)), (unsigned)rng_below(&rng, 40));
    run(&rng, 4, 1 << 20, 25);
    run(&rng, 16, 300007, 10);
}

static void test_generation_takes_any_size(void **state)
{
    static const unsigned ks[] = {1, 2, 3, 4, 5, 16, 17, 64, 255};
    struct rng rng;

    rng_init_seeded(&rng, 43);
    for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
        unsigned k = ks[i];
        uint32_t sizes[] = {0, 1, 2, k - 1, k, k + 1, 2 * k - 1, 2 * k + 1, 64 * k, 64 * k + 1, 1000};

        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
            run(&rng, k, sizes[j], 20);
    }
}

static void test_shape_covers_the_payload(void **state)
{
    struct rlnc_shape s;

    for (unsigned k = 1; k <= RLNC_K_MAX; k++)
        for (uint32_t size = 0; size < 3 * k + 2; size++) {
            uint32_t at = 0;

            assert_int_equal(rlnc_shape_init(&s, size, k), 0);
            for (unsigned i = 0; i < k; i++) {
                assert_int_equal(rlnc_shape_offset(&s, i), at);
                assert_true(rlnc_shape_length(&s, i) <= s.shard_bytes);
                at += rlnc_shape_length(&s, i);
            }
            assert_int_equal(at, size);
        }
    assert_int_equal(rlnc_shape_init(&s, UINT32_MAX, 255), 0);
    assert_int_equal(rlnc_shape_offset(&s, 254) + (uint64_t)rlnc_shape_length(&s, 254), UINT32_MAX);
    assert_int_equal(rlnc_shape_init(&s, 1ull << 32, 4), -RLNC_E_SIZE);
    assert_int_equal(rlnc_shape_init(&s, 1, 0), -RLNC_E_K);
    assert_int_equal(rlnc_shape_init(&s, 1, 256), -RLNC_E_K);
}

static void test_rank_refuses_dependent_rows(void **state)
{
    enum { K = 5 };
    uint8_t mem[K * (K + 2)], v[K], w[K];
    struct rlnc_rank r;

    assert_int_equal(rlnc_rank_bytes(K), sizeof(mem));
    rlnc_rank_init(&r, K, mem);
    assert_false(rlnc_rank_add(&r, (uint8_t[K]){0}));
    assert_true(rlnc_rank_add(&r, (uint8_t[K]){0, 3, 0, 7, 0}));
    assert_false(rlnc_rank_add(&r, (uint8_t[K]){0, 3, 0, 7, 0}));
    assert_false(rlnc_rank_add(&r, (uint8_t[K]){0, gf_byte_mul(3, 9), 0, gf_byte_mul(7, 9), 0}));
    assert_true(rlnc_rank_add_source(&r, 3));
    assert_false(rlnc_rank_would_add_source(&r, 1)); /* 3 e1 + 7 e3 and e3 span e1 */
    assert_false(rlnc_rank_add_source(&r, 1));
    assert_false(rlnc_rank_add_source(&r, 3));
    assert_true(rlnc_rank_add_source(&r, 0));
    memset(v, 1, K);
    assert_true(rlnc_rank_add(&r, v));
    memset(w, 5, K);
    assert_false(rlnc_rank_add(&r, w));
    assert_int_equal(r.rank, 4);
    assert_false(rlnc_rank_is_full(&r));
    assert_true(rlnc_rank_add_source(&r, 4));
    assert_true(rlnc_rank_is_full(&r));
    assert_false(rlnc_rank_add_source(&r, 2));
    rlnc_rank_reset(&r);
    assert_int_equal(r.rank, 0);
    assert_true(rlnc_rank_add_source(&r, 2));
}

/* Rank by plain elimination, to compare with. */
static unsigned rank_slow(uint8_t *m, unsigned rows, unsigned k)
{
    unsigned rank = 0;

    for (unsigned c = 0; c < k && rank < rows; c++) {
        unsigned p = rank;
        while (p < rows && !m[p * k + c])
            p++;
        if (p == rows)
            continue;
        for (unsigned x = 0; x < k; x++) {
            uint8_t t = m[p * k + x];
            m[p * k + x] = m[rank * k + x];
            m[rank * k + x] = t;
        }
        for (unsigned r = rank + 1; r < rows; r++) {
            uint8_t f = gf_byte_mul(m[r * k + c], gf_byte_inv(m[rank * k + c]));
            for (unsigned x = 0; x < k; x++)
                m[r * k + x] ^= gf_byte_mul(f, m[rank * k + x]);
        }
        rank++;
    }
    return rank;
}

static void test_rank_agrees_with_elimination(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 5);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned k = 1 + (unsigned)rng_below(&rng, 9), rows = 1 + (unsigned)rng_below(&rng, 12);
        uint8_t m[12 * 9], slow[12 * 9], mem[9 * 11];
        struct rlnc_rank r;

        rlnc_rank_init(&r, k, mem);
        for (unsigned i = 0; i < rows * k; i++) /* few values, so that dependence is common */
            m[i] = rng_below(&rng, 3) ? 0 : (uint8_t)(1 + rng_below(&rng, 2));
        for (unsigned i = 0; i < rows; i++) {
            unsigned before = r.rank;
            bool added = rlnc_rank_add(&r, m + i * k);

            memcpy(slow, m, (i + 1) * k);
            assert_int_equal(r.rank, rank_slow(slow, i + 1, k));
            assert_int_equal(added, r.rank > before);
        }
    }
}

/* Enough coded rows that older ones lose new columns in batches, source shards among them. */
static void test_rank_agrees_with_elimination_at_length(void **state)
{
    enum { K = 70, ROWS = K + 6 };
    static uint8_t m[ROWS * K], slow[ROWS * K];
    struct rng rng;

    rng_init_seeded(&rng, 6);
    for (unsigned round = 0; round < 120; round++) {
        unsigned k = 1 + (unsigned)rng_below(&rng, K), rows = k + (unsigned)rng_below(&rng, 7), mix = (unsigned)rng_below(&rng, 5);
        void *mem = malloc(rlnc_rank_bytes(k));
        struct rlnc_rank r;

        rlnc_rank_init(&r, k, mem);
        memset(m, 0, sizeof(m));
        for (unsigned i = 0; i < rows; i++) {
            unsigned index = (unsigned)rng_below(&rng, k), before = r.rank;
            bool is_source = rng_below(&rng, 5) < mix, would;

            m[i * k + index] = 1;
            for (unsigned x = 0; x < k && !is_source; x++)
                m[i * k + x] = rng_below(&rng, 1 + round % 9) ? 0 : (uint8_t)rng_u64(&rng);
            would = is_source ? rlnc_rank_would_add_source(&r, index) : rlnc_rank_would_add(&r, m + i * k);
            assert_int_equal(would, is_source ? rlnc_rank_add_source(&r, index) : rlnc_rank_add(&r, m + i * k));
            assert_int_equal(would, r.rank - before);
            if (i % 8 == 0 || i + 1 == rows) {
                memcpy(slow, m, (i + 1) * k);
                assert_int_equal(r.rank, rank_slow(slow, i + 1, k));
            }
        }
        free(mem);
    }
}

static void test_decode_refuses_what_does_not_fit(void **state)
{
    struct rlnc_shape s;
    uint8_t payload[10] = "0123456789", out[10], scratch[3 * (64 + 2 * 3) + 63], c[3] = {1, 2, 0}, shard[4] = {0};
    struct rlnc_row rows[4];

    assert_int_equal(rlnc_decode_bytes(3), sizeof(scratch));
    rlnc_shape_init(&s, sizeof(payload), 3);
    for (unsigned i = 0; i < 3; i++)
        rows[i] = rlnc_source_row(&s, payload, i);
    assert_int_equal(rlnc_decode(&s, rows, 2, out, scratch), -RLNC_E_RANK);
    rows[2].len++;
    assert_int_equal(rlnc_decode(&s, rows, 3, out, scratch), -RLNC_E_LENGTH);
    rows[2] = rows[1];
    assert_int_equal(rlnc_decode(&s, rows, 3, out, scratch), -RLNC_E_RANK);
    rows[2] = (struct rlnc_row){shard, c, 4, RLNC_CODED}; /* says nothing about shard 2 */
    assert_int_equal(rlnc_decode(&s, rows, 3, out, scratch), -RLNC_E_RANK);
    rows[2].index = 3;
    assert_int_equal(rlnc_decode(&s, rows, 3, out, scratch), -RLNC_E_LENGTH);
    assert_int_equal(rlnc_recode(&s, rows, 3, NULL, c, NULL, 1), -RLNC_E_LENGTH);
}

static void test_decode_leaves_shards_in_place(void **state)
{
    enum { K = 4, SIZE = 403 };
    struct rlnc_shape s;
    struct rng rng;
    uint8_t payload[SIZE], out[SIZE], coefs[K], shard[101], *to = shard, scratch[K * (64 + 2 * K) + 63];
    struct rlnc_row rows[K];

    rng_init_seeded(&rng, 9);
    rng_fill(&rng, payload, SIZE);
    rlnc_shape_init(&s, SIZE, K);
    for (unsigned gone = 0; gone < K; gone++) {
        memcpy(out, payload, SIZE);
        memset(out + rlnc_shape_offset(&s, gone), 0, rlnc_shape_length(&s, gone));
        rlnc_encode(&s, payload, &rng, coefs, &to, 1);
        for (unsigned i = 0; i < K; i++)
            rows[i] = i == gone ? (struct rlnc_row){shard, coefs, s.shard_bytes, RLNC_CODED} : rlnc_source_row(&s, out, i);
        assert_int_equal(rlnc_decode(&s, rows, K, out, scratch), 0);
        assert_memory_equal(out, payload, SIZE);
    }
}

/* A generation solved ahead from k-1 rows of which `coded` are mixtures, then finished by: 0 a mixture, 1 the gap's source shard,
 * 2 another source shard when the mixtures hide one. */
static int run_ahead(struct rng *rng, unsigned k, uint32_t size, unsigned coded, unsigned finish)
{
    struct rlnc_shape s;
    struct store st;
    struct rlnc_ahead ahead;
    uint8_t *payload = malloc(size + 1), *out = malloc(size + 1), *scratch, coefs[RLNC_K_MAX], *shard;
    unsigned order[RLNC_K_MAX];
    struct rlnc_row last;
    int err;

    assert_int_equal(rlnc_shape_init(&s, size, k), 0);
    rng_fill(rng, payload, size);
    memset(out, 0x5A, size + 1);
    shard = malloc(s.shard_bytes + 1);
    scratch = malloc(rlnc_decode_bytes(k));
    store_open(&st, &s);
    for (unsigned i = 0; i < k; i++) {
        unsigned j = (unsigned)rng_below(rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (unsigned i = 0; i + 1 + coded < k; i++) {
        struct rlnc_row r = rlnc_source_row(&s, payload, order[i]);
        store_offer(&st, &r);
    }
    while (st.n + 1 < k) {
        struct rlnc_row r = {shard, coefs, s.shard_bytes, RLNC_CODED};
        rlnc_encode(&s, payload, rng, coefs, &shard, 1);
        store_offer(&st, &r);
    }
    err = rlnc_decode_ahead(&s, &st.rank, st.rows, st.n, out, scratch, &ahead);
    if (!err) {
        last = (struct rlnc_row){shard, coefs, s.shard_bytes, RLNC_CODED};
        do
            rlnc_encode(&s, payload, rng, coefs, &shard, 1);
        while (!rlnc_rank_would_add(&st.rank, coefs));
        for (unsigned i = 0; i < k && finish; i++)
            if (rlnc_rank_would_add_source(&st.rank, i) && (i == ahead.gap) == (finish == 1))
                last = rlnc_source_row(&s, payload, i);
        if (st.n) /* what is known already adds nothing */
            assert_int_equal(rlnc_decode_last(&s, &ahead, &st.rows[0], out), -RLNC_E_RANK);
        assert_int_equal(rlnc_decode_last(&s, &ahead, &last, out), 0);
        assert_memory_equal(out, payload, size);
    }
    assert_int_equal(out[size], 0x5A);
    store_close(&st);
    free(payload);
    free(out);
    free(shard);
    free(scratch);
    return err;
}

static void test_decode_ahead_leaves_one_shard(void **state)
{
    unsigned ran = 0;
    struct rng rng;

    rng_init_seeded(&rng, 77);
    for (unsigned k = 1; k <= RLNC_K_MAX; k += k < 20 ? 1 : 13)
        for (unsigned finish = 0; finish < 3; finish++)
            for (unsigned coded = 0; coded < k; coded += 1 + coded / 2)
                assert_int_equal(run_ahead(&rng, k, 130 * k, coded, finish), 0);
    for (unsigned round = 0; round < 600; round++) { /* any length: some shards are cut, and some of these cannot be solved ahead */
        unsigned k = 1 + (unsigned)rng_below(&rng, 12);
        int err = run_ahead(&rng, k, (uint32_t)rng_below(&rng, 300), (unsigned)rng_below(&rng, k), (unsigned)rng_below(&rng, 3));

        assert_true(err == 0 || err == -RLNC_E_CUT);
        ran += err == 0;
    }
    assert_true(ran > 300);
    assert_int_equal(run_ahead(&rng, 7, 300001, 6, 0), 0); /* several strips */
}

static void test_decode_ahead_refuses_what_does_not_fit(void **state)
{
    uint8_t payload[12] = {1, 2, 3}, out[12], scratch[3 * (64 + 6) + 63], mem[12], c[3] = {1, 2, 3}, shard[4] = {0};
    struct rlnc_shape s;
    struct rlnc_rank rank;
    struct rlnc_row rows[3], last = {shard, c, 4, RLNC_CODED};
    struct rlnc_ahead a;

    rlnc_shape_init(&s, sizeof(payload), 3);
    rlnc_rank_init(&rank, 3, mem);
    for (unsigned i = 0; i < 3; i++)
        rows[i] = rlnc_source_row(&s, payload, i);
    rlnc_rank_add_source(&rank, 0);
    assert_int_equal(rlnc_decode_ahead(&s, &rank, rows, 1, out, scratch, &a), -RLNC_E_RANK);
    rlnc_rank_add_source(&rank, 1);
    assert_int_equal(rlnc_decode_ahead(&s, &rank, rows, 3, out, scratch, &a), -RLNC_E_RANK);
    assert_int_equal(rlnc_decode_ahead(&s, &rank, rows + 1, 2, out, scratch, &a), -RLNC_E_RANK); /* 2 is the gap */
    assert_int_equal(rlnc_decode_ahead(&s, &rank, rows, 2, out, scratch, &a), 0);
    last.len = 3;
    assert_int_equal(rlnc_decode_last(&s, &a, &last, out), -RLNC_E_LENGTH);
    assert_int_equal(rlnc_decode_last(&s, &a, &rows[1], out), -RLNC_E_RANK);
    assert_string_equal(rlnc_err_name(-RLNC_E_CUT), "a shard cut short cannot be solved ahead");
}

static void test_expect_names_what_a_row_must_hold(void **state)
{
    struct rlnc_shape s;
    struct rng rng;
    uint8_t payload[77], coefs[5], a[16], b[16], *to = a;

    rng_init_seeded(&rng, 10);
    rng_fill(&rng, payload, sizeof(payload));
    rlnc_shape_init(&s, sizeof(payload), 5);
    rlnc_encode(&s, payload, &rng, coefs, &to, 1);
    rlnc_expect(&s, payload, coefs, b);
    assert_memory_equal(a, b, s.shard_bytes);
}

static void test_coefs_are_uniform_and_never_zero(void **state)
{
    enum { N = 255 * 4000 };
    static uint8_t v[N];
    unsigned count[256] = {0};
    double chi = 0, want = (double)N / 255;
    struct rng rng;

    rng_init_seeded(&rng, 1);
    rlnc_coefs_random(v, N, &rng);
    for (unsigned i = 0; i < N; i++)
        count[v[i]]++;
    assert_int_equal(count[0], 0);
    for (unsigned i = 1; i < 256; i++)
        chi += (count[i] - want) * (count[i] - want) / want;
    assert_true(chi > 170 && chi < 350); /* 254 degrees of freedom: mean 254, deviation 22.5 */
    rng_init_zero(&rng);
    rlnc_coefs_random(v, 3, &rng); /* returns, and still not zero */
    assert_true(v[0] && v[1] && v[2]);
}

/* facts: with uniform coefficients, k coded shards fail to span with probability 0.0039. */
static void test_coded_shards_are_dependent_as_theory_says(void **state)
{
    enum { K = 8, TRIALS = 40000 };
    struct rng rng;
    uint8_t mem[K * (K + 2)], c[K];
    unsigned failed = 0;
    struct rlnc_rank r;

    rng_init_seeded(&rng, 2);
    for (unsigned t = 0; t < TRIALS; t++) {
        rlnc_rank_init(&r, K, mem);
        for (unsigned i = 0; i < K; i++) {
            rlnc_coefs_random(c, K, &rng);
            rlnc_rank_add(&r, c);
        }
        failed += !rlnc_rank_is_full(&r);
    }
    assert_true(failed > TRIALS * 0.0025 && failed < TRIALS * 0.0055);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_covers_the_payload),
        cmocka_unit_test(test_generation_survives_loss_at_every_k),
        cmocka_unit_test(test_generation_takes_any_size),
        cmocka_unit_test(test_rank_refuses_dependent_rows),
        cmocka_unit_test(test_rank_agrees_with_elimination),
        cmocka_unit_test(test_rank_agrees_with_elimination_at_length),
        cmocka_unit_test(test_decode_refuses_what_does_not_fit),
        cmocka_unit_test(test_decode_leaves_shards_in_place),
        cmocka_unit_test(test_decode_ahead_leaves_one_shard),
        cmocka_unit_test(test_decode_ahead_refuses_what_does_not_fit),
        cmocka_unit_test(test_expect_names_what_a_row_must_hold),
        cmocka_unit_test(test_coefs_are_uniform_and_never_zero),
        cmocka_unit_test(test_coded_shards_are_dependent_as_theory_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
