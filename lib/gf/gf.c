/* gf.c: tables, the choice of kernels, and the calls that need no kernel of their own */
#include "gf/gf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gf/kernels.h"

const struct gf_kernels *const gf_kernels_known[] = {
#if defined(__x86_64__)
    &gf_kernels_gfni512, &gf_kernels_gfni256, &gf_kernels_avx2, &gf_kernels_ssse3,
#endif
    &gf_kernels_isal, &gf_kernels_scalar, NULL};

uint8_t gf_product[256][256];
uint64_t gf_affine[256];
uint8_t gf_nibbles[256][32] __attribute__((aligned(32)));
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

static void load_tables(void)
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            gf_product[a][b] = mul_slow(a, b);
            if (gf_product[a][b] == 1)
                inverse[a] = (uint8_t)b;
        }
    for (unsigned c = 0; c < 256; c++) {
        gf_affine[c] = affine_matrix((uint8_t)c);
        for (unsigned i = 0; i < 16; i++) {
            gf_nibbles[c][i] = gf_product[c][i];
            gf_nibbles[c][16 + i] = gf_product[c][i << 4];
        }
    }
}

static const struct gf_kernels *by_name(const char *name)
{
    for (size_t i = 0; gf_kernels_known[i]; i++)
        if (!strcmp(gf_kernels_known[i]->name, name))
            return gf_kernels_known[i];
    return NULL;
}

const struct gf_kernels *gf_kernels_find(const char *name)
{
    const struct gf_kernels *k = by_name(name);

    return k && k->is_usable() ? k : NULL;
}

static void refuse(const char *name)
{
    fprintf(stderr, "CODECAST_GF=%s: %s; usable here:", name, by_name(name) ? "not for this CPU" : "unknown kernels");
    for (size_t i = 0; gf_kernels_known[i]; i++)
        if (gf_kernels_known[i]->is_usable())
            fprintf(stderr, " %s", gf_kernels_known[i]->name);
    fprintf(stderr, "\n");
    _Exit(1);
}

/* Runs before main, so that everything here is immutable once threads exist. */
__attribute__((constructor)) static void gf_load(void)
{
    const char *forced = getenv("CODECAST_GF");

    load_tables();
    if (forced && *forced) {
        chosen = gf_kernels_find(forced);
        if (!chosen)
            refuse(forced);
    }
    for (size_t i = 0; !chosen; i++)
        if (gf_kernels_known[i]->is_usable())
            chosen = gf_kernels_known[i];
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
    if (n == 1 && chosen->one)
        chosen->one(dst[0], src, k, coef, from, to);
    else
        chosen->dot(dst, n, src, k, coef, stride, from, to);
}

void gf_spread(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
               size_t from, size_t to)
{
    if (n && k && from < to)
        chosen->spread(dst, n, src, k, coef, stride, from, to);
}

void gf_mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    if (c && len)
        chosen->mad(dst, src, c, len);
}

void gf_scale(uint8_t *v, uint8_t c, size_t len)
{
    uint8_t part[256];

    if (c == 1)
        return;
    while (len) { /* c v = v + (c + 1) v */
        size_t n = len < sizeof(part) ? len : sizeof(part);

        memcpy(part, v, n);
        chosen->mad(v, part, c ^ 1, n);
        v += n;
        len -= n;
    }
}

const char *gf_kernel_name(void)
{
    return chosen->name;
}

const char *gf_err_name(int err)
{
    return err == -GF_E_SINGULAR ? "matrix is singular" : err == 0 ? "ok" : "unknown";
}
