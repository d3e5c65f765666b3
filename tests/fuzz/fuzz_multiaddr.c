/* fuzz_multiaddr.c: the input as bytes and as text; what is accepted must read back the same */
#include <stdlib.h>

#include "libp2p/multiaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void round_trip(struct slice bytes)
{
    char text[MULTIADDR_TEXT_MAX];
    ssize_t n = multiaddr_format(bytes, text, sizeof(text));
    struct multiaddr_target target;
    struct multiaddr m;

    require(n > 0);
    require(multiaddr_parse(&m, slice_of(text, (size_t)n)) == 0);
    require(slice_is_equal(multiaddr_slice(&m), bytes));
    (void)multiaddr_target(bytes, &target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct multiaddr m;

    if (multiaddr_check(slice_of(data, len)) == 0)
        round_trip(slice_of(data, len));
    if (multiaddr_parse(&m, slice_of(data, len)) == 0)
        round_trip(multiaddr_slice(&m));
    return 0;
}
