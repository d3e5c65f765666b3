/* stack_out.c: what leaves: replies without a connection, questions for neighbours, connections in turn */
#include "tcp/arp.h"
#include "tcp/stack.h"

#include <assert.h>

static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct neigh *stack_route(struct tcp_stack *s, const struct ip_addr *ip, uint64_t now)
{
    bool is_v6 = ip->family == IP_V6;
    const struct ip_addr *gateway = is_v6 ? &s->cfg.gateway6 : &s->cfg.gateway;
    bool is_near = gateway->family == IP_NONE || (is_v6 && ip_is_link_local6(ip)) ||
                   ip_addr_shares_prefix(ip, stack_our_ip(s, ip), is_v6 ? s->cfg.prefix6_len : s->cfg.prefix_len);
    struct neigh *n = neigh_get(&s->neigh, is_near ? ip : gateway, now);

    if (!n)
        s->n.drop_neigh_full++;
    return n;
}

/* ---- replies ---- */

bool stack_push_ctl(struct tcp_stack *s, const struct ctl_frame *f)
{
    if (s->ctl_tail - s->ctl_head == STACK_CTL_QUEUE) {
        s->n.drop_ctl_full++;
        buf_unref(f->payload);
        return false;
    }
    s->ctl[s->ctl_tail++ % STACK_CTL_QUEUE] = *f;
    return true;
}

bool stack_reply(struct tcp_stack *s, const struct tcp_out *o)
{
    struct tcp_segment seg = {.slice_count = 0};
    struct tcp_out whole = *o;
    struct ctl_frame f = {.payload = NULL};

    whole.csum_partial = false; /* twenty bytes are quicker summed than explained to the port */
    tcp_out_build(&seg, &whole);
    memcpy(f.head, seg.head, seg.head_len);
    f.head_len = seg.head_len;
    return stack_push_ctl(s, &f);
}

void stack_reset_stranger(struct tcp_stack *s, const struct ip_endpoint *remote, const struct tcp_in *in,
                          const uint8_t *dst_mac, uint64_t now)
{
    if (in->flags & TCP_RST)
        return;
    if (!rate_take(&s->rst_rate, now)) {
        s->n.drop_rst_rate++;
        return;
    }
    struct tcp_out o = {.src_mac = s->cfg.mac,
                        .dst_mac = dst_mac,
                        .src_ip = stack_our_ip(s, &remote->ip),
                        .dst_ip = &remote->ip,
                        .src_port = in->dst_port,
                        .dst_port = remote->port,
                        .ttl = s->cfg.ttl,
                        .flags = TCP_RST};
    if (in->flags & TCP_ACK)
        o.seq = in->ack;
    else {
        o.flags |= TCP_ACK;
        o.ack = in->seq + tcp_in_seq_len(in);
    }
    if (stack_reply(s, &o))
        s->n.tx_rst++;
}

void stack_reset_conn(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;
    struct tcp_out o;

    if (c->sb.nxt == c->iss || c->state == TCP_ST_CLOSED)
        return; /* the peer has never heard of it, or no longer knows it */
    if (!conn_knows_mac(c)) {
        s->n.drop_neigh_unknown++;
        return;
    }
    conn_header(c, &o, now);
    o.flags = c->state == TCP_ST_SYN_SENT ? TCP_RST : TCP_RST | TCP_ACK;
    if (c->state == TCP_ST_SYN_SENT)
        o.ack = 0;
    if (stack_reply(s, &o))
        s->n.tx_rst++;
}

static void emit_ctl(struct tcp_stack *s, struct tcp_segment *seg)
{
    struct ctl_frame *f = &s->ctl[s->ctl_head++ % STACK_CTL_QUEUE];

    memcpy(seg->head, f->head, f->head_len);
    seg->head_len = f->head_len;
    seg->slice_count = 0;
    seg->payload_bytes = 0;
    if (f->payload) {
        seg->slices[0] = buf_slice(f->payload);
        seg->slice_count = 1;
        seg->payload_bytes = f->payload->len;
        s->lent_out = f->payload;
    }
}

