#include "puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tcp/eth.h"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const struct ip_addr our_ip = {IP_V4, {10, 0, 0, 1}}, peer_ip = {IP_V4, {10, 0, 0, 2}};

void puppet_init(struct puppet *p)
{
    memset(p, 0, sizeof(*p));
    rng_init_seeded(&p->rng, 1);
    tcp_config_defaults(&p->cfg);
    memcpy(p->cfg.mac, our_mac, 6);
    p->cfg.ip = our_ip;
    p->cfg.max_conns = 16;
    p->cfg.max_half_open = 4;
    p->cfg.quick_acks = 0;
    p->cfg.recv_buf_first_bytes = 0;
    p->now = 5 * SEC;
    p->peer_iss = 0xfffffe00u; /* wraps soon */
    p->peer_port = 80;
    p->sack = p->ts = true;
    p->wscale = 7;
    p->mss = 1460;
    p->wnd = 65535;
    p->ts_val = 1000;
}

void puppet_start(struct puppet *p)
{
    p->s = tcp_stack_new(&p->cfg, &p->rng, NULL, p->now);
    assert_non_null(p->s);
    assert_int_equal(tcp_stack_neigh_set(p->s, &peer_ip, peer_mac, p->now), 0);
}

void puppet_fini(struct puppet *p)
{
    tcp_stack_free(p->s);
}

void puppet_sack(struct puppet *p, uint32_t lo, uint32_t hi)
{
    p->extra.sack[p->extra.sack_count++] = (struct seq_range){p->iss + lo, p->iss + hi};
}

void puppet_send(struct puppet *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    static uint8_t zeroes[66000];
    struct tcp_segment seg = {.slice_count = 1, .payload_bytes = len};
    struct tcp_out o = {.src_mac = peer_mac,
                        .dst_mac = our_mac,
                        .src_ip = &peer_ip,
                        .dst_ip = &our_ip,
                        .src_port = p->peer_port,
                        .dst_port = p->our_port,
                        .seq = p->peer_iss + seq,
                        .ack = flags & TCP_ACK ? p->iss + ack : 0,
                        .flags = flags,
                        .ttl = 64,
                        .wnd = p->wnd,
                        .gso_size = 65535,
                        .opt = p->extra};
    bool is_syn = flags & TCP_SYN;

    o.opt.has_ts = p->ts;
    o.opt.ts_val = p->ts_val;
    o.opt.ts_ecr = p->ts_ecr;
    o.opt.has_mss = is_syn;
    o.opt.mss = p->mss;
    o.opt.has_wscale = is_syn && p->wscale >= 0;
    o.opt.wscale = (uint8_t)p->wscale;
    o.opt.has_sack_ok = is_syn && p->sack;
    seg.slices[0] = slice_of(zeroes, len);
    tcp_out_build(&seg, &o);
    memcpy(p->frame, seg.head, seg.head_len);
    memset(p->frame + seg.head_len, 0, len);
    tcp_stack_input(p->s, slice_of(p->frame, seg.head_len + len), 0, p->now);
    memset(&p->extra, 0, sizeof(p->extra));
}

