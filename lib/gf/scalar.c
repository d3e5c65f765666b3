/* scalar.c: kernels in plain C, by product table: the reference that tests compare with */
#include <string.h>

#include "gf/kernels.h"

static bool is_usable(void)
{
    return true;
}

static void mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    const uint8_t *t = gf_product[c];

    for (size_t x = 0; x < len; x++)
        dst[x] ^= t[src[x]];
}

static void dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                size_t from, size_t to)
{
    for (unsigned i = 0; i < n; i++) {
        memset(dst[i] + from, 0, to - from);
        for (unsigned j = 0; j < k; j++)
            mad(dst[i] + from, src[j] + from, coef[i * stride + j], to - from);
    }
}

static void spread(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                   size_t from, size_t to)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < k; j++)
            mad(dst[i] + from, src[j] + from, coef[i * stride + j], to - from);
}

const struct gf_kernels gf_kernels_scalar = {"scalar", is_usable, dot, NULL, mad, spread};
