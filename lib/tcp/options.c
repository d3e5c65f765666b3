#include "tcp/options.h"

static int parse_sack(struct tcp_options *o, const uint8_t *body, unsigned len)
{
    if (len == 0 || len % 8 != 0 || len / 8 > TCP_SACK_BLOCKS)
        return -1;
    o->sack_count = (uint8_t)(len / 8);
    for (unsigned i = 0; i < o->sack_count; i++)
        o->sack[i] = (struct seq_range){get_be32(body + 8 * i), get_be32(body + 8 * i + 4)};
    return 0;
}

/* body: what follows kind and length. */
static int parse_one(struct tcp_options *o, unsigned kind, const uint8_t *body, unsigned len)
{
    switch (kind) {
    case TCPOPT_MSS:
        if (len != 2)
            return -1;
        o->has_mss = true;
        o->mss = get_be16(body);
        return 0;
    case TCPOPT_WSCALE:
        if (len != 1)
            return -1;
        o->has_wscale = true;
        o->wscale = body[0] < TCP_WSCALE_MAX ? body[0] : TCP_WSCALE_MAX; /* RFC 7323 2.3 */
        return 0;
    case TCPOPT_SACK_OK:
        if (len != 0)
            return -1;
        o->has_sack_ok = true;
        return 0;
    case TCPOPT_SACK: return parse_sack(o, body, len);
    case TCPOPT_TIMESTAMP:
        if (len != 8)
            return -1;
        o->has_ts = true;
        o->ts_val = get_be32(body);
        o->ts_ecr = get_be32(body + 4);
        return 0;
    default: return 0;
    }
}

/* Nearly every segment carries two NOPs and a timestamp. */
static bool parse_common(struct tcp_options *o, struct slice b)
{
    if (b.len != TCP_TS_LEN || get_be32(b.p) != 0x0101080a)
        return false;
    o->has_ts = true;
    o->ts_val = get_be32(b.p + 4);
    o->ts_ecr = get_be32(b.p + 8);
    return true;
}

int tcp_options_parse(struct tcp_options *o, struct slice b)
{
    size_t at = 0;

    memset(o, 0, sizeof(*o));
    if (parse_common(o, b))
        return 0;
    while (at < b.len && b.p[at] != TCPOPT_END) {
        if (b.p[at] == TCPOPT_NOP) {
            at++;
            continue;
        }
        if (b.len - at < 2 || b.p[at + 1] < 2 || b.p[at + 1] > b.len - at)
            return -1;
        if (parse_one(o, b.p[at], b.p + at + 2, b.p[at + 1] - 2u))
            return -1;
        at += b.p[at + 1];
    }
    return 0;
}

static unsigned put_head(uint8_t *out, unsigned nops, uint8_t kind, uint8_t len)
{
    unsigned n = 0;

    while (n < nops)
        out[n++] = TCPOPT_NOP;
    out[n++] = kind;
    out[n++] = len;
    return n;
}

unsigned tcp_options_build(uint8_t out[TCP_OPT_MAX], const struct tcp_options *o)
{
    unsigned n = 0;

    if (o->has_mss) {
        n += put_head(out + n, 0, TCPOPT_MSS, 4);
        put_be16(out + n, o->mss);
        n += 2;
    }
    if (o->has_sack_ok)
        n += put_head(out + n, 2, TCPOPT_SACK_OK, 2);
    if (o->has_wscale) {
        n += put_head(out + n, 1, TCPOPT_WSCALE, 3);
        out[n++] = o->wscale;
    }
    if (o->has_ts) {
        n += put_head(out + n, 2, TCPOPT_TIMESTAMP, 10);
        put_be32(out + n, o->ts_val);
        put_be32(out + n + 4, o->ts_ecr);
        n += 8;
    }
    unsigned fit = TCP_OPT_MAX - n >= 4 ? (TCP_OPT_MAX - n - 4) / 8 : 0;
    unsigned blocks = o->sack_count < fit ? o->sack_count : fit;
    if (blocks) {
        n += put_head(out + n, 2, TCPOPT_SACK, (uint8_t)(2 + 8 * blocks));
        for (unsigned i = 0; i < blocks; i++, n += 8) {
            put_be32(out + n, o->sack[i].lo);
            put_be32(out + n + 4, o->sack[i].hi);
        }
    }
    return n;
}
