/* fuzz_peer_record.c: the input as an envelope, and as a record that is sealed well before it is opened */
#include <stdlib.h>

#include "libp2p/peer_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_record(struct slice envelope)
{
    struct peer_record record;

    if (peer_record_open(envelope, &record))
        return;
    if (!record.id.len || record.naddrs > PEER_RECORD_ADDRS_MAX)
        abort();
    for (unsigned i = 0; i < record.naddrs; i++)
        if (multiaddr_check(record.addrs[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t seed[32] = {1};
    uint8_t sealed[ENVELOPE_MAX];
    struct key_pair key;
    ssize_t n;

    try_record(slice_of(data, len));
    key_pair_from_seed(&key, seed);
    n = envelope_seal(&key, SLICE_LIT("libp2p-peer-record"), SLICE_LIT("\x03\x01"), slice_of(data, len),
                      sealed, sizeof(sealed));
    if (n > 0)
        try_record(slice_of(sealed, (size_t)n));
    return 0;
}
