/* ethdev.c: a DPDK device, its queues and its troubles (ethdev.h) */
#include "drivers/ethdev.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "drivers/ethdev_pvt.h"

#define MBUFS_DEFAULT 4096u
#define MBUFS_LARGE   2048u
#define MTU_LARGE     2000u
#define POOL_CACHE    128u

/* ---- trouble ---- */

void ethdev_tell(struct ethdev *e, unsigned event)
{
    __atomic_fetch_or(&e->events, event, __ATOMIC_RELEASE);
}

static int on_port_event(uint16_t port, enum rte_eth_event_type type, void *user, void *result)
{
    ethdev_tell(user, type == RTE_ETH_EVENT_INTR_RMV ? ETHDEV_EVENT_REMOVED : ETHDEV_EVENT_RESET);
    return 0;
}

/* Of vfio: the kernel wants the device back. */
static void on_device_event(const char *name, enum rte_dev_event_type type, void *user)
{
    if (type == RTE_DEV_EVENT_REMOVE)
        ethdev_tell(user, ETHDEV_EVENT_REMOVED);
}

static void listen_for_trouble(struct ethdev *e)
{
    rte_eth_dev_callback_register(e->port, RTE_ETH_EVENT_INTR_RMV, on_port_event, e);
    rte_eth_dev_callback_register(e->port, RTE_ETH_EVENT_INTR_RESET, on_port_event, e);
    rte_dev_event_callback_register(e->name, on_device_event, e);
}

static void listen_no_more(struct ethdev *e)
{
    rte_eth_dev_callback_unregister(e->port, RTE_ETH_EVENT_INTR_RMV, on_port_event, e);
    rte_eth_dev_callback_unregister(e->port, RTE_ETH_EVENT_INTR_RESET, on_port_event, e);
    rte_dev_event_callback_unregister(e->name, on_device_event, e);
}

bool ethdev_may_run(struct ethdev_queue *q)
{
    struct ethdev *e = q->dev;

    if (__atomic_load_n(&e->state, __ATOMIC_ACQUIRE) == ETHDEV_RUNS)
        return true;
    if (q->outage != e->outage) {
        q->outage = e->outage;
        ethdev_forget(q);
        q->wait_fd = -2;
        __atomic_fetch_add(&e->letgo, 1, __ATOMIC_RELEASE);
    }
    return false;
}

