/* test_coded_wire.c: the coded extension's messages, written and read, whole and broken */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/coded_bits.h"
#include "pubsub/coded_pace.h"
#include "pubsub/coded_wire.h"

static uint8_t id[CODED_ID_BYTES] = "0123456789abcdef";

/* The content of the one RPC field in w. */
static struct slice content_of(const struct wr *w, uint32_t number)
{
    struct rd r = rd_of(slice_of(w->p, w->len));
    struct pb_field f;

    assert_false(w->bad);
    assert_int_equal(pb_next(&r, &f), 1);
    assert_int_equal(f.number, number);
    assert_int_equal(rd_left(&r), 0);
    return f.bytes;
}

static struct coded_header sample(uint8_t *hashes, unsigned k, uint32_t size)
{
    struct coded_header h = {.topic = SLICE_LIT("demo"), .from = SLICE_LIT("publisher"), .seqno = UINT64_MAX};

    rlnc_shape_init(&h.shape, size, k);
    memset(hashes, 7, k * CODED_HASH_BYTES);
    h.hashes = slice_of(hashes, k * CODED_HASH_BYTES);
    return h;
}

static struct slice write_header(struct coded_header *h, uint8_t *out, size_t cap)
{
    static const uint8_t sig[64] = {9};
    uint8_t core[CODED_HEADER_MAX];
    struct wr c = wr_of(core, sizeof(core)), w = wr_of(out, cap);

    coded_header_core_put(&c, h);
    assert_false(c.bad);
    coded_header_put(&w, slice_of(core, c.len), slice_of(sig, sizeof(sig)));
    return content_of(&w, CODED_HEADER);
}

static void test_header_reads_as_written(void **state)
{
    static const struct { unsigned k; uint32_t size; } cases[] = {{2, 2}, {4, 1 << 20}, {255, 255}, {255, UINT32_MAX}, {3, 8}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t hashes[255 * CODED_HASH_BYTES], out[CODED_HEADER_MAX];
        struct coded_header h = sample(hashes, cases[i].k, cases[i].size), got;
        struct slice content = write_header(&h, out, sizeof(out));

        assert_int_equal(coded_header_read(content, &got), 0);
        assert_true(slice_is_equal(got.topic, h.topic) && slice_is_equal(got.from, h.from));
        assert_true(slice_is_equal(got.hashes, h.hashes));
        assert_true(got.seqno == h.seqno && got.shape.k == h.shape.k && got.shape.size_bytes == h.shape.size_bytes);
        assert_int_equal(got.shape.shard_bytes, h.shape.shard_bytes);
        assert_int_equal(got.core.len, content.len - 66);
        for (size_t cut = 0; cut < content.len; cut++)
            assert_true(coded_header_read(slice_of(content.p, cut), &got) < 0);
    }
}

static void test_longest_header_fits(void **state)
{
    uint8_t hashes[255 * CODED_HASH_BYTES], out[CODED_HEADER_MAX], topic[CODED_TOPIC_MAX] = {1}, from[CODED_FROM_MAX] = {2};
    struct coded_header h = sample(hashes, 255, UINT32_MAX), got;

    h.topic = slice_of(topic, sizeof(topic));
    h.from = slice_of(from, sizeof(from));
    assert_int_equal(coded_header_read(write_header(&h, out, sizeof(out)), &got), 0);
}

