/* fuzz_tcp_stack.c: a whole stack driven by a script of frames, user calls and time steps
 * Each step is one byte of what to do and its operands. Segments are written relative to what the stack last sent, so
 * that random bytes get past the handshake; raw frames come too. Randomness is zero, time is the script's.
 */
#include <stdlib.h>

#include "base/rd.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX_CONNS 3
#define MAX_STEPS 2000

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const struct ip_addr our_ip4 = {IP_V4, {10, 0, 0, 1}}, peer_ip4 = {IP_V4, {10, 0, 0, 2}},
                            our_ip6 = {IP_V6, {0xfd, [15] = 1}}, peer_ip6 = {IP_V6, {0xfd, [15] = 2}};

struct script {
    struct rd in;
    struct tcp_stack *s;
    struct rng rng;
    uint64_t now;
    bool is_v6; /* of what comes next */
    struct tcp_conn *conn[MAX_CONNS];
    struct buf *data;
    /* the flow the next segment belongs to, and where the stack stands in it */
    uint16_t our_port, peer_port;
    uint32_t our_nxt, our_iss, peer_nxt, ts;
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void forget(struct script *x, const struct tcp_conn *c)
{
    for (unsigned i = 0; i < MAX_CONNS; i++)
        if (x->conn[i] == c)
            x->conn[i] = NULL;
}

static void take_events(struct script *x)
{
    struct tcp_event ev;

    for (unsigned n = 0; tcp_stack_next_event(x->s, &ev); n++) {
        check(n < 1000);
        if (ev.type == TCP_EV_ACCEPTED)
            for (unsigned i = 0; i < MAX_CONNS; i++)
                if (!x->conn[i]) {
                    x->conn[i] = ev.conn;
                    break;
                }
        if (ev.type == TCP_EV_CLOSED)
            forget(x, ev.conn);
    }
}

/* Where the stack stands in the flow of this segment. */
static void note(struct script *x, const struct tcp_segment *seg)
{
    bool is_v6 = seg->head[12] == 0x86, is_v4 = seg->head[12] == 8 && seg->head[13] == 0;
    const uint8_t *tcp = seg->head + 14 + (is_v6 ? 40 : 20);

    if (seg->head_len < tcp - seg->head + 20 || !(is_v6 ? seg->head[20] == 6 : is_v4 && seg->head[23] == 6))
        return;
    x->is_v6 = is_v6;
    x->our_port = get_be16(tcp);
    x->peer_port = get_be16(tcp + 2);
    x->our_nxt = get_be32(tcp + 4) + seg->payload_bytes + !!(tcp[13] & (TCP_SYN | TCP_FIN));
    if (tcp[13] & TCP_SYN)
        x->our_iss = get_be32(tcp + 4);
    if (tcp[13] & TCP_ACK)
        x->peer_nxt = get_be32(tcp + 8);
}

static void take_output(struct script *x, bool fail)
{
    struct tcp_segment seg;

    for (unsigned n = 0; tcp_stack_output(x->s, &seg, x->now); n++) {
        uint32_t sum = 0;
        check(n < 20000 && seg.head_len <= TCP_SEG_HEAD_MAX && seg.slice_count <= TCP_SEG_SLICES);
        for (unsigned i = 0; i < seg.slice_count; i++) {
            for (size_t k = 0; k < seg.slices[i].len; k += 64) /* the bytes must be there to read */
                sum += seg.slices[i].p[k] & 0;
            sum += (uint32_t)seg.slices[i].len;
        }
        check(sum == seg.payload_bytes);
        note(x, &seg);
        if (fail) {
            tcp_stack_output_failed(x->s, &seg, x->now);
            return;
        }
    }
}

static void put_segment(struct script *x)
{
    static uint8_t zeroes[70000], frame[70000];
    uint8_t flags = rd_u8(&x->in), form = rd_u8(&x->in);
    int16_t dseq = (int16_t)rd_be16(&x->in), dack = (int16_t)rd_be16(&x->in);
    uint32_t len = form & 1 ? rd_be16(&x->in) % 60000 : form & 2 ? rd_u8(&x->in) : 0;
    struct tcp_segment seg = {.slice_count = 1, .payload_bytes = len};
    struct tcp_out o = {.src_mac = peer_mac,
                        .dst_mac = our_mac,
                        .src_ip = x->is_v6 ? &peer_ip6 : &peer_ip4,
                        .dst_ip = x->is_v6 ? &our_ip6 : &our_ip4,
                        .src_port = x->peer_port,
                        .dst_port = x->our_port,
                        .seq = x->peer_nxt + (uint32_t)(form & 4 ? dseq * 1024 : dseq),
                        .ack = x->our_nxt + (uint32_t)(form & 4 ? dack * 1024 : dack),
                        .flags = flags & 0x3f,
                        .ttl = 64,
                        .wnd = form & 8 ? rd_be16(&x->in) : 65535,
                        .gso_size = 65535,
                        .csum_partial = true};

    o.opt.has_ts = form & 16;
    o.opt.ts_val = x->ts += rd_u8(&x->in);
    o.opt.has_sack_ok = o.opt.has_mss = o.opt.has_wscale = (flags & TCP_SYN) && (form & 32);
    o.opt.mss = rd_u8(&x->in) * 16;
    o.opt.wscale = form >> 4;
    if (form & 64) {
        o.opt.sack_count = rd_u8(&x->in) % 4;
        for (unsigned i = 0; i < o.opt.sack_count; i++) {
            uint32_t lo = x->our_iss + rd_be16(&x->in);
            o.opt.sack[i] = (struct seq_range){lo, lo + rd_be16(&x->in)};
        }
    }
    seg.slices[0] = slice_of(zeroes, len);
    tcp_out_build(&seg, &o);
    memcpy(frame, seg.head, seg.head_len);
    if (form & 128) {
        struct buf *b = buf_new(seg.head_len + len);
        check(b);
        memcpy(b->data, frame, seg.head_len);
        memset(b->data + seg.head_len, 0, len);
        b->len = seg.head_len + len;
        tcp_stack_input_buf(x->s, b, TCP_INPUT_CSUM_OK, x->now);
        buf_unref(b);
    } else
        tcp_stack_input(x->s, slice_of(frame, seg.head_len + len), TCP_INPUT_CSUM_OK, x->now);
}

static void put_raw(struct script *x)
{
    uint8_t frame[14 + 256];
    struct slice body = rd_bytes(&x->in, rd_u8(&x->in));

    memcpy(frame, our_mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    bool is_v6 = body.len && body.p[0] >> 4 == 6;
    put_be16(frame + 12, is_v6 ? 0x86dd : body.len && body.p[0] & 1 ? 0x0806 : 0x0800);
    if (body.len)
        memcpy(frame + 14, body.p, body.len);
    if (is_v6 && body.len >= 48 && body.p[6] == 58) { /* ICMPv6: its checksum, if the length is right */
        struct ip_addr src = ip_v6_bytes(body.p + 8), dst = ip_v6_bytes(body.p + 24);
        struct csum c = {0};
        put_csum(frame + 56, 0);
        ip_pseudo_add(&c, &src, &dst, 58, (uint32_t)body.len - 40);
        csum_add(&c, slice_of(frame + 54, body.len - 40));
        put_csum(frame + 56, (uint16_t)~csum_fold(&c));
    }
    if (body.len >= 20 && (body.p[0] & 0xf0) == 0x40) { /* give the header a right checksum */
        put_csum(frame + 24, 0);
        size_t h = (body.p[0] & 15u) * 4;
        put_csum(frame + 24, csum_of(slice_of(frame + 14, h <= body.len ? h : 20)));
    }
    tcp_stack_input(x->s, slice_of(frame, 14 + body.len), TCP_INPUT_CSUM_OK, x->now);
}

static void use(struct script *x, uint8_t what)
{
    struct tcp_conn *c = x->conn[what % MAX_CONNS];
    struct tcp_conn_info info;
    struct slice v[4];

    if (!c)
        return;
    tcp_conn_info(c, &info);
    switch (rd_u8(&x->in) % 6) {
    case 0: {
        uint32_t off = rd_be16(&x->in) % 60000, n = rd_be16(&x->in) % (x->data->len - off + 1);
        int took = tcp_send_buf(c, x->data, off, n);
        check(took <= (int)n);
        break;
    }
    case 1:
        tcp_recv_peek(c, v, 4);
        tcp_recv_consume(c, tcp_recv_unread(c) ? (uint32_t)(rd_be16(&x->in) % (tcp_recv_unread(c) + 1)) : 0);
        break;
    case 2: tcp_close(c); break;
    case 3:
        forget(x, c);
        tcp_abort(c);
        break;
    default: {
        uint32_t n = 0, k = tcp_recv_peek(c, v, 4);
        for (uint32_t i = 0; i < k; i++)
            n += (uint32_t)v[i].len;
        check(n <= tcp_recv_unread(c));
        tcp_recv_consume(c, n);
    }
    }
}

static void step(struct script *x)
{
    struct ip_endpoint to = {x->is_v6 ? peer_ip6 : peer_ip4, 80};
    uint8_t what = rd_u8(&x->in);

    switch (what % 12) {
    case 0: x->now += (uint64_t)rd_u8(&x->in) * 1000000; break;
    case 1: x->now += (uint64_t)rd_u8(&x->in) * 1000000000; break;
    case 2: take_output(x, false); break;
    case 3: take_events(x); break;
    case 4: put_raw(x); break;
    case 5: use(x, what / 12); break;
    case 6: {
        struct tcp_conn **at = &x->conn[what / 12 % MAX_CONNS], *c;
        to.port = (uint16_t)(80 + what / 36);
        if (!*at && tcp_connect(x->s, &to, 0, NULL, &c, x->now) == 0)
            *at = c;
        break;
    }
    case 7:
        x->our_port = 7070;
        x->peer_port = rd_be16(&x->in) | 1;
        x->is_v6 = what & 64;
        break;
    case 8: take_output(x, true); break;
    case 9:
        tcp_unlisten(x->s, 7070);
        if (what & 16)
            tcp_stack_set_mtu(x->s, 576 + rd_u8(&x->in) * 16u);
        tcp_listen(x->s, 7070, 2);
        break;
    default: put_segment(x); break;
    }
    if (tcp_stack_next_deadline(x->s) <= x->now) {
        tcp_stack_on_deadline(x->s, x->now);
        check(tcp_stack_next_deadline(x->s) > x->now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct script x = {.in = rd_of(slice_of(data, len)), .now = 1000000000, .our_port = 7070, .peer_port = 5};
    struct tcp_config c;

    tcp_config_defaults(&c);
    memcpy(c.mac, our_mac, 6);
    c.ip = our_ip4;
    c.ip6 = our_ip6;
    c.max_conns = MAX_CONNS;
    c.max_half_open = 2;
    c.max_time_wait = 2;
    c.send_buf_bytes = 200000;
    c.recv_buf_bytes = 100000;
    c.rx_pool_bytes = 8 * 16384;
    uint8_t form = rd_u8(&x.in);
    if (form & 1) {
        c.csum_tx = true;
        c.gso_max_bytes = 65535;
    }
    c.syn_cookies = !(form & 2);
    rng_init_zero(&x.rng);
    x.s = tcp_stack_new(&c, &x.rng, NULL, x.now);
    x.data = buf_new(60000);
    check(x.s && x.data);
    memset(x.data->data, 7, 60000);
    x.data->len = 60000;
    tcp_stack_neigh_set(x.s, &peer_ip4, peer_mac, x.now);
    tcp_stack_neigh_set(x.s, &peer_ip6, peer_mac, x.now);
    tcp_listen(x.s, 7070, 2);
    for (unsigned i = 0; i < MAX_STEPS && !x.in.bad && rd_left(&x.in); i++)
        step(&x);
    take_output(&x, false);
    take_events(&x);
    check(tcp_stack_conn_count(x.s) <= MAX_CONNS + 2);
    /* Left alone, everything comes to an end: no timer goes on for ever without a connection. */
    for (unsigned i = 0; i < 3000 && tcp_stack_conn_count(x.s); i++) {
        uint64_t at = tcp_stack_next_deadline(x.s);
        if (at == UINT64_MAX)
            break;
        x.now = at > x.now ? at : x.now;
        tcp_stack_on_deadline(x.s, x.now);
        take_output(&x, false);
        take_events(&x);
    }
    tcp_stack_free(x.s);
    check(x.data->refs == 1);
    buf_unref(x.data);
    return 0;
}
