/* kernels.h: the seam between gf.h and one file per instruction set (private to the room)
 * Shape:   a table of kernels; to add one: a file, an entry in gf.c's list (best first), its flags in meson.build
 * Owner:   immutable after load
 * Limits:  kernels may assume 1 <= k <= 255, n >= 1, from < to, len > 0
 */
#ifndef GF_KERNELS_H
#define GF_KERNELS_H

#include <stdbool.h>

#include "gf/gf.h"

struct gf_kernels {
    const char *name;
    bool (*is_usable)(void); /* asks the CPU */
    void (*dot)(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                size_t from, size_t to);
    /* The same for one destination, by the shortest way; NULL: dot does. */
    void (*one)(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t from, size_t to);
    void (*mad)(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len);
    void (*spread)(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                   size_t from, size_t to);
};

extern const struct gf_kernels gf_kernels_scalar, gf_kernels_isal, gf_kernels_ssse3, gf_kernels_avx2, gf_kernels_gfni256,
    gf_kernels_gfni512;

/* All that this program was built with, best first, then NULL. */
extern const struct gf_kernels *const gf_kernels_known[];

/* The kernels of that name, NULL when unknown or unusable on this CPU. */
const struct gf_kernels *gf_kernels_find(const char *name);

/* What a coefficient becomes for each kind of kernel, ready before main:
 * products a * b at [a][b]; 8x8 bit matrices that multiply by c, as the affine instruction reads them; and for byte shuffles the
 * products of c with 0..15, then with 0x00, 0x10 .. 0xf0. */
extern uint8_t gf_product[256][256];
extern uint64_t gf_affine[256];
extern uint8_t gf_nibbles[256][32] __attribute__((aligned(32)));

#endif
