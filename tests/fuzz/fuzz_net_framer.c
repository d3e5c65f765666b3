/* The RPC framer: the first byte chooses how the rest is cut into inputs. Whatever the cut, the same bodies come out. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/framer.h"

#define MAX_BYTES 4096

static uint64_t hash(uint64_t h, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return (h ^ len) * 0x100000001b3ull;
}

static uint64_t run(const uint8_t *p, size_t len, size_t step, int *rc)
{
    bool is_whole = step >= len;
    struct framer f;
    uint64_t h = 0xcbf29ce484222325ull;

    framer_init(&f, MAX_BYTES, NULL, NULL);
    *rc = 0;
    while (len > 0 && *rc == 0) {
        size_t n = step < len ? step : len;
        struct slice in = slice_of(p, n);
        struct buf *b;

        while ((*rc = framer_input(&f, &in, &b)) > 0) {
            assert(!is_whole || (uintptr_t)(b->data + b->len) % FRAMER_ALIGN == 0);
            assert(b->len > 0 && b->len <= MAX_BYTES);
            h = hash(h, b->data, b->len);
            buf_unref(b);
        }
        p += n;
        len -= n;
    }
    framer_fini(&f);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int rc_whole, rc_cut;

    if (size < 1)
        return 0;
    uint64_t whole = run(data + 1, size - 1, size, &rc_whole);
    uint64_t cut = run(data + 1, size - 1, 1u + data[0] % 64, &rc_cut);

    assert(whole == cut && rc_whole == rc_cut);
    return 0;
}
