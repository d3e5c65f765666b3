/* af_packet.c: AF_PACKET with PACKET_VNET_HDR (af_packet.h) */
#include "drivers/af_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "drivers/af_packet_filter.h"
#include "drivers/ifinfo.h"

/* A slot holds the ring's header, the vnet header and the largest frame (65535 + 14); 15 slots fill a block of 1 MiB
 * but for 4 KiB. A frame never crosses a block. */
#define BLOCK_BYTES     (1u << 20)
#define SLOT_BYTES      69632u
#define SLOTS_PER_BLOCK (BLOCK_BYTES / SLOT_BYTES)
#define SLOTS_DEFAULT   255u
#define GSO_DEFAULT     64240u /* 44 segments of 1460: measured best (docs), and under every device's own limit */
#define SNDBUF_BYTES    (4 << 20)
#define VNET_BYTES      sizeof(struct virtio_net_hdr)
#define SEND_BATCH      32

struct af_packet {
    struct pktio io;
    int fd, epfd;
    int ifindex;
    char iface[IF_NAMESIZE];
    bool wants_tx;
    uint8_t *map;
    size_t map_len;
    uint32_t slots, next; /* next slot to read */
    uint32_t lent_first, lent_count;
    struct pktio_counters counters;
    struct virtio_net_hdr vnet[SEND_BATCH];
    struct iovec iov[SEND_BATCH][PKTIO_PIECES_MAX + 2];
    struct mmsghdr msgs[SEND_BATCH];
};

static struct af_packet *self(struct pktio *io)
{
    return CONTAINER_OF(io, struct af_packet, io);
}

static struct tpacket2_hdr *slot_at(const struct af_packet *a, uint32_t i)
{
    return (struct tpacket2_hdr *)(void *)(a->map + (size_t)(i / SLOTS_PER_BLOCK) * BLOCK_BYTES +
                                           (size_t)(i % SLOTS_PER_BLOCK) * SLOT_BYTES);
}

/* false: not a frame to hand up (counted where it matters). */
static bool read_slot(struct af_packet *a, const struct tpacket2_hdr *h, uint32_t status, struct pktio_frame *f)
{
    const uint8_t *data = (const uint8_t *)h + h->tp_mac;
    struct virtio_net_hdr vnet;

    if (h->tp_snaplen < h->tp_len) {
        a->counters.rx_truncated++;
        return false;
    }
    if ((status & TP_STATUS_VLAN_VALID) && (h->tp_vlan_tci & 0xfff) != 0)
        return false; /* of another network */
    memcpy(&vnet, data - VNET_BYTES, VNET_BYTES);
    /* NEEDS_CSUM: a sender on this machine left it unfinished; DATA_VALID: the device or kernel checked it. */
    *f = (struct pktio_frame){data, h->tp_snaplen, vnet.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID), NULL};
    return true;
}

static unsigned af_packet_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct af_packet *a = self(io);
    unsigned n = 0;

    a->lent_first = a->next;
    a->lent_count = 0;
    while (n < cap && a->lent_count < a->slots) {
        struct tpacket2_hdr *h = slot_at(a, a->next);
        uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE); /* the kernel is the ring's other end */

        if (!(status & TP_STATUS_USER))
            break;
        a->lent_count++;
        a->next = a->next + 1 == a->slots ? 0 : a->next + 1;
        if (!read_slot(a, h, status, &frames[n]))
            continue;
        a->counters.rx_frames++;
        a->counters.rx_bytes += frames[n].len;
        n++;
    }
    return n;
}

