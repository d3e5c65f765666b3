/* Frames for the driver tests: Ethernet + IPv4 + TCP segments with a numbered payload. */
#ifndef TESTS_DRIVERS_FRAMES_H
#define TESTS_DRIVERS_FRAMES_H

#include <string.h>

#include "drivers/pktio.h"

#define FRAME_HEAD 54

static inline void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (len & 1)
        sum += (uint32_t)p[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* A segment whose checksum the port is to finish; payload is borrowed. */
static inline void frame_make(struct pktio_seg *s, const uint8_t src_mac[6], const uint8_t dst_mac[6], const uint8_t src[4],
                              const uint8_t dst[4], uint16_t dport, const uint8_t *payload, uint32_t len, uint16_t gso_bytes)
{
    uint8_t *ip = s->head + 14, *tcp = ip + 20;
    uint8_t pseudo[12];

    memset(s, 0, sizeof(*s));
    memcpy(s->head, dst_mac, 6);
    memcpy(s->head + 6, src_mac, 6);
    put16(s->head + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, 40 + len);
    put16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, src, 4);
    memcpy(ip + 16, dst, 4);
    put16(ip + 10, ~sum16(0, ip, 20) & 0xffff);
    put16(tcp, 40000);
    put16(tcp + 2, dport);
    tcp[12] = 0x50;
    tcp[13] = 0x10;
    memcpy(pseudo, src, 4);
    memcpy(pseudo + 4, dst, 4);
    pseudo[8] = 0;
    pseudo[9] = 6;
    put16(pseudo + 10, 20 + len);
    put16(tcp + 16, sum16(0, pseudo, 12));
    s->head_len = FRAME_HEAD;
    s->csum_start = 34;
    s->csum_offset = 16;
    s->gso_bytes = gso_bytes;
    if (len) {
        s->npieces = 1;
        s->pieces[0] = (struct pktio_piece){payload, len, NULL};
    }
}

#endif
