/* af_xdp.c: an AF_XDP socket behind pktio.h (af_xdp.h) */
#include "drivers/af_xdp.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/list.h"
#include "drivers/ifinfo.h"
#include "drivers/packet_ring.h"
#include "drivers/xdp_steer.h"
#include "drivers/xsk.h"

#define FRAMES     4096u
#define HEADROOM   256u  /* XDP's own, in front of what is received */
#define FRAME_BIG  4096u
#define SIDE_SLOTS 64u
#define SIDE_SLOT  2048u
#define ETH_HEAD   14u
#define IP4_HEAD   20u
#define IP6_HEAD   40u
#define LANES_MAX  16u
#define LANE_SHARE 4u /* a further queue has so much less memory for frames than the first, which also sends */
#define LANE_LEAST 256u
#define SPARES     8u /* reopenings without the right to make sockets */
#define KICK_AT    32u /* frames for one call into the kernel; a turn that has fewer makes the call at its end */

struct lane;

struct xdp_frame {
    struct buf buf;
    struct lane *lane;
    uint32_t number;
};

/* A receive queue of the interface. The first one also sends. */
struct lane {
    struct xsk xsk;
    struct xdp_frame *frames;
    uint32_t kept;
};

struct af_xdp {
    struct pktio io;
    struct lane lanes[LANES_MAX];
    unsigned nlanes, turn; /* turn: the lane that is looked at first */
    int spares[LANES_MAX * SPARES]; /* AF_XDP sockets for lanes to come: to make one takes a right that we may have given up by then */
    unsigned nspares;
    struct xdp_steer steer;
    struct packet_ring side; /* ARP and ICMP errors */
    int epfd, ifindex;
    unsigned refreshes, next_try; /* of opening it again */
    bool is_lost;      /* the interface that was opened is no more */
    bool is_torn_down; /* nothing is open below */
    char iface[IF_NAMESIZE];
    struct af_xdp_config cfg; /* its iface is ours */
    uint64_t drops_before;    /* of sockets that are closed */
    uint32_t nlent, unkicked;
    struct xdp_frame *lent[PKTIO_BURST];
    struct pktio_counters counters;
};

static struct af_xdp *self(struct pktio *io)
{
    return CONTAINER_OF(io, struct af_xdp, io);
}

/* ---- receiving ---- */

static void give_back(struct buf *b)
{
    struct xdp_frame *f = CONTAINER_OF(b, struct xdp_frame, buf);

    f->lane->kept--;
    xsk_free(&f->lane->xsk, f->number);
}

/* A sender on this machine leaves the checksum to a device that never comes: the field then holds the sum of the pseudo-header
 * alone. Any other frame is for the stack to verify. */
