/* stack_nd.c: our side of IPv6 Neighbour Discovery (RFC 4861 7.2) */
#include "tcp/nd.h"
#include "tcp/stack.h"

#define ND_TTL 255

/* A whole frame; returns its length. */
static uint16_t build_frame(struct tcp_stack *s, uint8_t *frame, const uint8_t *dst_mac, const struct ip_addr *dst,
                            struct nd_packet *n)
{
    n->has_mac = true;
    memcpy(n->mac, s->cfg.mac, ETH_ALEN);
    eth_build(frame, dst_mac, s->cfg.mac, ETH_TYPE_IPV6);
    ip6_build(frame + ETH_HLEN, &s->cfg.ip6, dst, IPPROTO_ICMP6_N, ND_TTL, ND_LEN);
    nd_build(frame + ETH_HLEN + IPV6_HLEN, n, &s->cfg.ip6, dst);
    return ETH_HLEN + IPV6_HLEN + ND_LEN;
}

uint16_t stack_nd_ask(struct tcp_stack *s, uint8_t *frame, const struct neigh *n)
{
    struct nd_packet ask = {.target = n->ip};
    struct ip_addr dst = n->ip;
    uint8_t mac[ETH_ALEN];

    memcpy(mac, n->mac, ETH_ALEN);
    if (n->is_broadcast_ask) {
        dst = nd_solicited_node(&n->ip);
        nd_group_mac(mac, &dst);
    }
    return build_frame(s, frame, mac, &dst, &ask);
}

void stack_nd_announce(struct tcp_stack *s)
{
    struct nd_packet n = {.is_advert = true, .is_override = true, .target = s->cfg.ip6};
    struct ip_addr all = nd_all_nodes();
    struct ctl_frame f = {.payload = NULL};
    uint8_t mac[ETH_ALEN];

    nd_group_mac(mac, &all);
    f.head_len = build_frame(s, f.head, mac, &all, &n);
    stack_push_ctl(s, &f);
}

static void answer(struct tcp_stack *s, const struct ip_in *ip, const uint8_t *src_mac)
{
    struct nd_packet n = {.is_advert = true, .is_solicited = true, .is_override = true, .target = s->cfg.ip6};
    struct ctl_frame f = {.payload = NULL};

    f.head_len = build_frame(s, f.head, src_mac, &ip->src, &n);
    stack_push_ctl(s, &f);
}

static void input_solicit(struct tcp_stack *s, const struct ip_in *ip, const struct nd_packet *n, const uint8_t *src_mac,
                          uint64_t now)
{
    bool for_us = ip_addr_is_equal(&n->target, &s->cfg.ip6) && !s->cfg.address_shared;
    bool is_asker_known = ip_is_host(&ip->src);

    /* As with ARP: what we know is brought up to date by anything; something new is learnt from those who want us. */
    if (is_asker_known && n->has_mac && !ip_addr_is_equal(&ip->src, &s->cfg.ip6))
        stack_learn(s, &ip->src, n->mac, for_us, now);
    if (!for_us || ip_addr_is_equal(&ip->src, &s->cfg.ip6))
        s->n.drop_nd_other++;
    else if (is_asker_known)
        answer(s, ip, src_mac);
    else
        stack_nd_announce(s); /* somebody wants our address for itself */
}

/* RFC 4861 7.2.5, without its states: what we wait for is believed; a new MAC must claim to override the old; and what fits is a
 * sign of life only when we asked. */
static void input_advert(struct tcp_stack *s, const struct nd_packet *a, uint64_t now)
{
    struct neigh *n = ip_is_host(&a->target) ? neigh_find(&s->neigh, &a->target) : NULL;
    bool is_same = n && (!a->has_mac || memcmp(n->mac, a->mac, ETH_ALEN) == 0);

    if (!n || (n->state != NEIGH_KNOWN && !a->has_mac))
        s->n.drop_nd_other++;
    else if (n->state != NEIGH_KNOWN || (!is_same && a->is_override))
        stack_learn(s, &a->target, a->mac, false, now);
    else if (is_same && a->is_solicited) {
        uint8_t mac[ETH_ALEN];
        memcpy(mac, n->mac, ETH_ALEN);
        stack_learn(s, &a->target, mac, false, now);
    } else
        s->n.drop_nd_other++;
}

void stack_nd_input(struct tcp_stack *s, const struct ip_in *ip, const uint8_t *src_mac, uint64_t now)
{
    struct nd_packet n;

    if (s->cfg.ip6.family == IP_NONE || nd_parse(&n, ip)) {
        s->n.drop_nd_form++;
        return;
    }
    if (s->cfg.neigh_external) {
        s->n.drop_nd_other++;
        return;
    }
    if (n.is_advert)
        input_advert(s, &n, now);
    else
        input_solicit(s, ip, &n, src_mac, now);
}

bool stack_nd_is_our_group(const struct tcp_stack *s, const uint8_t *mac)
{
    static const uint8_t all_nodes[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
    uint8_t ours[ETH_ALEN] = {0x33, 0x33, 0xff};

    if (s->cfg.ip6.family == IP_NONE)
        return false;
    memcpy(ours + 3, s->cfg.ip6.bytes + 13, 3);
    return memcmp(mac, ours, ETH_ALEN) == 0 || memcmp(mac, all_nodes, ETH_ALEN) == 0;
}
