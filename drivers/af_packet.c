/* af_packet.c: AF_PACKET with PACKET_VNET_HDR (af_packet.h) */
#include "drivers/af_packet.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "drivers/ifinfo.h"
#include "drivers/packet_queue.h"
#include "drivers/packet_ring.h"

#define SMALL_BYTES (8u << 20) /* memory of the ring of small slots */
#define BIG_SLOT                                                                                             \
    69632u /* the largest frame, 65535 + 14, and overhead; 15 fill a block of 1 MiB but for 4 KiB */
#define BIG_SLOTS    120u
#define GSO_DEFAULT  64240u /* 44 segments of 1460: measured best (docs), and under every device's own limit */
#define SNDBUF_BYTES (4 << 20)
#define QUEUE_BYTES  (32u << 20) /* for big frames in the socket's queue, where we may have so much, */
#define QUEUE_LEAST  (8u << 20)  /* or at least what the ring of big slots would hold */
#define TURN_BYTES   (512u << 10) /* of big frames at once: they are read again while the CPU's cache still has them */
#define VNET_BYTES   sizeof(struct virtio_net_hdr)
#define SEND_BATCH   32

struct af_packet {
    struct pktio io;
    struct packet_ring small, big; /* big: not open when the queue is */
    struct packet_queue queue;
    int fd, epfd; /* fd: small's; what we send goes out there */
    int ifindex;
    char iface[IF_NAMESIZE];
    bool wants_tx, is_lost;
    struct pktio_counters counters;
    struct virtio_net_hdr vnet[SEND_BATCH];
    struct iovec iov[SEND_BATCH][PKTIO_PIECES_MAX + 2];
    struct mmsghdr msgs[SEND_BATCH];
};

static struct af_packet *self(struct pktio *io)
{
    return CONTAINER_OF(io, struct af_packet, io);
}

/* By its first bytes; a fragment's are of no protocol that may wait. */
static bool is_tcp(const uint8_t *p)
{
    if (p[12] == 0x08 && p[13] == 0x00)
        return p[23] == IPPROTO_TCP && ((p[20] & 0x3f) | p[21]) == 0;
    return p[12] == 0x86 && p[13] == 0xdd && p[20] == IPPROTO_TCP;
}

/* The payload may wait in the kernel until the segment is acknowledged: its sender goes by how soon that is. */
static bool take_late(struct af_packet *a, const struct tpacket2_hdr *h, struct pktio_frame *f)
{
    const uint8_t *data = (const uint8_t *)h + h->tp_mac;
    struct virtio_net_hdr vnet;

    if (!a->io.takes_late || !(h->tp_status & TP_STATUS_COPY) || (h->tp_status & TP_STATUS_VLAN_VALID) || h->tp_snaplen < PKTIO_LATE_HERE)
        return false;
    memcpy(&vnet, data - VNET_BYTES, VNET_BYTES);
    if (!(vnet.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)))
        return false;
    return is_tcp(data) && packet_queue_take_late(&a->queue, h->tp_len, slice_of(data, PKTIO_LATE_HERE), f);
}

/* A slot with no more than a frame's beginning. Without the rest in the queue that was full (or there is none, and the frame
 * is larger than any that we know of). */
static bool read_queue(struct af_packet *a, const struct tpacket2_hdr *h, struct pktio_frame *f)
{
    if (h->tp_status & TP_STATUS_COPY) {
        packet_queue_fill(&a->queue, &a->counters); /* in the order of the kernel's queue */
        return packet_queue_take(&a->queue, h->tp_len, f, &a->counters);
    }
    if (a->queue.fd >= 0)
        a->counters.rx_dropped++;
    else
        a->counters.rx_truncated++;
    return false;
}

/* false: not a frame to hand up (counted where it matters). */
static bool read_slot(struct af_packet *a, const struct tpacket2_hdr *h, struct pktio_frame *f)
{
    const uint8_t *data = (const uint8_t *)h + h->tp_mac;
    struct virtio_net_hdr vnet;

    if (h->tp_snaplen < h->tp_len && take_late(a, h, f))
        return true;
    if (h->tp_snaplen < h->tp_len && !read_queue(a, h, f))
        return false;
    if ((h->tp_status & TP_STATUS_VLAN_VALID) && (h->tp_vlan_tci & 0xfff) != 0) { /* of another network */
        a->counters.rx_foreign++;
        if (h->tp_snaplen < h->tp_len)
            packet_queue_refuse(&a->queue);
        return false;
    }
    if (h->tp_snaplen < h->tp_len)
        return true;
    memcpy(&vnet, data - VNET_BYTES, VNET_BYTES);
    /* NEEDS_CSUM: a sender on this machine left it unfinished; DATA_VALID: the device or kernel checked it. */
    *f = (struct pktio_frame){.data = data, .len = h->tp_snaplen,
                              .is_csum_ok = vnet.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)};
    return true;
}

