#include "libp2p/multiaddr_proto.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/text.h"
#include "libp2p/multibase.h"

#define NAME_MAX_BYTES 253 /* of a host name, RFC 1035 */

static const struct multiaddr_proto table[] = {
    {MULTIADDR_IP4, "ip4", KIND_IP4},
    {MULTIADDR_TCP, "tcp", KIND_PORT},
    {33, "dccp", KIND_PORT},
    {MULTIADDR_IP6, "ip6", KIND_IP6},
    {MULTIADDR_IP6ZONE, "ip6zone", KIND_NAME},
    {43, "ipcidr", KIND_BYTE},
    {MULTIADDR_DNS, "dns", KIND_NAME},
    {MULTIADDR_DNS4, "dns4", KIND_NAME},
    {MULTIADDR_DNS6, "dns6", KIND_NAME},
    {MULTIADDR_DNSADDR, "dnsaddr", KIND_NAME},
    {132, "sctp", KIND_PORT},
    {MULTIADDR_UDP, "udp", KIND_PORT},
    {275, "p2p-webrtc-star", KIND_NONE},
    {276, "p2p-webrtc-direct", KIND_NONE},
    {277, "p2p-stardust", KIND_NONE},
    {280, "webrtc-direct", KIND_NONE},
    {281, "webrtc", KIND_NONE},
    {MULTIADDR_P2P_CIRCUIT, "p2p-circuit", KIND_NONE},
    {301, "udt", KIND_NONE},
    {302, "utp", KIND_NONE},
    {400, "unix", KIND_PATH},
    {MULTIADDR_P2P, "p2p", KIND_PEER},
    {443, "https", KIND_NONE},
    {444, "onion", KIND_ONION},
    {445, "onion3", KIND_ONION3},
    {448, "tls", KIND_NONE},
    {449, "sni", KIND_NAME},
    {454, "noise", KIND_NONE},
    {460, "quic", KIND_NONE},
    {461, "quic-v1", KIND_NONE},
    {465, "webtransport", KIND_NONE},
    {466, "certhash", KIND_CERTHASH},
    {477, "ws", KIND_NONE},
    {478, "wss", KIND_NONE},
    {479, "p2p-websocket-star", KIND_NONE},
    {480, "http", KIND_NONE},
    {481, "http-path", KIND_PATH},
    {777, "memory", KIND_NAME},
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

const struct multiaddr_proto *multiaddr_proto_by_code(uint64_t code)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (table[i].code == code)
            return &table[i];
    return NULL;
}

const struct multiaddr_proto *multiaddr_proto_by_name(struct slice name)
{
    if (slice_is_equal(name, SLICE_LIT("ipfs")))
        return multiaddr_proto_by_code(MULTIADDR_P2P);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (slice_is_equal(name, slice_str(table[i].name)))
            return &table[i];
    return NULL;
}

int multiaddr_proto_size(const struct multiaddr_proto *p)
{
    switch (p->kind) {
    case KIND_NONE: return 0;
    case KIND_BYTE: return 1;
    case KIND_PORT: return 2;
    case KIND_IP4: return 4;
    case KIND_IP6: return 16;
    case KIND_ONION: return 12;
    case KIND_ONION3: return 37;
    case KIND_NAME:
    case KIND_PATH:
    case KIND_PEER:
    case KIND_CERTHASH:
    default: return -1;
    }
}

/* Names go into logs, resolvers and text that is split at slashes. */
static bool is_name(struct slice s)
{
    if (s.len == 0 || s.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '/')
            return false;
    return true;
}

int multiaddr_value_check(const struct multiaddr_proto *p, struct slice value)
{
    struct peer_id id;

    switch (p->kind) {
    case KIND_NAME: return is_name(value) ? 0 : -MULTIADDR_EVALUE;
    case KIND_PEER: return peer_id_from_bytes(&id, value) ? -MULTIADDR_EVALUE : 0;
    case KIND_PATH:
    case KIND_CERTHASH: return value.len ? 0 : -MULTIADDR_EVALUE;
    default: return 0;
    }
}

