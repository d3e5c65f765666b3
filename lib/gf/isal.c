/* isal.c: kernels by ISA-L, the portable base
 * Note:    ISA-L picks SSE, AVX2 or AVX-512 itself; its tables cost 5 ns a coefficient and live on our stack,
 *          for as many destinations at a time as its widest kernel takes
 */
#include <isa-l/erasure_code.h>

#include "gf/kernels.h"

enum { GROUP = 6, CHUNK = 1 << 30 };

static bool is_usable(void)
{
    return true;
}

/* One group over the range, in chunks because ISA-L counts bytes in an int. */
static void dot_group(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, uint8_t *tables, size_t from,
                      size_t to)
{
    unsigned char *s[GF_SRC_MAX], *d[GROUP];

    while (from < to) {
        size_t len = to - from < CHUNK ? to - from : CHUNK;

        for (unsigned j = 0; j < k; j++)
            s[j] = (unsigned char *)(uintptr_t)(src[j] + from);
        for (unsigned i = 0; i < n; i++)
            d[i] = dst[i] + from;
        ec_encode_data((int)len, (int)k, (int)n, tables, s, d);
        from += len;
    }
}

static void dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                size_t from, size_t to)
{
    uint8_t tables[GROUP * GF_SRC_MAX * 32] __attribute__((aligned(64)));

    for (unsigned i = 0; i < n; i += GROUP) {
        unsigned g = n - i < GROUP ? n - i : GROUP;

        for (unsigned r = 0; r < g; r++)
            ec_init_tables((int)k, 1, (unsigned char *)(uintptr_t)(coef + (i + r) * stride), tables + 32 * k * r);
        dot_group(dst + i, g, src, k, tables, from, to);
    }
}

static void mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    uint8_t table[32] __attribute__((aligned(64)));

    ec_init_tables(1, 1, &c, table);
    while (len) {
        size_t n = len < CHUNK ? len : CHUNK;
        unsigned char *d = dst;

        /* Not gf_vect_mad: that one gives up below a vector's length. */
        ec_encode_data_update((int)n, 1, 1, 0, table, (unsigned char *)(uintptr_t)src, &d);
        dst += n;
        src += n;
        len -= n;
    }
}

static void spread(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                   size_t from, size_t to)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < k; j++)
            mad(dst[i] + from, src[j] + from, coef[i * stride + j], to - from);
}

const struct gf_kernels gf_kernels_isal = {"isal", is_usable, dot, NULL, mad, spread};
