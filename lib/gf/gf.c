/* gf.c: tables, the choice of kernels, and what needs no kernel of its own */
#include "gf/gf.h"

#include <stdlib.h>
#include <string.h>

#include "gf/kernels.h"

#if defined(__x86_64__)
static const struct gf_kernels *const known[] = {&gf_kernels_gfni512, &gf_kernels_isal, &gf_kernels_scalar};
#else
static const struct gf_kernels *const known[] = {&gf_kernels_isal, &gf_kernels_scalar};
#endif

uint8_t gf_product[256][256];
uint64_t gf_affine[256];
static uint8_t inverse[256];
static const struct gf_kernels *chosen;

static uint8_t mul_slow(unsigned a, unsigned b)
{
    unsigned p = 0;

    for (; b; b >>= 1) {
        if (b & 1)
            p ^= a;
        a <<= 1;
        if (a & 0x100)
            a ^= GF_POLY;
    }
    return (uint8_t)p;
}

/* Byte 7-i of the matrix yields bit i of the product: its bit j says whether c * x^j has bit i. */
static uint64_t affine_matrix(uint8_t c)
{
    uint64_t m = 0;

    for (unsigned j = 0; j < 8; j++) {
        uint8_t p = gf_product[c][1u << j];
        for (unsigned i = 0; i < 8; i++)
            if (p >> i & 1)
                m |= 1ull << (8 * (7 - i) + j);
    }
    return m;
}

const struct gf_kernels *gf_kernels_find(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(known[i]->name, name))
            return known[i]->is_usable() ? known[i] : NULL;
    return NULL;
}

/* Runs before main, so that everything here is immutable once threads exist. */
__attribute__((constructor)) static void gf_load(void)
{
    const char *forced = getenv("CODECAST_GF");

    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            gf_product[a][b] = mul_slow(a, b);
            if (gf_product[a][b] == 1)
                inverse[a] = (uint8_t)b;
        }
    for (unsigned c = 0; c < 256; c++)
        gf_affine[c] = affine_matrix((uint8_t)c);
    if (forced)
        chosen = gf_kernels_find(forced);
    for (size_t i = 0; !chosen; i++)
        if (known[i]->is_usable())
            chosen = known[i];
}

uint8_t gf_byte_mul(uint8_t a, uint8_t b)
{
    return gf_product[a][b];
}

uint8_t gf_byte_inv(uint8_t a)
{
    return inverse[a];
}

void gf_dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
            size_t from, size_t to)
{
    if (from >= to || n == 0)
        return;
    if (k == 0) {
        for (unsigned i = 0; i < n; i++)
            memset(dst[i] + from, 0, to - from);
        return;
    }
    chosen->dot(dst, n, src, k, coef, stride, from, to);
}

void gf_mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    if (c == 0)
        return;
    if (c > 1 && len) {
        chosen->mad(dst, src, c, len);
        return;
    }
    for (size_t x = 0; x < len; x++)
        dst[x] ^= src[x];
}

void gf_scale(uint8_t *v, uint8_t c, size_t len)
{
    const uint8_t *t = gf_product[c];

    if (c == 1)
        return;
    for (size_t x = 0; x < len; x++)
        v[x] = t[v[x]];
}

static void row_swap(uint8_t *a, uint8_t *b, size_t len)
{
    for (size_t x = 0; x < len; x++) {
        uint8_t t = a[x];
        a[x] = b[x];
        b[x] = t;
    }
}

int gf_matrix_invert(uint8_t *aug, unsigned n)
{
    size_t w = 2 * (size_t)n;

    for (unsigned i = 0; i < n; i++) {
        memset(aug + i * w + n, 0, n);
        aug[i * w + n + i] = 1;
    }
    for (unsigned c = 0; c < n; c++) {
        uint8_t *pivot = aug + c * w;
        unsigned r = c;

        while (r < n && aug[r * w + c] == 0)
            r++;
        if (r == n)
            return -GF_E_SINGULAR;
        if (r != c)
            row_swap(pivot, aug + r * w, w);
        gf_scale(pivot + c, gf_byte_inv(pivot[c]), w - c);
        for (r = 0; r < n; r++)
            if (r != c)
                gf_mad(aug + r * w + c, pivot + c, aug[r * w + c], w - c);
    }
    return 0;
}

const char *gf_kernel_name(void)
{
    return chosen->name;
}

const char *gf_err_name(int err)
{
    return err == -GF_E_SINGULAR ? "matrix is singular" : err == 0 ? "ok" : "unknown";
}
