/* yamux_wire.h: layout, numbers and limits of yamux
 * Source:  hashicorp yamux spec.md as /yamux/1.0.0 of libp2p
 *
 *      0        1        2               4                       8                       12
 *     +--------+--------+---------------+-----------------------+-----------------------+
 *     | version| type   | flags         | stream                | length                | big-endian
 *     +--------+--------+---------------+-----------------------+-----------------------+
 *
 *     type           stream   length             followed by
 *     Data           id       bytes of body      body
 *     WindowUpdate   id       credit added       nothing
 *     Ping           0        opaque value       nothing
 *     GoAway         0        code               nothing
 */
#ifndef LIBP2P_YAMUX_WIRE_H
#define LIBP2P_YAMUX_WIRE_H

#include <stdint.h>

#define YAMUX_ID         "/yamux/1.0.0"
#define YAMUX_HEAD_BYTES 12
#define YAMUX_VERSION    0

enum yamux_type { YAMUX_DATA = 0, YAMUX_WINDOW = 1, YAMUX_PING = 2, YAMUX_GOAWAY = 3 };
enum yamux_flag { YAMUX_SYN = 1, YAMUX_ACK = 2, YAMUX_FIN = 4, YAMUX_RST = 8 };
enum yamux_code { YAMUX_CODE_NORMAL = 0, YAMUX_CODE_PROTOCOL = 1, YAMUX_CODE_INTERNAL = 2 };

/* Each stream starts with this, both ways; it cannot be lowered. */
#define YAMUX_WINDOW_INITIAL (256u * 1024)
/* As far as go and js grow theirs; no honest frame is longer. */
#define YAMUX_WINDOW_CAP (16u * 1024 * 1024)

struct yamux_head {
    uint8_t version, type;
    uint16_t flags;
    uint32_t stream, length;
};

static inline struct yamux_head yamux_head_decode(const uint8_t p[YAMUX_HEAD_BYTES])
{
    return (struct yamux_head){
        .version = p[0],
        .type = p[1],
        .flags = (uint16_t)(p[2] << 8 | p[3]),
        .stream = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7],
        .length = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11],
    };
}

static inline void yamux_head_encode(uint8_t p[YAMUX_HEAD_BYTES], enum yamux_type type, unsigned flags, uint32_t stream,
                                     uint32_t length)
{
    p[0] = YAMUX_VERSION;
    p[1] = (uint8_t)type;
    p[2] = (uint8_t)(flags >> 8);
    p[3] = (uint8_t)flags;
    for (int i = 0; i < 4; i++) {
        p[4 + i] = (uint8_t)(stream >> (24 - 8 * i));
        p[8 + i] = (uint8_t)(length >> (24 - 8 * i));
    }
}

#endif
