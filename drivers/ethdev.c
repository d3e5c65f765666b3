/* ethdev.c: a DPDK port behind pktio.h (ethdev.h) */
#include "drivers/ethdev.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "base/list.h"

#define MBUFS_DEFAULT 4096u
#define POOL_CACHE    128u
#define DESCS         512u
#define ETH_HEAD      14u
#define IP4_HEAD      20u
#define GSO_MAX       65535u
#define NAME_PREFIX   "codecast_port"

struct ethdev {
    struct pktio io;
    uint16_t port;
    bool is_started, owns_device, has_no_wait;
    uint32_t kept;
    struct rte_mempool *pool;
    struct rte_mbuf *lent[PKTIO_BURST];
    unsigned nlent;
    struct pktio_counters counters;
};

/* In the private area of each mbuf. */
struct frame {
    struct buf buf;
    struct ethdev *port;
};

#define PRIVATE_BYTES RTE_ALIGN(sizeof(struct frame), RTE_MBUF_PRIV_ALIGN)

static struct ethdev *self(struct pktio *io)
{
    return CONTAINER_OF(io, struct ethdev, io);
}

/* ---- receiving ---- */

static void release(struct buf *b)
{
    CONTAINER_OF(b, struct frame, buf)->port->kept--;
    rte_pktmbuf_free(b->home);
}

static struct buf *lend(struct ethdev *e, struct rte_mbuf *m)
{
    struct frame *f = rte_mbuf_to_priv(m);

    f->buf = (struct buf){.data = rte_pktmbuf_mtod(m, uint8_t *),
                          .len = m->data_len,
                          .cap = m->data_len,
                          .refs = 1,
                          .release = release,
                          .home = m};
    f->port = e;
    e->kept++;
    return &f->buf;
}

static bool is_csum_ok(const struct rte_mbuf *m)
{
    return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

static unsigned ethdev_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct ethdev *e = self(io);
    struct rte_mbuf *got[PKTIO_BURST];
    uint16_t n = rte_eth_rx_burst(e->port, 0, got, (uint16_t)(cap < PKTIO_BURST ? cap : PKTIO_BURST));

    e->nlent = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = got[i];
        bool may_keep = e->kept < e->io.link.keep_max;

        if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) < 0) {
            e->counters.rx_truncated++;
            rte_pktmbuf_free(m);
            continue;
        }
        e->counters.rx_frames++;
        e->counters.rx_bytes += m->data_len;
        e->counters.rx_unkept += !may_keep;
        struct buf *b = lend(e, m);
        frames[e->nlent] = (struct pktio_frame){b->data, b->len, is_csum_ok(m), may_keep ? b : NULL};
        e->lent[e->nlent++] = m;
    }
    return e->nlent;
}

static void ethdev_recv_done(struct pktio *io)
{
    struct ethdev *e = self(io);

    while (e->nlent > 0)
        buf_unref(&((struct frame *)rte_mbuf_to_priv(e->lent[--e->nlent]))->buf);
}

/* ---- sending ---- */

struct writer {
    struct rte_mempool *pool;
    struct rte_mbuf *head, *last;
};

/* Appends bytes to the chain; false when the pool is empty. */
static bool append(struct writer *w, const uint8_t *p, uint32_t len)
{
    while (len > 0) {
        uint16_t room = rte_pktmbuf_tailroom(w->last), n = len < room ? (uint16_t)len : room;

        if (n == 0) {
            struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

            if (!m)
                return false;
            w->last->next = m;
            w->last = m;
            w->head->nb_segs++;
            continue;
        }
        memcpy(rte_pktmbuf_mtod_offset(w->last, uint8_t *, w->last->data_len), p, n);
        w->last->data_len = (uint16_t)(w->last->data_len + n);
        w->head->pkt_len += n;
        p += n;
        len -= n;
    }
    return true;
}