static bool has_unfinished_csum(const uint8_t *p, uint32_t len)
{
    bool is_ip6 = p[12] == 0x86; /* of the frame's type; the program lets no IP options or extension headers through */
    uint32_t addrs = is_ip6 ? 22 : 26, at = ETH_HEAD + (is_ip6 ? IP6_HEAD : IP4_HEAD);
    uint32_t ip_len = (uint32_t)(is_ip6 ? p[18] << 8 | p[19] : p[16] << 8 | p[17]), body = is_ip6 ? ip_len : ip_len - IP4_HEAD;
    uint32_t sum = 6 + body; /* the protocol, the length */

    if (len < at + 20 || (!is_ip6 && ip_len < IP4_HEAD))
        return false;
    for (uint32_t i = addrs; i < addrs + (is_ip6 ? 32 : 8); i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == (uint32_t)(p[at + 16] << 8 | p[at + 17]);
}

static void kick(struct af_xdp *a)
{
    if (a->unkicked && !a->is_lost)
        a->unkicked = xsk_kick(&a->lanes[0].xsk); /* what the kernel had no memory for is tried again */
}

static bool recv_one(struct af_xdp *a, struct lane *l, struct pktio_frame *out)
{
    uint32_t number, len;
    struct xdp_frame *f;
    uint8_t *data;

    if (!xsk_recv(&l->xsk, &number, &data, &len))
        return false;
    bool may_keep = l->kept < l->xsk.nframes / 4;
    f = &l->frames[number];
    f->buf = (struct buf){.data = data, .len = len, .cap = len, .refs = 1, .release = give_back};
    l->kept++;
    a->lent[a->nlent++] = f;
    a->counters.rx_unkept += !may_keep;
    *out = (struct pktio_frame){.data = data, .len = len, .is_csum_ok = has_unfinished_csum(data, len), .buf = may_keep ? &f->buf : NULL};
    return true;
}

static bool recv_side(struct af_xdp *a, struct pktio_frame *out)
{
    const struct tpacket2_hdr *h = packet_ring_peek(&a->side);

    if (!h)
        return false;
    packet_ring_take(&a->side);
    *out = (struct pktio_frame){.data = (const uint8_t *)h + h->tp_mac, .len = h->tp_snaplen};
    return true;
}

static unsigned af_xdp_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct af_xdp *a = self(io);
    unsigned n = 0;

    if (a->is_lost)
        return 0;
    kick(a);
    cap = cap < PKTIO_BURST ? cap : PKTIO_BURST;
    while (n < cap && recv_side(a, &frames[n]))
        n++;
    for (unsigned i = 0; i < a->nlanes; i++)
        while (n < cap && recv_one(a, &a->lanes[(a->turn + i) % a->nlanes], &frames[n]))
            n++;
    a->turn = (a->turn + 1) % a->nlanes;
    a->counters.rx_frames += n;
    for (unsigned i = 0; i < n; i++)
        a->counters.rx_bytes += frames[i].len;
    return n;
}

/* Of the first a quarter is for sending. */
static void fill(struct lane *l, unsigned index)
{
    xsk_fill(&l->xsk, index == 0 ? l->xsk.nframes / 4 : 0);
}

static void af_xdp_recv_done(struct pktio *io)
{
    struct af_xdp *a = self(io);

    if (!a->is_torn_down)
        packet_ring_give_back(&a->side);
    while (a->nlent > 0)
        buf_unref(&a->lent[--a->nlent]->buf);
    for (unsigned i = 0; !a->is_torn_down && i < a->nlanes; i++)
        fill(&a->lanes[i], i);
}

/* ---- sending ---- */

/* Copies a segment; 0 when it cannot fit a frame. */
static uint32_t copy_segment(uint8_t *to, uint32_t cap, const struct pktio_seg *seg)
{
    uint32_t len = seg->head_len;

    memcpy(to, seg->head, len);
    for (unsigned i = 0; i < seg->npieces; i++) {
        if (seg->pieces[i].len > cap - len)
            return 0;
        memcpy(to + len, seg->pieces[i].data, seg->pieces[i].len);
        len += seg->pieces[i].len;
    }
    return len;
}

static unsigned af_xdp_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct af_xdp *a = self(io);
    struct xsk *x = &a->lanes[0].xsk;
    uint32_t number, len;
    unsigned done = 0;
    uint8_t *to;

    if (a->is_lost) { /* like a cable that is out: TCP sends it again */
        a->counters.tx_dropped += count;
        return count;
    }
    for (; done < count && (to = xsk_send_room(x, &number)); done++) {
        len = copy_segment(to, x->frame_bytes, &segs[done]);
        if (len == 0) {
            xsk_free(x, number);
            a->counters.tx_dropped++;
            continue;
        }
        xsk_send(x, number, len);
        a->unkicked++;
        a->counters.tx_segs++;
        a->counters.tx_bytes += len;
    }
    if (done < count || a->unkicked >= KICK_AT)
        kick(a);
    a->counters.tx_full += done < count;
    return done;
}

/* ---- the rest ---- */

