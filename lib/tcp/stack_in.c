/* stack_in.c: what arrives: Ethernet, ARP, IP, ICMP, and TCP to its connection */
#include "tcp/arp.h"
#include "tcp/icmp.h"
#include "tcp/stack.h"

struct frame {
    struct eth_in eth;
    struct ip_in ip;
    struct buf *lent; /* or NULL */
    struct slice rest; /* the payload, when it does not follow its header */
    const uint8_t *head_end;
    unsigned flags;
};

/* ---- neighbours ---- */

void stack_wake_waiters(struct tcp_stack *s, struct neigh *n)
{
    struct list *l;

    while ((l = list_pop_front(&n->waiters)))
        list_push_back(&s->tx, l);
}

void stack_fail_waiters(struct tcp_stack *s, struct neigh *n, uint64_t now)
{
    struct list *l;

    (void)s;
    while ((l = list_pop_front(&n->waiters))) {
        struct tcp_conn *c = CONTAINER_OF(l, struct tcp_conn, tx_link);
        if (conn_is_handshake(c))
            conn_finish(c, TCP_CLOSED_UNREACHABLE);
        else if (sb_flight(&c->sb) == 0)
            conn_retry(c, now); /* else the retransmission timer asks again */
    }
}

void stack_learn(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t *mac, bool make, uint64_t now)
{
    struct neigh *n = make ? neigh_get(&s->neigh, ip, now) : neigh_find(&s->neigh, ip);

    if (!n || n->is_fixed)
        return;
    s->n.neigh_moved += neigh_learn(&s->neigh, n, mac, now);
    n->is_heard = true;
    stack_wake_waiters(s, n);
}

int tcp_stack_neigh_set(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t mac[6], uint64_t now)
{
    if (!neigh_get(&s->neigh, ip, now))
        return -TCP_EFULL;
    stack_learn(s, ip, mac, true, now);
    return 0;
}

void tcp_stack_neigh_failed(struct tcp_stack *s, const struct ip_addr *ip, uint64_t now)
{
    struct neigh *n = neigh_find(&s->neigh, ip);

    if (!n)
        return;
    neigh_forget(&s->neigh, n);
    stack_fail_waiters(s, n, now);
}

/* The kernel forgets, or fails to reach, what it does not use itself: that says nothing of what our own TCP sees alive. */
static void told_gone(struct tcp_stack *s, const struct ip_addr *ip, uint64_t now)
{
    struct neigh *n = neigh_find(&s->neigh, ip);

    if (n && (n->is_fixed || (n->state == NEIGH_KNOWN && now - n->confirmed_ns > NEIGH_REACHABLE_NS)))
        tcp_stack_neigh_failed(s, ip, now);
}

/* The host's words come to us once a second: what we heard meanwhile, or see alive, may be newer. Its own words come in order. */
static bool is_lately_heard(const struct neigh *n, uint64_t now)
{
    return n->state == NEIGH_KNOWN && n->is_heard && !n->is_fixed && now - n->confirmed_ns < 2 * NEIGH_ASK_INTERVAL_NS;
}

int tcp_stack_neigh_told(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t mac[6], enum tcp_neigh_word word, uint64_t now)
{
    struct neigh *n;
    bool is_heard;

    if (!ip_is_host(ip) || (word != TCP_NEIGH_GONE && (mac[0] & 1)))
        return 0;
    if (word == TCP_NEIGH_GONE) {
        told_gone(s, ip, now);
        return 0;
    }
    n = neigh_get_unasked(&s->neigh, ip);
    if (!n) {
        s->n.drop_neigh_full++;
        return -TCP_EFULL;
    }
    if (word == TCP_NEIGH_OLD && n->state == NEIGH_KNOWN && !n->is_fixed)
        return 0;
    is_heard = word == TCP_NEIGH_FRESH && is_lately_heard(n, now);
    if (is_heard && memcmp(n->mac, mac, 6) != 0) {
        neigh_dispute(&s->neigh, n, now); /* it is told once: if it is right after all, the wire says so */
        return 0;
    }
    neigh_fix(&s->neigh, n, word == TCP_NEIGH_FIXED);
    s->n.neigh_moved += neigh_learn(&s->neigh, n, mac, now);
    n->is_heard = is_heard;
    if (word == TCP_NEIGH_OLD)
        n->confirmed_ns = 0;
    stack_wake_waiters(s, n);
    return 0;
}

