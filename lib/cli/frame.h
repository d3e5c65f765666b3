/* frame.h: one picture of watch
 * Shape:   view -> lines of text, at most height of them, none wider than width; no I/O but the given file
 */
#ifndef CLI_FRAME_H
#define CLI_FRAME_H

#include <stdio.h>

#include "cli/view.h"

struct cli_frame_style {
    unsigned width, height; /* 0: no bound */
    bool has_colour, is_utf8;
    const char *clock;      /* "12:00:01"; NULL: none */
    const char *footer;     /* the last line; NULL: none */
    const char *problem;    /* shown instead of the status: why there is nothing new; NULL: none */
};

void cli_frame_print(FILE *out, const struct cli_view *v, const struct cli_history *h, const struct cli_frame_style *s);

#endif