static void af_packet_recv_done(struct pktio *io)
{
    struct af_packet *a = self(io);

    for (uint32_t i = a->lent_first; a->lent_count > 0; a->lent_count--) {
        __atomic_store_n(&slot_at(a, i)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        i = i + 1 == a->slots ? 0 : i + 1;
    }
}

static void fill_message(struct af_packet *a, unsigned i, const struct pktio_seg *seg)
{
    struct virtio_net_hdr *v = &a->vnet[i];
    struct iovec *iov = a->iov[i];

    memset(v, 0, sizeof(*v));
    if (seg->csum_start) {
        v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        v->csum_start = seg->csum_start;
        v->csum_offset = seg->csum_offset;
    }
    if (seg->gso_bytes) {
        v->gso_type = seg->is_ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        v->gso_size = seg->gso_bytes;
        v->hdr_len = seg->head_len;
    }
    iov[0] = (struct iovec){v, VNET_BYTES};
    iov[1] = (struct iovec){(void *)(uintptr_t)seg->head, seg->head_len};
    for (unsigned k = 0; k < seg->npieces; k++)
        iov[2 + k] = (struct iovec){(void *)(uintptr_t)seg->pieces[k].data, seg->pieces[k].len};
    a->msgs[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 2u + seg->npieces};
}

static void count_sent(struct af_packet *a, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        a->counters.tx_segs++;
        a->counters.tx_bytes += a->msgs[i].msg_len - VNET_BYTES;
    }
}

/* Sends one batch; *is_full when the socket takes no more now. Returns how many are dealt with. */
static unsigned send_batch(struct af_packet *a, unsigned count, bool *is_full)
{
    unsigned done = 0;

    while (done < count) {
        int n = sendmmsg(a->fd, a->msgs + done, count - done, MSG_DONTWAIT);

        if (n > 0) {
            count_sent(a, done, (unsigned)n);
            done += (unsigned)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            a->counters.tx_full++;
            *is_full = true;
            break;
        } else if (errno != EINTR) {
            /* ENOBUFS: a queue dropped it; ENETDOWN, EMSGSIZE, EINVAL: it will never go. TCP sends it again or gives up. */
            a->counters.tx_dropped++;
            done++;
        }
    }
    return done;
}

static unsigned af_packet_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct af_packet *a = self(io);
    unsigned done = 0;
    bool is_full = false;

    while (done < count && !is_full) {
        unsigned n = count - done < SEND_BATCH ? count - done : SEND_BATCH;

        for (unsigned i = 0; i < n; i++)
            fill_message(a, i, &segs[done + i]);
        done += send_batch(a, n, &is_full);
    }
    return done;
}

/* The packet socket polls writable nearly always, so its own descriptor will not do for waiting on input alone: it sits
 * in an epoll set of one, whose interest we choose. */
static int af_packet_wait_fd(struct pktio *io, bool wants_tx)
{
    struct af_packet *a = self(io);

    if (wants_tx != a->wants_tx) {
        struct epoll_event ev = {.events = EPOLLIN | (wants_tx ? EPOLLOUT : 0u)};

        epoll_ctl(a->epfd, EPOLL_CTL_MOD, a->fd, &ev);
        a->wants_tx = wants_tx;
    }
    return a->epfd;
}

static void af_packet_refresh(struct pktio *io)
{
    struct af_packet *a = self(io);
    struct ifinfo info;
    char err[256];
    int so_error = 0;
    socklen_t len = sizeof(so_error);

    getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &so_error, &len); /* clears ENETDOWN, which would wake every wait */
    a->io.link.is_up = ifinfo_get(a->iface, &info, err) == 0 && info.is_up;
    if (info.index && info.index != a->ifindex) {
        /* The interface was made anew under the same name, as when a container changes networks. */
        struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = info.index};

        if (bind(a->fd, (struct sockaddr *)&ll, sizeof(ll)) == 0)
            a->ifindex = info.index;
    }
}

