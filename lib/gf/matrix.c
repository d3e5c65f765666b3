/* matrix.c: the inverse, in place
 * Note:    a step turns the pivot's column into the inverse's own, so half of the usual work falls away; all rows of a step are one
 *          call, in which the pivot's row stays in registers
 */
#include <string.h>

#include "gf/gf.h"

static void row_swap(uint8_t *a, uint8_t *b, size_t len)
{
    for (size_t x = 0; x < len; x++) {
        uint8_t t = a[x];
        a[x] = b[x];
        b[x] = t;
    }
}

static void column_swap(uint8_t *const *row, unsigned n, unsigned a, unsigned b)
{
    for (unsigned r = 0; r < n; r++) {
        uint8_t t = row[r][a];
        row[r][a] = row[r][b];
        row[r][b] = t;
    }
}

/* Row c holds the pivot: it becomes 1, and its column's other entries go by way of the factors that clear them. */
static void eliminate(uint8_t *const *row, unsigned n, unsigned c, size_t stride)
{
    uint8_t factor[GF_SRC_MAX], inv = gf_byte_inv(row[c][c]);

    row[c][c] = 1;
    gf_scale(row[c], inv, stride);
    for (unsigned r = 0; r < n; r++) {
        factor[r] = row[r][c];
        if (r != c)
            row[r][c] = 0;
    }
    gf_spread(row, c, row[c], factor, 0, stride);
    gf_spread(row + c + 1, n - c - 1, row[c], factor + c + 1, 0, stride);
}

int gf_matrix_invert(uint8_t *m, unsigned n)
{
    uint8_t *row[GF_SRC_MAX], from[GF_SRC_MAX];
    size_t stride = gf_matrix_stride(n);

    for (unsigned i = 0; i < n; i++) {
        row[i] = m + i * stride;
        memset(row[i] + n, 0, stride - n);
    }
    for (unsigned c = 0; c < n; c++) {
        unsigned r = c;

        while (r < n && row[r][c] == 0)
            r++;
        if (r == n)
            return -GF_E_SINGULAR;
        from[c] = (uint8_t)r;
        if (r != c)
            row_swap(row[c], row[r], n);
        eliminate(row, n, c, stride);
    }
    for (unsigned c = n; c-- > 0;) /* the inverse of a matrix with rows exchanged has its columns exchanged */
        if (from[c] != c)
            column_swap(row, n, c, from[c]);
    return 0;
}
