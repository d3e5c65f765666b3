/* http_metrics.c: Prometheus text format 0.0.4 */
#include "http/http_metrics.h"

#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/http_req.h"

static void put(struct metrics *m, const char *s, size_t n)
{
    if (m->failed)
        return;
    if (m->len + n + 1 > m->cap) {
        size_t cap = m->cap ? m->cap : 8192;
        char *text;

        while (cap < m->len + n + 1)
            cap *= 2;
        text = realloc(m->text, cap);
        if (!text) {
            m->failed = true;
            return;
        }
        m->text = text;
        m->cap = cap;
    }
    memcpy(m->text + m->len, s, n);
    m->len += n;
}

static void puts_to(struct metrics *m, const char *s)
{
    put(m, s, strlen(s));
}

/* In label values \, " and newline are escaped, in help texts \ and newline. */
static void put_escaped(struct metrics *m, const char *s, bool is_label)
{
    for (; *s; s++) {
        if (*s == '\\')
            put(m, "\\\\", 2);
        else if (*s == '\n')
            put(m, "\\n", 2);
        else if (*s == '"' && is_label)
            put(m, "\\\"", 2);
        else
            put(m, s, 1);
    }
}

static void put_label(struct metrics *m, const char *name, const char *value, bool first)
{
    if (!first)
        put(m, ",", 1);
    puts_to(m, name);
    put(m, "=\"", 2);
    put_escaped(m, value, true);
    put(m, "\"", 1);
}

void metrics_init(struct metrics *m, const struct metrics_label *constant, unsigned n)
{
    static const uint8_t seed[16]; /* names are ours: nobody can choose collisions */

    memset(m, 0, sizeof(*m));
    map_init(&m->seen, 0, seed);
    for (unsigned i = 0; i < n; i++)
        put_label(m, constant[i].name, constant[i].value, i == 0);
    put(m, "", 1);
    m->constant = m->text;
    m->text = NULL;
    m->len = m->cap = 0;
}

void metrics_fini(struct metrics *m)
{
    free(m->text);
    free(m->constant);
    map_fini(&m->seen);
    memset(m, 0, sizeof(*m));
}

void metrics_family(struct metrics *m, const char *name, const char *type, const char *help)
{
    static int seen;

    assert(!map_get(&m->seen, slice_str(name)));
    if (map_put(&m->seen, slice_str(name), &seen) < 0)
        m->failed = true;
    m->family = name;
    puts_to(m, "# HELP ");
    puts_to(m, name);
    puts_to(m, " ");
    put_escaped(m, help, false);
    puts_to(m, "\n# TYPE ");
    puts_to(m, name);
    puts_to(m, " ");
    puts_to(m, type);
    puts_to(m, "\n");
}

static void put_labels(struct metrics *m, const struct metrics_label *labels, unsigned n, const char *le)
{
    bool first = !m->constant || !m->constant[0];

    if (first && n == 0 && !le)
        return;
    put(m, "{", 1);
    if (m->constant)
        puts_to(m, m->constant);
    for (unsigned i = 0; i < n; i++, first = false)
        put_label(m, labels[i].name, labels[i].value, first);
    if (le)
        put_label(m, "le", le, first);
    put(m, "}", 1);
}

static void put_value(struct metrics *m, double v)
{
    char text[40];

    if (isnan(v))
        snprintf(text, sizeof(text), " NaN\n");
    else if (isinf(v))
        snprintf(text, sizeof(text), v > 0 ? " +Inf\n" : " -Inf\n");
    else
        snprintf(text, sizeof(text), " %.15g\n", v); /* a time to the millisecond, bytes to the byte */
    puts_to(m, text);
}

static void sample_u64(struct metrics *m, const char *suffix, const struct metrics_label *labels, unsigned n,
                       const char *le, uint64_t v)
{
    char text[32];

    puts_to(m, m->family);
    puts_to(m, suffix);
    put_labels(m, labels, n, le);
    snprintf(text, sizeof(text), " %llu\n", (unsigned long long)v);
    puts_to(m, text);
}

void metrics_u64(struct metrics *m, const struct metrics_label *labels, unsigned n, uint64_t v)
{
    sample_u64(m, "", labels, n, NULL, v);
}