/* One change to the fields of a good header, and the rule it breaks. */
static void test_header_refuses_what_breaks_a_rule(void **state)
{
    uint8_t hashes[255 * CODED_HASH_BYTES], out[CODED_HEADER_MAX], big[CODED_TOPIC_MAX + 1] = {0};
    struct coded_header h, got;

#define REFUSES(change, err)                                                                   \
    do {                                                                                       \
        h = sample(hashes, 4, 4000);                                                           \
        change;                                                                                \
        assert_int_equal(coded_header_read(write_header(&h, out, sizeof(out)), &got), -(err)); \
    } while (0)
    REFUSES(h.topic.len = 0, CODED_E_TOPIC);
    REFUSES(h.topic = slice_of(big, sizeof(big)), CODED_E_TOPIC);
    REFUSES(h.from.len = 0, CODED_E_FROM);
    REFUSES(h.from = slice_of(big, CODED_FROM_MAX + 1), CODED_E_FROM);
    REFUSES(h.shape.size_bytes = 0, CODED_E_SIZE);
    REFUSES(h.shape.k = 1, CODED_E_K);
    REFUSES(h.shape.k = 256, CODED_E_K);
    REFUSES(h.shape.k = 0, CODED_E_K);
    REFUSES(h.shape.shard_bytes = 999, CODED_E_SHARD_LENGTH);
    REFUSES(h.shape.shard_bytes = 1001, CODED_E_SHARD_LENGTH);
    REFUSES(h.hashes.len = 96, CODED_E_HASHES);
    REFUSES(h.shape.k = 5; h.shape.shard_bytes = 800, CODED_E_HASHES);
#undef REFUSES
    /* 5 bytes in 4 shards of 2: the last would be empty. */
    h = sample(hashes, 4, 5);
    assert_int_equal(coded_header_read(write_header(&h, out, sizeof(out)), &got), -CODED_E_SHARD_LENGTH);
}

static void test_header_must_be_canonical(void **state)
{
    uint8_t hashes[4 * CODED_HASH_BYTES], out[CODED_HEADER_MAX], bent[CODED_HEADER_MAX];
    struct coded_header h = sample(hashes, 4, 4000), got;
    struct slice s;

    h.seqno = 5;
    s = write_header(&h, out, sizeof(out));
    /* seqno 5 as two bytes: find its tag (field 3) after topic and from. */
    size_t at = 2 + h.topic.len + 2 + h.from.len;
    assert_int_equal(s.p[at], 3 << 3);
    memcpy(bent, s.p, at + 1);
    bent[at + 1] = 0x85;
    bent[at + 2] = 0;
    memcpy(bent + at + 3, s.p + at + 2, s.len - at - 2);
    assert_int_equal(coded_header_read(slice_of(bent, s.len + 1), &got), -CODED_E_CANONICAL);
    /* the largest seqno, its tenth byte with bits that fall off the end */
    h.seqno = UINT64_MAX;
    s = write_header(&h, out, sizeof(out));
    memcpy(bent, s.p, s.len);
    assert_int_equal(bent[at + 10], 1);
    bent[at + 10] = 5;
    assert_int_equal(coded_header_read(slice_of(bent, s.len), &got), -CODED_E_CANONICAL);
    /* an unknown field after the end */
    memcpy(bent, s.p, s.len);
    bent[s.len] = 9 << 3;
    bent[s.len + 1] = 0;
    assert_int_equal(coded_header_read(slice_of(bent, s.len + 2), &got), -CODED_E_CANONICAL);
    /* topic and from exchanged */
    memcpy(bent, s.p + 2 + h.topic.len, 2 + h.from.len);
    memcpy(bent + 2 + h.from.len, s.p, 2 + h.topic.len);
    memcpy(bent + at, s.p + at, s.len - at);
    assert_int_equal(coded_header_read(slice_of(bent, s.len), &got), -CODED_E_CANONICAL);
}

