#include "frame.h"

#include <stdlib.h>
#include <string.h>

#define ETH_BYTES 14
#define TCP_FIN   0x01
#define TCP_PSH   0x08
#define TCP_CWR   0x80

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static bool is_ip4(const struct wan_frame *f)
{
    return f->len >= ETH_BYTES + 20 && be16(f->data + 12) == 0x0800 && f->data[ETH_BYTES] >> 4 == 4;
}

/* One's complement sum of 16-bit words, folded. */
static uint32_t sum16(const uint8_t *p, uint32_t len, uint32_t sum)
{
    for (uint32_t i = 0; i + 1 < len; i += 2)
        sum += be16(p + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* The header of a frame that stands for several packets; false: not one of TCP over IPv4 that is whole. */
static bool read_super(struct wan_frame *f)
{
    uint32_t ihl, tcp;

    if ((f->virtio.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV4 || f->virtio.gso_size == 0 || !is_ip4(f))
        return false;
    ihl = (uint32_t)(f->data[ETH_BYTES] & 15) * 4;
    if (ihl < 20 || f->len < ETH_BYTES + ihl + 20 || f->data[ETH_BYTES + 9] != 6)
        return false;
    tcp = (uint32_t)(f->data[ETH_BYTES + ihl + 12] >> 4) * 4;
    f->head_len = ETH_BYTES + ihl + tcp;
    if (tcp < 20 || f->head_len > f->len || f->head_len > WAN_HEAD_MAX)
        return false;
    f->segment = f->virtio.gso_size;
    f->packets = (f->len - f->head_len + f->segment - 1) / f->segment;
    return f->packets > 0;
}

struct wan_frame *wan_frame_new(const uint8_t *bytes, uint32_t len)
{
    struct wan_frame *f;

    if (len < sizeof(struct virtio_net_hdr) + ETH_BYTES)
        return NULL;
    len -= (uint32_t)sizeof(struct virtio_net_hdr);
    f = malloc(sizeof(*f) + len);
    if (!f)
        return NULL;
    *f = (struct wan_frame){.refs = 1, .len = len, .packets = 1};
    memcpy(&f->virtio, bytes, sizeof(f->virtio));
    memcpy(f->data, bytes + sizeof(f->virtio), len);
    if (f->virtio.gso_type != VIRTIO_NET_HDR_GSO_NONE && !read_super(f)) {
        free(f);
        return NULL;
    }
    return f;
}

struct wan_frame *wan_frame_ref(struct wan_frame *f)
{
    f->refs++;
    return f;
}

void wan_frame_unref(struct wan_frame *f)
{
    if (--f->refs == 0)
        free(f);
}

uint32_t wan_frame_packet_bytes(const struct wan_frame *f, uint32_t i)
{
    if (f->packets == 1)
        return f->len;
    if (i + 1 < f->packets)
        return f->head_len + f->segment;
    return f->len - (f->packets - 1) * f->segment;
}

bool wan_frame_is_arp(const struct wan_frame *f)
{
    return be16(f->data + 12) == 0x0806;
}

bool wan_frame_is_ect(const struct wan_frame *f)
{
    return is_ip4(f) && (f->data[ETH_BYTES + 1] & 3) != 0;
}

static void ip_sum(uint8_t *ip, uint32_t ihl)
{
    put16(ip + 10, 0);
    put16(ip + 10, ~sum16(ip, ihl, 0) & 0xffff);
}

/* The first packet's header becomes that of the run: lengths, numbers, flags, and the start of a checksum that the next one who
 * needs it finishes. */
static void make_super_head(const struct wan_frame *f, uint32_t first, uint32_t count, uint32_t bytes, uint8_t *head)
{
    uint8_t *ip = head + ETH_BYTES, *tcp;
    uint32_t ihl = (uint32_t)(ip[0] & 15) * 4, seq, len = f->head_len - ETH_BYTES + bytes;

    tcp = ip + ihl;
    put16(ip + 2, len);
    put16(ip + 4, be16(ip + 4) + first);
    ip_sum(ip, ihl);
    seq = (be16(tcp + 4) << 16 | be16(tcp + 6)) + first * f->segment;
    put16(tcp + 4, seq >> 16);
    put16(tcp + 6, seq & 0xffff);
    if (first + count < f->packets)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (first > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
    put16(tcp + 16, sum16(ip + 12, 8, 6 + len - ihl));
}

uint32_t wan_frame_run(const struct wan_frame *f, uint32_t first, uint32_t count, bool is_ce, struct virtio_net_hdr *virtio,
                       uint8_t head[WAN_HEAD_MAX], struct slice *rest)
{
    uint32_t head_len = f->packets > 1 ? f->head_len : f->len < WAN_HEAD_MAX ? f->len : WAN_HEAD_MAX;
    uint32_t from = head_len, to = f->len;

    memcpy(head, f->data, head_len);
    *virtio = f->virtio;
    if (f->packets > 1) {
        from = f->head_len + first * f->segment;
        if (first + count < f->packets)
            to = from + count * f->segment;
    }
    if (is_ce)
        head[ETH_BYTES + 1] |= 3;
    if (f->packets > 1) {
        make_super_head(f, first, count, to - from, head);
        virtio->hdr_len = (uint16_t)f->head_len;
        virtio->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        if (count == 1) {
            virtio->gso_type = VIRTIO_NET_HDR_GSO_NONE;
            virtio->gso_size = 0;
        }
    } else if (is_ce) {
        ip_sum(head + ETH_BYTES, (uint32_t)(head[ETH_BYTES] & 15) * 4);
    }
    *rest = slice_of(f->data + from, to - from);
    return head_len;
}