void metrics_double(struct metrics *m, const struct metrics_label *labels, unsigned n, double v)
{
    puts_to(m, m->family);
    put_labels(m, labels, n, NULL);
    put_value(m, v);
}

void metrics_hist_init(struct metrics_hist *h, const double *bounds, unsigned n)
{
    assert(n <= METRICS_HIST_BUCKETS);
    memset(h, 0, sizeof(*h));
    h->bounds = bounds;
    h->n_bounds = n;
}

void metrics_hist_observe(struct metrics_hist *h, double v)
{
    double sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    unsigned i = 0;

    while (i < h->n_bounds && v > h->bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&h->sum, &sum, sum + v, memory_order_relaxed, memory_order_relaxed))
        ;
}

void metrics_hist_write(struct metrics *m, const struct metrics_label *labels, unsigned n,
                        const struct metrics_hist *h)
{
    uint64_t total = 0;
    char le[32];

    for (unsigned i = 0; i < h->n_bounds; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        snprintf(le, sizeof(le), "%.10g", h->bounds[i]);
        sample_u64(m, "_bucket", labels, n, le, total);
    }
    total += atomic_load_explicit(&h->buckets[h->n_bounds], memory_order_relaxed);
    sample_u64(m, "_bucket", labels, n, "+Inf", total);
    puts_to(m, m->family);
    puts_to(m, "_sum");
    put_labels(m, labels, n, NULL);
    put_value(m, atomic_load_explicit(&h->sum, memory_order_relaxed));
    sample_u64(m, "_count", labels, n, NULL, total);
}

void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t v)
{
    metrics_family(m, name, "counter", help);
    metrics_u64(m, NULL, 0, v);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help, double v)
{
    metrics_family(m, name, "gauge", help);
    metrics_double(m, NULL, 0, v);
}

/* ---- process_* ---- */

struct proc_stat {
    double start_s, virtual_bytes, resident_bytes;
};

/* proc(5): the command name in field 2 may hold spaces and brackets, so we count from the last ')'. */
static bool read_proc_stat(struct proc_stat *out)
{
    unsigned long long start = 0, vsize = 0;
    long long rss = 0;
    char text[1024], *p;
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        fclose(f);
    text[n] = 0;
    p = strrchr(text, ')');
    if (!p ||
        sscanf(p + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %llu %lld",
               &start, &vsize, &rss) != 3)
        return false;
    out->start_s = (double)start / (double)sysconf(_SC_CLK_TCK);
    out->virtual_bytes = (double)vsize;
    out->resident_bytes = (double)rss * (double)sysconf(_SC_PAGESIZE);
    return true;
}

static double boot_time_s(void)
{
    char line[256];
    double at = 0;
    FILE *f = fopen("/proc/stat", "re");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "btime %lf", &at) == 1)
            break;
    if (f)
        fclose(f);
    return at;
}

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one that reads them */
}

void metrics_process(struct metrics *m)
{
    struct rusage ru = {0};
    struct rlimit files = {0}, memory = {0};
    struct proc_stat st;

    getrusage(RUSAGE_SELF, &ru);
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &memory);
    metrics_family(m, "process_cpu_seconds_total", "counter",
                   "Total user and system CPU time spent in seconds.");
    metrics_double(m, NULL, 0,
                   (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
                       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
    metrics_gauge(m, "process_open_fds", "Number of open file descriptors.", count_fds());
    metrics_gauge(m, "process_max_fds", "Maximum number of open file descriptors.", (double)files.rlim_cur);
    metrics_gauge(m, "process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", (double)memory.rlim_cur);
    if (!read_proc_stat(&st))
        return;
    metrics_gauge(m, "process_resident_memory_bytes", "Resident memory size in bytes.", st.resident_bytes);
    metrics_gauge(m, "process_virtual_memory_bytes", "Virtual memory size in bytes.", st.virtual_bytes);
    metrics_gauge(m, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                  boot_time_s() + st.start_s);
}

struct http_reply *metrics_reply(struct metrics *m)
{
    struct http_reply *r = NULL;

    if (!m->failed && m->text) {
        r = http_reply_take(200, METRICS_CONTENT_TYPE, (uint8_t *)m->text, m->len);
        m->text = NULL;
    }
    metrics_fini(m);
    return r;
}
