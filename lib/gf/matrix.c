/* matrix.c: the inverse, in place
 * Note:    a step turns the pivot's column into the inverse's own, so half of the usual work falls away. BLOCK steps are made among
 *          their own rows first; all other rows then take them in one pass: loads and stores fall by BLOCK
 */
#include <string.h>

#include "gf/gf.h"

enum { BLOCK = GF_SPREAD_MAX };

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

/* row[r][c] is the pivot: it becomes 1, and its column's other entries go by way of the factors that clear them. */
static void eliminate(uint8_t *const *row, unsigned n, unsigned r, unsigned c, size_t stride)
{
    uint8_t factor[BLOCK], inv = gf_byte_inv(row[r][c]), *other[BLOCK];
    const uint8_t *pivot = row[r];
    unsigned others = 0;

    row[r][c] = 1;
    gf_scale(row[r], inv, stride);
    for (unsigned i = 0; i < n; i++)
        if (i != r) {
            factor[others] = row[i][c];
            row[i][c] = 0;
            other[others++] = row[i];
        }
    gf_spread(other, others, &pivot, 1, factor, 1, 0, stride);
}

/* Steps among these n rows, whose pivots are at columns c and on: until a pivot is zero; how many. The first is not zero. */
static unsigned eliminate_block(uint8_t *const *row, unsigned n, unsigned c, size_t stride)
{
    unsigned done = 0;

    while (done < n && row[done][c + done]) {
        eliminate(row, n, done, c + done, stride);
        done++;
    }
    return done;
}

/* The steps of columns c to c + done for rows outside the block. */
static void follow_block(uint8_t *const *row, unsigned n, uint8_t *const *block, unsigned done, unsigned c, size_t stride)
{
    uint8_t factor[GF_SRC_MAX * BLOCK];

    for (unsigned i = 0; i < n; i++) {
        memcpy(factor + i * BLOCK, row[i] + c, done);
        memset(row[i] + c, 0, done);
    }
    gf_spread(row, n, (const uint8_t *const *)block, done, factor, BLOCK, 0, stride);
}

int gf_matrix_invert(uint8_t *m, unsigned n)
{
    uint8_t *row[GF_SRC_MAX], from[GF_SRC_MAX];
    size_t stride = gf_matrix_stride(n);
    unsigned done;

    for (unsigned i = 0; i < n; i++) {
        row[i] = m + i * stride;
        from[i] = (uint8_t)i;
        memset(row[i] + n, 0, stride - n);
    }
    for (unsigned c = 0; c < n; c += done) {
        unsigned r = c, size = n - c < BLOCK ? n - c : BLOCK;

        while (r < n && row[r][c] == 0)
            r++;
        if (r == n)
            return -GF_E_SINGULAR;
        from[c] = (uint8_t)r;
        if (r != c)
            row_swap(row[c], row[r], n);
        done = eliminate_block(row + c, size, c, stride);
        follow_block(row, c, row + c, done, c, stride);
        follow_block(row + c + size, n - c - size, row + c, done, c, stride);
    }
    for (unsigned c = n; c-- > 0;) /* the inverse of a matrix with rows exchanged has its columns exchanged */
        if (from[c] != c)
            column_swap(row, n, c, from[c]);
    return 0;
}