void tcp_stack_neigh_unfix(struct tcp_stack *s)
{
    for (uint32_t i = 0; i < s->neigh.made; i++)
        neigh_fix(&s->neigh, &s->neigh.entries[i], false);
}

static void input_arp(struct tcp_stack *s, const struct frame *f, uint64_t now)
{
    struct arp_packet a;

    if (arp_parse(&a, f->eth.body)) {
        s->n.drop_arp_form++;
        return;
    }
    if (s->cfg.neigh_external || !ip_is_host(&a.sender_ip) || ip_addr_is_equal(&a.sender_ip, &s->cfg.ip)) {
        s->n.drop_arp_other++;
        return;
    }
    bool for_us = ip_addr_is_equal(&a.target_ip, &s->cfg.ip);
    /* RFC 826: what we know is brought up to date by anything; something new is learnt from those who want us. */
    stack_learn(s, &a.sender_ip, a.sender_mac, for_us && a.op == ARP_REQUEST && !s->cfg.address_shared, now);
    if (!for_us || a.op != ARP_REQUEST || s->cfg.address_shared) {
        s->n.drop_arp_other += !for_us;
        return;
    }
    struct arp_packet r = {.op = ARP_REPLY, .sender_ip = s->cfg.ip, .target_ip = a.sender_ip};
    struct ctl_frame out = {.head_len = ETH_HLEN + ARP_LEN};
    memcpy(r.sender_mac, s->cfg.mac, ETH_ALEN);
    memcpy(r.target_mac, a.sender_mac, ETH_ALEN);
    eth_build(out.head, a.sender_mac, s->cfg.mac, ETH_TYPE_ARP);
    arp_build(out.head + ETH_HLEN, &r);
    stack_push_ctl(s, &out);
}

/* ---- ICMP ---- */

