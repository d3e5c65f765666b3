/* ethdev_start.c: what a DPDK port is asked for when it starts, and what came of it (ethdev.h) */
#include <errno.h>
#include <string.h>

#include "drivers/ethdev_pvt.h"

#define DESCS       512u
#define GSO_MAX     65535u
#define KEY_DEFAULT 40u
#define TCP_HASH    (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define IP_HASH     (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6)

/* Any would do; this one has published examples, against which ours is tested. Longer keys repeat it. */
static const uint8_t usual_key[KEY_DEFAULT] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static uint64_t hash_of(const struct rte_eth_dev_info *info)
{
    uint64_t tcp = info->flow_type_rss_offloads & TCP_HASH;

    return tcp ? tcp : info->flow_type_rss_offloads & IP_HASH;
}

static uint32_t key_bytes(const struct rte_eth_dev_info *info)
{
    return info->hash_key_size ? info->hash_key_size : KEY_DEFAULT;
}

/* As many queues as are wanted, if flows can be told apart. */
static uint16_t queues_of(const struct ethdev *e, const struct rte_eth_dev_info *info)
{
    uint32_t n = e->cfg.queues ? e->cfg.queues : 1;

    if (!hash_of(info) || info->reta_size == 0 || info->reta_size > RSS_TABLE_MAX || (info->reta_size & (info->reta_size - 1)) ||
        key_bytes(info) > RSS_KEY_MAX || key_bytes(info) < KEY_DEFAULT)
        return 1;
    n = n < info->max_rx_queues ? n : info->max_rx_queues;
    n = n < info->max_tx_queues ? n : info->max_tx_queues;
    n = n < ETHDEV_QUEUES_MAX ? n : ETHDEV_QUEUES_MAX;
    return (uint16_t)(n ? n : 1);
}

