/* ws_msg.c: one WebSocket message, framed once (RFC 6455 5.2) */
#include "http/ws_msg.h"

#include <assert.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/stash.h"

struct ws_msg *ws_msg_new(size_t cap)
{
    struct ws_msg *m;

    if (cap > SIZE_MAX / 2)
        return NULL;
    m = stash_get(sizeof(*m) + WS_HEADER_MAX + cap);
    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->sealed = false;
    m->start = 0;
    m->cap = cap;
    m->len = 0;
    m->budget = NULL;
    return m;
}

static size_t block_bytes(const struct ws_msg *m)
{
    return sizeof(*m) + WS_HEADER_MAX + m->cap;
}

static unsigned put_be(uint8_t *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    return n;
}

void ws_msg_seal(struct ws_msg *m, enum ws_opcode op, size_t len)
{
    uint8_t h[WS_HEADER_MAX];
    unsigned n = 0;

    assert(!m->sealed && len <= m->cap);
    h[n++] = (uint8_t)(0x80 | op); /* FIN: we never fragment */
    if (len < 126) {
        h[n++] = (uint8_t)len;
    } else if (len <= 0xffff) {
        h[n++] = 126;
        n += put_be(h + n, len, 2);
    } else {
        h[n++] = 127;
        n += put_be(h + n, len, 8);
    }
    m->start = (uint8_t)(WS_HEADER_MAX - n);
    memcpy(m->block + m->start, h, n);
    m->len = len;
    m->sealed = true;
}

void ws_msg_seal_raw(struct ws_msg *m, size_t len)
{
    assert(!m->sealed && len <= m->cap);
    m->start = WS_HEADER_MAX;
    m->len = len;
    m->sealed = true;
}

struct ws_msg *ws_msg_copy(enum ws_opcode op, struct slice s)
{
    struct ws_msg *m = ws_msg_new(s.len);

    if (!m)
        return NULL;
    if (s.len)
        memcpy(ws_msg_data(m), s.p, s.len);
    ws_msg_seal(m, op, s.len);
    return m;
}

struct ws_msg *ws_msg_ref(struct ws_msg *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void ws_msg_unref(struct ws_msg *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    budget_give(m->budget, block_bytes(m));
    stash_put(m, block_bytes(m));
}

void ws_msg_charge(struct ws_msg *m, struct budget *b)
{
    m->budget = b;
    budget_take(b, block_bytes(m));
}

struct slice ws_msg_wire(const struct ws_msg *m)
{
    assert(m->sealed);
    return slice_of(m->block + m->start, WS_HEADER_MAX - m->start + m->len);
}