bool puppet_next(struct puppet *p)
{
    struct tcp_segment seg;
    struct eth_in eth;
    struct ip_in ip;

    if (!tcp_stack_output(p->s, &seg, p->now))
        return false;
    memcpy(p->frame, seg.head, seg.head_len);
    p->frame_len = seg.head_len;
    for (unsigned i = 0; i < seg.slice_count; i++) {
        memcpy(p->frame + p->frame_len, seg.slices[i].p, seg.slices[i].len);
        p->frame_len += seg.slices[i].len;
    }
    if (seg.csum_start) { /* a port that sums */
        struct csum c = {0};
        uint8_t *at = p->frame + seg.csum_start;
        csum_add(&c, slice_of(at, p->frame_len - seg.csum_start));
        put_csum(at + seg.csum_offset, (uint16_t)~csum_fold(&c));
    }
    assert_int_equal(eth_parse(&eth, slice_of(p->frame, p->frame_len)), 0);
    if (eth.type == ETH_TYPE_ARP) { /* the peer answers for itself */
        assert_int_equal(tcp_stack_neigh_set(p->s, &peer_ip, peer_mac, p->now), 0);
        return puppet_next(p);
    }
    assert_int_equal(eth.type, ETH_TYPE_IPV4);
    assert_memory_equal(eth.dst, peer_mac, 6);
    assert_int_equal(ip_parse(&ip, eth.body, false), IP_OK);
    assert_int_equal(ip.proto, IPPROTO_TCP_N);
    assert_true(tcp_in_is_intact(&ip, ip.body));
    assert_int_equal(tcp_in_parse(&p->in, ip.body), 0);
    if (p->in.flags & TCP_SYN)
        p->iss = p->in.seq;
    p->rel_seq = p->in.seq - p->iss;
    p->rel_ack = p->in.flags & TCP_ACK ? p->in.ack - p->peer_iss : 0;
    p->len = (uint32_t)p->in.payload.len;
    if (p->in.opt.has_ts)
        p->ts_ecr = p->in.opt.ts_val;
    return true;
}

unsigned puppet_drain(struct puppet *p)
{
    unsigned n = 0;

    while (puppet_next(p))
        n++;
    return n;
}

void puppet_expect(struct puppet *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    assert_true(puppet_next(p));
    assert_int_equal(p->in.flags & ~TCP_PSH, flags);
    assert_int_equal(p->rel_seq, seq);
    assert_int_equal(p->rel_ack, ack);
    assert_int_equal(p->len, len);
}

void puppet_expect_nothing(struct puppet *p)
{
    assert_false(puppet_next(p));
}

void puppet_wait(struct puppet *p, uint64_t ns)
{
    uint64_t end = p->now + ns, at;

    while ((at = tcp_stack_next_deadline(p->s)) <= end) {
        if (at > p->now)
            p->now = at;
        tcp_stack_on_deadline(p->s, p->now);
        if (tcp_stack_next_deadline(p->s) <= p->now)
            fail_msg("deadline not taken away");
    }
    p->now = end;
}

void puppet_event(struct puppet *p, enum tcp_event_type type, struct tcp_event *ev)
{
    struct tcp_event local;

    ev = ev ? ev : &local;
    if (!tcp_stack_next_event(p->s, ev))
        fail_msg("no event, wanted %d", type);
    assert_int_equal(ev->type, type);
}

void puppet_no_event(struct puppet *p)
{
    struct tcp_event ev;

    if (tcp_stack_next_event(p->s, &ev))
        fail_msg("unexpected event %d", ev.type);
}

void puppet_connect(struct puppet *p)
{
    struct ip_endpoint to = {peer_ip, p->peer_port};

    assert_int_equal(tcp_connect(p->s, &to, 0, p, &p->conn, p->now), 0);
    assert_true(puppet_next(p));
    assert_int_equal(p->in.flags, TCP_SYN);
    p->our_port = p->in.src_port;
    puppet_wait(p, p->rtt_ns);
    puppet_send(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_expect(p, TCP_ACK, 1, 1, 0);
    puppet_event(p, TCP_EV_CONNECTED, NULL);
}

void puppet_accept(struct puppet *p)
{
    struct tcp_event ev;

    p->our_port = 7070;
    assert_int_equal(tcp_listen(p->s, 7070, 4), 0);
    puppet_send(p, TCP_SYN, 0, 0, 0);
    puppet_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_no_event(p);
    puppet_send(p, TCP_ACK, 1, 1, 0);
    puppet_event(p, TCP_EV_ACCEPTED, &ev);
    assert_int_equal(ev.local_port, 7070);
    p->conn = ev.conn;
    puppet_expect_nothing(p);
}

int puppet_write(struct puppet *p, uint32_t len)
{
    struct buf *b = buf_new(len);

    memset(b->data, 'x', len);
    b->len = len;
    int n = tcp_send_buf(p->conn, b, 0, len);
    buf_unref(b);
    return n;
}

uint32_t puppet_read(struct puppet *p)
{
    uint32_t n = tcp_recv_unread(p->conn);

    tcp_recv_consume(p->conn, n);
    return n;
}
