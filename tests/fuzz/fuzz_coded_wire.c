/* fuzz_coded_wire.c: the coded extension's decoders
 * Input:   a byte that picks the message, then its content
 * Holds:   what reads well and is written again reads the same; a header that reads well has one spelling
 */
#include <stdlib.h>

#include "pubsub/coded_wire.h"

static uint8_t out[1 << 17];

static void check(int ok)
{
    if (!ok)
        abort();
}

/* The content of the field just written. */
static struct slice written(const struct wr *w)
{
    struct rd r = rd_of(slice_of(w->p, w->len));
    struct pb_field f;

    check(!w->bad && pb_next(&r, &f) == 1 && rd_left(&r) == 0);
    return f.bytes;
}

static void header(struct slice in)
{
    struct coded_header h;
    struct wr w = wr_of(out, sizeof(out));

    if (coded_header_read(in, &h))
        return;
    coded_header_put(&w, h.core, h.signature);
    check(w.len <= CODED_HEADER_MAX);
    check(slice_is_equal(written(&w), in));
    w = wr_of(out, sizeof(out));
    coded_header_core_put(&w, &h);
    check(slice_is_equal(slice_of(out, w.len), h.core));
}

static void shard(struct slice in)
{
    struct coded_shard s, again;
    struct wr w = wr_of(out, sizeof(out));

    if (coded_shard_read(in, &s))
        return;
    coded_shard_put(&w, &s);
    wr_slice(&w, s.payload);
    check(!coded_shard_read(written(&w), &again));
    check(slice_is_equal(s.payload, again.payload) && slice_is_equal(s.coefs, again.coefs) && s.rank == again.rank &&
          slice_is_equal(s.sent, again.sent) && s.flags == again.flags && !memcmp(s.id, again.id, CODED_ID_BYTES));
}

static void have(struct slice in)
{
    struct coded_have h, again;
    struct wr w = wr_of(out, sizeof(out));

    if (coded_have_read(in, &h))
        return;
    coded_have_put(&w, &h, 256);
    check(w.len <= CODED_SMALL_MAX && !coded_have_read(written(&w), &again));
    check(h.rank == again.rank && !memcmp(&h.verified, &again.verified, sizeof(h.verified)));
}

static void want(struct slice in)
{
    struct coded_want a, again;
    struct wr w = wr_of(out, sizeof(out));

    if (coded_want_read(in, &a))
        return;
    coded_want_put(&w, &a, 256);
    check(w.len <= CODED_SMALL_MAX && !coded_want_read(written(&w), &again));
    check(a.rank == again.rank && a.count == again.count && a.flags == again.flags &&
          !memcmp(&a.skip, &again.skip, sizeof(a.skip)));
}

static void near(struct slice in)
{
    struct coded_near n, again;
    struct wr w = wr_of(out, sizeof(out));

    if (coded_near_read(in, &n))
        return;
    coded_near_put(&w, &n);
    check(!coded_near_read(written(&w), &again) && slice_is_equal(n.tags, again.tags) && slice_is_equal(n.topic, again.topic));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct slice) = {header, shard, have, want, near};

    if (size)
        readers[data[0] % 5](slice_of(data + 1, size - 1));
    return 0;
}
