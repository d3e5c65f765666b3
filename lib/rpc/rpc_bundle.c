#include "rpc/rpc_bundle.h"

#include "base/pb.h"
#include "rpc/rpc_slice.h"

#define TAG      (RPC_BUNDLE_FIELD << 3 | PB_BYTES) /* one byte */
#define HEAD_MAX 4                                  /* the tag, and the length of at most RPC_BUNDLE_ITEM */

struct rpc_msg *rpc_bundle_make(struct rpc_queue *q, struct rpc_msg *first, unsigned *count, size_t *bytes)
{
    size_t room = RPC_BUNDLE_BYTES - rpc_msg_len(first) - HEAD_MAX;
    unsigned more = rpc_msg_len(first) > RPC_BUNDLE_ITEM ? 0 : rpc_queue_run(q, RPC_BUNDLE_COUNT - 1, RPC_BUNDLE_ITEM, HEAD_MAX, &room);
    struct rpc_msg *m = more ? rpc_msg_new(RPC_BUNDLE_BYTES - room) : NULL, *item = first;
    struct wr w;

    *count = 1;
    *bytes = rpc_msg_len(first);
    if (!m)
        return first;
    w = wr_of(rpc_msg_bytes(m), rpc_msg_len(m));
    for (unsigned i = 0;; item = rpc_queue_pop(q)) {
        pb_put_head(&w, RPC_BUNDLE_FIELD, rpc_msg_len(item));
        rpc_msg_read(item, w.p + w.len);
        w.len += rpc_msg_len(item);
        rpc_msg_unref(item);
        if (i++ == more)
            break;
        *bytes += rpc_msg_len(rpc_queue_front(q));
    }
    *count = more + 1;
    rpc_msg_cut(m, w.len);
    return m;
}

bool rpc_bundle_is(struct slice s)
{
    return s.len && s.p[0] == TAG;
}

int rpc_bundle_next(struct slice s, size_t *at, struct slice *item)
{
    struct rd r = rd_of(slice_of(s.p + *at, s.len - *at));
    struct pb_field f;
    int rc = pb_next(&r, &f);

    if (rc <= 0)
        return rc;
    if (!pb_is(&f, RPC_BUNDLE_FIELD, PB_BYTES))
        return -1;
    *at = (size_t)(f.bytes.p + f.bytes.len - s.p);
    *item = f.bytes;
    return 1;
}
