#include "sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tcp/csum.h"
#include "tcp/eth.h"

struct sim_frame {
    uint64_t at, order;
    int to;
    struct buf *buf;
    struct sim_frame *lasting; /* the next of those that last */
};

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "sim: %s (%s:%d)\n", #x, __FILE__, __LINE__);                                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

void sim_config(struct tcp_config *c, int side)
{
    tcp_config_defaults(c);
    memcpy(c->mac, macs[side], 6);
    c->ip = ip_v4(10, 0, 0, (uint8_t)(side + 1));
    c->max_conns = 64;
    c->max_time_wait = 64;
    c->max_half_open = 16;
}

struct ip_endpoint sim_endpoint(int side, uint16_t port)
{
    return (struct ip_endpoint){ip_v4(10, 0, 0, (uint8_t)(side + 1)), port};
}

void sim_init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof(*sim));
    rng_init_seeded(&sim->rng, seed);
    sim->now = SEC;
    sim->net.delay_ns = 10 * MS;
    sim_config(&sim->cfg[0], 0);
    sim_config(&sim->cfg[1], 1);
}

void sim_start(struct sim *sim)
{
    for (int i = 0; i < 2; i++) {
        sim->stack[i] = tcp_stack_new(&sim->cfg[i], &sim->rng, NULL, sim->now);
        CHECK(sim->stack[i]);
    }
}

/* Borrowed until now, not longer. */
static void forget_frames(struct sim *sim)
{
    for (struct sim_frame *f; (f = sim->lasting);) {
        sim->lasting = f->lasting;
        if (!sim->net.lend)
            memset(f->buf->data, 0xee, f->buf->len);
        buf_unref(f->buf);
        free(f);
    }
}

void sim_fini(struct sim *sim)
{
    forget_frames(sim);
    tcp_stack_free(sim->stack[0]);
    tcp_stack_free(sim->stack[1]);
    for (uint32_t i = 0; i < sim->count; i++) {
        buf_unref(sim->heap[i]->buf);
        free(sim->heap[i]);
    }
    free(sim->heap);
    for (uint32_t i = 0; i < sim->inbox_count; i++) {
        buf_unref(sim->inbox[i]->buf);
        free(sim->inbox[i]);
    }
    free(sim->inbox);
}

/* ---- the wire ---- */