static void af_packet_counters(struct pktio *io, struct pktio_counters *out)
{
    struct af_packet *a = self(io);
    struct tpacket_stats st = {0};
    socklen_t len = sizeof(st);

    if (getsockopt(a->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
        a->counters.rx_dropped += st.tp_drops; /* reading resets the kernel's */
    *out = a->counters;
}

static void af_packet_close(struct pktio *io)
{
    struct af_packet *a = self(io);

    if (a->map)
        munmap(a->map, a->map_len);
    if (a->epfd >= 0)
        close(a->epfd);
    if (a->fd >= 0)
        close(a->fd);
    free(a);
}

static const struct pktio_ops af_packet_ops = {af_packet_recv, af_packet_recv_done, af_packet_send, af_packet_wait_fd,
                                               af_packet_refresh, af_packet_counters, af_packet_close};

int af_packet_probe(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int set_option(struct af_packet *a, int option, int value)
{
    return setsockopt(a->fd, SOL_PACKET, option, &value, sizeof(value));
}

static int set_filter(struct af_packet *a, const struct af_packet_config *cfg)
{
    struct sock_filter insns[AF_PACKET_FILTER_MAX];
    struct sock_fprog prog = {.filter = insns};

    prog.len = (unsigned short)af_packet_filter_build(insns, cfg->ip4, cfg->listen_port, cfg->dial_first, cfg->dial_count);
    return setsockopt(a->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int make_ring(struct af_packet *a, uint32_t slots)
{
    uint32_t blocks = (slots + SLOTS_PER_BLOCK - 1) / SLOTS_PER_BLOCK;
    struct tpacket_req req = {BLOCK_BYTES, blocks, SLOT_BYTES, blocks * SLOTS_PER_BLOCK};

    a->slots = req.tp_frame_nr;
    if (setsockopt(a->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
        return -1;
    a->map_len = (size_t)blocks * BLOCK_BYTES;
    a->map = mmap(NULL, a->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (a->map == MAP_FAILED) {
        a->map = NULL;
        return -1;
    }
    return 0;
}

static int make_epoll(struct af_packet *a)
{
    struct epoll_event ev = {.events = EPOLLIN};

    a->epfd = epoll_create1(EPOLL_CLOEXEC);
    return a->epfd < 0 ? -1 : epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->fd, &ev);
}

/* Everything is set before the bind, so not one frame that we do not want is ever queued. NULL, or the step that failed. */
static const char *set_up(struct af_packet *a, const struct af_packet_config *cfg)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = a->ifindex};
    int sndbuf = SNDBUF_BYTES;

    a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        return "socket (CAP_NET_RAW?)";
    if (set_option(a, PACKET_VERSION, TPACKET_V2) < 0)
        return "TPACKET_V2";
    if (set_option(a, PACKET_VNET_HDR, 1) < 0)
        return "PACKET_VNET_HDR";
    if (set_option(a, PACKET_IGNORE_OUTGOING, 1) < 0)
        return "PACKET_IGNORE_OUTGOING";
    if (set_filter(a, cfg) < 0)
        return "packet filter";
    if (make_ring(a, cfg->ring_slots ? cfg->ring_slots : SLOTS_DEFAULT) < 0)
        return "receive ring";
    if (setsockopt(a->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) < 0)
        setsockopt(a->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)); /* as much as an ordinary process may */
    if (make_epoll(a) < 0)
        return "epoll";
    if (bind(a->fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
        return "bind";
    return NULL;
}

struct pktio *af_packet_open(const struct af_packet_config *cfg, char err[256])
{
    struct af_packet *a;
    struct ifinfo info;
    const char *failed;

    if (ifinfo_get(cfg->iface, &info, err) < 0)
        return NULL;
    if (info.is_loopback || !info.has_mac) {
        snprintf(err, 256, "af_packet: %s is not an Ethernet interface", info.name);
        return NULL;
    }
    a = calloc(1, sizeof(*a));
    if (!a) {
        snprintf(err, 256, "af_packet: no memory");
        return NULL;
    }
    a->epfd = a->fd = -1;
    a->ifindex = info.index;
    memcpy(a->iface, info.name, sizeof(a->iface));
    a->io.ops = &af_packet_ops;
    failed = set_up(a, cfg);
    if (failed) {
        snprintf(err, 256, "af_packet on %s: %s: %s", info.name, failed, strerror(errno));
        af_packet_close(&a->io);
        return NULL;
    }
    memcpy(a->io.link.mac, info.mac, 6);
    a->io.link.is_up = info.is_up;
    a->io.link.is_shared = a->io.link.has_tx_csum = a->io.link.has_rx_csum = a->io.link.has_tx_wait = true;
    a->io.link.mtu = info.mtu;
    a->io.link.gso_max_bytes = cfg->gso_max_bytes == 1 ? 0 : cfg->gso_max_bytes ? cfg->gso_max_bytes : GSO_DEFAULT + 60;
    snprintf(a->io.text, sizeof(a->io.text), "af_packet %s mtu %u gso %uk", info.name, info.mtu, a->io.link.gso_max_bytes >> 10);
    return &a->io;
}