/* Spreads the table over the queues, then learns what the device made of key and table. */
static int learn_rss(struct ethdev *e, const struct rte_eth_dev_info *info)
{
    struct rte_eth_rss_reta_entry64 reta[RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE];
    struct rte_eth_rss_conf conf = {.rss_key = e->rss.key, .rss_key_len = (uint8_t)key_bytes(info)};
    int rc;

    for (unsigned i = 0; i < info->reta_size; i++) {
        reta[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
        reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % e->nqueues);
    }
    rte_eth_dev_rss_reta_update(e->port, reta, info->reta_size); /* else as the device has it */
    rc = rte_eth_dev_rss_reta_query(e->port, reta, info->reta_size);
    if (rc == 0)
        rc = rte_eth_dev_rss_hash_conf_get(e->port, &conf);
    if (rc < 0 || !(conf.rss_hf & (TCP_HASH | IP_HASH)))
        return rc < 0 ? rc : -ENOTSUP;
    for (unsigned i = 0; i < info->reta_size; i++)
        e->rss.table[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    e->rss.has_ports4 = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP;
    e->rss.has_ports6 = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP;
    e->rss.table_size = info->reta_size;
    return 0;
}

static void choose(struct ethdev *e, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf, uint8_t *key)
{
    uint64_t tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS |
                  (e->cfg.has_no_tso ? 0 : RTE_ETH_TX_OFFLOAD_TCP_TSO);
    uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

    e->has_vlan_offload = e->cfg.vlan && (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT);
    if (e->has_vlan_offload)
        tx |= RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
    if (e->cfg.vlan)
        rx |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_VLAN_FILTER; /* a tag that is still there is taken off by us */
    *conf = (struct rte_eth_conf){.intr_conf = {.rxq = !e->cfg.has_no_wait}};
    conf->rxmode.offloads = e->rx_offloads = info->rx_offload_capa & rx;
    conf->txmode.offloads = e->tx_offloads = info->tx_offload_capa & tx;
    conf->rxmode.mtu = e->cfg.mtu;
    if (e->nqueues == 1)
        return;
    for (unsigned i = 0; i < key_bytes(info); i++)
        key[i] = usual_key[i % sizeof(usual_key)];
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf =
        (struct rte_eth_rss_conf){.rss_key = key, .rss_key_len = (uint8_t)key_bytes(info), .rss_hf = hash_of(info)};
}

static const char *set_queues_up(struct ethdev *e, int *rc)
{
    uint16_t rx = DESCS, tx = DESCS;

    if ((*rc = rte_eth_dev_adjust_nb_rx_tx_desc(e->port, &rx, &tx)) < 0)
        return "queue sizes";
    for (uint16_t i = 0; i < e->nqueues; i++) {
        if ((*rc = rte_eth_rx_queue_setup(e->port, i, rx, (unsigned)e->socket, NULL, e->queues[i]->pool)) < 0)
            return "receive queue";
        if ((*rc = rte_eth_tx_queue_setup(e->port, i, tx, (unsigned)e->socket, NULL)) < 0)
            return "transmit queue";
    }
    return NULL;
}

static const char *start_with(struct ethdev *e, const struct rte_eth_dev_info *info, int *rc)
{
    uint8_t key[RSS_KEY_MAX];
    struct rte_eth_conf conf;
    const char *failed;

    choose(e, info, &conf, key);
    *rc = rte_eth_dev_configure(e->port, e->nqueues, e->nqueues, &conf);
    if (*rc < 0 && conf.intr_conf.rxq) { /* a driver without receive interrupts */
        conf.intr_conf.rxq = 0;
        *rc = rte_eth_dev_configure(e->port, e->nqueues, e->nqueues, &conf);
    }
    if (*rc < 0)
        return "configure";
    if ((failed = set_queues_up(e, rc)))
        return failed;
    if (e->cfg.mtu && (*rc = rte_eth_dev_set_mtu(e->port, e->cfg.mtu)) < 0 && *rc != -ENOTSUP)
        return "MTU";
    if ((*rc = rte_eth_dev_start(e->port)) < 0)
        return "start";
    if (e->cfg.vlan && (e->rx_offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER))
        rte_eth_dev_vlan_filter(e->port, e->cfg.vlan, 1); /* some drop all tags that they were not told of (virtio) */
    if (e->cfg.has_ip6)
        rte_eth_allmulticast_enable(e->port); /* a driver that cannot has no filter */
    e->is_started = true;
    return NULL;
}

void ethdev_stop(struct ethdev *e)
{
    if (e->is_started)
        rte_eth_dev_stop(e->port);
    e->is_started = false;
}

static uint32_t gso_max(const struct ethdev *e, const struct rte_eth_dev_info *info)
{
    const uint64_t needed = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    uint64_t pieces = info->tx_desc_lim.nb_seg_max, bytes = pieces * (RTE_MBUF_DEFAULT_DATAROOM - 256u);

    if ((e->tx_offloads & needed) != needed)
        return 0;
    return pieces == 0 || bytes > GSO_MAX ? GSO_MAX : (uint32_t)bytes;
}

static void learn_link(struct ethdev *e, const struct rte_eth_dev_info *info)
{
    struct rte_ether_addr mac = {0};
    uint16_t mtu = 0;

    rte_eth_macaddr_get(e->port, &mac);
    rte_eth_dev_get_mtu(e->port, &mtu);
    for (unsigned i = 0; i < e->nqueues; i++) {
        struct pktio_link *l = &e->queues[i]->io.link;

        memcpy(l->mac, e->cfg.has_own_mac ? e->cfg.mac : mac.addr_bytes, 6);
        l->mtu = mtu;
        l->has_rx_csum = e->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
        l->has_tx_csum = e->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        l->gso_max_bytes = gso_max(e, info);
        l->queue = (uint16_t)i;
        l->queues = e->nqueues;
    }
}

const char *ethdev_start(struct ethdev *e, int *rc)
{
    struct rte_eth_dev_info info;
    const char *failed;

    if ((*rc = rte_eth_dev_info_get(e->port, &info)) < 0)
        return "device";
    if (queues_of(e, &info) < e->nqueues)
        e->nqueues = queues_of(e, &info);
    failed = start_with(e, &info, rc);
    if (!failed && e->nqueues > 1 && learn_rss(e, &info) < 0) {
        ethdev_stop(e); /* nobody could tell where a flow goes */
        e->nqueues = 1;
        failed = start_with(e, &info, rc);
    }
    learn_link(e, &info);
    return failed;
}
