/* bench_tcp.c: what the TCP stack costs a byte: two stacks in memory, no network, no copy between them
 * Each case prints MB of payload through both stacks per second of CPU time, ns a packet, and what was switched on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tcp/eth.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define RUN_NS 1000000000ull

struct mode {
    const char *name;
    uint32_t mtu, gso, chunk;
    bool csum; /* both sides compute and verify */
    bool lend; /* frames are lent, not borrowed */
    uint64_t one_way_ns;
};

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* cost, not speed: others may use this core too */
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void print_cpu(void)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "model name", 10) == 0) {
            printf("cpu: %s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

struct bench {
    struct tcp_stack *s[2];
    struct tcp_conn *c[2];
    struct buf *data;
    struct buf *frame; /* where a port would have put the packet */
    uint64_t now, packets, received;
    const struct mode *m;
};

/* One segment from one stack to the other, as one frame: super-frames stay whole. */
static void carry(struct bench *b, int to, const struct tcp_segment *seg)
{
    struct buf *f = b->frame;
    unsigned flags = seg->csum_start || !b->m->csum ? TCP_INPUT_CSUM_OK : 0;

    if (b->m->lend && f->refs > 1) { /* the stack kept the last one */
        buf_unref(f);
        f = b->frame = buf_new(66000);
    }
    memcpy(f->data, seg->head, seg->head_len);
    f->len = seg->head_len;
    for (unsigned i = 0; i < seg->slice_count; i++) {
        memcpy(f->data + f->len, seg->slices[i].p, seg->slices[i].len);
        f->len += (uint32_t)seg->slices[i].len;
    }
    b->packets++;
    if (b->m->lend)
        tcp_stack_input_buf(b->s[to], f, flags, b->now);
    else
        tcp_stack_input(b->s[to], buf_slice(f), flags, b->now);
}

static void handle(struct bench *b, int side)
{
    struct tcp_event ev;

    while (tcp_stack_next_event(b->s[side], &ev)) {
        if (ev.type == TCP_EV_ACCEPTED)
            b->c[1] = ev.conn;
        if (ev.type == TCP_EV_READABLE && ev.conn == b->c[1]) {
            b->received += tcp_recv_unread(ev.conn);
            tcp_recv_consume(ev.conn, tcp_recv_unread(ev.conn));
        }
    }
}

static void turn(struct bench *b)
{
    struct tcp_segment seg;

    b->now += b->m->one_way_ns;
    for (int side = 0; side < 2; side++) {
        if (tcp_stack_next_deadline(b->s[side]) <= b->now)
            tcp_stack_on_deadline(b->s[side], b->now);
        handle(b, side);
        for (unsigned n = 0; n < 64 && tcp_stack_output(b->s[side], &seg, b->now); n++)
            carry(b, 1 - side, &seg);
        handle(b, 1 - side);
    }
}

static struct tcp_stack *make(const struct mode *m, int side, struct rng *rng)
{
    struct tcp_config c;

    tcp_config_defaults(&c);
    c.mac[0] = 2;
    c.mac[5] = (uint8_t)(1 + side);
    c.ip = ip_v4(10, 0, 0, (uint8_t)(1 + side));
    c.mtu_bytes = m->mtu;
    c.csum_tx = !m->csum;
    c.csum_rx_trusted = !m->csum;
    c.gso_max_bytes = m->gso;
    return tcp_stack_new(&c, rng, NULL, 1);
}

static void run(const struct mode *m)
{
    struct bench b = {.m = m, .now = 1000000000, .data = buf_new(1 << 20), .frame = buf_new(66000)};
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 7070};
    struct rng rng;

    rng_init_seeded(&rng, 1);
    memset(b.data->data, 1, 1 << 20);
    for (int i = 0; i < 2; i++)
        b.s[i] = make(m, i, &rng);
    tcp_listen(b.s[1], 7070, 1);
    if (tcp_connect(b.s[0], &to, 0, NULL, &b.c[0], b.now))
        abort();
    while (!b.c[1])
        turn(&b);
    uint32_t off = 0;
    uint64_t began = 0, end = 0, from_bytes = 0, from_packets = 0, t;
    for (unsigned k = 0;; k++) {
        while (tcp_send_room(b.c[0]) >= m->chunk) {
            if (tcp_send_buf(b.c[0], b.data, off, m->chunk) < 0)
                abort();
            off = (off + 2 * m->chunk) % ((1u << 20) - m->chunk); /* never joined to the last */
        }
        turn(&b);
        if (k % 64)
            continue;
        t = clock_ns();
        if (!began && b.received > 64u << 20) { /* warm */
            began = t;
            end = t + RUN_NS;
            from_bytes = b.received;
            from_packets = b.packets;
        }
        if (began && t >= end)
            break;
    }
    double s = (double)(t - began) / 1e9;
    printf("%-44s mtu %5u gso %5u chunk %5u: %7.0f MB/s, %6.1f ns a frame, %llu rtx\n", m->name, m->mtu,
           m->gso, m->chunk, (double)(b.received - from_bytes) / 1e6 / s,
           1e9 * s / (double)(b.packets - from_packets),
           (unsigned long long)tcp_stack_counters(b.s[0])->tx_rtx_segments);
    tcp_stack_free(b.s[0]);
    tcp_stack_free(b.s[1]);
    buf_unref(b.frame);
    buf_unref(b.data);
}

/* One byte there and back: the cost of a turn of both stacks. */
static void run_ping(void)
{
    static const struct mode m = {.name = "ping", .mtu = 1500, .chunk = 64, .one_way_ns = 10000};
    struct bench b = {.m = &m, .now = 1000000000, .data = buf_new(64), .frame = buf_new(66000)};
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 7070};
    struct rng rng;
    uint64_t n = 0, t0, t;

    rng_init_seeded(&rng, 1);
    for (int i = 0; i < 2; i++)
        b.s[i] = make(&m, i, &rng);
    tcp_listen(b.s[1], 7070, 1);
    if (tcp_connect(b.s[0], &to, 0, NULL, &b.c[0], b.now))
        abort();
    while (!b.c[1])
        turn(&b);
    t0 = clock_ns();
    do {
        for (unsigned i = 0; i < 1000; i++, n++) {
            for (int side = 0; side < 2; side++) {
                tcp_send_buf(b.c[side], b.data, 0, 64);
                struct tcp_segment seg;
                b.now += m.one_way_ns;
                while (tcp_stack_output(b.s[side], &seg, b.now))
                    carry(&b, 1 - side, &seg);
                struct tcp_event ev;
                while (tcp_stack_next_event(b.s[1 - side], &ev))
                    ;
                tcp_recv_consume(b.c[1 - side], tcp_recv_unread(b.c[1 - side]));
                if (tcp_stack_next_deadline(b.s[side]) <= b.now)
                    tcp_stack_on_deadline(b.s[side], b.now);
            }
        }
        t = clock_ns();
    } while (t - t0 < RUN_NS);
    printf("64 bytes there and back, both stacks: %.0f ns\n", (double)(t - t0) / (double)n);
    tcp_stack_free(b.s[0]);
    tcp_stack_free(b.s[1]);
    buf_unref(b.frame);
    buf_unref(b.data);
}

int main(void)
{
    static const struct mode modes[] = {
        {"packets, checksums in software", 1500, 0, 65536, true, false, 10000},
        {"packets, checksums by the port", 1500, 0, 65536, false, false, 10000},
        {"packets, checksums by the port, lent", 1500, 0, 65536, false, true, 10000},
        {"large packets, checksums in software", 9000, 0, 65536, true, false, 10000},
        {"super-frames", 1500, 65535, 65536, false, false, 10000},
        {"super-frames, lent", 1500, 65535, 65536, false, true, 10000},
        {"super-frames, small writes", 1500, 65535, 2048, false, false, 10000},
        {"packets, small writes", 1500, 0, 300, false, false, 10000},
    };

    print_cpu();
    printf("one core carries both stacks and one memcpy that stands for the wire\n");
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        run(&modes[i]);
    run_ping();
    return 0;
}