static void put_text(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

static void put_number(struct wr *w, unsigned v)
{
    char s[16];

    snprintf(s, sizeof(s), "%u", v);
    put_text(w, s);
}

/* RFC 3986: all but unreserved characters. */
static void put_path(struct wr *w, struct slice s)
{
    static const char digit[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        (c && strchr("-._~", c));
        if (is_plain) {
            wr_u8(w, c);
        } else {
            wr_u8(w, '%');
            wr_u8(w, (uint8_t)digit[c >> 4]);
            wr_u8(w, (uint8_t)digit[c & 15]);
        }
    }
}

static unsigned port_of(struct slice s)
{
    return (unsigned)s.p[s.len - 2] << 8 | s.p[s.len - 1];
}

void multiaddr_value_format(const struct multiaddr_proto *p, struct slice value, struct wr *w)
{
    char text[2 * MULTIADDR_MAX];
    struct peer_id id;

    text[0] = 0;
    switch (p->kind) {
    case KIND_NONE: return;
    case KIND_IP4: inet_ntop(AF_INET, value.p, text, sizeof(text)); break;
    case KIND_IP6: inet_ntop(AF_INET6, value.p, text, sizeof(text)); break;
    case KIND_PORT: put_number(w, port_of(value)); return;
    case KIND_BYTE: put_number(w, value.p[0]); return;
    case KIND_NAME: wr_slice(w, value); return;
    case KIND_PATH: put_path(w, value); return;
    case KIND_PEER:
        if (peer_id_from_bytes(&id, value) == 0)
            peer_id_format(&id, text);
        break;
    case KIND_CERTHASH:
        wr_u8(w, 'u');
        base64url_encode(text, sizeof(text), value);
        break;
    case KIND_ONION:
    case KIND_ONION3:
        base32_encode(text, sizeof(text), slice_of(value.p, value.len - 2));
        put_text(w, text);
        wr_u8(w, ':');
        put_number(w, port_of(value));
        return;
    }
    put_text(w, text);
}

/* Decimal, digits only, up to max; -1 otherwise. */
static long parse_number(struct slice s, long max)
{
    long v = 0;

    if (s.len == 0 || s.len > 5)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        v = v * 10 + (s.p[i] - '0');
    }
    return v > max ? -1 : v;
}

static bool parse_ip(int family, struct slice text, uint8_t *out)
{
    char s[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(s) || memchr(text.p, 0, text.len))
        return false;
    memcpy(s, text.p, text.len);
    s[text.len] = 0;
    return inet_pton(family, s, out) == 1;
}

static ssize_t parse_port(struct slice text, uint8_t *out)
{
    long v = parse_number(text, 65535);

    if (v < 0)
        return -MULTIADDR_EVALUE;
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
    return 2;
}

static ssize_t parse_path(struct slice text, uint8_t *out, size_t cap)
{
    struct wr w = wr_of(out, cap);

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '%') {
            if (text.len - i < 3 || hex_decode(&c, 1, slice_of(text.p + i + 1, 2)) != 1)
                return -MULTIADDR_EVALUE;
            i += 2;
        }
        wr_u8(&w, c);
    }
    return w.bad ? -MULTIADDR_ETOOBIG : (ssize_t)w.len;
}

static ssize_t parse_onion(struct slice text, size_t host_bytes, uint8_t *out)
{
    const uint8_t *colon = memchr(text.p, ':', text.len);
    struct slice host;

    if (!colon)
        return -MULTIADDR_EVALUE;
    host = slice_of(text.p, (size_t)(colon - text.p));
    if (base32_decode(out, host_bytes, host) != (ssize_t)host_bytes ||
        parse_port(slice_of(colon + 1, text.len - host.len - 1), out + host_bytes) < 0)
        return -MULTIADDR_EVALUE;
    return (ssize_t)host_bytes + 2;
}

static ssize_t parse_bytes(struct slice bytes, uint8_t *out, size_t cap)
{
    if (bytes.len > cap)
        return -MULTIADDR_ETOOBIG;
    memcpy(out, bytes.p, bytes.len);
    return (ssize_t)bytes.len;
}

static ssize_t parse_variable(const struct multiaddr_proto *p, struct slice text, uint8_t *out, size_t cap)
{
    struct peer_id id;
    ssize_t n;

    switch (p->kind) {
    case KIND_PATH: return parse_path(text, out, cap);
    case KIND_PEER:
        return peer_id_parse(&id, text) ? -MULTIADDR_EVALUE : parse_bytes(peer_id_slice(&id), out, cap);
    case KIND_CERTHASH:
        n = text.p[0] == 'u' ? base64url_decode(out, cap, slice_of(text.p + 1, text.len - 1)) : -1;
        return n < 0 ? -MULTIADDR_EVALUE : n;
    default: return parse_bytes(text, out, cap);
    }
}

ssize_t multiaddr_value_parse(const struct multiaddr_proto *p, struct slice text, uint8_t *out, size_t cap)
{
    int size = multiaddr_proto_size(p);
    ssize_t n;
    long v;

    if (text.len == 0)
        return size == 0 ? 0 : -MULTIADDR_EVALUE;
    if (size > 0 && cap < (size_t)size)
        return -MULTIADDR_ETOOBIG;
    switch (p->kind) {
    case KIND_IP4: return parse_ip(AF_INET, text, out) ? 4 : -MULTIADDR_EVALUE;
    case KIND_IP6: return parse_ip(AF_INET6, text, out) ? 16 : -MULTIADDR_EVALUE;
    case KIND_PORT: return parse_port(text, out);
    case KIND_BYTE:
        v = parse_number(text, 255);
        out[0] = (uint8_t)v;
        return v < 0 ? -MULTIADDR_EVALUE : 1;
    case KIND_ONION: return parse_onion(text, 10, out);
    case KIND_ONION3: return parse_onion(text, 35, out);
    default: break;
    }
    n = parse_variable(p, text, out, cap);
    return n >= 0 && multiaddr_value_check(p, slice_of(out, (size_t)n)) ? -MULTIADDR_EVALUE : n;
}