/* What the port is to finish. DPDK wants the pseudo-header's sum without the length when it segments. */
static void set_offloads(struct rte_mbuf *m, const struct pktio_seg *seg)
{
    uint8_t *head = rte_pktmbuf_mtod(m, uint8_t *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(head + ETH_HEAD);

    m->l2_len = ETH_HEAD;
    m->l3_len = (uint64_t)(seg->csum_start - ETH_HEAD);
    m->l4_len = (uint64_t)(seg->head_len - seg->csum_start);
    m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
    if (seg->gso_bytes) {
        uint16_t sum;

        m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM;
        m->tso_segsz = seg->gso_bytes;
        ip->hdr_checksum = 0;
        sum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
        memcpy(head + seg->csum_start + seg->csum_offset, &sum, 2);
    }
}

static struct rte_mbuf *mbuf_of(struct ethdev *e, const struct pktio_seg *seg)
{
    struct writer w = {.pool = e->pool};
    bool ok;

    w.head = w.last = rte_pktmbuf_alloc(e->pool);
    if (!w.head)
        return NULL;
    ok = append(&w, seg->head, seg->head_len);
    for (unsigned i = 0; ok && i < seg->npieces; i++)
        ok = append(&w, seg->pieces[i].data, seg->pieces[i].len);
    if (!ok) {
        rte_pktmbuf_free(w.head);
        return NULL;
    }
    if (seg->csum_start)
        set_offloads(w.head, seg);
    return w.head;
}

static unsigned ethdev_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct ethdev *e = self(io);
    unsigned done = 0;

    for (; done < count; done++) {
        struct rte_mbuf *m = mbuf_of(e, &segs[done]);
        uint32_t len = m ? m->pkt_len : 0;

        if (!m || rte_eth_tx_burst(e->port, 0, &m, 1) == 0) {
            rte_pktmbuf_free(m);
            e->counters.tx_full++;
            break;
        }
        e->counters.tx_segs++;
        e->counters.tx_bytes += len;
    }
    return done;
}

/* ---- the rest ---- */

/* Drivers with receive interrupts give their descriptor here; net_tap's is the tap's own. */
static int ethdev_wait_fd(struct pktio *io, bool wants_tx)
{
    struct ethdev *e = self(io);

    return e->has_no_wait ? -1 : rte_eth_dev_rx_intr_ctl_q_get_fd(e->port, 0);
}

static void ethdev_refresh(struct pktio *io)
{
    struct rte_eth_link link;

    if (rte_eth_link_get_nowait(self(io)->port, &link) == 0)
        io->link.is_up = link.link_status == RTE_ETH_LINK_UP;
}

static void ethdev_counters(struct pktio *io, struct pktio_counters *out)
{
    struct ethdev *e = self(io);
    struct rte_eth_stats st;

    if (rte_eth_stats_get(e->port, &st) == 0) {
        e->counters.rx_dropped = st.imissed + st.ierrors + st.rx_nombuf;
        e->counters.tx_dropped = st.oerrors;
    }
    *out = e->counters;
}

static void ethdev_close(struct pktio *io)
{
    struct ethdev *e = self(io);

    ethdev_recv_done(io);
    if (e->is_started)
        rte_eth_dev_stop(e->port);
    if (e->owns_device)
        ethdev_remove_vdev(e->port);
    else
        rte_eth_dev_close(e->port);
    rte_mempool_free(e->pool);
    free(e);
}

static const struct pktio_ops ethdev_ops = {ethdev_recv,    ethdev_recv_done, ethdev_send, ethdev_wait_fd,
                                            ethdev_refresh, ethdev_counters,  ethdev_close};

/* Configures, sets the queues up and starts. NULL, or the step that failed with *rc its code. */
static const char *start(struct ethdev *e, const struct ethdev_config *cfg,
                         const struct rte_eth_dev_info *info, int *rc)
{
    struct rte_eth_conf conf = {.intr_conf = {.rxq = !cfg->has_no_wait}};
    const uint64_t wanted_tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                               RTE_ETH_TX_OFFLOAD_MULTI_SEGS |
                               (cfg->has_no_tso ? 0 : RTE_ETH_TX_OFFLOAD_TCP_TSO);
    uint16_t rx = DESCS, tx = DESCS;

    conf.rxmode.offloads =
        info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
    conf.txmode.offloads = info->tx_offload_capa & wanted_tx;
    *rc = rte_eth_dev_configure(e->port, 1, 1, &conf);
    if (*rc < 0) { /* a driver without receive interrupts */
        conf.intr_conf.rxq = 0;
        *rc = rte_eth_dev_configure(e->port, 1, 1, &conf);
    }
    if (*rc < 0)
        return "configure";
    if ((*rc = rte_eth_dev_adjust_nb_rx_tx_desc(e->port, &rx, &tx)) < 0)
        return "queue sizes";
    if ((*rc = rte_eth_rx_queue_setup(e->port, 0, rx, SOCKET_ID_ANY, NULL, e->pool)) < 0)
        return "receive queue";
    if ((*rc = rte_eth_tx_queue_setup(e->port, 0, tx, SOCKET_ID_ANY, NULL)) < 0)
        return "transmit queue";
    if (cfg->mtu && (*rc = rte_eth_dev_set_mtu(e->port, cfg->mtu)) < 0)
        return "MTU";
    if ((*rc = rte_eth_dev_start(e->port)) < 0)
        return "start";
    e->is_started = true;
    e->io.link.has_rx_csum = conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    e->io.link.has_tx_csum = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    if ((conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) &&
        (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) && e->io.link.has_tx_csum)
        e->io.link.gso_max_bytes = GSO_MAX;
    return NULL;
}

