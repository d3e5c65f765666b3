/* pkt_net.c: the wire of packet scripts: segments made from their numbers, and what leaves turned into numbers again */
#include "pkt.h"
#include "testing.h"

#include "tcp/eth.h"
#include "tcp/ip.h"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

struct ip_addr pkt_our_ip(const struct pkt *p)
{
    return p->is_v6 ? (struct ip_addr){IP_V6, {0xfd, [15] = 1}} : ip_v4(10, 0, 0, 1);
}

struct ip_addr pkt_peer_ip(const struct pkt *p)
{
    return p->is_v6 ? (struct ip_addr){IP_V6, {0xfd, [15] = 2}} : ip_v4(10, 0, 0, 2);
}

static void know_peer(struct pkt *p)
{
    struct ip_addr ip = pkt_peer_ip(p);

    assert_int_equal(tcp_stack_neigh_set(p->s, &ip, peer_mac, p->now), 0);
}

void pkt_start(struct pkt *p)
{
    if (p->s)
        return;
    memcpy(p->cfg.mac, our_mac, 6);
    if (p->is_v6) { /* the same payload fits */
        p->cfg.ip6 = pkt_our_ip(p);
        p->cfg.mtu_bytes += PKT_V6_MORE;
    } else
        p->cfg.ip = pkt_our_ip(p);
    p->s = tcp_stack_new(&p->cfg, &p->rng, NULL, p->now);
    if (!p->s)
        pkt_fail(p, "the stack does not like this configuration");
    know_peer(p);
    p->before = *tcp_stack_counters(p->s);
}

/* ---- out of the stack ---- */

static struct pkt_flow *flow_of(struct pkt *p, const struct tcp_in *in, unsigned *index)
{
    for (unsigned i = 0; i < PKT_FLOWS; i++) {
        struct pkt_flow *f = &p->flow[i];
        if (f->peer_port == in->dst_port && (f->our_port == in->src_port || f->our_port == 0)) {
            f->our_port = in->src_port;
            *index = i;
            return f;
        }
    }
    pkt_fail(p, "a segment from port %u to %u belongs to no flow", in->src_port, in->dst_port);
}

static void note_syn(struct pkt_flow *f, const struct tcp_in *in)
{
    f->iss = in->seq;
    f->our_ts = in->opt.has_ts;
    f->our_ws = in->opt.has_wscale;
    f->our_wscale = in->opt.wscale;
    if (in->opt.has_ts && !f->knows_ts)
        f->ts_base = in->opt.ts_val;
    f->knows_ts |= in->opt.has_ts;
}

/* The peer's numbers of a segment we sent. */
static void take(struct pkt *p, const struct tcp_in *in, uint16_t gso_size)
{
    struct pkt_seg *s = &p->queue[p->tail % PKT_QUEUE];
    struct pkt_flow *f;

    if (p->tail - p->head == PKT_QUEUE)
        pkt_fail(p, "more segments than anybody will ask for");
    *s = (struct pkt_seg){.flags = in->flags, .at_ns = p->now, .opt = in->opt, .packet = gso_size};
    f = flow_of(p, in, &s->flow);
    if (in->flags & TCP_SYN)
        note_syn(f, in);
    s->seq = (int32_t)(in->seq - f->iss);
    s->ack = in->flags & TCP_ACK ? (int32_t)(in->ack - f->peer_iss) : 0;
    s->len = (uint32_t)in->payload.len;
    s->win = in->wnd;
    if (!(in->flags & TCP_SYN) && f->our_ws && f->peer_ws_used)
        s->win <<= f->our_wscale;
    s->ts_val = (int32_t)(in->opt.ts_val - f->ts_base);
    s->ts_ecr = in->opt.ts_ecr;
    if (in->opt.has_ts)
        f->last_ts = in->opt.ts_val;
    for (unsigned i = 0; i < s->opt.sack_count; i++) {
        s->opt.sack[i].lo -= f->peer_iss;
        s->opt.sack[i].hi -= f->peer_iss;
    }
    p->tail++;
}

static void complete_sum(struct pkt *p, const struct tcp_segment *seg, size_t len)
{
    struct csum c = {0};
    uint8_t *at = p->frame + seg->csum_start;

    csum_add(&c, slice_of(at, len - seg->csum_start));
    put_csum(at + seg->csum_offset, (uint16_t)~csum_fold(&c));
}

