/* combine.h: weighted sums of rows of unequal length (private to the room)
 * Shape:   rows, weights -> destinations; a row shorter than the shard counts as filled with zeroes
 */
#ifndef RLNC_COMBINE_H
#define RLNC_COMBINE_H

#include "rlnc/rlnc.h"

/* Puts whole rows first, then the one that may be cut short, then empty ones. -RLNC_E_LENGTH: a row is not as long as its index
 * says, or an index or the number of rows is out of range. */
int rlnc_rows_order(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows);

/* dst[i][from..to) = sum of weight[i*stride + j] * rows[j]; rows ordered as above. */
void rlnc_combine(const struct rlnc_row *rows, unsigned nrows, const uint8_t *weight, size_t stride, uint8_t *const *dst,
                  unsigned n, uint32_t from, uint32_t to);

#endif
