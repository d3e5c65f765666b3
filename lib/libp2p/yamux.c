#include "libp2p/yamux.h"

#include <assert.h>
#include <stdlib.h>

#include "libp2p/yamux_pvt.h"

#define LAST_ID (UINT32_MAX - 1) /* one is left for the peer's arithmetic */

const char *yamux_err_name(int err)
{
    static const char *const names[] = {
        "ok", "YAMUX_EVERSION", "YAMUX_ETYPE", "YAMUX_EPARITY", "YAMUX_EDUPLICATE", "YAMUX_ESTREAM", "YAMUX_EWINDOW",
        "YAMUX_ELENGTH", "YAMUX_EFLOOD", "YAMUX_EMEM", "YAMUX_EFULL", "YAMUX_EAWAY", "YAMUX_ECLOSED",
    };
    unsigned i = (unsigned)(err < 0 ? -err : err);

    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}

void yamux_init(struct yamux *y, const struct yamux_config *cfg)
{
    memset(y, 0, sizeof(*y));
    y->cfg = *cfg;
    if (y->cfg.window_cap_bytes < YAMUX_WINDOW_INITIAL)
        y->cfg.window_cap_bytes = YAMUX_WINDOW_INITIAL;
    if (y->cfg.window_cap_bytes > YAMUX_WINDOW_CAP)
        y->cfg.window_cap_bytes = YAMUX_WINDOW_CAP;
    y->next_id = cfg->is_client ? 1 : 2;
    list_init(&y->all);
    list_init(&y->control);
    list_init(&y->ready);
    list_init(&y->over);
}

void yamux_fini(struct yamux *y)
{
    LIST_EACH(it, &y->all)
        yamux_stream_drop(y, CONTAINER_OF(it, struct yamux_stream, all));
    free(y->resets);
    y->resets = NULL;
    y->nresets = y->resets_cap = 0;
}

int yamux_fail(struct yamux *y, int err)
{
    if (y->err)
        return y->err;
    y->err = err;
    yamux_goaway(y, err == -YAMUX_EMEM ? YAMUX_CODE_INTERNAL : YAMUX_CODE_PROTOCOL, false);
    return err;
}

/* ---- the table ---- */

static struct yamux_stream **bucket_of(struct yamux *y, uint32_t id)
{
    return &y->bucket[(id * (y->cfg.secret | 1)) >> 58]; /* multiply-shift: 6 bits */
}

struct yamux_stream *yamux_stream_find(const struct yamux *y, uint32_t id)
{
    struct yamux_stream *st = *bucket_of((struct yamux *)y, id);

    while (st && st->id != id)
        st = st->bucket_next;
    return st;
}

struct yamux_stream *yamux_stream_new(struct yamux *y, uint32_t id, bool is_ours, uint64_t now)
{
    struct yamux_stream *st = calloc(1, sizeof(*st));
    struct yamux_stream **b = bucket_of(y, id);

    if (!st)
        return NULL;
    st->id = id;
    st->is_ours = is_ours;
    st->credit = YAMUX_WINDOW_INITIAL;
    yamux_window_init(&st->window, now);
    st->bucket_next = *b;
    *b = st;
    list_push_back(&y->all, &st->all);
    *(is_ours ? &y->count_out : &y->count_in) += 1;
    return st;
}

void yamux_stream_drop(struct yamux *y, struct yamux_stream *st)
{
    struct yamux_stream **b = bucket_of(y, st->id);

    while (*b != st)
        b = &(*b)->bucket_next;
    *b = st->bucket_next;
    list_del(&st->all);
    list_del(&st->control);
    list_del(&st->ready);
    list_del(&st->over);
    *(st->is_ours ? &y->count_out : &y->count_in) -= 1;
    if (y->body == st)
        y->body = NULL; /* the rest of its body is drained */
    y->queued_bytes -= st->queue.bytes;
    p2p_sendq_fini(&st->queue);
    free(st);
}

struct yamux_stream *yamux_walk(const struct yamux *y, const struct yamux_stream *after)
{
    const struct list *next = after ? after->all.next : y->all.next;

    return next == &y->all ? NULL : CONTAINER_OF(next, struct yamux_stream, all);
}

struct yamux_stream *yamux_next_over(struct yamux *y)
{
    struct list *n = list_pop_front(&y->over);

    return n ? CONTAINER_OF(n, struct yamux_stream, over) : NULL;
}

/* ---- what a stream has to say ---- */