static void look_at(struct pkt *p, const struct tcp_segment *seg)
{
    size_t len = seg->head_len;
    struct eth_in eth;
    struct ip_in ip;
    struct tcp_in in;

    memcpy(p->frame, seg->head, seg->head_len);
    for (unsigned i = 0; i < seg->slice_count; i++) {
        memcpy(p->frame + len, seg->slices[i].p, seg->slices[i].len);
        len += seg->slices[i].len;
    }
    if (seg->csum_start)
        complete_sum(p, seg, len);
    if (eth_parse(&eth, slice_of(p->frame, len)))
        pkt_fail(p, "a frame without a header left the stack");
    if (eth.type == ETH_TYPE_ARP) {
        know_peer(p);
        return;
    }
    if (eth.type != (p->is_v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4) ||
        (p->is_v6 ? ip6_parse(&ip, eth.body, false) : ip_parse(&ip, eth.body, false)) != IP_OK)
        pkt_fail(p, "a packet without form left the stack");
    if (ip.proto != IPPROTO_TCP_N) {
        know_peer(p);
        return;
    }
    if (memcmp(eth.dst, peer_mac, 6) != 0 || !tcp_in_is_intact(&ip, ip.body) || tcp_in_parse(&in, ip.body))
        pkt_fail(p, "a segment without form, or a wrong sum, left the stack");
    take(p, &in, seg->gso_size);
}

void pkt_drain(struct pkt *p)
{
    struct tcp_segment seg;

    while (!p->is_burst && tcp_stack_output(p->s, &seg, p->now))
        look_at(p, &seg);
}

void pkt_advance(struct pkt *p, uint64_t at, bool until_output)
{
    uint64_t next;

    pkt_drain(p);
    while ((next = tcp_stack_next_deadline(p->s)) <= at) {
        if (until_output && p->tail != p->head)
            return;
        if (next > p->now)
            p->now = next;
        tcp_stack_on_deadline(p->s, p->now);
        pkt_drain(p);
        if (tcp_stack_next_deadline(p->s) <= p->now)
            pkt_fail(p, "a deadline that was served is still there");
    }
    if (!(until_output && p->tail != p->head) && at > p->now)
        p->now = at;
}

/* ---- into the stack ---- */

/* The peer's timestamps: 1000 at the start of the script, and the last one we sent. */
static void fill_ts(struct pkt *p, const struct pkt_flow *f, const struct pkt_seg *s, struct tcp_options *o)
{
    uint32_t val = (uint32_t)(1000 + (p->now - p->start_ns) / PKT_MS);

    o->has_ts = true;
    o->ts_val = s->opt.has_ts && !s->is_ts_val_free ? (uint32_t)s->ts_val : val;
    o->ts_ecr = s->opt.has_ts && !s->is_ts_ecr_free ? f->ts_base + (uint32_t)s->ts_ecr : f->last_ts;
    if (!f->knows_ts)
        o->ts_ecr = 0;
}

static struct tcp_options options_for(struct pkt *p, struct pkt_flow *f, const struct pkt_seg *s)
{
    struct tcp_options o = s->opt;
    bool is_syn = s->flags & TCP_SYN;

    if (is_syn && !s->has_block) {
        o.has_mss = p->peer.mss != 0;
        o.mss = p->peer.mss;
        o.has_wscale = p->peer.ws >= 0;
        o.wscale = (uint8_t)p->peer.ws;
        o.has_sack_ok = p->peer.sack;
    }
    if (is_syn ? (s->has_block ? s->opt.has_ts : p->peer.ts) : !s->no_ts && (f->peer_ts_used || s->opt.has_ts))
        fill_ts(p, f, s, &o);
    for (unsigned i = 0; i < o.sack_count; i++) {
        o.sack[i].lo += f->iss;
        o.sack[i].hi += f->iss;
    }
    if (is_syn) {
        f->peer_ts_used = o.has_ts;
        f->peer_ws_used = o.has_wscale;
        f->peer_wscale = o.wscale < TCP_WSCALE_MAX ? o.wscale : TCP_WSCALE_MAX;
    }
    return o;
}

void pkt_input(struct pkt *p, const struct pkt_seg *s)
{
    struct pkt_flow *f = &p->flow[s->flow];
    struct tcp_options opt = options_for(p, f, s);
    struct ip_addr us = pkt_our_ip(p), peer = pkt_peer_ip(p);
    unsigned shift = !(s->flags & TCP_SYN) && f->peer_ws_used && f->our_ws ? f->peer_wscale : 0;
    uint32_t win = (s->has_win ? s->win : p->peer.win) >> (s->has_win ? shift : 0);
    static uint8_t zeroes[66000];
    struct tcp_segment seg = {.slice_count = 1, .payload_bytes = s->len};
    struct tcp_out o = {.src_mac = peer_mac,
                        .dst_mac = our_mac,
                        .src_ip = &peer,
                        .dst_ip = &us,
                        .src_port = f->peer_port,
                        .dst_port = f->our_port,
                        .seq = f->peer_iss + (uint32_t)s->seq,
                        .ack = s->has_ack || s->flags & TCP_ACK ? f->iss + (uint32_t)s->ack : 0,
                        .flags = s->flags,
                        .ttl = 64,
                        .wnd = (uint16_t)(win > 65535 ? 65535 : win),
                        .gso_size = 65535,
                        .opt = opt};

    if (s->len > 65000)
        pkt_fail(p, "segments are at most 65000 bytes long");
    seg.slices[0] = slice_of(zeroes, s->len);
    tcp_out_build(&seg, &o);
    memcpy(p->frame, seg.head, seg.head_len);
    memset(p->frame + seg.head_len, 0, s->len);
    tcp_stack_input(p->s, slice_of(p->frame, seg.head_len + s->len), 0, p->now);
    pkt_drain(p);
}