static void test_shard_reads_as_written(void **state)
{
    uint8_t coefs[255], sent[8] = "ABCDEFGH", payload[100], out[1024];
    static const size_t lens[] = {1, 2, 255};

    memset(coefs, 3, sizeof(coefs));
    memset(payload, 5, sizeof(payload));
    for (size_t i = 0; i < 3; i++) {
        struct coded_shard s = {.id = id, .coefs = slice_of(coefs, lens[i]), .sent = slice_of(sent, i ? 8 : 0),
                                .payload = {NULL, i * 50}, .rank = (uint8_t)(i * 100), .flags = i == 1,
                                .hops = (uint8_t)(i * 127)};
        struct coded_shard got;
        struct wr w = wr_of(out, sizeof(out));
        struct slice c;

        coded_shard_put(&w, &s);
        assert_false(w.bad);
        assert_true(w.len <= CODED_SMALL_MAX);
        wr_bytes(&w, payload, s.payload.len);
        c = content_of(&w, CODED_SHARD);
        assert_int_equal(coded_shard_read(c, &got), 0);
        assert_memory_equal(got.id, id, sizeof(id));
        assert_true(slice_is_equal(got.coefs, s.coefs) && slice_is_equal(got.sent, s.sent));
        assert_true(slice_is_equal(got.payload, slice_of(payload, i * 50)));
        assert_int_equal(got.rank, s.rank);
        assert_int_equal(got.flags, s.flags);
        assert_int_equal(got.hops, s.hops);
        for (size_t cut = 0; cut < c.len; cut++)
            assert_true(coded_shard_read(slice_of(c.p, cut), &got) < 0);
    }
}

static void put_all(struct wr *w, size_t id_len, size_t coefs_len, uint64_t rank, size_t sent_len)
{
    static const uint8_t zero[512];

    pb_put_bytes(w, 1, slice_of(zero, id_len));
    pb_put_varint(w, 2, rank);
    if (coefs_len)
        pb_put_bytes(w, 3, slice_of(zero, coefs_len));
    pb_put_bytes(w, 5, slice_of(zero, sent_len));
}

static void test_shard_refuses_what_breaks_a_rule(void **state)
{
    static const struct { size_t id, coefs, sent; uint64_t rank; int want; } cases[] = {
        {16, 1, 0, 0, 0},
        {16, 255, 128, 255, 0},
        {15, 1, 0, 0, -CODED_E_ID},
        {17, 1, 0, 0, -CODED_E_ID},
        {16, 256, 0, 0, -CODED_E_COEFS},
        {16, 0, 0, 0, -CODED_E_COEFS},
        {16, 1, 0, 256, -CODED_E_RANK},
        {16, 1, 3, 0, -CODED_E_LIST},
        {16, 1, 132, 0, -CODED_E_LIST},
    };
    uint8_t out[1024];
    struct coded_shard s;
    struct wr w;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        w = wr_of(out, sizeof(out));
        put_all(&w, cases[i].id, cases[i].coefs, cases[i].rank, cases[i].sent);
        pb_put_bytes(&w, 15, SLICE_LIT("xyz"));
        assert_int_equal(coded_shard_read(slice_of(out, w.len), &s), cases[i].want);
    }
    pb_put_varint(&w, 16, 1); /* anything after the payload */
    w = wr_of(out, sizeof(out));
    put_all(&w, 16, 1, 0, 0);
    assert_int_equal(coded_shard_read(slice_of(out, w.len), &s), -CODED_E_PAYLOAD);
    pb_put_bytes(&w, 15, SLICE_LIT("xyz"));
    pb_put_varint(&w, 16, 1);
    assert_int_equal(coded_shard_read(slice_of(out, w.len), &s), -CODED_E_PAYLOAD);
    assert_int_equal(coded_shard_read((struct slice){0}, &s), -CODED_E_ID);
}

