/* gf.h: arithmetic in GF(2^8), polynomial 0x11D
 * Shape:   byte vectors and a coefficient matrix -> byte vectors
 * Source:  the field and the base kernels are ISA-L's; one file per further instruction set, one dispatch struct, chosen
 *          once at load by CPU flags or by the environment variable CODECAST_GF (scalar, isal, gfni512) for tests
 * Owner:   any thread; everything is immutable after load
 * Memory:  the caller's; sources and destinations must not overlap; no alignment is needed, nothing past the ends is touched
 * Errors:  only gf_matrix_invert fails: -GF_E_SINGULAR
 * Limits:  a dot product takes 0..255 sources and any number of destinations
 */
#ifndef GF_GF_H
#define GF_GF_H

#include <stddef.h>
#include <stdint.h>

#define GF_POLY 0x11D
#define GF_SRC_MAX 255

enum gf_err { GF_E_SINGULAR = 1 };

uint8_t gf_byte_mul(uint8_t a, uint8_t b);
/* The inverse of a; 0 for 0. */
uint8_t gf_byte_inv(uint8_t a);

/* dst[i][x] = sum over j of coef[i * stride + j] * src[j][x], for i < n, j < k and from <= x < to.
 * k may be 0: the destinations become zero. */
void gf_dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
            size_t from, size_t to);

/* dst[x] += c * src[x] */
void gf_mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len);

/* v[x] *= c */
void gf_scale(uint8_t *v, uint8_t c, size_t len);

/* Inverts by Gauss-Jordan. aug: n rows of 2n bytes, the matrix in each left half; the inverse is left in the right halves
 * (the left become the identity). -GF_E_SINGULAR: there is none, aug is spoilt. */
int gf_matrix_invert(uint8_t *aug, unsigned n);

/* The kernel set in use: "scalar", "isal", "gfni512". */
const char *gf_kernel_name(void);

const char *gf_err_name(int err);

#endif
