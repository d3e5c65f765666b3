#include "rpc/rpc_msg.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <grpc/byte_buffer_reader.h>

#include "base/budget.h"
#include "base/stash.h"
#include "rpc/rpc_err.h"
#include "rpc/rpc_inflate.h"
#include "rpc/rpc_slice.h"

/* Below this a received message is copied out of core's read buffer, which may be a thousand times as large. */
#define MSG_COPY_BELOW_BYTES 4096
#define SMALL_LEAST 64 /* below, core's own slices hold the bytes as well */

struct rpc_msg {
    atomic_uint refs;
    unsigned count;
    size_t len, charged;
    struct budget *budget;
    grpc_slice part[];
};

static struct rpc_msg *msg_alloc(unsigned count)
{
    struct rpc_msg *m = stash_get(sizeof(*m) + count * sizeof(m->part[0]));

    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->count = count;
    m->len = m->charged = 0;
    m->budget = NULL;
    return m;
}

/* Takes s. */
static struct rpc_msg *msg_of_slice(grpc_slice s)
{
    struct rpc_msg *m = msg_alloc(1);

    if (!m) {
        grpc_slice_unref(s);
        return NULL;
    }
    m->part[0] = s;
    m->len = GRPC_SLICE_LENGTH(s);
    return m;
}

/* A small message's bytes. */
struct small {
    size_t len;
    uint8_t bytes[];
};

static void small_free(void *p)
{
    struct small *b = p;

    stash_put(b, sizeof(*b) + b->len);
}

struct rpc_msg *rpc_msg_new(size_t len)
{
    struct small *b;

    if (len < SMALL_LEAST || len > STASH_MAX - sizeof(*b))
        return msg_of_slice(grpc_slice_malloc(len));
    b = stash_get(sizeof(*b) + len);
    if (!b)
        return NULL;
    b->len = len;
    return msg_of_slice(grpc_slice_new_with_user_data(b->bytes, len, small_free, b));
}

struct rpc_msg *rpc_msg_copy(struct slice s)
{
    struct rpc_msg *m = rpc_msg_new(s.len);

    if (m && s.len)
        memcpy(rpc_msg_bytes(m), s.p, s.len);
    return m;
}

struct rpc_msg *rpc_msg_wrap(struct slice s, void (*release)(void *user), void *user)
{
    struct rpc_msg *m = msg_alloc(1);

    if (!m)
        return NULL;
    m->part[0] = grpc_slice_new_with_user_data((void *)(uintptr_t)s.p, s.len, release, user);
    m->len = s.len;
    return m;
}

struct rpc_msg *rpc_msg_join(struct rpc_msg *head, struct rpc_msg *tail)
{
    struct rpc_msg *m = msg_alloc(head->count + tail->count);

    if (!m)
        return NULL;
    for (unsigned i = 0; i < head->count; i++)
        m->part[i] = grpc_slice_ref(head->part[i]);
    for (unsigned i = 0; i < tail->count; i++)
        m->part[head->count + i] = grpc_slice_ref(tail->part[i]);
    m->len = head->len + tail->len;
    return m;
}

struct rpc_msg *rpc_msg_part(struct rpc_msg *m, struct slice s)
{
    struct slice all = rpc_msg_slice(m);
    size_t from;

    if (s.len == 0)
        return rpc_msg_new(0);
    assert(all.p && s.p >= all.p && s.len <= all.len && (size_t)(s.p - all.p) <= all.len - s.len);
    from = (size_t)(s.p - all.p);
    return msg_of_slice(grpc_slice_sub(m->part[0], from, from + s.len));
}

struct rpc_msg *rpc_msg_ref(struct rpc_msg *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void rpc_msg_unref(struct rpc_msg *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    budget_give(m->budget, m->charged);
    for (unsigned i = 0; i < m->count; i++)
        grpc_slice_unref(m->part[i]);
    stash_put(m, sizeof(*m) + m->count * sizeof(m->part[0]));
}

void rpc_msg_charge(struct rpc_msg *m, struct budget *b)
{
    m->budget = b;
    m->charged = m->len;
    budget_take(b, m->charged);
}

size_t rpc_msg_len(const struct rpc_msg *m)
{
    return m->len;
}

struct slice rpc_msg_slice(const struct rpc_msg *m)
{
    return m->count == 1 ? rpc_slice_view(&m->part[0]) : (struct slice){NULL, 0};
}

uint8_t *rpc_msg_bytes(struct rpc_msg *m)
{
    assert(m->count == 1);
    return GRPC_SLICE_START_PTR(m->part[0]);
}

void rpc_msg_cut(struct rpc_msg *m, size_t len)
{
    assert(m->count == 1 && len <= m->len);
    GRPC_SLICE_SET_LENGTH(m->part[0], len);
    m->len = len;
}

void rpc_msg_read(const struct rpc_msg *m, uint8_t *out)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct slice s = rpc_slice_view(&m->part[i]);

        if (s.len)
            memcpy(out, s.p, s.len);
        out += s.len;
    }
}

grpc_byte_buffer *rpc_msg_to_buffer(const struct rpc_msg *m)
{
    /* create only takes references: it does not write through the pointer */
    return grpc_raw_byte_buffer_create((grpc_slice *)(uintptr_t)m->part, m->count);
}

static int share_or_copy(struct rpc_msg **out, grpc_byte_buffer *bb)
{
    grpc_byte_buffer_reader r;
    grpc_slice *only = NULL;
    grpc_slice s;

    if (!grpc_byte_buffer_reader_init(&r, bb))
        return -RPC_EARG;
    if (bb->data.raw.slice_buffer.count == 1 && grpc_byte_buffer_length(bb) >= MSG_COPY_BELOW_BYTES &&
        grpc_byte_buffer_reader_peek(&r, &only))
        s = grpc_slice_ref(*only);
    else
        s = grpc_byte_buffer_reader_readall(&r);
    grpc_byte_buffer_reader_destroy(&r);
    *out = msg_of_slice(s);
    return *out ? 0 : -RPC_ENOMEM;
}

int rpc_msg_from_buffer(struct rpc_msg **out, grpc_byte_buffer *bb, size_t max_bytes)
{
    int err;

    *out = NULL;
    if (bb->data.raw.compression != GRPC_COMPRESS_NONE)
        err = rpc_inflate(out, bb, max_bytes);
    else if (grpc_byte_buffer_length(bb) > max_bytes)
        err = -RPC_ETOOBIG;
    else
        err = share_or_copy(out, bb);
    grpc_byte_buffer_destroy(bb);
    return err;
}