static uint8_t icmp_code(struct pkt *p, const char *kind)
{
    static const char *names[] = {"net", "host", "proto", "port", "frag"};

    for (uint8_t i = 0; i < 5; i++)
        if (strcmp(kind, names[i]) == 0)
            return i;
    pkt_fail(p, "'%s' is no kind of ICMP error", kind);
}

static void input_icmp4(struct pkt *p, const struct pkt_flow *f, const char *kind, uint32_t mtu, uint32_t seq)
{
    struct ip_addr us = pkt_our_ip(p), peer = pkt_peer_ip(p), router = ip_v4(10, 0, 0, 254);
    uint8_t *ip = p->frame + ETH_HLEN, *icmp = ip + IPV4_HLEN, *quote = icmp + ICMP_HLEN;
    uint32_t len = ICMP_HLEN + IPV4_HLEN + 8;

    memset(icmp, 0, ICMP_HLEN);
    eth_build(p->frame, our_mac, peer_mac, ETH_TYPE_IPV4);
    ip_build(ip, &router, &us, IPPROTO_ICMP_N, 64, 1, IPV4_HLEN + len);
    icmp[0] = ICMP_UNREACHABLE;
    icmp[1] = icmp_code(p, kind);
    put_be16(icmp + 6, (uint16_t)mtu);
    ip_build(quote, &us, &peer, IPPROTO_TCP_N, 60, 1, 1500);
    put_be16(quote + IPV4_HLEN, f->our_port);
    put_be16(quote + IPV4_HLEN + 2, f->peer_port);
    put_be32(quote + IPV4_HLEN + 4, seq);
    put_csum(icmp + 2, csum_of(slice_of(icmp, len)));
    tcp_stack_input(p->s, slice_of(p->frame, ETH_HLEN + IPV4_HLEN + len), 0, p->now);
}

static void input_icmp6(struct pkt *p, const struct pkt_flow *f, const char *kind, uint32_t mtu, uint32_t seq)
{
    static const uint8_t codes[] = {0, 3, 4, 4, 0}; /* no route, no neighbour, no port */
    struct ip_addr us = pkt_our_ip(p), peer = pkt_peer_ip(p), router = {IP_V6, {0xfd, [15] = 254}};
    uint8_t *ip = p->frame + ETH_HLEN, *icmp = ip + IPV6_HLEN, *quote = icmp + ICMP_HLEN;
    uint32_t len = ICMP_HLEN + IPV6_HLEN + 8;
    uint8_t code = icmp_code(p, kind);
    struct csum c = {0};

    memset(icmp, 0, ICMP_HLEN);
    eth_build(p->frame, our_mac, peer_mac, ETH_TYPE_IPV6);
    ip6_build(ip, &router, &us, IPPROTO_ICMP6_N, 64, len);
    icmp[0] = code == ICMP_CODE_FRAG_NEEDED ? ICMP6_TOO_BIG : ICMP6_UNREACHABLE;
    icmp[1] = codes[code];
    if (code == ICMP_CODE_FRAG_NEEDED)
        put_be32(icmp + 4, mtu + PKT_V6_MORE);
    ip6_build(quote, &us, &peer, IPPROTO_TCP_N, 60, 1480);
    put_be16(quote + IPV6_HLEN, f->our_port);
    put_be16(quote + IPV6_HLEN + 2, f->peer_port);
    put_be32(quote + IPV6_HLEN + 4, seq);
    ip_pseudo_add(&c, &router, &us, IPPROTO_ICMP6_N, len);
    csum_add(&c, slice_of(icmp, len));
    put_csum(icmp + 2, (uint16_t)~csum_fold(&c));
    tcp_stack_input(p->s, slice_of(p->frame, ETH_HLEN + IPV6_HLEN + len), 0, p->now);
}

void pkt_input_icmp(struct pkt *p, unsigned flow, const char *kind, uint32_t mtu, int64_t seq)
{
    const struct pkt_flow *f = &p->flow[flow];

    (p->is_v6 ? input_icmp6 : input_icmp4)(p, f, kind, mtu, f->iss + (uint32_t)seq);
    pkt_drain(p);
}