static void set_linked(struct list *head, struct list *n, bool is_wanted)
{
    if (is_wanted && !list_is_linked(n))
        list_push_back(head, n);
    else if (!is_wanted)
        list_del(n);
}

void yamux_stream_touch(struct yamux *y, struct yamux_stream *st)
{
    bool is_fin_due = st->owes_fin && st->queue.bytes == 0;

    set_linked(&y->control, &st->control, st->owes_syn || st->owes_ack || st->owes_window || is_fin_due);
    set_linked(&y->ready, &st->ready, st->queue.bytes && st->credit);
}

struct yamux_stream *yamux_stream_open(struct yamux *y, void *user, int *err, uint64_t now)
{
    struct yamux_stream *st = NULL;
    int why = 0;

    if (y->err || y->owes_goaway || y->has_sent_goaway || y->has_got_goaway || y->next_id >= LAST_ID)
        why = -YAMUX_EAWAY;
    else if (y->count_out >= y->cfg.streams_out)
        why = -YAMUX_EFULL;
    else if (!(st = yamux_stream_new(y, y->next_id, true, now)))
        why = -YAMUX_EMEM;
    if (err)
        *err = why;
    if (!st)
        return NULL;
    y->next_id += 2;
    y->counters.streams_out++;
    st->user = user;
    st->owes_syn = true;
    yamux_stream_touch(y, st);
    return st;
}

static bool is_write_closed(const struct yamux_stream *st)
{
    return st->owes_fin || st->has_sent_fin || st->has_got_rst;
}

int yamux_stream_send(struct yamux *y, struct yamux_stream *st, struct buf *b, uint32_t off, uint32_t len)
{
    if (is_write_closed(st))
        return -YAMUX_ECLOSED;
    if (p2p_sendq_push(&st->queue, b, off, len) < 0)
        return -YAMUX_EMEM;
    y->queued_bytes += len;
    yamux_stream_touch(y, st);
    return 0;
}

int yamux_stream_copy(struct yamux *y, struct yamux_stream *st, struct slice s)
{
    if (is_write_closed(st))
        return -YAMUX_ECLOSED;
    if (p2p_sendq_copy(&st->queue, s) < 0)
        return -YAMUX_EMEM;
    y->queued_bytes += s.len;
    yamux_stream_touch(y, st);
    return 0;
}

int yamux_stream_splice(struct yamux *y, struct yamux_stream *st, struct sendq *src)
{
    uint64_t n = src->bytes;

    if (is_write_closed(st))
        return -YAMUX_ECLOSED;
    if (p2p_sendq_splice(&st->queue, src) < 0)
        return -YAMUX_EMEM;
    y->queued_bytes += n;
    yamux_stream_touch(y, st);
    return 0;
}

void yamux_stream_close(struct yamux *y, struct yamux_stream *st)
{
    if (is_write_closed(st))
        return;
    st->owes_fin = true;
    yamux_stream_touch(y, st);
}

bool yamux_stream_is_over(const struct yamux_stream *st)
{
    return st->has_got_rst || (st->has_sent_fin && st->has_got_fin);
}

/* ---- the session's own words ---- */

void yamux_refuse(struct yamux *y, uint32_t id)
{
    if (y->nresets == y->resets_cap) {
        uint32_t cap = y->resets_cap ? y->resets_cap * 2 : 16;
        uint32_t *grown = cap <= YAMUX_RESETS_MAX ? realloc(y->resets, cap * sizeof(*grown)) : NULL;
        if (!grown) {
            yamux_fail(y, cap <= YAMUX_RESETS_MAX ? -YAMUX_EMEM : -YAMUX_EFLOOD);
            return;
        }
        y->resets = grown;
        y->resets_cap = cap;
    }
    y->resets[y->nresets++] = id;
}

void yamux_stream_reset(struct yamux *y, struct yamux_stream *st)
{
    if (!st->owes_syn && !st->has_got_rst) {
        y->counters.resets_out++;
        yamux_refuse(y, st->id);
    }
    yamux_stream_drop(y, st);
}

void yamux_ping(struct yamux *y, uint32_t value)
{
    if (y->is_ping_out)
        return;
    y->is_ping_out = y->owes_ping = true;
    y->ping_value = value;
}

void yamux_goaway(struct yamux *y, enum yamux_code code, bool is_polite)
{
    if (y->has_sent_goaway || (y->owes_goaway && is_polite))
        return;
    y->owes_goaway = true;
    y->is_polite = is_polite;
    y->goaway_code = code;
}