static void learn_link(struct ethdev *e, const struct ethdev_config *cfg, uint32_t mbufs)
{
    struct rte_ether_addr mac = {0};
    char name[RTE_ETH_NAME_MAX_LEN] = "";

    rte_eth_macaddr_get(e->port, &mac);
    memcpy(e->io.link.mac, cfg->has_own_mac ? cfg->mac : mac.addr_bytes, 6);
    rte_eth_dev_get_mtu(e->port, &e->io.link.mtu);
    e->io.link.keep_max = mbufs / 2;
    ethdev_refresh(&e->io);
    rte_eth_dev_get_name_by_port(e->port, name);
    snprintf(e->io.text, sizeof(e->io.text), "ethdev %.40s mtu %u%s", name, e->io.link.mtu,
             e->io.link.gso_max_bytes ? " gso 64k" : "");
}

struct pktio *ethdev_open(const struct ethdev_config *cfg, char err[256])
{
    struct ethdev *e = calloc(1, sizeof(*e));
    struct rte_eth_dev_info info;
    uint32_t mbufs = cfg->mbufs ? cfg->mbufs : MBUFS_DEFAULT;
    char name[32];
    const char *failed = "memory for mbufs";
    int rc = -ENOMEM;

    if (!e || rte_eth_dev_info_get(cfg->port_id, &info) < 0) {
        snprintf(err, 256, e ? "there is no DPDK port %u" : "no memory for port %u", cfg->port_id);
        free(e);
        return NULL;
    }
    e->io.ops = &ethdev_ops;
    e->port = cfg->port_id;
    e->owns_device = cfg->owns_device;
    e->has_no_wait = cfg->has_no_wait;
    snprintf(name, sizeof(name), NAME_PREFIX "%u", cfg->port_id);
    e->pool = rte_pktmbuf_pool_create(name, mbufs, POOL_CACHE, PRIVATE_BYTES, RTE_MBUF_DEFAULT_BUF_SIZE,
                                      SOCKET_ID_ANY);
    if (e->pool)
        failed = start(e, cfg, &info, &rc);
    else
        rc = -rte_errno;
    if (failed) {
        snprintf(err, 256, "DPDK port %u (%s): %s: %s", cfg->port_id, info.driver_name, failed,
                 rte_strerror(-rc));
        ethdev_close(&e->io);
        return NULL;
    }
    learn_link(e, cfg, mbufs);
    return &e->io;
}

/* ---- virtual devices ---- */

int ethdev_create_vdev(const char *name, const char *args, uint16_t *port_id, char err[256])
{
    int rc = rte_eal_hotplug_add("vdev", name, args);

    if (rc == 0)
        rc = rte_eth_dev_get_port_by_name(name, port_id);
    if (rc < 0)
        snprintf(err, 256, "DPDK device %s (%s): %s", name, args, rte_strerror(-rc));
    return rc < 0 ? -1 : 0;
}

void ethdev_remove_vdev(uint16_t port_id)
{
    struct rte_eth_dev_info info;
    char name[RTE_ETH_NAME_MAX_LEN];

    if (rte_eth_dev_info_get(port_id, &info) < 0 || rte_eth_dev_get_name_by_port(port_id, name) < 0)
        return;
    rte_eth_dev_close(port_id);
    rte_eal_hotplug_remove("vdev", name);
}

struct pktio *ethdev_open_tap(const char *iface, const uint8_t mac[6], char err[256])
{
    struct ethdev_config cfg = {.has_own_mac = true, .has_no_tso = true, .owns_device = true};
    char args[64];
    struct pktio *io;

    memcpy(cfg.mac, mac, 6);
    cfg.mac[0] = (uint8_t)((cfg.mac[0] & 0xfc) | 2); /* local, unicast */
    snprintf(args, sizeof(args), "iface=%.15s", iface);
    rte_log_set_level_pattern("pmd.net.tap",
                              RTE_LOG_CRIT); /* it complains of flow rules that nobody asked for */
    if (ethdev_create_vdev("net_tap0", args, &cfg.port_id, err) < 0)
        return NULL;
    io = ethdev_open(&cfg, err);
    if (io)
        snprintf(io->text, sizeof(io->text), "tap %.15s mtu %u", iface, io->link.mtu);
    return io;
}

struct pktio *ethdev_open_pci(const char *address, char err[256])
{
    struct ethdev_config cfg = {.has_no_wait = true};

    if (rte_eth_dev_get_port_by_name(address, &cfg.port_id) < 0) {
        snprintf(err, 256, "vfio: DPDK has no port %.40s: is it a NIC of a driver that is installed, bound to vfio-pci, its group in /dev/vfio?",
                 address);
        return NULL;
    }
    return ethdev_open(&cfg, err);
}