/* Asked for before each sleep: nothing may wait in the ring then. */
static int af_xdp_wait_fd(struct pktio *io, bool wants_tx)
{
    kick(self(io));
    return self(io)->epfd;
}

static uint64_t drops(const struct af_xdp *a)
{
    uint64_t sum = a->drops_before;

    for (unsigned i = 0; !a->is_torn_down && i < a->nlanes; i++)
        sum += xsk_drops(&a->lanes[i].xsk);
    return sum;
}

static void af_xdp_counters(struct pktio *io, struct pktio_counters *out)
{
    struct af_xdp *a = self(io);

    a->counters.rx_dropped = drops(a);
    *out = a->counters;
}

static unsigned receive_queues(const char *iface)
{
    char path[64];
    struct dirent *e;
    unsigned n = 0;
    DIR *d;

    snprintf(path, sizeof(path), "/sys/class/net/%.15s/queues", iface);
    d = opendir(path);
    if (!d)
        return 1; /* a /sys of another network namespace: nothing is known */
    while ((e = readdir(d)))
        n += strncmp(e->d_name, "rx-", 3) == 0;
    closedir(d);
    return n;
}

/* The descriptor to wait on is the same for the port's whole life; while nothing is open below, nothing wakes it. */
static int wait_on_all(struct af_xdp *a)
{
    struct epoll_event ev = {.events = EPOLLIN};

    for (unsigned i = 0; i < a->nlanes; i++)
        if (epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->lanes[i].xsk.fd, &ev) < 0)
            return -1;
    return epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->side.fd, &ev);
}

static void wait_on_none(struct af_xdp *a)
{
    for (unsigned i = 0; i < a->nlanes; i++)
        epoll_ctl(a->epfd, EPOLL_CTL_DEL, a->lanes[i].xsk.fd, NULL);
    epoll_ctl(a->epfd, EPOLL_CTL_DEL, a->side.fd, NULL);
}

/* An interface that goes down leaves the packet socket an ENETDOWN, which would wake every wait until it is asked for. */
static void clear_error(struct af_xdp *a)
{
    int so_error = 0;
    socklen_t len = sizeof(so_error);

    getsockopt(a->side.fd, SOL_SOCKET, SO_ERROR, &so_error, &len);
}

/* A new one while we may, else one of those made at the opening; -1: none is left. */
static int take_socket(struct af_xdp *a)
{
    int fd = xsk_socket();

    return fd < 0 && a->nspares ? a->spares[--a->nspares] : fd;
}

static const char *open_lane(struct af_xdp *a, unsigned index, const struct ifinfo *info)
{
    uint32_t frame_bytes = info->mtu + ETH_HEAD + HEADROOM <= FRAME_BIG / 2 ? FRAME_BIG / 2 : FRAME_BIG;
    uint32_t first = a->cfg.frames ? a->cfg.frames : FRAMES, share = first / LANE_SHARE > LANE_LEAST ? first / LANE_SHARE : LANE_LEAST;
    uint32_t n = index == 0 ? first : share;
    struct lane *l = &a->lanes[index];
    const char *failed = xsk_open(&l->xsk, take_socket(a), frame_bytes, n, n / 2);

    if (failed)
        return failed;
    l->frames = calloc(n, sizeof(*l->frames));
    if (!l->frames)
        return "memory";
    for (uint32_t i = 0; i < n; i++)
        l->frames[i] = (struct xdp_frame){.lane = l, .number = i};
    if ((failed = xsk_bind(&l->xsk, info->index, index)))
        return failed;
    fill(l, index);
    return xdp_steer_queue(&a->steer, index, l->xsk.fd);
}

/* What is on the interface: NULL, or the step that failed. The program goes on last: until then all is the kernel's, and silent by
 * the guard. */
