#include "veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65600

static int sh(const char *cmd)
{
    int rc = system(cmd);

    return rc == 0 ? 0 : -1;
}

/* The namespace lives as long as this process. */
static pid_t hold_namespace(void)
{
    int ready[2];
    char c = 0;

    if (pipe(ready))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) || write(ready[1], "y", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (pid > 0 && read(ready[0], &c, 1) != 1) {
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(ready[0]);
    return pid;
}

static int in_kernel_ns(struct veth *v, const char *cmd)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(setns(v->kernel_ns, CLONE_NEWNET) == 0 && sh(cmd) == 0 ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int open_packet(struct veth *v)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct ifreq ifr = {.ifr_name = "va"};
    int one = 1, big = 64 << 20;

    v->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (v->fd < 0 || ioctl(v->fd, SIOCGIFHWADDR, &ifr))
        return -1;
    memcpy(v->mac, ifr.ifr_hwaddr.sa_data, 6);
    ll.sll_ifindex = (int)if_nametoindex("va");
    if (setsockopt(v->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
        setsockopt(v->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
        setsockopt(v->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) ||
        setsockopt(v->fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big)))
        return -1;
    return bind(v->fd, (struct sockaddr *)&ll, sizeof(ll));
}

int veth_init(struct veth *v)
{
    char cmd[256], path[64];

    memset(v, 0, sizeof(*v));
    v->fd = v->kernel_ns = -1;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) || (v->holder = hold_namespace()) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)v->holder);
    v->kernel_ns = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(cmd, sizeof(cmd), "ip link add va type veth peer name vb netns %d && ip link set va up",
             (int)v->holder);
    if (v->kernel_ns < 0 || sh(cmd) ||
        in_kernel_ns(v, "ip addr add 10.77.0.2/24 dev vb && ip addr add fd77::2/64 dev vb nodad && ip link set vb up && ip link set lo up") ||
        open_packet(v)) {
        veth_fini(v);
        return -1;
    }
    return 0;
}

void veth_fini(struct veth *v)
{
    if (v->fd >= 0)
        close(v->fd);
    if (v->kernel_ns >= 0)
        close(v->kernel_ns);
    if (v->holder > 0) {
        kill(v->holder, SIGKILL);
        waitpid(v->holder, NULL, 0);
    }
}

static int set_offloads(void *arg)
{
    static const uint32_t what[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), rc = 0;

    for (unsigned i = 0; i < 4; i++) {
        struct ethtool_value ev = {.cmd = what[i], .data = *(int *)arg ? 1 : 0};
        struct ifreq ifr = {.ifr_name = "vb"};
        ifr.ifr_data = (char *)&ev;
        rc |= ioctl(fd, SIOCETHTOOL, &ifr);
    }
    close(fd);
    return rc ? 1 : 0;
}

void veth_kernel_offloads(struct veth *v, int on)
{
    pid_t pid = veth_run_kernel(v, set_offloads, &on);

    waitpid(pid, NULL, 0);
}

pid_t veth_run_kernel(struct veth *v, int (*fn)(void *), void *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(100);
        if (setns(v->kernel_ns, CLONE_NEWNET))
            _exit(99);
        _exit(fn(arg));
    }
    return pid;
}

uint64_t veth_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static bool chance(struct veth_wire *w, uint32_t ppm)
{
    return ppm && rng_below(&w->rng, 1000000) < ppm;
}

static void give(struct veth_wire *w, const uint8_t *frame, uint32_t len, bool csum_ok)
{
    if (chance(w, w->loss_ppm))
        return;
    if (!w->held && chance(w, w->reorder_ppm)) {
        w->held = malloc(len + 1);
        w->held[0] = csum_ok;
        memcpy(w->held + 1, frame, len);
        w->held_len = len;
        return;
    }
    tcp_stack_input(w->stack, slice_of(frame, len), csum_ok ? TCP_INPUT_CSUM_OK : 0, veth_now());
    if (w->held && chance(w, 200000)) {
        tcp_stack_input(w->stack, slice_of(w->held + 1, w->held_len), w->held[0] ? TCP_INPUT_CSUM_OK : 0,
                        veth_now());
        free(w->held);
        w->held = NULL;
    }
}

static void receive(struct veth_wire *w)
{
    static uint8_t frame[FRAME_MAX];

    for (unsigned n = 0; n < 64; n++) {
        ssize_t got = recv(w->veth->fd, frame, sizeof(frame), 0);
        if (got < (ssize_t)sizeof(struct virtio_net_hdr))
            return;
        struct virtio_net_hdr h;
        memcpy(&h, frame, sizeof(h));
        w->frames_in++;
        give(w, frame + sizeof(h), (uint32_t)got - (uint32_t)sizeof(h),
             h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID));
    }
}

static bool port_send(struct veth_wire *w, const struct tcp_segment *seg)
{
    struct virtio_net_hdr h = {0};
    struct iovec iov[2 + TCP_SEG_SLICES] = {{&h, sizeof(h)}, {(void *)(uintptr_t)seg->head, seg->head_len}};

    if (chance(w, w->loss_ppm))
        return true;
    if (seg->csum_start) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = seg->csum_start;
        h.csum_offset = seg->csum_offset;
    }
    if (seg->gso_size) {
        h.gso_type = seg->head[12] == 0x86 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h.gso_size = seg->gso_size;
        h.hdr_len = seg->head_len;
    }
    for (unsigned i = 0; i < seg->slice_count; i++)
        iov[2 + i] = (struct iovec){(void *)(uintptr_t)seg->slices[i].p, seg->slices[i].len};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2u + seg->slice_count};
    w->frames_out++;
    return sendmsg(w->veth->fd, &m, 0) >= 0;
}

void veth_turn(struct veth_wire *w, int wait_ms, void (*on_event)(const struct tcp_event *ev, void *arg),
               void *arg)
{
    struct pollfd p = {w->veth->fd, POLLIN, 0};
    uint64_t due = tcp_stack_next_deadline(w->stack), now = veth_now();
    struct tcp_event ev;
    struct tcp_segment seg;

    if (due != UINT64_MAX && due < now + (uint64_t)wait_ms * 1000000)
        wait_ms = due > now ? (int)((due - now + 999999) / 1000000) : 0;
    poll(&p, 1, wait_ms);
    receive(w);
    now = veth_now();
    if (tcp_stack_next_deadline(w->stack) <= now)
        tcp_stack_on_deadline(w->stack, now);
    while (tcp_stack_next_event(w->stack, &ev))
        on_event(&ev, arg);
    while (tcp_stack_output(w->stack, &seg, now))
        if (!port_send(w, &seg)) {
            tcp_stack_output_failed(w->stack, &seg, now);
            break;
        }
}
