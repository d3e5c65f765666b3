/* packet_ring.c: TPACKET_V2 (packet_ring.h) */
#include "drivers/packet_ring.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES (1u << 20) /* a frame never crosses a block */

static struct tpacket2_hdr *slot_at(const struct packet_ring *r, uint32_t i)
{
    return (struct tpacket2_hdr *)(void *)(r->map + (size_t)(i / r->per_block) * BLOCK_BYTES +
                                           (size_t)(i % r->per_block) * r->slot_bytes);
}

const struct tpacket2_hdr *packet_ring_peek(const struct packet_ring *r)
{
    struct tpacket2_hdr *h = slot_at(r, r->next);

    if (r->lent_count == r->slots || !(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return NULL;
    return h;
}

void packet_ring_take(struct packet_ring *r)
{
    if (r->lent_count++ == 0)
        r->lent_first = r->next;
    r->next = r->next + 1 == r->slots ? 0 : r->next + 1;
}

void packet_ring_give_back(struct packet_ring *r)
{
    for (uint32_t i = r->lent_first; r->lent_count > 0; r->lent_count--) {
        __atomic_store_n(&slot_at(r, i)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        i = i + 1 == r->slots ? 0 : i + 1;
    }
}

uint64_t packet_ring_stamp(const struct tpacket2_hdr *h)
{
    return (uint64_t)h->tp_sec * 1000000000u + h->tp_nsec;
}

uint32_t packet_ring_drops(struct packet_ring *r)
{
    struct tpacket_stats st = {0};
    socklen_t len = sizeof(st);

    return getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0 ? st.tp_drops
                                                                            : 0; /* reading resets it */
}

static int set_option(struct packet_ring *r, int option, int value)
{
    return setsockopt(r->fd, SOL_PACKET, option, &value, sizeof(value));
}

static int set_filter(struct packet_ring *r, const struct af_packet_filter *filter)
{
    struct sock_filter insns[AF_PACKET_FILTER_MAX];
    struct sock_fprog prog = {.filter = insns};

    prog.len = (unsigned short)af_packet_filter_build(insns, filter);
    return setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int make_ring(struct packet_ring *r, uint32_t slot_bytes, uint32_t slots)
{
    uint32_t per_block = BLOCK_BYTES / slot_bytes, blocks = (slots + per_block - 1) / per_block;
    struct tpacket_req req = {BLOCK_BYTES, blocks, slot_bytes, blocks * per_block};

    if (setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
        return -1;
    r->slot_bytes = slot_bytes;
    r->per_block = per_block;
    r->slots = req.tp_frame_nr;
    r->map_len = (size_t)blocks * BLOCK_BYTES;
    r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (r->map == MAP_FAILED)
        r->map = NULL;
    return r->map ? 0 : -1;
}

int packet_ring_bind(struct packet_ring *r, int ifindex)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = ifindex};

    return bind(r->fd, (struct sockaddr *)&ll, sizeof(ll));
}

const char *packet_ring_open(struct packet_ring *r, uint32_t slot_bytes, uint32_t slots)
{
    *r = (struct packet_ring){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (r->fd < 0)
        return "socket (CAP_NET_RAW?)";
    if (set_option(r, PACKET_VERSION, TPACKET_V2) < 0)
        return "TPACKET_V2";
    if (set_option(r, PACKET_VNET_HDR, 1) < 0)
        return "PACKET_VNET_HDR";
    if (set_option(r, PACKET_IGNORE_OUTGOING, 1) < 0)
        return "PACKET_IGNORE_OUTGOING";
    return make_ring(r, slot_bytes, slots) < 0 ? "receive ring" : NULL;
}

const char *packet_ring_start(struct packet_ring *r, const struct af_packet_filter *filter, int ifindex)
{
    if (set_filter(r, filter) < 0)
        return "packet filter";
    return packet_ring_bind(r, ifindex) < 0 ? "bind" : NULL;
}

void packet_ring_close(struct packet_ring *r)
{
    if (r->map)
        munmap(r->map, r->map_len);
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct packet_ring){.fd = -1};
}