static void begin_outage(struct ethdev *e, enum ethdev_state why)
{
    struct pktio_counters *c = &e->queues[0]->counters;

    if (why == ETHDEV_GONE)
        c->lost++;
    if (e->state == ETHDEV_RUNS) {
        e->outage++;
        __atomic_store_n(&e->letgo, 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&e->state, why, __ATOMIC_RELEASE);
}

/* The counts of a device that starts anew begin at 0. */
static void keep_counts(struct ethdev *e)
{
    struct rte_eth_stats st;

    if (e->is_closed || rte_eth_stats_get(e->port, &st) < 0)
        return;
    e->before.imissed += st.imissed;
    e->before.ierrors += st.ierrors;
    e->before.rx_nombuf += st.rx_nombuf;
    e->before.oerrors += st.oerrors;
}

static void close_device(struct ethdev *e)
{
    if (e->is_closed)
        return;
    listen_no_more(e);
    ethdev_stop(e);
    if (e->cfg.owns_device)
        ethdev_remove_vdev(e->port);
    else
        rte_eth_dev_close(e->port);
    e->is_closed = true;
}

/* Whether the kernel knows the NIC and has given it away: EAL complains aloud each time when not. */
static bool is_given_away(const char *pci)
{
    char path[PATH_MAX], driver[PATH_MAX];
    ssize_t n;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", pci);
    n = readlink(path, driver, sizeof(driver) - 1);
    driver[n > 0 ? n : 0] = 0;
    return strstr(driver, "vfio") || strstr(driver, "uio");
}

/* Nothing is left of it, so that it is probed anew; and the kernel, which may be waiting for that, can take the NIC away. */
static void let_go(struct ethdev *e)
{
    bool was_open = !e->is_closed;

    close_device(e);
    if (was_open && !e->cfg.owns_device && e->cfg.devargs)
        rte_eal_hotplug_remove("pci", e->name);
}

/* The device as it was, by its name; false: not there yet. */
static bool find_again(struct ethdev *e)
{
    const char *bus = e->cfg.owns_device ? "vdev" : "pci";
    int rc;

    let_go(e);
    if (!e->cfg.devargs || (!e->cfg.owns_device && !is_given_away(e->name)))
        return false;
    if (rte_eal_hotplug_add(bus, e->name, e->devargs) < 0 || rte_eth_dev_get_port_by_name(e->name, &e->port) < 0)
        return false;
    e->is_closed = false;
    if (ethdev_start(e, &rc)) {
        let_go(e);
        return false;
    }
    listen_for_trouble(e);
    return true;
}

static bool reset(struct ethdev *e)
{
    int rc;

    keep_counts(e);
    ethdev_stop(e);
    rc = rte_eth_dev_reset(e->port); /* a driver that cannot is stopped and started */
    rte_eth_stats_reset(e->port);
    return (rc == 0 || rc == -ENOTSUP) && !ethdev_start(e, &rc);
}

/* Once a second, while it does not run and no queue uses it. */
static void recover(struct ethdev *e)
{
    struct pktio_counters *c = &e->queues[0]->counters;

    if (e->state == ETHDEV_RESETS) {
        c->resets++;
        if (reset(e))
            __atomic_store_n(&e->state, ETHDEV_RUNS, __ATOMIC_RELEASE);
        else
            begin_outage(e, ETHDEV_GONE);
        return;
    }
    if (!e->is_closed)
        keep_counts(e);
    if (e->seconds++ < e->next_try)
        return;
    if (find_again(e)) {
        c->found++;
        e->seconds = e->next_try = 0;
        __atomic_store_n(&e->state, ETHDEV_RUNS, __ATOMIC_RELEASE);
    } else if (e->cfg.owns_device && *e->iface) {
        c->unopened++; /* an interface of our own making waits for nobody else: the rights are gone, so it is tried ever less often */
        e->next_try = 2 * e->seconds;
    }
}

static void look_after(struct ethdev *e)
{
    unsigned events = __atomic_exchange_n(&e->events, 0, __ATOMIC_ACQUIRE);

    if (e->state == ETHDEV_RUNS && *e->iface && if_nametoindex(e->iface) == 0)
        events |= ETHDEV_EVENT_REMOVED;
    if ((events & ETHDEV_EVENT_REMOVED) && e->state != ETHDEV_GONE)
        begin_outage(e, ETHDEV_GONE);
    else if ((events & ETHDEV_EVENT_RESET) && e->state == ETHDEV_RUNS)
        begin_outage(e, ETHDEV_RESETS);
    if (!ethdev_may_run(e->queues[0]) && __atomic_load_n(&e->letgo, __ATOMIC_ACQUIRE) == e->nqueues)
        recover(e);
}

/* ---- the port ---- */

/* Drivers with receive interrupts give their descriptor here; net_tap's is the tap's own. Asked for before each sleep. */
static int ethdev_wait_fd(struct pktio *io, bool wants_tx)
{
    struct ethdev_queue *q = ethdev_queue_of(io);

    if (!ethdev_may_run(q))
        return -1;
    if (q->nwaiting)
        ethdev_push(q);
    if (q->wait_fd == -2)
        q->wait_fd = q->dev->cfg.has_no_wait ? -1 : rte_eth_dev_rx_intr_ctl_q_get_fd(q->dev->port, q->index);
    return q->nwaiting ? -1 : q->wait_fd;
}

static void ethdev_refresh(struct pktio *io)
{
    struct ethdev_queue *q = ethdev_queue_of(io);
    struct rte_eth_link link;

    if (q->index == 0)
        look_after(q->dev);
    io->link.is_up = ethdev_may_run(q) && rte_eth_link_get_nowait(q->dev->port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* The device's own counts are the first queue's. */
static void ethdev_counters(struct pktio *io, struct pktio_counters *out)
{
    struct ethdev_queue *q = ethdev_queue_of(io);
    const struct rte_eth_stats *b = &q->dev->before;
    struct rte_eth_stats st = {0};

    *out = q->counters;
    if (q->index)
        return;
    if (ethdev_may_run(q))
        rte_eth_stats_get(q->dev->port, &st);
    out->rx_dropped += st.imissed + b->imissed + st.ierrors + b->ierrors + st.rx_nombuf + b->rx_nombuf;
    out->no_memory += st.rx_nombuf + b->rx_nombuf;
    out->tx_dropped += st.oerrors + b->oerrors;
}

static unsigned ethdev_flow_queue(const struct pktio *io, const struct pktio_flow *flow)
{
    return rss_queue(&ethdev_queue_of(io)->dev->rss, flow);
}

static void free_device(struct ethdev *e)
{
    close_device(e);
    for (unsigned i = 0; i < ETHDEV_QUEUES_MAX && e->queues[i]; i++)
        ethdev_side_close(e->queues[i]);
    for (unsigned i = 0; i < ETHDEV_QUEUES_MAX && e->queues[i]; i++) {
        rte_mempool_free(e->queues[i]->pool);
        free(e->queues[i]);
    }
    free(e);
}

static void ethdev_close(struct pktio *io)
{
    struct ethdev_queue *q = ethdev_queue_of(io);

    ethdev_recv_done(io);
    if (ethdev_may_run(q)) {
        ethdev_push(q);
        ethdev_forget(q);
    }
    if (--q->dev->nopen == 0)
        free_device(q->dev);
}

static const struct pktio_ops ethdev_ops = {ethdev_recv,    ethdev_recv_done, ethdev_send,  ethdev_wait_fd,
                                            ethdev_refresh, ethdev_counters,  ethdev_close, ethdev_flow_queue, NULL};

/* ---- opening ---- */

/* On the device's NUMA node, if that has memory to spare. */
static struct rte_mempool *make_pool(const struct ethdev *e, unsigned index, uint32_t mbufs)
{
    uint32_t room = e->cfg.mtu > MTU_LARGE ? e->cfg.mtu + 64u + RTE_PKTMBUF_HEADROOM : RTE_MBUF_DEFAULT_BUF_SIZE;
    struct rte_mempool *pool = NULL;
    char name[32];

    snprintf(name, sizeof(name), "codecast_port%u_%u", e->port, index);
    if (e->socket != SOCKET_ID_ANY)
        pool = rte_pktmbuf_pool_create(name, mbufs, POOL_CACHE, ETHDEV_PRIVATE_BYTES, (uint16_t)room, e->socket);
    return pool ? pool : rte_pktmbuf_pool_create(name, mbufs, POOL_CACHE, ETHDEV_PRIVATE_BYTES, (uint16_t)room, SOCKET_ID_ANY);
}

static int make_queue(struct ethdev *e, unsigned index)
{
    uint32_t mbufs = e->cfg.mbufs ? e->cfg.mbufs : e->cfg.mtu > MTU_LARGE ? MBUFS_LARGE : MBUFS_DEFAULT;
    struct ethdev_queue *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    e->queues[index] = q;
    q->io.ops = &ethdev_ops;
    q->io.link.keep_max = mbufs / 2;
    q->dev = e;
    q->index = (uint16_t)index;
    q->wait_fd = -2;
    q->pool = make_pool(e, index, mbufs);
    return q->pool ? ethdev_side_open(q) : -rte_errno;
}

/* As many queues as RSS turned out to have; the others were made in vain. */
static void drop_spare(struct ethdev *e, unsigned made)
{
    for (unsigned i = e->nqueues; i < made; i++) {
        ethdev_side_close(e->queues[i]);
        rte_mempool_free(e->queues[i]->pool);
        free(e->queues[i]);
        e->queues[i] = NULL;
    }
    if (e->nqueues == 1)
        ethdev_side_close(e->queues[0]);
}

static const char *set_up(struct ethdev *e, int *rc)
{
    unsigned made = e->nqueues;
    const char *failed;

    for (unsigned i = 0; i < made; i++)
        if ((*rc = make_queue(e, i)) < 0)
            return "memory for mbufs";
    failed = ethdev_start(e, rc);
    if (!failed)
        drop_spare(e, made);
    return failed;
}

static void say(struct ethdev *e)
{
    for (unsigned i = 0; i < e->nqueues; i++) {
        struct pktio *io = &e->queues[i]->io;
        int n = snprintf(io->text, sizeof(io->text), "ethdev %.40s mtu %u", e->name, io->link.mtu);

        if (io->link.gso_max_bytes)
            n += snprintf(io->text + n, sizeof(io->text) - (size_t)n, " gso %uk", (io->link.gso_max_bytes + 1) >> 10);
        if (e->cfg.vlan)
            n += snprintf(io->text + n, sizeof(io->text) - (size_t)n, " vlan %u", e->cfg.vlan);
        if (e->nqueues > 1)
            snprintf(io->text + n, sizeof(io->text) - (size_t)n, " queue %u of %u", i, e->nqueues);
        ethdev_refresh(io);
    }
}

static struct ethdev *make_device(const struct ethdev_config *cfg, unsigned cap)
{
    unsigned wanted = cfg->queues ? cfg->queues : 1;
    struct ethdev *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    wanted = wanted < cap ? wanted : cap;
    e->cfg = *cfg;
    e->cfg.queues = e->nqueues = (uint16_t)(wanted < ETHDEV_QUEUES_MAX ? wanted : ETHDEV_QUEUES_MAX);
    e->port = cfg->port_id;
    e->socket = rte_eth_dev_socket_id(e->port);
    if (e->socket < 0)
        e->socket = SOCKET_ID_ANY;
    rte_eth_dev_get_name_by_port(e->port, e->name);
    snprintf(e->devargs, sizeof(e->devargs), "%s", cfg->devargs ? cfg->devargs : "");
    snprintf(e->iface, sizeof(e->iface), "%s", cfg->iface ? cfg->iface : "");
    return e;
}

int ethdev_open_queues(const struct ethdev_config *cfg, struct pktio **ios, unsigned cap, char err[256])
{
    struct rte_eth_dev_info info;
    const char *failed;
    struct ethdev *e;
    int rc = 0;

    if (rte_eth_dev_info_get(cfg->port_id, &info) < 0 || !(e = make_device(cfg, cap))) {
        snprintf(err, 256, rte_eth_dev_is_valid_port(cfg->port_id) ? "no memory for port %u" : "there is no DPDK port %u", cfg->port_id);
        return -1;
    }
    failed = set_up(e, &rc);
    if (failed) {
        snprintf(err, 256, "DPDK port %u (%s): %s: %s", cfg->port_id, info.driver_name, failed, rte_strerror(-rc));
        free_device(e);
        return -1;
    }
    listen_for_trouble(e);
    say(e);
    e->nopen = e->nqueues;
    for (unsigned i = 0; i < e->nqueues; i++)
        ios[i] = &e->queues[i]->io;
    return e->nqueues;
}

struct pktio *ethdev_open(const struct ethdev_config *cfg, char err[256])
{
    struct pktio *io;

    return ethdev_open_queues(cfg, &io, 1, err) == 1 ? io : NULL;
}
