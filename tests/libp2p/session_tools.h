/* session_tools.h: sessions in memory
 * struct side: one session with a small application that keeps what it hears; struct wire: bytes under way;
 * struct link: two sides, two wires, a virtual clock and a seeded schedule
 */
#ifndef TEST_SESSION_TOOLS_H
#define TEST_SESSION_TOOLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "libp2p/keys.h"
#include "libp2p/multiaddr.h"
#include "libp2p/noise.h"
#include "libp2p/session.h"

#define MS       1000000ull
#define SECOND   1000000000ull
#define SIDE_MAX 4096 /* kept per stream */
#define STREAMS  128

struct wire {
    uint8_t *p;
    size_t len, at, cap;
    uint64_t total;
};

static inline void wire_put(struct wire *w, const uint8_t *p, size_t n)
{
    if (w->at == w->len)
        w->at = w->len = 0;
    if (w->len + n > w->cap) {
        w->cap = (w->len + n) * 2;
        w->p = realloc(w->p, w->cap);
        assert_non_null(w->p);
    }
    memcpy(w->p + w->len, p, n);
    w->len += n;
    w->total += n;
}

static inline size_t wire_left(const struct wire *w)
{
    return w->len - w->at;
}

/* What a side heard of one stream. */
struct heard {
    uint32_t id;
    unsigned protocol;
    bool opened, ready, refused, eof, reset, writable;
    int err;
    uint64_t bytes, hash;
    uint8_t kept[SIDE_MAX];
    size_t nkept;
    void *user;
};

struct side {
    struct session *s;
    struct session_config cfg;
    struct session_local local;
    struct noise_identity identity;
    struct key_pair key;
    struct peer_id id;
    struct rng rng;
    struct wire out;
    bool up, closed, identified, identify_failed, is_echo;
    bool is_lax; /* streams are not followed: a hostile peer uses ids again */
    unsigned identifies, rtts, closes, events;
    int err, input_err;
    const char *reason;
    struct peer_id peer;
    uint64_t rtt_ns;
    char agent[128], protocols[4096], version[64];
    struct slice record;
    uint8_t record_bytes[512];
    struct multiaddr observed;
    unsigned naddrs;
    bool is_push;
    struct heard heard[STREAMS];
    unsigned nheard;
    char log[1 << 16]; /* all events but RTT, data joined, as text */
    size_t log_len;
    uint32_t log_data;
    bool has_log;
    void (*on_event)(struct side *, const struct session_event *, uint64_t now);
    void *ctx;
};

#define HASH_INIT 0xcbf29ce484222325ull

