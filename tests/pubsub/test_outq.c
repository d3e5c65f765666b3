/* The output queue: order, packing, limits, references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pubsub/outq.h"
#include "pubsub/rpc.h"

static unsigned allocs_left = ~0u;

static struct buf *alloc(void *ctx, uint32_t cap)
{
    if (!allocs_left)
        return NULL;
    allocs_left--;
    return buf_new(cap);
}

static struct buf *filled(uint32_t len, uint8_t with)
{
    struct buf *b = buf_new(len);

    memset(b->data, with, len);
    b->len = len;
    return b;
}

/* Takes the next RPC as one heap block; the pieces are released. */
static struct buf *take(struct outq *q, unsigned *npieces)
{
    struct pubsub_piece out[PUBSUB_MAX_PIECES];
    uint64_t bytes = 0;
    unsigned n = outq_next(q, alloc, NULL, out, &bytes);
    struct buf *b = buf_new((uint32_t)bytes);

    *npieces = n;
    assert_true(n <= PUBSUB_MAX_PIECES);
    for (unsigned i = 0; i < n; i++) {
        assert_true(out[i].off + out[i].len <= out[i].buf->len);
        memcpy(b->data + b->len, out[i].buf->data + out[i].off, out[i].len);
        b->len += out[i].len;
        buf_unref(out[i].buf);
    }
    assert_int_equal(b->len, bytes);
    return b;
}

static void put_sub(struct outq *q, const char *topic)
{
    struct wr w = outq_subs(q, strlen(topic) + 16);

    rpc_put_subscription(&w, slice_str(topic), true);
    outq_subs_commit(q, &w);
}

static void put_graft(struct outq *q, const char *topic)
{
    struct wr w = outq_control(q, strlen(topic) + 16);

    rpc_put_graft(&w, slice_str(topic));
    outq_control_commit(q, &w);
}

static void push(struct outq *q, struct buf *b)
{
    struct pubsub_piece p = {b, 0, b->len};

    assert_int_equal(outq_push(q, &p, 1), 0);
}

static void test_outq_packs_all_into_one_rpc(void **state)
{
    /* publish fields: tag 0x12, length, body */
    struct buf *a = buf_copy(SLICE_LIT("\x12\x02" "aa")), *rpc;
    struct rpc_reader r;
    struct rpc_item it;
    struct outq q;
    unsigned n;

    outq_init(&q);
    assert_true(outq_is_empty(&q));
    push(&q, a);
    put_graft(&q, "t");
    put_sub(&q, "t");
    assert_int_equal(outq_push_bytes(&q, SLICE_LIT("\xa2\x06\x01" "x"), NULL, 0, 0), 0);
    rpc = take(&q, &n);
    assert_int_equal(n, 1); /* all small: one piece */
    assert_int_equal(a->refs, 1);
    r = rpc_reader_of(buf_slice(rpc));
    assert_true(rpc_next(&r, &it) && it.type == RPC_SUBSCRIBE);
    assert_true(rpc_next(&r, &it) && it.type == RPC_GRAFT);
    assert_true(rpc_next(&r, &it) && it.type == RPC_MESSAGE && it.body.len == 2);
    assert_true(rpc_next(&r, &it) && it.type == RPC_EXTENSION && it.number == 100);
    assert_false(rpc_next(&r, &it));
    assert_true(outq_is_empty(&q));
    assert_int_equal(outq_pending_bytes(&q), 0);
    buf_unref(rpc);
    buf_unref(a);
    outq_fini(&q);
}

static void test_outq_large_pieces_go_by_reference(void **state)
{
    struct buf *big = filled(100000, 'b'), *small = filled(10, 's');
    struct pubsub_piece unit[3] = {{small, 0, 5}, {big, 1, 99999}, {small, 5, 5}}, out[PUBSUB_MAX_PIECES];
    struct outq q;
    uint64_t bytes;

    outq_init(&q);
    assert_int_equal(outq_push(&q, unit, 3), 0);
    assert_int_equal(outq_next(&q, alloc, NULL, out, &bytes), 3);
    assert_int_equal(bytes, 100009);
    assert_ptr_equal(out[1].buf, big);
    assert_int_equal(out[1].off, 1);
    assert_int_equal(big->refs, 2);
    for (int i = 0; i < 3; i++)
        buf_unref(out[i].buf);
    assert_int_equal(big->refs, 1);
    assert_int_equal(small->refs, 1);
    buf_unref(big);
    buf_unref(small);
    outq_fini(&q);
}

/* What says "do not send it" must not wait for the message to cross. */
static void test_outq_control_goes_ahead_of_a_large_unit(void **state)
{
    struct buf *big = filled(20000, 'b'), *rpc;
    struct outq q;
    unsigned n;

    outq_init(&q);
    push(&q, big);
    put_graft(&q, "t");
    rpc = take(&q, &n);
    assert_true(rpc->len < 20);
    buf_unref(rpc);
    rpc = take(&q, &n);
    assert_int_equal(rpc->len, 20000);
    buf_unref(rpc);
    assert_true(outq_is_empty(&q));
    buf_unref(big);
    outq_fini(&q);
}