/* The ring whose next frame came first; NULL when both are empty. A flow's frames are stored one after the other, so one
 * that is seen in a ring is preceded by nothing that a second look at the other ring would not show. */
static struct packet_ring *earlier(struct af_packet *a)
{
    const struct tpacket2_hdr *s = packet_ring_peek(&a->small);
    const struct tpacket2_hdr *b = a->big.map ? packet_ring_peek(&a->big) : NULL;

    if (!b)
        return s ? &a->small : NULL;
    if (!s)
        s = packet_ring_peek(&a->small);
    return s && packet_ring_stamp(s) <= packet_ring_stamp(b) ? &a->small : &a->big;
}

static unsigned af_packet_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct af_packet *a = self(io);
    struct packet_ring *r;
    unsigned n = 0;

    if (cap > PKTIO_BURST)
        cap = PKTIO_BURST;
    while (n < cap && a->queue.lent_bytes < TURN_BYTES && (r = earlier(a))) {
        const struct tpacket2_hdr *h = packet_ring_peek(r);

        packet_ring_take(r);
        if (!read_slot(a, h, &frames[n]))
            continue;
        a->counters.rx_frames++;
        a->counters.rx_bytes += frames[n].len;
        n++;
    }
    return n;
}

static void af_packet_fill(struct pktio *io)
{
    struct af_packet *a = self(io);

    packet_queue_fill(&a->queue, &a->counters);
}

static void af_packet_recv_done(struct pktio *io)
{
    struct af_packet *a = self(io);

    packet_ring_give_back(&a->small);
    if (a->big.map)
        packet_ring_give_back(&a->big);
    packet_queue_give_back(&a->queue);
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

/* Clears an ENETDOWN, which would wake every wait. */
static void clear_error(int fd)
{
    int so_error = 0;
    socklen_t len = sizeof(so_error);

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &len);
}

static void lose(struct af_packet *a)
{
    a->counters.lost += !a->is_lost;
    a->is_lost = true;
    a->ifindex = 0; /* one of the same number may be another */
}

/* The interface was made anew under the same name, as when a container changes networks. */
static void find(struct af_packet *a, int ifindex)
{
    lose(a);
    if (packet_ring_bind(&a->small, ifindex) < 0 || (a->big.fd >= 0 && packet_ring_bind(&a->big, ifindex) < 0))
        return;
    a->ifindex = ifindex;
    a->is_lost = false;
    a->counters.found++;
}

static void af_packet_refresh(struct pktio *io)
{
    struct af_packet *a = self(io);
    struct ifinfo info;
    char err[256];

    clear_error(a->small.fd);
    if (a->big.fd >= 0)
        clear_error(a->big.fd);
    if (ifinfo_get(a->iface, &info, err) < 0) {
        a->io.link.is_up = false;
        lose(a);
        return;
    }
    a->io.link.is_up = info.is_up;
    if (info.index != a->ifindex)
        find(a, info.index);
    if (info.has_mac)
        memcpy(a->io.link.mac, info.mac, 6);
    if (info.mtu)
        a->io.link.mtu = info.mtu;
}

static void af_packet_counters(struct pktio *io, struct pktio_counters *out)
{
    struct af_packet *a = self(io);

    a->counters.rx_dropped += packet_ring_drops(&a->small);
    if (a->big.fd >= 0)
        a->counters.rx_dropped += packet_ring_drops(&a->big);
    *out = a->counters;
}

static void af_packet_close(struct pktio *io)
{
    struct af_packet *a = self(io);

    packet_queue_close(&a->queue);
    packet_ring_close(&a->small);
    packet_ring_close(&a->big);
    if (a->epfd >= 0)
        close(a->epfd);
    free(a);
}

static const struct pktio_ops af_packet_ops = {af_packet_recv,    af_packet_recv_done, af_packet_send,
                                               af_packet_wait_fd, af_packet_refresh,   af_packet_counters,
                                               af_packet_close, NULL, af_packet_fill};

