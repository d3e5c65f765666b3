#include "node/self_record.h"

#include "libp2p/peer_record.h"

int self_record_make(struct session_local *l, const struct key_pair *key, uint64_t seq, uint8_t out[SELF_RECORD_MAX])
{
    struct slice addrs[PEER_RECORD_ADDRS_MAX];
    unsigned n = l->naddrs < PEER_RECORD_ADDRS_MAX ? l->naddrs : PEER_RECORD_ADDRS_MAX;
    ssize_t len;

    l->record = (struct slice){NULL, 0};
    if (n == 0)
        return -1;
    for (unsigned i = 0; i < n; i++)
        addrs[i] = multiaddr_slice(&l->addrs[i]);
    len = peer_record_seal(key, seq, addrs, n, out, SELF_RECORD_MAX);
    if (len < 0)
        return -1;
    l->record = slice_of(out, (size_t)len);
    return 0;
}
