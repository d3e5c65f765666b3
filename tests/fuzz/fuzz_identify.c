/* fuzz_identify.c: what decodes must encode within its limit, and decode to the same again */
#include <stdlib.h>

#include "libp2p/identify_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t out[IDENTIFY_WRITE_MAX], again_out[IDENTIFY_WRITE_MAX];
    struct identify m, again;
    ssize_t n;

    if (identify_decode(slice_of(data, len), &m))
        return 0;
    n = identify_encode(&m, out, sizeof(out));
    if (n < 0)
        return 0;
    if (identify_decode(slice_of(out, (size_t)n), &again) || again.dropped || again.naddrs > m.naddrs ||
        again.nprotocols != m.nprotocols || identify_encode(&again, again_out, sizeof(again_out)) != n ||
        memcmp(out, again_out, (size_t)n) != 0)
        abort();
    return 0;
}