int af_packet_probe(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int make_epoll(struct af_packet *a)
{
    struct epoll_event ev = {.events = EPOLLIN};

    a->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (a->epfd < 0 || epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->small.fd, &ev) < 0)
        return -1;
    return a->big.fd < 0 ? 0 : epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->big.fd, &ev);
}

/* Slots that hold any single packet of the link. */
static uint32_t small_slot_bytes(uint16_t mtu)
{
    uint32_t bytes = 2048;

    while (bytes < mtu + 14u + PACKET_RING_OVERHEAD)
        bytes *= 2;
    return bytes;
}

static bool open_queue(struct af_packet *a, const struct af_packet_config *cfg)
{
    uint32_t wanted = cfg->queue_bytes ? cfg->queue_bytes : QUEUE_BYTES;

    return wanted > 1 && packet_queue_open(&a->queue, a->small.fd, wanted, cfg->queue_bytes ? wanted : QUEUE_LEAST);
}

/* The second ring, for what the first one's filter leaves. */
static const char *open_big(struct af_packet *a, struct af_packet_filter *f, uint32_t slots)
{
    const char *failed = packet_ring_open(&a->big, BIG_SLOT, slots);

    f->min_bytes = f->max_bytes + 1;
    f->max_bytes = 0;
    return failed ? failed : packet_ring_start(&a->big, f, a->ifindex);
}

/* NULL, or the step that failed. */
static const char *set_up(struct af_packet *a, const struct af_packet_config *cfg, uint16_t mtu)
{
    uint32_t slot = small_slot_bytes(mtu);
    struct af_packet_filter f = {.listen_port = cfg->listen_port,
                                 .dial_first = cfg->dial_first,
                                 .dial_count = cfg->dial_count,
                                 .role = cfg->role,
                                 .nroles = cfg->nroles,
                                 .max_bytes = slot - PACKET_RING_OVERHEAD};
    int sndbuf = SNDBUF_BYTES;
    const char *failed;

    memcpy(f.ip4, cfg->ip4, 4);
    memcpy(f.ip6, cfg->ip6, 16);
    failed = packet_ring_open(&a->small, slot, cfg->small_slots ? cfg->small_slots : SMALL_BYTES / slot);
    if (failed)
        return failed;
    if (open_queue(a, cfg))
        f.max_bytes = 0;
    failed = packet_ring_start(&a->small, &f, a->ifindex);
    if (!failed && a->queue.fd < 0)
        failed = open_big(a, &f, cfg->big_slots ? cfg->big_slots : BIG_SLOTS);
    if (failed)
        return failed;
    a->fd = a->small.fd;
    if (setsockopt(a->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) < 0)
        setsockopt(a->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf,
                   sizeof(sndbuf)); /* as much as an ordinary process may */
    return make_epoll(a) < 0 ? "epoll" : NULL;
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
    a->epfd = a->fd = a->small.fd = a->big.fd = a->queue.fd = -1;
    a->ifindex = info.index;
    memcpy(a->iface, info.name, sizeof(a->iface));
    a->io.ops = &af_packet_ops;
    failed = set_up(a, cfg, info.mtu);
    if (failed) {
        snprintf(err, 256, "af_packet on %s: %s: %s", info.name, failed, strerror(errno));
        af_packet_close(&a->io);
        return NULL;
    }
    memcpy(a->io.link.mac, info.mac, 6);
    a->io.link.is_up = info.is_up;
    a->io.link.is_shared = a->io.link.has_tx_csum = a->io.link.has_rx_csum = a->io.link.has_tx_wait = true;
    a->io.link.mtu = info.mtu;
    a->io.link.gso_max_bytes = cfg->gso_max_bytes == 1 ? 0
                               : cfg->gso_max_bytes    ? cfg->gso_max_bytes
                                                       : GSO_DEFAULT + 60;
    a->io.link.keep_max = a->queue.fd >= 0 ? PACKET_QUEUE_KEEP_BYTES >> 16 : 0;
    snprintf(a->io.text, sizeof(a->io.text), "af_packet %s mtu %u gso %uk, big frames by %s", info.name, info.mtu,
             a->io.link.gso_max_bytes >> 10, a->queue.fd >= 0 ? "queue" : "ring");
    return &a->io;
}