static void test_have_and_want_read_as_written(void **state)
{
    uint8_t out[CODED_SMALL_MAX];

    for (unsigned k = 2; k <= 255; k++) {
        struct coded_have h = {.id = id, .rank = (uint8_t)(k - 1)}, hgot;
        struct coded_want a = {.id = id, .rank = 1, .count = (uint8_t)k, .flags = 5}, agot;
        struct wr w = wr_of(out, sizeof(out));
        struct slice c;

        coded_bits_put(&h.verified, k - 1);
        coded_bits_put(&h.verified, 0);
        coded_bits_put(&h.coming, 0);
        coded_bits_put(&h.sending, k - 1);
        coded_bits_put(&a.verified, k / 2);
        coded_bits_put(&a.skip, k - 1);
        coded_have_put(&w, &h, k);
        c = content_of(&w, CODED_HAVE);
        assert_int_equal(coded_have_read(c, &hgot), 0);
        assert_memory_equal(&hgot.verified, &h.verified, sizeof(h.verified));
        assert_memory_equal(&hgot.coming, &h.coming, sizeof(h.coming));
        assert_memory_equal(&hgot.sending, &h.sending, sizeof(h.sending));
        assert_int_equal(hgot.rank, h.rank);
        for (size_t cut = 0; cut < c.len; cut++)
            coded_have_read(slice_of(c.p, cut), &hgot);
        w = wr_of(out, sizeof(out));
        coded_want_put(&w, &a, k);
        c = content_of(&w, CODED_WANT);
        assert_int_equal(coded_want_read(c, &agot), 0);
        assert_memory_equal(&agot.verified, &a.verified, sizeof(a.verified));
        assert_memory_equal(&agot.skip, &a.skip, sizeof(a.skip));
        assert_true(agot.rank == 1 && agot.count == a.count && agot.flags == 5);
        for (size_t cut = 0; cut < 18; cut++)
            assert_true(coded_want_read(slice_of(c.p, cut), &agot) < 0);
    }
}

static void test_have_and_want_refuse_what_breaks_a_rule(void **state)
{
    uint8_t out[128], zero[64] = {0};
    struct coded_have h;
    struct coded_want a;
    struct wr w = wr_of(out, sizeof(out));

    assert_int_equal(coded_have_read((struct slice){0}, &h), -CODED_E_ID);
    assert_int_equal(coded_want_read((struct slice){0}, &a), -CODED_E_ID);
    pb_put_bytes(&w, 1, slice_of(id, 16));
    pb_put_bytes(&w, 3, slice_of(zero, 33));
    assert_int_equal(coded_have_read(slice_of(out, w.len), &h), -CODED_E_LIST);
    assert_int_equal(coded_want_read(slice_of(out, w.len), &a), -CODED_E_LIST);
    w = wr_of(out, sizeof(out));
    pb_put_bytes(&w, 1, slice_of(id, 16));
    pb_put_varint(&w, 2, 256);
    assert_int_equal(coded_have_read(slice_of(out, w.len), &h), -CODED_E_RANK);
    assert_int_equal(coded_want_read(slice_of(out, w.len), &a), -CODED_E_RANK);
    w = wr_of(out, sizeof(out));
    pb_put_bytes(&w, 1, slice_of(id, 16));
    pb_put_varint(&w, 99, 7); /* unknown: skipped */
    assert_int_equal(coded_have_read(slice_of(out, w.len), &h), 0);
    assert_int_equal(coded_want_read(slice_of(out, w.len), &a), 0);
}

static void test_near_reads_as_written(void **state)
{
    uint8_t tags[CODED_NEAR_MAX * 4 + 4] = {1, 2, 3, 4}, out[1024], topic[257] = {0};
    struct coded_near n = {SLICE_LIT("demo"), slice_of(tags, CODED_NEAR_MAX * 4)}, got;
    struct wr w = wr_of(out, sizeof(out));

    coded_near_put(&w, &n);
    assert_int_equal(coded_near_read(content_of(&w, CODED_NEAR), &got), 0);
    assert_true(slice_is_equal(got.topic, n.topic) && slice_is_equal(got.tags, n.tags));
    n.tags.len += 4;
    w = wr_of(out, sizeof(out));
    coded_near_put(&w, &n);
    assert_int_equal(coded_near_read(content_of(&w, CODED_NEAR), &got), -CODED_E_LIST);
    n = (struct coded_near){slice_of(topic, 257), {0}};
    w = wr_of(out, sizeof(out));
    coded_near_put(&w, &n);
    assert_int_equal(coded_near_read(content_of(&w, CODED_NEAR), &got), -CODED_E_TOPIC);
    assert_int_equal(coded_near_read((struct slice){0}, &got), -CODED_E_TOPIC);
}

