/* Frames of a stream: every split point, sizes, alignment, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bufpool.h"
#include "base/wr.h"
#include "net/framer.h"

/* A stream of bodies of these lengths, body i filled with the byte i + 1. */
static const uint32_t lengths[] = {1, 0, 5, 63, 64, 65, 127, 128, 300, 0, 0, 2};
#define COUNT (sizeof(lengths) / sizeof(lengths[0]))

static size_t make_stream(uint8_t *out, size_t cap)
{
    struct wr w = wr_of(out, cap);

    for (unsigned i = 0; i < COUNT; i++) {
        wr_uvarint(&w, lengths[i]);
        for (uint32_t k = 0; k < lengths[i]; k++)
            wr_u8(&w, (uint8_t)(i + 1));
    }
    assert_false(w.bad);
    return w.len;
}

/* Checks body number *at (empty ones never show) and drops it. */
static void check_body(struct buf *b, unsigned *at)
{
    while (lengths[*at] == 0)
        ++*at;
    assert_int_equal(b->len, lengths[*at]);
    for (uint32_t k = 0; k < b->len; k++)
        assert_int_equal(b->data[k], *at + 1);
    buf_unref(b);
    ++*at;
}

static void feed(struct framer *f, const uint8_t *p, size_t len, unsigned *at)
{
    struct slice in = slice_of(p, len);
    struct buf *frame;
    int rc;

    while ((rc = framer_input(f, &in, &frame)) > 0)
        check_body(frame, at);
    assert_int_equal(rc, 0);
    assert_int_equal(in.len, 0);
}

static void test_framer_splits_anywhere(void **state)
{
    uint8_t stream[2048];
    size_t len = make_stream(stream, sizeof(stream));

    for (size_t cut = 0; cut <= len; cut++) {
        struct framer f;
        unsigned at = 0;

        framer_init(&f, 300, NULL, NULL);
        feed(&f, stream, cut, &at);
        feed(&f, stream + cut, len - cut, &at);
        assert_int_equal(at, COUNT);
        assert_int_equal(framer_held_bytes(&f), 0);
        framer_fini(&f);
    }
}

static void test_framer_takes_single_bytes(void **state)
{
    uint8_t stream[2048];
    size_t len = make_stream(stream, sizeof(stream));
    struct framer f;
    unsigned at = 0;

    framer_init(&f, 300, NULL, NULL);
    for (size_t i = 0; i < len; i++)
        feed(&f, stream + i, 1, &at);
    assert_int_equal(at, COUNT);
    framer_fini(&f);
}

static void test_framer_truncated_frees(void **state)
{
    uint8_t stream[2048];
    size_t len = make_stream(stream, sizeof(stream));

    for (size_t cut = 0; cut < len; cut++) {
        struct framer f;
        unsigned at = 0;

        framer_init(&f, 300, NULL, NULL);
        feed(&f, stream, cut, &at);
        framer_fini(&f); /* the leak checker judges */
    }
}

/* A body of len bytes, of which `here` come with its length. */
static void check_place(uint32_t len, uint32_t here)
{
    static uint8_t stream[200000];
    struct wr w = wr_of(stream, sizeof(stream));
    struct framer f;
    struct buf *frame = NULL;
    uint8_t *p;

    wr_uvarint(&w, len);
    struct slice in = slice_of(stream, w.len + here), rest = slice_of(stream + w.len + here, len - here);
    framer_init(&f, len, NULL, NULL);
    int rc = framer_input(&f, &in, &frame);
    if (here < len) {
        assert_int_equal(rc, 0);
        assert_int_equal(framer_place(&f, &p), len - here);
        assert_int_equal((uintptr_t)p % FRAMER_ALIGN, FRAMER_LEAD);
        rc = framer_input(&f, &rest, &frame);
    } else {
        assert_int_equal((uintptr_t)(frame->data + frame->len) % FRAMER_ALIGN, 0);
    }
    assert_int_equal(rc, 1);
    assert_int_equal(frame->len, len);
    buf_unref(frame);
    framer_fini(&f);
}

static void test_framer_places_what_comes_next(void **state)
{
    for (uint32_t here = 0; here <= 130; here++) {
        check_place(130, here);
        check_place(131, here);
        check_place(150000, here);
    }
    for (uint32_t len = 1; len < 130; len++)
        check_place(len, len);
    check_place(150000, 65393);
    check_place(150000, 150000);
}

static int first_error(const uint8_t *bytes, size_t len, uint32_t max)
{
    struct framer f;
    struct slice in = slice_of(bytes, len);
    struct buf *frame;
    int rc;

    framer_init(&f, max, NULL, NULL);
    while ((rc = framer_input(&f, &in, &frame)) > 0)
        buf_unref(frame);
    framer_fini(&f);
    return rc;
}

static void test_framer_refuses_oversize(void **state)
{
    const struct {
        const char *name;
        uint8_t bytes[12];
        size_t len;
        uint32_t max;
        int want;
    } t[] = {
        {"at the limit", {0x80, 0x02}, 2, 256, 0},
        {"one over", {0x81, 0x02}, 2, 256, -FRAMER_EOVERSIZE},
        {"4 GiB", {0x80, 0x80, 0x80, 0x80, 0x10}, 5, UINT32_MAX - 64, -FRAMER_EOVERSIZE},
        {"2^63",
         {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
         10,
         1 << 20,
         -FRAMER_EOVERSIZE},
        {"endless varint",
         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
         11,
         1 << 20,
         -FRAMER_EVARINT},
        {"not minimal", {0x81, 0x00, 7}, 3, 256, 0},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        if (first_error(t[i].bytes, t[i].len, t[i].max) != t[i].want)
            fail_msg("%s: got %s", t[i].name, framer_err_name(first_error(t[i].bytes, t[i].len, t[i].max)));
}

static struct buf *refuse(void *ctx, uint32_t cap)
{
    ++*(unsigned *)ctx;
    return NULL;
}

static void test_framer_tells_no_memory(void **state)
{
    uint8_t head[] = {0x10, 1};
    struct slice in = slice_of(head, 2);
    struct framer f;
    struct buf *frame;
    unsigned asked = 0;

    framer_init(&f, 100, refuse, &asked);
    assert_int_equal(framer_input(&f, &in, &frame), -FRAMER_EMEM);
    assert_int_equal(asked, 1);
    framer_fini(&f);
}

static void test_framer_works_with_a_pool(void **state)
{
    struct bufpool pool;
    struct framer f;
    uint8_t stream[2048];
    size_t len = make_stream(stream, sizeof(stream));
    unsigned at = 0;

    bufpool_init(&pool, 1 << 20, 1 << 20);
    framer_init(&f, 300, bufpool_alloc, &pool);
    feed(&f, stream, len, &at);
    framer_fini(&f);
    assert_int_equal(pool.used_bytes, 0); /* a moved data pointer must not confuse the pool */
    bufpool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framer_splits_anywhere), cmocka_unit_test(test_framer_takes_single_bytes),
        cmocka_unit_test(test_framer_truncated_frees), cmocka_unit_test(test_framer_places_what_comes_next), cmocka_unit_test(test_framer_refuses_oversize),
        cmocka_unit_test(test_framer_tells_no_memory), cmocka_unit_test(test_framer_works_with_a_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