static bool is_before(const struct sim_frame *a, const struct sim_frame *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_push(struct sim *sim, struct sim_frame *f)
{
    if (sim->count == sim->cap) {
        sim->cap = sim->cap ? sim->cap * 2 : 256;
        sim->heap = realloc(sim->heap, sim->cap * sizeof(*sim->heap));
        CHECK(sim->heap);
    }
    uint32_t i = sim->count++;
    for (; i > 0 && is_before(f, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = f;
}

static struct sim_frame *heap_pop(struct sim *sim)
{
    struct sim_frame *top = sim->heap[0], *last = sim->heap[--sim->count];
    uint32_t i = 0;

    for (;;) {
        uint32_t c = 2 * i + 1;
        if (c >= sim->count)
            break;
        if (c + 1 < sim->count && is_before(sim->heap[c + 1], sim->heap[c]))
            c++;
        if (!is_before(sim->heap[c], last))
            break;
        sim->heap[i] = sim->heap[c];
        i = c;
    }
    sim->heap[i] = last;
    return top;
}

static bool chance(struct sim *sim, uint32_t ppm)
{
    return ppm && rng_below(&sim->rng, PPM) < ppm;
}

static void fly(struct sim *sim, int from, struct buf *b, uint64_t leaves)
{
    struct sim_frame *f = malloc(sizeof(*f));
    uint64_t at = leaves + sim->net.delay_ns;

    CHECK(f);
    if (sim->net.jitter_ns)
        at += rng_below(&sim->rng, sim->net.jitter_ns);
    if (at < sim->last_arrival[from])
        at = sim->last_arrival[from];
    sim->last_arrival[from] = at;
    if (chance(sim, sim->net.reorder_ppm)) {
        at += rng_below(&sim->rng, sim->net.reorder_ns) + 1;
        sim->reordered++;
    }
    *f = (struct sim_frame){at, sim->order++, 1 - from, b, NULL};
    heap_push(sim, f);
}

static void mark(struct sim *sim, struct buf *b, uint64_t waiting)
{
    uint8_t *ip = b->data + ETH_HLEN;
    bool is_v4 = ip[0] >> 4 == 4;
    unsigned ecn = is_v4 ? ip[1] & 3 : ip[1] >> 4 & 3;

    if (!sim->net.mark_bytes || waiting <= sim->net.mark_bytes || ecn == 0 || b->len < ETH_HLEN + IPV4_HLEN)
        return;
    ip_set_ecn(ip, IP_CE);
    sim->marked++;
}

/* One packet that is complete: bottleneck, loss, duplication, delay. Takes the reference. */
static void transmit(struct sim *sim, int from, struct buf *b)
{
    uint64_t leaves = sim->now;

    sim->sent++;
    bool is_lost = sim->filter && sim->filter(sim, from, buf_slice(b), sim->filter_arg);
    if (!is_lost && sim->net.bytes_per_s) {
        uint64_t start = sim->busy_until[from] > sim->now ? sim->busy_until[from] : sim->now;
        uint64_t waiting = (start - sim->now) * sim->net.bytes_per_s / SEC;
        mark(sim, b, waiting);
        if (sim->net.queue_bytes && waiting > sim->net.queue_bytes)
            is_lost = true;
        else
            leaves = sim->busy_until[from] = start + b->len * SEC / sim->net.bytes_per_s;
    }
    if (is_lost || chance(sim, sim->net.loss_ppm)) {
        sim->lost++;
        buf_unref(b);
        return;
    }
    if (chance(sim, sim->net.dup_ppm)) {
        struct buf *copy = buf_copy(buf_slice(b));
        CHECK(copy);
        sim->duplicated++;
        fly(sim, from, copy, leaves);
    }
    fly(sim, from, b, leaves);
}

void sim_inject(struct sim *sim, int side, struct slice frame)
{
    struct buf *b = buf_copy(frame);

    CHECK(b);
    transmit(sim, side, b);
}

/* ---- what a port does with a segment ---- */

static struct buf *flatten(const struct tcp_segment *seg)
{
    struct buf *b = buf_new(seg->head_len + seg->payload_bytes);
    uint32_t sum = 0;

    CHECK(b && seg->head_len <= TCP_SEG_HEAD_MAX && seg->slice_count <= TCP_SEG_SLICES);
    memcpy(b->data, seg->head, seg->head_len);
    b->len = seg->head_len;
    for (unsigned i = 0; i < seg->slice_count; i++) {
        memcpy(b->data + b->len, seg->slices[i].p, seg->slices[i].len);
        b->len += (uint32_t)seg->slices[i].len;
        sum += (uint32_t)seg->slices[i].len;
    }
    CHECK(sum == seg->payload_bytes);
    return b;
}

static void complete_csum(uint8_t *frame, uint32_t len)
{
    uint8_t *ip = frame + ETH_HLEN, *tcp = ip + IPV4_HLEN;
    struct ip_addr src = ip_v4_bytes(ip + 12), dst = ip_v4_bytes(ip + 16);
    struct csum c = {0};

    put_be16(ip + 2, (uint16_t)(len - ETH_HLEN));
    put_csum(ip + 10, 0);
    put_csum(ip + 10, csum_of((struct slice){ip, IPV4_HLEN}));
    put_csum(tcp + TCP_CSUM_AT, 0);
    ip_pseudo_add(&c, &src, &dst, IPPROTO_TCP_N, len - ETH_HLEN - IPV4_HLEN);
    csum_add(&c, (struct slice){tcp, len - ETH_HLEN - IPV4_HLEN});
    put_csum(tcp + TCP_CSUM_AT, (uint16_t)~csum_fold(&c));
}

/* The partial sum must be what completes to the right one. */
static void port_csum(struct buf *b, const struct tcp_segment *seg)
{
    uint8_t *at = b->data + seg->csum_start + seg->csum_offset, want[2];
    struct csum c = {0};

    csum_add(&c, (struct slice){b->data + seg->csum_start, b->len - seg->csum_start});
    uint16_t done = (uint16_t)~csum_fold(&c);
    complete_csum(b->data, b->len);
    memcpy(want, at, 2);
    CHECK(memcmp(want, &done, 2) == 0);
}

static void cut(struct sim *sim, int from, const struct tcp_segment *seg, struct buf *whole)
{
    uint32_t seq = get_be32(whole->data + ETH_HLEN + IPV4_HLEN + 4);

    for (uint32_t at = 0; at < seg->payload_bytes; at += seg->gso_size) {
        uint32_t n = seg->payload_bytes - at < seg->gso_size ? seg->payload_bytes - at : seg->gso_size;
        struct buf *b = buf_new(seg->head_len + n);
        CHECK(b);
        memcpy(b->data, whole->data, seg->head_len);
        memcpy(b->data + seg->head_len, whole->data + seg->head_len + at, n);
        b->len = seg->head_len + n;
        uint8_t *tcp = b->data + ETH_HLEN + IPV4_HLEN;
        put_be32(tcp + 4, seq + at);
        if (at + n < seg->payload_bytes)
            tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        complete_csum(b->data, b->len);
        transmit(sim, from, b);
    }
    buf_unref(whole);
}

static void port_send(struct sim *sim, int from, const struct tcp_segment *seg)
{
    struct buf *b = flatten(seg);
    uint32_t mtu = sim->cfg[from].mtu_bytes;

    if (seg->csum_start)
        port_csum(b, seg);
    if (!seg->gso_size) {
        CHECK(b->len <= mtu + ETH_HLEN);
        transmit(sim, from, b);
        return;
    }
    CHECK(seg->payload_bytes > seg->gso_size && b->len <= sim->cfg[from].gso_max_bytes + ETH_HLEN);
    CHECK(seg->gso_size + seg->head_len <= mtu + ETH_HLEN);
    if (sim->net.keep_gso)
        transmit(sim, from, b);
    else
        cut(sim, from, seg, b);
}

/* ---- time ---- */

static bool next_segment(struct sim *sim, int side, struct tcp_segment *seg)
{
    sim_in_stack(sim, true);
    int got = tcp_stack_output(sim->stack[side], seg, sim->now);
    sim_in_stack(sim, false);
    return got;
}

static bool settle_once(struct sim *sim, int side)
{
    struct tcp_segment seg;
    struct tcp_event ev;
    bool did = false;

    while (tcp_stack_next_event(sim->stack[side], &ev)) {
        did = true;
        if (sim->on_event)
            sim->on_event(sim, side, &ev, sim->event_arg);
    }
    for (unsigned n = 0; next_segment(sim, side, &seg); n++) {
        CHECK(n < 1000000); /* output must come to an end */
        did = true;
        if (chance(sim, sim->net.full_ppm)) {
            tcp_stack_output_failed(sim->stack[side], &seg, sim->now);
            break;
        }
        port_send(sim, side, &seg);
    }
    return did;
}

static bool is_asleep(const struct sim *sim, int side)
{
    return side == 0 && sim->asleep_until > sim->now;
}

void sim_settle(struct sim *sim)
{
    for (unsigned n = 0; (int)(!is_asleep(sim, 0) && settle_once(sim, 0)) | (int)settle_once(sim, 1); n++)
        CHECK(n < 100000);
}

static uint64_t next_turn(const struct sim *sim, int side)
{
    uint64_t at = side == 0 && sim->inbox_count ? sim->now : tcp_stack_next_deadline(sim->stack[side]);

    return side == 0 && at < sim->asleep_until ? sim->asleep_until : at;
}

uint64_t sim_next(const struct sim *sim)
{
    uint64_t at = sim->count ? sim->heap[0]->at : UINT64_MAX;

    for (int i = 0; i < 2; i++)
        if (next_turn(sim, i) < at)
            at = next_turn(sim, i);
    return at;
}

static void arrive(struct sim *sim, struct sim_frame *f)
{
    sim_in_stack(sim, true);
    if (sim->net.lend)
        tcp_stack_input_buf(sim->stack[f->to], f->buf, 0, sim->now);
    else
        tcp_stack_input(sim->stack[f->to], buf_slice(f->buf), sim->net.lasts ? TCP_INPUT_LASTS : 0, sim->now);
    sim_in_stack(sim, false);
    f->lasting = sim->lasting;
    sim->lasting = f;
    if (!sim->net.lasts)
        forget_frames(sim);
}

static void end_turn(struct sim *sim)
{
    for (int i = 0; i < 2 && sim->net.lasts; i++) {
        sim_in_stack(sim, true);
        tcp_stack_settle(sim->stack[i]);
        sim_in_stack(sim, false);
    }
    forget_frames(sim);
}

static void keep(struct sim *sim, struct sim_frame *f)
{
    if (sim->inbox_count == sim->inbox_cap) {
        sim->inbox_cap = sim->inbox_cap ? sim->inbox_cap * 2 : 256;
        sim->inbox = realloc(sim->inbox, sim->inbox_cap * sizeof(*sim->inbox));
        CHECK(sim->inbox);
    }
    sim->inbox[sim->inbox_count++] = f;
}

static void wake(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inbox_count; i++)
        arrive(sim, sim->inbox[i]);
    sim->inbox_count = 0;
}

bool sim_step(struct sim *sim)
{
    sim_settle(sim);
    end_turn(sim);
    uint64_t at = sim_next(sim);
    if (at == UINT64_MAX)
        return false;
    if (at > sim->now)
        sim->now = at;
    bool was_due = !is_asleep(sim, 0) && next_turn(sim, 0) <= sim->now;
    if (was_due)
        wake(sim);
    while (sim->count && sim->heap[0]->at <= sim->now) {
        struct sim_frame *f = heap_pop(sim);
        if (is_asleep(sim, f->to)) {
            keep(sim, f);
            continue;
        }
        was_due |= f->to == 0;
        arrive(sim, f);
    }
    for (int i = 0; i < 2; i++)
        if (!is_asleep(sim, i) && tcp_stack_next_deadline(sim->stack[i]) <= sim->now) {
            sim_in_stack(sim, true);
            tcp_stack_on_deadline(sim->stack[i], sim->now);
            sim_in_stack(sim, false);
            CHECK(tcp_stack_next_deadline(sim->stack[i]) > sim->now);
        }
    sim_settle(sim);
    if (was_due && sim->net.stall_ns)
        sim->asleep_until = sim->now + rng_below(&sim->rng, sim->net.stall_ns);
    return true;
}

void sim_run(struct sim *sim, uint64_t until)
{
    sim_settle(sim);
    while (sim_next(sim) <= until)
        sim_step(sim);
    sim->now = until;
}

bool sim_parse(struct slice frame, struct tcp_in *in)
{
    struct eth_in eth;
    struct ip_in ip;

    return eth_parse(&eth, frame) == 0 && eth.type == ETH_TYPE_IPV4 &&
           ip_parse(&ip, eth.body, false) == IP_OK && ip.proto == IPPROTO_TCP_N &&
           tcp_in_parse(in, ip.body) == 0;
}
