/* measure.h: contestants timed in turn, medians, and a table that can also be written as JSON (for benches)
 * Shape:   functions -> median ns of each and median ratios of pairs timed in the same round
 * Note:    time is this thread's CPU time, so that a preemption by other work does not count; shared caches and memory still do
 * Units:   ns
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MEASURE_MAX = 8, MEASURE_ROUNDS_MAX = 101 };

struct measure {
    void (*fn[MEASURE_MAX])(void *ctx);
    unsigned count;
    unsigned rounds;      /* each round times every contestant once, in turn */
    uint64_t sample_ns;   /* a sample repeats its call for at least this long */
    double ns[MEASURE_MAX][MEASURE_ROUNDS_MAX];
};

void measure_add(struct measure *m, void (*fn)(void *ctx));
void measure_run(struct measure *m, void *ctx);
/* Median ns of a call. */
double measure_ns(const struct measure *m, unsigned which);
/* Median over the rounds of ns of a / ns of b. */
double measure_ratio(const struct measure *m, unsigned a, unsigned b);

/* A table of markdown on stdout and, when a file is open, the same rows as JSON objects. */
struct report {
    FILE *json; /* NULL: none */
    unsigned rows;
};

/* --json FILE among the arguments; other arguments are left, their number returned. -1: the file cannot be made. */
int report_open(struct report *r, const char *bench, int argc, char **argv, char **rest);
void report_close(struct report *r);
void report_head(const char *const *names, unsigned count);
/* text first, then numbers; a NaN is an empty cell. */
void report_row(struct report *r, const char *const *names, const char *text, const double *values, unsigned count);

#endif