static const char *set_up(struct af_xdp *a, const struct ifinfo *info, unsigned queues)
{
    const char *failed = NULL;

    a->is_torn_down = false;
    for (a->nlanes = 0; a->nlanes < queues && !failed;)
        failed = open_lane(a, a->nlanes++, info);
    if (failed)
        return failed;
    if (packet_ring_bind(&a->side, info->index) < 0)
        return "packet socket";
    return wait_on_all(a) < 0 ? "epoll" : xdp_steer_attach(&a->steer, info->index);
}

/* What takes rights, once for the port's life: program, map, the packet socket, sockets to spare. */
static const char *set_up_first(struct af_xdp *a, const struct ifinfo *info, unsigned queues)
{
    struct xdp_steer_rule rule = {.listen_port = a->cfg.listen_port, .dial_first = a->cfg.dial_first, .dial_count = a->cfg.dial_count};
    struct af_packet_filter filter = {.max_bytes = SIDE_SLOT - PACKET_RING_OVERHEAD}; /* no ports: no TCP */
    const char *failed;

    memcpy(rule.ip4, a->cfg.ip4, 4);
    memcpy(filter.ip4, a->cfg.ip4, 4);
    memcpy(rule.ip6, a->cfg.ip6, 16);
    memcpy(filter.ip6, a->cfg.ip6, 16);
    if ((failed = xdp_steer_open(&a->steer, &rule)) || (failed = packet_ring_open(&a->side, SIDE_SLOT, SIDE_SLOTS)) ||
        (failed = packet_ring_start(&a->side, &filter, info->index)))
        return failed;
    for (int fd; a->nspares < queues * SPARES && (fd = xsk_socket()) >= 0;)
        a->spares[a->nspares++] = fd;
    return set_up(a, info, queues);
}

/* How many receive queues, 0: it cannot be served. */
static unsigned is_fit(const struct ifinfo *info, char err[256])
{
    unsigned queues = receive_queues(info->name);

    if (info->is_loopback || !info->has_mac)
        snprintf(err, 256, "af_xdp: %s is not an Ethernet interface", info->name);
    else if (queues > LANES_MAX)
        snprintf(err, 256, "af_xdp: %s has %u receive queues, this driver serves %u: ethtool -L %s combined %u", info->name, queues, LANES_MAX, info->name, LANES_MAX);
    else if (info->mtu + ETH_HEAD + HEADROOM > FRAME_BIG)
        snprintf(err, 256, "af_xdp: %s has an MTU of %u; at most %u fits", info->name, info->mtu, FRAME_BIG - HEADROOM - ETH_HEAD);
    else
        return queues ? queues : 1;
    return 0;
}

static uint32_t kept(const struct af_xdp *a)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < a->nlanes; i++)
        n += a->lanes[i].kept;
    return n;
}

/* Frames that are held by reference must be back. */
static void tear_down(struct af_xdp *a)
{
    a->drops_before = drops(a);
    wait_on_none(a);
    xdp_steer_detach(&a->steer);
    for (unsigned i = 0; i < a->nlanes; i++) {
        xsk_close(&a->lanes[i].xsk);
        free(a->lanes[i].frames);
        a->lanes[i] = (struct lane){.xsk = {.fd = -1}};
    }
    a->nlanes = 0;
    a->unkicked = 0;
    a->is_torn_down = true;
}

static void learn_link(struct af_xdp *a, const struct ifinfo *info)
{
    memcpy(a->io.link.mac, info->mac, 6);
    a->io.link.is_up = info->is_up;
    a->io.link.mtu = info->mtu;
    a->ifindex = info->index;
    a->is_lost = false;
    a->io.link.keep_max = 0;
    for (unsigned i = 0; i < a->nlanes; i++)
        a->io.link.keep_max += a->lanes[i].xsk.nframes / 4;
}

/* What fits a frame, whatever the interface has become. */
static uint16_t mtu_of(const struct af_xdp *a, const struct ifinfo *info)
{
    uint32_t most = a->lanes[0].xsk.frame_bytes - HEADROOM - ETH_HEAD;

    return info->mtu < most ? info->mtu : (uint16_t)most;
}