static void reply_echo(struct tcp_stack *s, const struct frame *f, struct slice echo, uint64_t now)
{
    bool is_v6 = f->ip.src.family == IP_V6;
    const struct ip_addr *ours = stack_our_ip(s, &f->ip.src);
    unsigned ip_len = ip_hlen(&f->ip.src);
    struct ctl_frame out = {.head_len = (uint16_t)(ETH_HLEN + ip_len + 4)};
    uint8_t *icmp = out.head + ETH_HLEN + ip_len;

    if (s->cfg.address_shared)
        return;
    if (!rate_take(&s->icmp_rate, now) || echo.len + ip_len + 4 > s->cfg.mtu_bytes ||
        !(out.payload = buf_copy(echo))) {
        s->n.drop_icmp_rate++;
        return;
    }
    eth_build(out.head, f->eth.src, s->cfg.mac, is_v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    ip_header_build(out.head + ETH_HLEN, ours, &f->ip.src, is_v6 ? IPPROTO_ICMP6_N : IPPROTO_ICMP_N, s->cfg.ttl, 0,
                    4 + (uint32_t)echo.len);
    if (is_v6)
        icmp6_echo_reply_build(icmp, echo, ours, &f->ip.src);
    else
        icmp_echo_reply_build(icmp, echo);
    stack_push_ctl(s, &out);
}

/* RFC 5927: only an error that quotes a sequence number in flight is about us. Net and host unreachable are soft errors (RFC 1122
 * 4.2.3.9) for a connection that has been there: its own timers judge. They end our SYN at once, port and protocol unreachable
 * as refused, the others as unreachable: RFC 1122 would have it retry for as long as a connect may take, but whoever dials
 * here has other addresses and a back-off of its own, so it had better know (RFC 5461 section 4.1; Linux does so too). */
static void input_icmp_error(struct tcp_stack *s, const struct icmp_in *e, uint64_t now)
{
    struct flow *fl =
        ip_addr_is_equal(&e->local.ip, stack_our_ip(s, &e->local.ip)) ? table_find(&s->table, &e->remote, e->local.port) : NULL;
    struct tcp_conn *c = fl && fl->kind == FLOW_CONN ? CONTAINER_OF(fl, struct tcp_conn, flow) : NULL;

    if (!c || seq_lt(e->seq, c->sb.una) || seq_geq(e->seq, c->sb.nxt)) {
        s->n.drop_icmp_form++;
        return;
    }
    if (e->code == ICMP_CODE_FRAG_NEEDED) {
        conn_mtu_told(c, e->next_mtu, now);
    } else if (c->state != TCP_ST_SYN_SENT)
        c->unreachable = conn_is_handshake(c);
    else
        conn_finish(c, e->code == ICMP_CODE_PORT || e->code == ICMP_CODE_PROTO ? TCP_CLOSED_REFUSED
                                                                               : TCP_CLOSED_UNREACHABLE);
}

static void input_icmp(struct tcp_stack *s, const struct frame *f, uint64_t now)
{
    struct icmp_in in;

    switch (f->ip.src.family == IP_V6 ? icmp6_parse(&in, &f->ip) : icmp_parse(&in, f->ip.body)) {
    case ICMP_IN_ND: stack_nd_input(s, &f->ip, f->eth.src, now); break;
    case ICMP_IN_BAD:
    case ICMP_IN_OTHER: s->n.drop_icmp_form++; break;
    case ICMP_IN_ECHO: reply_echo(s, f, in.echo, now); break;
    case ICMP_IN_TCP_ERROR: input_icmp_error(s, &in, now); break;
    }
}

/* ---- TCP ---- */

static bool is_our_port(struct tcp_stack *s, uint16_t port)
{
    return !s->cfg.address_shared || stack_listener(s, port) ||
           (port >= s->cfg.port_min && port <= s->cfg.port_max);
}

static void input_stranger(struct tcp_stack *s, const struct frame *f, const struct ip_endpoint *remote,
                           struct tcp_in *in, uint64_t now)
{
    struct listener *l = stack_listener(s, in->dst_port);

    if (l && (in->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
        listen_syn(s, l, remote, in, f->eth.src, now);
        return;
    }
    if (l && (in->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK && syncookie_is_active(&s->cookie, now)) {
        bool is_early;
        struct tcp_conn *c = listen_cookie(s, l, remote, in, &is_early, now);
        if (c)
            conn_input(c, in, f->lent, now);
        if (c || is_early)
            return;
    }
    s->n.drop_tcp_port++;
    if (is_our_port(s, in->dst_port))
        stack_reset_stranger(s, remote, in, f->eth.src, now);
}

/* The payload where it is; false: there is more of a header, or less, than the caller said. */
static bool take_rest(const struct frame *f, struct tcp_in *in)
{
    if (in->payload.p != f->head_end || !(f->flags & TCP_INPUT_CSUM_OK))
        return false;
    in->payload.p = f->rest.p;
    return true;
}

static void input_tcp(struct tcp_stack *s, const struct frame *f, uint64_t now)
{
    struct tcp_in in;

    if (tcp_in_parse(&in, f->ip.body) || in.src_port == 0 || in.dst_port == 0) {
        s->n.drop_tcp_form++;
        return;
    }
    if (f->rest.p && !take_rest(f, &in)) {
        s->n.drop_tcp_form++;
        return;
    }
    in.is_ce = f->ip.ecn == IP_CE;
    if (!s->cfg.csum_rx_trusted && !(f->flags & TCP_INPUT_CSUM_OK) && !tcp_in_is_intact(&f->ip, f->ip.body)) {
        s->n.drop_tcp_csum++;
        return;
    }
    s->n.rx_segments++;
    struct ip_endpoint remote = {f->ip.src, in.src_port};
    struct flow *fl = table_find(&s->table, &remote, in.dst_port);
    if (fl && fl->kind == FLOW_TIMEWAIT) {
        if (!timewait_input(s, CONTAINER_OF(fl, struct timewait, flow), &in, f->eth.src, now))
            return;
        fl = NULL;
    }
    if (fl)
        conn_input(CONTAINER_OF(fl, struct tcp_conn, flow), &in, f->lent, now);
    else
        input_stranger(s, f, &remote, &in, now);
}

/* ---- IP and Ethernet ---- */

/* To an IPv6 group: Neighbour Discovery alone, whose questions about free addresses come from nobody. */
static void input_group(struct tcp_stack *s, const struct frame *f, uint64_t now)
{
    struct icmp_in in;

    if (icmp6_parse(&in, &f->ip) == ICMP_IN_ND)
        stack_nd_input(s, &f->ip, f->eth.src, now);
    else
        s->n.drop_icmp_form++;
}

static void input_ip(struct tcp_stack *s, struct frame *f, uint64_t now)
{
    bool is_v6 = f->eth.type == ETH_TYPE_IPV6;

    switch (is_v6 ? ip6_parse(&f->ip, f->eth.body, false) : ip_parse(&f->ip, f->eth.body, false)) {
    case IP_OK: break;
    case IP_BAD_FORM: s->n.drop_ip_form++; return;
    case IP_BAD_CSUM: s->n.drop_ip_csum++; return;
    }
    const struct ip_addr *ours = stack_our_ip(s, &f->ip.dst);
    bool is_icmp = f->ip.proto == (is_v6 ? IPPROTO_ICMP6_N : IPPROTO_ICMP_N);
    if (is_v6 && is_icmp && !f->ip.is_fragment && f->ip.dst.bytes[0] == 0xff)
        input_group(s, f, now);
    else if (!ip_addr_is_equal(&f->ip.dst, ours))
        s->n.drop_ip_dst++;
    else if (!ip_is_host(&f->ip.src) || ip_addr_is_equal(&f->ip.src, ours))
        s->n.drop_ip_src++; /* LAND and reflections among them */
    else if (f->ip.is_fragment)
        s->n.drop_ip_fragment++;
    else if (f->ip.proto == IPPROTO_TCP_N && !eth_is_group(f->eth.dst))
        input_tcp(s, f, now);
    else if (is_icmp)
        input_icmp(s, f, now);
    else
        s->n.drop_ip_proto++;
}

static void input(struct tcp_stack *s, struct frame f, struct slice bytes, uint64_t now)
{
    s->now_ns = now;
    s->rxpool.may_be_late = f.flags & TCP_INPUT_LASTS;
    s->rxpool.is_unread = f.flags & TCP_INPUT_UNREAD;
    s->n.rx_frames++;
    s->n.rx_bytes += bytes.len;
    if (eth_parse(&f.eth, bytes))
        s->n.drop_eth_short++;
    else if (memcmp(f.eth.dst, s->cfg.mac, ETH_ALEN) != 0 && !eth_is_broadcast(f.eth.dst) &&
             !stack_nd_is_our_group(s, f.eth.dst))
        s->n.drop_eth_dst++;
    else if (f.eth.type == ETH_TYPE_ARP)
        input_arp(s, &f, now);
    else if ((f.eth.type == ETH_TYPE_IPV4 && !eth_is_group(f.eth.dst)) ||
             (f.eth.type == ETH_TYPE_IPV6 && !eth_is_broadcast(f.eth.dst)))
        input_ip(s, &f, now);
    else
        s->n.drop_eth_type++;
}

void tcp_stack_input(struct tcp_stack *s, struct slice frame, unsigned flags, uint64_t now)
{
    input(s, (struct frame){.flags = flags}, frame, now);
}

void tcp_stack_settle(struct tcp_stack *s)
{
    rxpool_settle(&s->rxpool);
}

bool tcp_stack_is_lasting(const struct tcp_stack *s)
{
    return !list_is_empty(&s->rxpool.late);
}

void tcp_stack_input_buf(struct tcp_stack *s, struct buf *frame, unsigned flags, uint64_t now)
{
    input(s, (struct frame){.lent = frame, .flags = flags}, buf_slice(frame), now);
}

void tcp_stack_input_parts(struct tcp_stack *s, struct slice head, struct slice payload, unsigned flags, uint64_t now)
{
    struct frame f = {.flags = flags, .rest = payload, .head_end = head.p + head.len};

    input(s, f, (struct slice){head.p, head.len + payload.len}, now);
}
