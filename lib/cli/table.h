/* table.h: columns that stand under each other
 * Shape:   rows of cells in, aligned lines out; a column is as wide as its widest cell
 * Memory:  cells are copied, cleaned of what a terminal must not get
 * Limits:  CLI_COLUMNS_MAX columns; cells are cut at 96 bytes
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

#include "base/slice.h"

#define CLI_COLUMNS_MAX 12
#define CLI_CELL_MAX    96

struct cli_table {
    unsigned columns, rows, cap;
    const char *head[CLI_COLUMNS_MAX];
    bool is_right[CLI_COLUMNS_MAX]; /* numbers stand to the right */
    char (*cells)[CLI_CELL_MAX];
    unsigned filled; /* cells of the row being filled */
};

/* head: names in their order, "<PEER" for a column that stands to the left, ">RTT" for one to the right. */
void cli_table_init(struct cli_table *t, const char *const *head, unsigned columns);
void cli_table_fini(struct cli_table *t);
/* The next cell; a row is full after `columns` of them. */
void cli_table_add(struct cli_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_table_add_slice(struct cli_table *t, struct slice s);
/* Lines begin with indent spaces and are cut at width columns (0: never); at most rows rows (0: all). bold: the head line is. */
void cli_table_print(FILE *out, const struct cli_table *t, unsigned indent, unsigned width, unsigned rows, bool bold);

#endif
