#include "node/dnsaddr.h"

#include <stdio.h>

bool dnsaddr_query(struct slice host, char out[DNSADDR_QUERY_MAX])
{
    int n = snprintf(out, DNSADDR_QUERY_MAX, "_dnsaddr.%.*s", (int)(host.len < 256 ? host.len : 256), (const char *)host.p);

    return host.len > 0 && host.len <= 253 && n > 0 && n < DNSADDR_QUERY_MAX;
}

bool dnsaddr_record(struct slice text, const struct peer_id *only, struct multiaddr *out)
{
    static const struct slice prefix = SLICE_LIT("dnsaddr=");
    struct multiaddr_target t;

    if (text.len <= prefix.len || memcmp(text.p, prefix.p, prefix.len) != 0)
        return false;
    text = slice_of(text.p + prefix.len, text.len - prefix.len);
    if (multiaddr_parse(out, text) || multiaddr_target(multiaddr_slice(out), &t))
        return false;
    if (t.kind != MULTIADDR_DNSADDR && t.peer.len == 0)
        return false; /* nobody would know whom we reach there */
    return only->len == 0 || t.peer.len == 0 || peer_id_is_equal(&t.peer, only);
}

void dnsaddr_with_ip(const struct multiaddr_target *named, const uint8_t *ip, unsigned ip_len, struct multiaddr *out)
{
    multiaddr_of_tcp(out, ip, ip_len, named->port, &named->peer);
}
