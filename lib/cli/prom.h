/* prom.h: Prometheus text, read
 * Shape:   text -> samples one by one, sums, rates, quantiles of a histogram between two texts
 * Source:  the text exposition format 0.0.4; timestamps and comments are passed over
 * Memory:  slices point into the text, which is NUL-terminated
 * Errors:  lines that are malformed are passed over
 */
#ifndef CLI_PROM_H
#define CLI_PROM_H

#include <stdbool.h>

#include "base/slice.h"

struct cli_prom_sample {
    struct slice name, labels; /* labels without the braces */
    double value;
};

/* The next sample; *at moves behind it. False: the end. */
bool cli_prom_next(const char **at, struct cli_prom_sample *s);
/* The value of a label, its escapes undone; false: it is not there, or does not fit. */
bool cli_prom_label(const struct cli_prom_sample *s, const char *label, char *out, size_t cap);

/* All series of a name together; with a label (NULL: none) those alone that have it with this value. text may be NULL: 0. */
double cli_prom_sum(const char *text, const char *name, const char *label, const char *value);
/* How much that grew a second; 0 when it shrank (a restart), or without a time. */
double cli_prom_rate(const char *before, const char *now, double seconds, const char *name, const char *label, const char *value);
/* The q-quantile of what a histogram counted between the two texts, by its buckets' upper bounds, linear within; negative:
 * nothing was counted. Beyond the last bound: that bound. */
double cli_prom_quantile(const char *before, const char *now, const char *name, double q);

#endif