static inline uint64_t hash_more(uint64_t h, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

static inline struct heard *heard_of(struct side *d, uint32_t id)
{
    for (unsigned i = 0; i < d->nheard; i++)
        if (d->heard[i].id == id)
            return &d->heard[i];
    assert_true(d->nheard < STREAMS);
    struct heard *h = &d->heard[d->nheard++];
    *h = (struct heard){.id = id, .hash = HASH_INIT};
    return h;
}

static const char *const side_accepts[] = {"/test/echo/1.0.0", "/test/sink/1.0.0"};
enum { ECHO, SINK };

static inline void side_init(struct side *d, bool is_dialer, uint64_t seed)
{
    uint8_t key_seed[32];

    memset(d, 0, sizeof(*d));
    rng_init_seeded(&d->rng, seed);
    rng_fill(&d->rng, key_seed, sizeof(key_seed));
    key_pair_from_seed(&d->key, key_seed);
    key_pair_peer_id(&d->key, &d->id);
    noise_identity_init(&d->identity, &d->key, &d->rng);
    d->local = (struct session_local){.agent = is_dialer ? "dialer/1" : "listener/1", .protocols = side_accepts,
                                      .nprotocols = 2};
    d->cfg = (struct session_config){.identity = &d->identity, .is_dialer = is_dialer, .accepts = side_accepts,
                                     .naccepts = 2, .local = &d->local, .rng = &d->rng};
}

static inline void side_start(struct side *d, uint64_t now)
{
    d->s = session_new(&d->cfg, now);
    assert_non_null(d->s);
}

static inline void side_fini(struct side *d)
{
    session_free(d->s);
    d->s = NULL;
    free(d->out.p);
    d->out = (struct wire){0};
}

static inline void side_log(struct side *d, const char *fmt, ...)
{
    va_list ap;

    if (!d->has_log)
        return;
    va_start(ap, fmt);
    d->log_len += (size_t)vsnprintf(d->log + d->log_len, sizeof(d->log) - d->log_len, fmt, ap);
    va_end(ap);
    assert_true(d->log_len < sizeof(d->log));
}

static inline void side_identified(struct side *d, const struct session_identity *id)
{
    size_t n = 0;

    d->identified = true;
    d->identifies++;
    d->is_push = id->is_push;
    snprintf(d->agent, sizeof(d->agent), "%.*s", (int)id->agent.len, (const char *)id->agent.p);
    snprintf(d->version, sizeof(d->version), "%.*s", (int)id->protocol_version.len,
             (const char *)id->protocol_version.p);
    d->protocols[0] = 0;
    for (unsigned i = 0; i < id->nprotocols; i++)
        n += (size_t)snprintf(d->protocols + n, sizeof(d->protocols) - n, "%.*s ", (int)id->protocols[i].len,
                              (const char *)id->protocols[i].p);
    d->naddrs = id->naddrs;
    for (unsigned i = 0; i < id->naddrs; i++)
        assert_int_equal(multiaddr_check(id->addrs[i]), 0);
    d->observed.len = 0;
    if (id->observed.len)
        assert_int_equal(multiaddr_from_bytes(&d->observed, id->observed), 0);
    assert_true(id->record.len <= sizeof(d->record_bytes));
    if (id->record.len)
        memcpy(d->record_bytes, id->record.p, id->record.len);
    d->record = slice_of(d->record_bytes, id->record.len);
}

static inline void heard_data(struct heard *h, struct slice s)
{
    size_t n = s.len < SIDE_MAX - h->nkept ? s.len : SIDE_MAX - h->nkept;

    h->bytes += s.len;
    h->hash = hash_more(h->hash, s.p, s.len);
    if (n)
        memcpy(h->kept + h->nkept, s.p, n);
    h->nkept += n;
}

static inline void side_echo(struct side *d, const struct session_event *ev)
{
    if (ev->type == SESSION_STREAM_DATA) {
        struct buf *b = buf_copy(ev->data);
        if (session_stream_send(d->s, ev->stream, b, 0, b->len) != 0)
            buf_unref(b);
    } else if (ev->type == SESSION_STREAM_EOF) {
        session_stream_close(d->s, ev->stream);
    }
}

static inline void side_event(struct side *d, const struct session_event *ev, uint64_t now)
{
    static const char *const names[] = {"UP", "IDENTIFIED", "IDENTIFY_FAILED", "OPENED", "READY", "REFUSED", "DATA",
                                        "EOF", "RESET", "WRITABLE", "RTT", "CLOSED"};
    struct heard *h = ev->stream ? heard_of(d, ev->stream) : NULL;

    if (d->is_lax && h)
        *h = (struct heard){.id = h->id, .opened = true};
    assert_false(d->closed); /* CLOSED is the last */
    d->events++;
    if (ev->type == SESSION_STREAM_DATA && d->log_data == ev->stream) {
        side_log(d, "%.*s", (int)ev->data.len, (const char *)ev->data.p);
    } else if (ev->type != SESSION_RTT) {
        side_log(d, "|%s %u %u %d ", names[ev->type], ev->stream, ev->protocol, ev->err);
        if (ev->type == SESSION_STREAM_DATA)
            side_log(d, "%.*s", (int)ev->data.len, (const char *)ev->data.p);
        d->log_data = ev->type == SESSION_STREAM_DATA ? ev->stream : 0;
    }
    switch (ev->type) {
    case SESSION_UP: d->up = true, d->peer = *ev->peer; break;
    case SESSION_IDENTIFIED: side_identified(d, ev->identity); break;
    case SESSION_IDENTIFY_FAILED: d->identify_failed = true, d->err = ev->err; break;
    case SESSION_STREAM_OPENED: h->opened = true, h->protocol = ev->protocol; break;
    case SESSION_STREAM_READY: h->ready = true, h->protocol = ev->protocol, h->user = ev->user; break;
    case SESSION_STREAM_REFUSED: h->refused = true, h->err = ev->err, h->user = ev->user; break;
    case SESSION_STREAM_DATA:
        assert_true(h->opened || h->ready);
        assert_false(h->eof || h->reset);
        assert_true(ev->data.len > 0);
        heard_data(h, ev->data);
        break;
    case SESSION_STREAM_EOF: assert_false(h->eof), h->eof = true; break;
    case SESSION_STREAM_RESET: assert_false(h->reset), h->reset = true; break;
    case SESSION_STREAM_WRITABLE: h->writable = true; break;
    case SESSION_RTT: d->rtts++, d->rtt_ns = ev->rtt_ns; break;
    case SESSION_CLOSED: d->closed = true, d->closes++, d->err = ev->err, d->reason = ev->reason; break;
    }
    if (d->is_echo && ev->stream)
        side_echo(d, ev);
    if (d->on_event)
        d->on_event(d, ev, now);
}

static inline void side_drain(struct side *d, uint64_t now)
{
    struct session_event ev;

    while (session_next_event(d->s, &ev))
        side_event(d, &ev, now);
}

/* Gives bytes as they are; returns the session's verdict. */
static inline int side_input(struct side *d, struct slice in, uint64_t now)
{
    int err = 0;

    while (in.len && !err) {
        size_t before = in.len;
        err = session_input(d->s, &in, now);
        assert_true(err || in.len < before); /* it never refuses drained input */
        side_drain(d, now);
    }
    side_drain(d, now);
    d->input_err = err;
    return err;
}

/* Takes all output, in blocks of cap, into d->out. */
static inline size_t side_output(struct side *d, size_t cap, uint64_t now)
{
    static uint8_t block[1 << 20];
    size_t n = 0, k;

    assert_true(cap <= sizeof(block));
    while (session_has_output(d->s)) {
        k = session_output(d->s, block, cap, now);
        assert_true(k > 0 && k <= cap);
        wire_put(&d->out, block, k);
        n += k;
    }
    side_drain(d, now);
    return n;
}

struct link {
    struct side a, b; /* a dials */
    uint64_t now;
    struct rng rng;   /* the schedule */
    size_t max_chunk; /* 0: all at once */
};

static inline void link_init(struct link *l, uint64_t seed)
{
    memset(l, 0, offsetof(struct link, a));
    side_init(&l->a, true, 2 * seed + 1);
    side_init(&l->b, false, 2 * seed + 2);
    l->now = 1000 * SECOND;
    rng_init_seeded(&l->rng, seed);
    l->max_chunk = 0;
}

static inline void link_start(struct link *l)
{
    side_start(&l->a, l->now);
    side_start(&l->b, l->now);
}

static inline void link_fini(struct link *l)
{
    side_fini(&l->a);
    side_fini(&l->b);
}

/* Moves one chunk from one side's wire to the other. */
static inline bool link_move(struct link *l, struct side *from, struct side *to)
{
    size_t n = wire_left(&from->out);

    if (!n)
        return false;
    if (l->max_chunk) {
        size_t k = 1 + rng_below(&l->rng, l->max_chunk);
        n = k < n ? k : n;
    }
    uint8_t *copy = malloc(n); /* a sanitizer sees one byte too many */
    memcpy(copy, from->out.p + from->out.at, n);
    from->out.at += n;
    if (!to->closed)
        side_input(to, slice_of(copy, n), l->now);
    free(copy);
    return true;
}

/* One turn of both; false when nothing moved. */
static inline bool link_turn(struct link *l)
{
    bool is_busy = false;

    is_busy |= side_output(&l->a, 65536, l->now) > 0;
    is_busy |= side_output(&l->b, 65536, l->now) > 0;
    l->now += MS / 10;
    if (rng_below(&l->rng, 4))
        is_busy |= link_move(l, &l->a, &l->b);
    if (rng_below(&l->rng, 4))
        is_busy |= link_move(l, &l->b, &l->a);
    return is_busy || wire_left(&l->a.out) || wire_left(&l->b.out) || session_has_output(l->a.s) ||
           session_has_output(l->b.s);
}

static inline void link_run(struct link *l)
{
    for (int turn = 0; turn < 10000000; turn++)
        if (!link_turn(l))
            return;
    fail_msg("the link never comes to rest");
}

/* Lets time pass, deadlines included. */
static inline void link_sleep(struct link *l, uint64_t ns)
{
    uint64_t until = l->now + ns;

    for (;;) {
        uint64_t a = session_next_deadline(l->a.s), b = session_next_deadline(l->b.s), next = a < b ? a : b;
        if (next > until)
            break;
        if (next > l->now)
            l->now = next;
        session_on_deadline(l->a.s, l->now);
        session_on_deadline(l->b.s, l->now);
        side_drain(&l->a, l->now);
        side_drain(&l->b, l->now);
        link_run(l);
    }
    if (l->now < until)
        l->now = until;
}

static inline uint32_t open_one(struct link *l, struct side *d, const char *protocol)
{
    int64_t id = session_open_stream(d->s, &protocol, 1, NULL, l->now);

    assert_true(id > 0);
    return (uint32_t)id;
}

#endif
