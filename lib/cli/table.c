#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "cli/words.h"

void cli_table_init(struct cli_table *t, const char *const *head, unsigned columns)
{
    *t = (struct cli_table){.columns = columns < CLI_COLUMNS_MAX ? columns : CLI_COLUMNS_MAX};
    for (unsigned i = 0; i < t->columns; i++) {
        t->is_right[i] = head[i][0] == '>';
        t->head[i] = head[i] + 1;
    }
}

void cli_table_fini(struct cli_table *t)
{
    free(t->cells);
    t->cells = NULL;
}

void cli_table_add_slice(struct cli_table *t, struct slice s)
{
    if (t->rows == t->cap && t->filled == 0) {
        unsigned cap = t->cap ? t->cap * 2 : 16;
        void *more = realloc(t->cells, (size_t)cap * t->columns * sizeof(*t->cells));

        if (!more)
            return;
        t->cells = more;
        t->cap = cap;
    }
    cli_clean(t->cells[t->rows * t->columns + t->filled], CLI_CELL_MAX, s);
    if (++t->filled == t->columns) {
        t->filled = 0;
        t->rows++;
    }
}

void cli_table_add(struct cli_table *t, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cli_table_add_slice(t, slice_str(text));
}

static void widths(const struct cli_table *t, unsigned w[CLI_COLUMNS_MAX])
{
    for (unsigned c = 0; c < t->columns; c++) {
        w[c] = (unsigned)cli_columns(t->head[c]);
        for (unsigned r = 0; r < t->rows; r++) {
            unsigned n = (unsigned)cli_columns(t->cells[r * t->columns + c]);

            w[c] = n > w[c] ? n : w[c];
        }
    }
}

/* At most left columns of text, never half a character. Returns the columns used. */
static unsigned put(FILE *out, const char *text, unsigned left)
{
    unsigned used = 0;

    while (*text) {
        if (((uint8_t)*text & 0xc0) != 0x80 && used++ == left)
            return left;
        fputc(*text++, out);
    }
    return used;
}

static unsigned pad(FILE *out, unsigned n, unsigned left)
{
    n = n < left ? n : left;
    for (unsigned i = 0; i < n; i++)
        fputc(' ', out);
    return n;
}

/* row: t->rows for the head. */
static void line(FILE *out, const struct cli_table *t, const unsigned *w, unsigned row, unsigned indent, unsigned width)
{
    unsigned left = width ? width : ~0u;

    left -= pad(out, indent, left);
    for (unsigned c = 0; c < t->columns && left; c++) {
        const char *cell = row == t->rows ? t->head[c] : t->cells[row * t->columns + c];
        unsigned n = (unsigned)cli_columns(cell), gap = w[c] - n;

        if (t->is_right[c])
            left -= pad(out, gap, left);
        left -= put(out, cell, left);
        if (c + 1 < t->columns) /* nothing stands behind the last cell */
            left -= pad(out, (t->is_right[c] ? 0 : gap) + 2, left);
    }
}

void cli_table_print(FILE *out, const struct cli_table *t, unsigned indent, unsigned width, unsigned rows, bool bold)
{
    unsigned w[CLI_COLUMNS_MAX], n = rows && rows < t->rows ? rows : t->rows;

    widths(t, w);
    fputs(bold ? "\033[1m" : "", out);
    line(out, t, w, t->rows, indent, width);
    fputs(bold ? "\033[0m\n" : "\n", out);
    for (unsigned r = 0; r < n; r++) {
        line(out, t, w, r, indent, width);
        fputc('\n', out);
    }
}
