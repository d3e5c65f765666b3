/* ethdev_side.c: frames that concern every queue, to whichever one they came (ethdev.h) */
#include <stdio.h>

#include "drivers/ethdev_pvt.h"

#define LOOKED_AT 42u /* Ethernet + ARP, or Ethernet + IPv4 + the first bytes of ICMP */

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* An answer, or the news of a neighbour's address: a request for our address is answered once, where it came. */
static bool is_arp_news(const uint8_t *arp)
{
    return be16(arp + 6) == 2 || memcmp(arp + 14, arp + 24, 4) == 0;
}

/* Errors about a connection: any queue's. */
static bool is_icmp_error(const uint8_t *ip, uint32_t len)
{
    uint32_t head = (ip[0] & 15u) * 4;

    return ip[9] == 1 && head + 1 <= len && (ip[head] == 3 || ip[head] == 11);
}

static bool is_icmp6_news(const uint8_t *ip, uint32_t len)
{
    return len > 40 && ip[6] == 58 && ((ip[40] >= 1 && ip[40] <= 4) || ip[40] == 136);
}

static bool concerns_all(const uint8_t *p, uint32_t len)
{
    if (len < LOOKED_AT)
        return false;
    switch (be16(p + 12)) {
    case 0x0806: return is_arp_news(p + ETHDEV_ETH_HEAD);
    case 0x0800: return is_icmp_error(p + ETHDEV_ETH_HEAD, len - ETHDEV_ETH_HEAD);
    case 0x86dd: return is_icmp6_news(p + ETHDEV_ETH_HEAD, len - ETHDEV_ETH_HEAD);
    default: return false;
    }
}

int ethdev_side_open(struct ethdev_queue *q)
{
    char name[RTE_RING_NAMESIZE];

    if (q->dev->nqueues == 1)
        return 0;
    snprintf(name, sizeof(name), "codecast_side%u_%u", q->dev->port, q->index);
    q->side = rte_ring_create(name, ETHDEV_SIDE_MAX, q->dev->socket, RING_F_SC_DEQ);
    return q->side ? 0 : -1;
}

void ethdev_side_close(struct ethdev_queue *q)
{
    struct rte_mbuf *m;

    while (q->side && rte_ring_sc_dequeue(q->side, (void **)&m) == 0)
        rte_pktmbuf_free(m);
    rte_ring_free(q->side);
    q->side = NULL;
}

void ethdev_side_share(struct ethdev_queue *q, const struct rte_mbuf *m)
{
    if (!q->side || !concerns_all(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len))
        return;
    for (unsigned i = 0; i < q->dev->nqueues; i++) {
        struct ethdev_queue *to = q->dev->queues[i];
        struct rte_mbuf *copy = to == q ? NULL : rte_pktmbuf_copy(m, q->pool, 0, UINT32_MAX);

        if (to == q)
            continue;
        if (!copy || rte_ring_mp_enqueue(to->side, copy) < 0) {
            rte_pktmbuf_free(copy);
            q->counters.rx_dropped++;
        }
    }
}

unsigned ethdev_side_take(struct ethdev_queue *q, struct rte_mbuf **out, unsigned cap)
{
    return q->side ? rte_ring_sc_dequeue_burst(q->side, (void **)out, cap, NULL) : 0;
}