/* Random units come out whole, in order, byte for byte, in RPCs within the limits. */
static void test_outq_keeps_order_and_bytes(void **state)
{
    struct rng rng;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct buf *want = buf_new(4 << 20), *got = buf_new(4 << 20);
        unsigned units = 0, n;
        struct outq q;
        rng_init_seeded(&rng, seed);
        outq_init(&q);
        for (unsigned i = 0; i < 40; i++) {
            struct pubsub_piece pieces[OUTQ_UNIT_PIECES];
            unsigned np = 1 + (unsigned)rng_below(&rng, OUTQ_UNIT_PIECES);
            for (unsigned k = 0; k < np; k++) {
                uint32_t len = (uint32_t)(rng_below(&rng, 2) ? rng_below(&rng, 200) : rng_below(&rng, 30000));
                pieces[k] = (struct pubsub_piece){filled(len + 3, (uint8_t)rng_u64(&rng)), 3, len};
                memcpy(want->data + want->len, pieces[k].buf->data + 3, len);
                want->len += len;
            }
            units++;
            if (np <= 2 && rng_below(&rng, 2)) {
                struct pubsub_piece *body = np == 2 ? &pieces[1] : NULL;
                assert_int_equal(outq_push_bytes(&q, slice_of(pieces[0].buf->data + 3, pieces[0].len),
                                                 body ? body->buf : NULL, 3, body ? body->len : 0), 0);
            } else {
                assert_int_equal(outq_push(&q, pieces, np), 0);
            }
            for (unsigned k = 0; k < np; k++)
                buf_unref(pieces[k].buf);
            if (rng_below(&rng, 5) == 0) {
                struct buf *rpc = take(&q, &n);
                memcpy(got->data + got->len, rpc->data, rpc->len);
                got->len += rpc->len;
                buf_unref(rpc);
            }
        }
        while (!outq_is_empty(&q)) {
            uint32_t before = q.count;
            struct buf *rpc = take(&q, &n);
            assert_true(n > 0);
            if (rpc->len > OUTQ_JOIN_BYTES)
                assert_int_equal(before - q.count, 1); /* one unit alone may be larger */
            memcpy(got->data + got->len, rpc->data, rpc->len);
            got->len += rpc->len;
            buf_unref(rpc);
        }
        assert_int_equal(outq_pending_bytes(&q), 0);
        assert_true(slice_is_equal(buf_slice(want), buf_slice(got)));
        outq_fini(&q);
        buf_unref(want);
        buf_unref(got);
    }
}

static void test_outq_splits_long_control_between_entries(void **state)
{
    char topic[200];
    unsigned grafts = 0, subs = 0, rpcs = 0, n;
    struct outq q;

    outq_init(&q);
    memset(topic, 't', sizeof(topic) - 1);
    topic[sizeof(topic) - 1] = 0;
    for (int i = 0; i < 1000; i++) {
        put_graft(&q, topic);
        put_sub(&q, topic);
    }
    while (!outq_is_empty(&q)) {
        struct buf *rpc = take(&q, &n);
        struct rpc_reader r = rpc_reader_of(buf_slice(rpc));
        struct rpc_item it;
        assert_true(rpc->len <= OUTQ_RPC_BYTES + 8);
        assert_true(rpc->len <= 16384); /* what rust-libp2p takes */
        assert_int_equal(rpc_check(buf_slice(rpc)), 0);
        while (rpc_next(&r, &it)) {
            assert_int_equal(it.topic.len, sizeof(topic) - 1);
            if (it.type == RPC_GRAFT)
                assert_int_equal(subs, 1000); /* all subscriptions first */
            grafts += it.type == RPC_GRAFT;
            subs += it.type == RPC_SUBSCRIBE;
        }
        rpcs++;
        buf_unref(rpc);
    }
    assert_int_equal(grafts, 1000);
    assert_int_equal(subs, 1000);
    assert_true(rpcs >= 7);
    outq_fini(&q);
}

static void test_outq_without_memory_keeps_everything(void **state)
{
    struct buf *a = filled(100, 'a');
    struct pubsub_piece out[PUBSUB_MAX_PIECES];
    struct outq q;
    uint64_t bytes;
    unsigned n;

    outq_init(&q);
    push(&q, a);
    allocs_left = 0;
    assert_int_equal(outq_next(&q, alloc, NULL, out, &bytes), 0);
    assert_false(outq_is_empty(&q));
    allocs_left = ~0u;
    struct buf *rpc = take(&q, &n);
    assert_true(slice_is_equal(buf_slice(rpc), buf_slice(a)));
    buf_unref(rpc);
    push(&q, a); /* fini releases what waits */
    outq_fini(&q);
    assert_int_equal(a->refs, 1);
    buf_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outq_packs_all_into_one_rpc),
        cmocka_unit_test(test_outq_large_pieces_go_by_reference),
        cmocka_unit_test(test_outq_control_goes_ahead_of_a_large_unit),
        cmocka_unit_test(test_outq_keeps_order_and_bytes),
        cmocka_unit_test(test_outq_splits_long_control_between_entries),
        cmocka_unit_test(test_outq_without_memory_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