static void test_bits_walk_goes_round_once(void **state)
{
    struct coded_bits b = {{0}};
    unsigned it = 0, index, seen[4], n = 0;
    uint8_t wire[3];

    coded_bits_put(&b, 0);
    coded_bits_put(&b, 5);
    coded_bits_put(&b, 16);
    while (coded_bits_next(&b, 17, 5, &it, &index))
        seen[n++] = index;
    assert_int_equal(n, 3);
    assert_true(seen[0] == 5 && seen[1] == 16 && seen[2] == 0);
    coded_bits_write(&b, wire, 3);
    assert_memory_equal(wire, ((uint8_t[]){0x21, 0, 1}), 3);
    assert_int_equal(coded_bits_count(&b), 3);
}

static void test_pace_waits_longer_than_usual_within_bounds(void **state)
{
    struct coded_pace p;

    coded_pace_init(&p, 50, 10, 1000);
    assert_int_equal(coded_pace_wait(&p, 16), 50);
    for (unsigned i = 0; i < 100; i++)
        coded_pace_sample(&p, 100);
    assert_true(coded_pace_wait(&p, 16) >= 90 && coded_pace_wait(&p, 16) < 200);
    for (unsigned i = 0; i < 100; i++)
        coded_pace_sample(&p, i % 2 ? 50 : 150);
    assert_true(coded_pace_wait(&p, 16) > 150);
    coded_pace_sample(&p, UINT64_MAX);
    assert_true(coded_pace_wait(&p, 16) <= 1000);
    for (unsigned i = 0; i < 200; i++)
        coded_pace_sample(&p, 0);
    assert_true(coded_pace_wait(&p, 16) >= 10);
}

static void test_pace_waits_fewer_deviations_when_told(void **state)
{
    struct coded_pace p = {.mean_ns = 100, .dev_ns = 40, .first_ns = 50, .min_ns = 10, .max_ns = 1000};

    assert_int_equal(coded_pace_wait(&p, 16), 260);
    assert_int_equal(coded_pace_wait(&p, 8), 180);
    assert_int_equal(coded_pace_wait(&p, 1), 110);
}

static void test_share_follows_what_is_lost(void **state)
{
    uint32_t share = 0;

    for (unsigned i = 0; i < 1000; i++)
        coded_share_note(&share, 0);
    assert_int_equal(share, 0);
    for (unsigned i = 0; i < 1000; i++)
        coded_share_note(&share, i % 4 == 0); /* of five one is lost */
    assert_in_range(share, CODED_SHARE_ALL * 18 / 100, CODED_SHARE_ALL * 22 / 100);
    for (unsigned i = 0; i < 1000; i++)
        coded_share_note(&share, 255);
    assert_true(share <= CODED_SHARE_ALL);
    for (unsigned i = 0; i < 1000; i++)
        coded_share_note(&share, 0);
    assert_true(share < CODED_SHARE_ALL / 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_reads_as_written),
        cmocka_unit_test(test_longest_header_fits),
        cmocka_unit_test(test_header_refuses_what_breaks_a_rule),
        cmocka_unit_test(test_header_must_be_canonical),
        cmocka_unit_test(test_shard_reads_as_written),
        cmocka_unit_test(test_shard_refuses_what_breaks_a_rule),
        cmocka_unit_test(test_have_and_want_read_as_written),
        cmocka_unit_test(test_have_and_want_refuse_what_breaks_a_rule),
        cmocka_unit_test(test_near_reads_as_written),
        cmocka_unit_test(test_bits_walk_goes_round_once),
        cmocka_unit_test(test_pace_waits_longer_than_usual_within_bounds),
        cmocka_unit_test(test_pace_waits_fewer_deviations_when_told),
        cmocka_unit_test(test_share_follows_what_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
