/* gf.h: arithmetic in GF(2^8), polynomial 0x11D
 * Shape:   byte vectors and a coefficient matrix -> byte vectors
 * Source:  the field and the base kernels are ISA-L's; one file per further instruction set, one dispatch struct, chosen
 *          once at load by CPU flags. The environment variable CODECAST_GF names another one (for tests and measuring):
 *          gfni512, gfni256, avx2, ssse3, isal, scalar. A name that is unknown, or not for this CPU, ends the program at its
 *          start with a line that says so: measuring the wrong kernels would be worse
 * Owner:   any thread; everything is immutable after load
 * Memory:  the caller's; sources and destinations must not overlap; no alignment is needed, nothing past the ends is touched
 * Errors:  only gf_matrix_invert fails: -GF_E_SINGULAR
 * Limits:  a dot product takes 0..255 sources and any number of destinations; matrices are up to 255 x 255
 */
#ifndef GF_GF_H
#define GF_GF_H

#include <stddef.h>
#include <stdint.h>

#define GF_POLY 0x11D
#define GF_SRC_MAX 255
#define GF_SPREAD_MAX 8

enum gf_err { GF_E_SINGULAR = 1 };

uint8_t gf_byte_mul(uint8_t a, uint8_t b);
/* The inverse of a; 0 for 0. */
uint8_t gf_byte_inv(uint8_t a);

/* dst[i][x] = sum over j of coef[i * stride + j] * src[j][x], for i < n, j < k and from <= x < to.
 * k may be 0: the destinations become zero. */
void gf_dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
            size_t from, size_t to);

/* dst[i][x] += sum over j of coef[i * stride + j] * src[j][x], for i < n, j < k and from <= x < to: a few sources to many rows,
 * k at most GF_SPREAD_MAX. Made for rows of matrices. */
void gf_spread(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
               size_t from, size_t to);

/* dst[x] += c * src[x] */
void gf_mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len);

/* v[x] *= c */
void gf_scale(uint8_t *v, uint8_t c, size_t len);

/* Bytes from one row of an n x n matrix to the next that gf_matrix_invert wants; the bytes after n are its own. */
static inline size_t gf_matrix_stride(unsigned n)
{
    return ((size_t)n + 63) & ~(size_t)63;
}

/* Inverts in place by Gauss-Jordan: n rows of n bytes at gf_matrix_stride(n). -GF_E_SINGULAR: there is none, m is spoilt. */
int gf_matrix_invert(uint8_t *m, unsigned n);

/* The kernel set in use. */
const char *gf_kernel_name(void);

const char *gf_err_name(int err);

#endif
