/* combine.c: weighted sums of rows of unequal length
 * Note:    rows are sorted by length, longest first, so each stretch of the output is a dot product over a prefix of
 *          them; the virtual zeroes cost nothing
 */
#include "rlnc/combine.h"

#include "gf/gf.h"

int rlnc_rows_order(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows)
{
    unsigned whole = 0;

    if (nrows > RLNC_K_MAX)
        return -RLNC_E_LENGTH;
    for (unsigned i = 0; i < nrows; i++) {
        bool coded = rows[i].index == RLNC_CODED;

        if (!coded && rows[i].index >= s->k)
            return -RLNC_E_LENGTH;
        if (rows[i].len != (coded ? s->shard_bytes : rlnc_shape_length(s, rows[i].index)))
            return -RLNC_E_LENGTH;
    }
    for (unsigned i = 0; i < nrows; i++)
        if (rows[i].len == s->shard_bytes) {
            struct rlnc_row t = rows[whole];
            rows[whole++] = rows[i];
            rows[i] = t;
        }
    /* A generation has at most one source shard that is cut but not empty. */
    for (unsigned i = whole; i < nrows; i++)
        if (rows[i].len) {
            struct rlnc_row t = rows[whole];
            rows[whole++] = rows[i];
            rows[i] = t;
        }
    return 0;
}

void rlnc_combine(const struct rlnc_row *rows, unsigned nrows, const uint8_t *weight, size_t stride, uint8_t *const *dst,
                  unsigned n, uint32_t from, uint32_t to)
{
    const uint8_t *src[RLNC_K_MAX];

    for (unsigned j = 0; j < nrows; j++)
        src[j] = rows[j].p;
    while (from < to) {
        uint32_t end;

        while (nrows && rows[nrows - 1].len <= from)
            nrows--;
        end = nrows && rows[nrows - 1].len < to ? rows[nrows - 1].len : to;
        gf_dot(dst, n, src, nrows, weight, stride, from, end);
        from = end;
    }
}