/* ---- neighbours ---- */

static void emit_ask(struct tcp_stack *s, struct tcp_segment *seg, const struct neigh *n)
{
    struct arp_packet a = {.op = ARP_REQUEST, .sender_ip = s->cfg.ip, .target_ip = n->ip};

    seg->slice_count = 0;
    seg->payload_bytes = 0;
    if (n->ip.family == IP_V6) {
        seg->head_len = stack_nd_ask(s, seg->head, n);
        return;
    }
    memcpy(a.sender_mac, s->cfg.mac, ETH_ALEN);
    eth_build(seg->head, n->is_broadcast_ask ? broadcast : n->mac, s->cfg.mac, ETH_TYPE_ARP);
    arp_build(seg->head + ETH_HLEN, &a);
    seg->head_len = ETH_HLEN + ARP_LEN;
}

void tcp_stack_announce(struct tcp_stack *s, uint64_t now)
{
    struct arp_packet a = {.op = ARP_REQUEST, .sender_ip = s->cfg.ip, .target_ip = s->cfg.ip};
    struct ctl_frame f = {.head_len = ETH_HLEN + ARP_LEN};

    (void)now;
    if (s->cfg.address_shared)
        return;
    if (s->cfg.ip6.family)
        stack_nd_announce(s);
    if (!s->cfg.ip.family)
        return;
    memcpy(a.sender_mac, s->cfg.mac, ETH_ALEN);
    eth_build(f.head, broadcast, s->cfg.mac, ETH_TYPE_ARP);
    arp_build(f.head + ETH_HLEN, &a);
    stack_push_ctl(s, &f);
}

/* ---- the call ---- */

static void release_lent(struct tcp_stack *s)
{
    buf_unref(s->lent_out);
    s->lent_out = NULL;
}

static bool emit_conn(struct tcp_stack *s, struct tcp_segment *seg, uint64_t now)
{
    struct list *l;

    while ((l = s->tx.next) != &s->tx) {
        struct tcp_conn *c = CONTAINER_OF(l, struct tcp_conn, tx_link);
        if (conn_output(c, seg, now)) {
            /* To the end of the line: one segment each in turn. */
            list_del(&c->tx_link);
            list_push_back(&s->tx, &c->tx_link);
            return true;
        }
        if (l == s->tx.next)
            list_del(l);
    }
    return false;
}

int tcp_stack_output(struct tcp_stack *s, struct tcp_segment *seg, uint64_t now)
{
    struct neigh *n;

    s->now_ns = now;
    release_lent(s);
    seg->gso_size = seg->csum_start = seg->csum_offset = 0;
    seg->conn = NULL;
    if (s->ctl_head != s->ctl_tail) {
        emit_ctl(s, seg);
        return 1;
    }
    if (!s->cfg.neigh_external && (n = neigh_next_ask(&s->neigh))) {
        emit_ask(s, seg, n);
        return 1;
    }
    return emit_conn(s, seg, now) ||
           (!s->cfg.neigh_external && !list_is_empty(&s->neigh.to_ask) && tcp_stack_output(s, seg, now));
}

void tcp_stack_output_failed(struct tcp_stack *s, const struct tcp_segment *seg, uint64_t now)
{
    struct tcp_conn *c = seg->conn;

    (void)now;
    s->n.tx_failed++;
    if (!c)
        return;
    if (seq_lt(seg->seq, c->sb.nxt) && seq_geq(seg->seq, c->sb.una)) {
        /* What it carried, SYN or FIN included. */
        uint32_t len = seg->payload_bytes, nxt = c->sb.nxt;
        bool has_flag = len == 0 || (c->fin_sent && seg->seq + len == conn_fin_seq(c));
        sb_unsent(&c->sb, seg->seq, len + has_flag);
        if (c->sb.nxt != nxt) {
            c->sent_bytes -= len;
            c->fin_sent = false;
        }
    }
    conn_ack_now(c);
}