/* The interface was made anew under the same name. Sockets belong to the old one; program, map and packet socket serve again. */
static void find(struct af_xdp *a, const struct ifinfo *info)
{
    unsigned queues;
    char err[256];

    if (!info->is_up || kept(a) > 0)
        return; /* once it is up and the stack has let go */
    if (!a->is_torn_down) {
        tear_down(a);
        return; /* the kernel counts the old frames as locked for a moment more */
    }
    if (a->refreshes++ < a->next_try)
        return; /* each failure costs spare sockets */
    queues = is_fit(info, err);
    if (!queues || set_up(a, info, queues)) {
        tear_down(a);
        a->counters.unopened++;
        a->next_try = 2 * a->refreshes;
        return;
    }
    learn_link(a, info);
    a->counters.found++;
}

static void af_xdp_refresh(struct pktio *io)
{
    struct af_xdp *a = self(io);
    struct ifinfo info;
    char err[256];
    bool is_there = ifinfo_get(a->iface, &info, err) == 0;

    if (!is_there || info.index != a->ifindex) {
        if (!a->is_lost)
            wait_on_none(a);
        a->counters.lost += !a->is_lost;
        a->is_lost = true;
        a->io.link.is_up = false;
        if (!is_there)
            a->refreshes = a->next_try = 0;
    }
    if (is_there && a->is_lost) {
        find(a, &info);
    } else if (is_there) {
        memcpy(a->io.link.mac, info.mac, 6);
        a->io.link.is_up = info.is_up;
        a->io.link.mtu = mtu_of(a, &info);
        clear_error(a);
    }
    kick(a);
}

static void af_xdp_close(struct pktio *io)
{
    struct af_xdp *a = self(io);

    if (!a->is_torn_down) {
        kick(a);
        tear_down(a);
    }
    xdp_steer_close(&a->steer);
    packet_ring_close(&a->side);
    while (a->nspares)
        close(a->spares[--a->nspares]);
    if (a->epfd >= 0)
        close(a->epfd);
    free(a);
}

static const struct pktio_ops af_xdp_ops = {af_xdp_recv,    af_xdp_recv_done, af_xdp_send, af_xdp_wait_fd,
                                            af_xdp_refresh, af_xdp_counters,  af_xdp_close, NULL, NULL};

struct pktio *af_xdp_open(const struct af_xdp_config *cfg, char err[256])
{
    struct af_xdp *a;
    struct ifinfo info;
    const char *failed;
    unsigned queues;

    if (ifinfo_get(cfg->iface, &info, err) < 0 || !(queues = is_fit(&info, err)))
        return NULL;
    a = calloc(1, sizeof(*a));
    if (!a) {
        snprintf(err, 256, "af_xdp: no memory");
        return NULL;
    }
    a->side.fd = -1;
    a->steer = (struct xdp_steer){.map_fd = -1, .prog_fd = -1, .link_fd = -1};
    a->is_torn_down = true;
    a->epfd = epoll_create1(EPOLL_CLOEXEC);
    memcpy(a->iface, info.name, sizeof(a->iface));
    a->io.ops = &af_xdp_ops;
    a->cfg = *cfg;
    failed = set_up_first(a, &info, queues);
    if (failed) {
        snprintf(err, 256, "af_xdp on %s: %s: %s", info.name, failed, strerror(errno));
        af_xdp_close(&a->io);
        return NULL;
    }
    learn_link(a, &info);
    a->io.link.is_shared = a->io.link.has_rx_csum = true;
    int at = snprintf(a->io.text, sizeof(a->io.text), "af_xdp %s mtu %u %s %s", info.name, info.mtu, a->steer.is_generic ? "generic" : "native",
                      a->lanes[0].xsk.is_zero_copy ? "zero-copy" : "copy");
    if (queues > 1)
        snprintf(a->io.text + at, sizeof(a->io.text) - (size_t)at, " %u queues", queues);
    return &a->io;
}
