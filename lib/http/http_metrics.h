/* http_metrics.h: Prometheus text format 0.0.4
 * Shape:   families in order, each with its samples -> text. HELP and TYPE once per family, constant labels on every sample
 * Owner:   a writer: one thread, one scrape. A histogram: any thread may observe (relaxed atomics, statistics only)
 * Errors:  out of memory sticks; metrics_reply then gives NULL. Writing a family twice is our bug: asserted
 */
#ifndef HTTP_HTTP_METRICS_H
#define HTTP_HTTP_METRICS_H

#include <stdatomic.h>

#include "base/map.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_HIST_BUCKETS 24

struct http_reply;

struct metrics_label {
    const char *name, *value;
};

struct metrics {
    char *text;
    size_t len, cap;
    bool failed;
    char *constant; /* `cluster_id="a",protocol_type="b"` */
    const char *family;
    struct map seen;
};

/* Cumulative histogram; bounds ascend, +Inf is implied. */
struct metrics_hist {
    const double *bounds;
    unsigned n_bounds; /* at most METRICS_HIST_BUCKETS */
    _Atomic uint64_t buckets[METRICS_HIST_BUCKETS + 1];
    _Atomic double sum;
};

void metrics_init(struct metrics *m, const struct metrics_label *constant, unsigned n);
void metrics_fini(struct metrics *m);
/* type: "counter", "gauge", "histogram", "untyped". name is borrowed until the next family. */
void metrics_family(struct metrics *m, const char *name, const char *type, const char *help);
void metrics_u64(struct metrics *m, const struct metrics_label *labels, unsigned n, uint64_t v);
void metrics_double(struct metrics *m, const struct metrics_label *labels, unsigned n, double v);
void metrics_hist_init(struct metrics_hist *h, const double *bounds, unsigned n);
void metrics_hist_observe(struct metrics_hist *h, double v);
void metrics_hist_write(struct metrics *m, const struct metrics_label *labels, unsigned n,
                        const struct metrics_hist *h);
/* Family and one sample without labels. */
void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t v);
void metrics_gauge(struct metrics *m, const char *name, const char *help, double v);
/* The usual process_* collectors of this process. */
void metrics_process(struct metrics *m);
/* Ends the text (m is fini'd) and gives the answer to send; NULL: no memory. */
struct http_reply *metrics_reply(struct metrics *m);

#endif
