#include "bench/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void measure_add(struct measure *m, void (*fn)(void *ctx))
{
    m->fn[m->count++] = fn;
}

static double time_calls(void (*fn)(void *ctx), void *ctx, unsigned calls)
{
    uint64_t start = cpu_ns();

    for (unsigned i = 0; i < calls; i++)
        fn(ctx);
    return (double)(cpu_ns() - start);
}

static unsigned calls_for(void (*fn)(void *ctx), void *ctx, uint64_t ns)
{
    unsigned calls = 1;
    double took;

    fn(ctx);
    while ((took = time_calls(fn, ctx, calls)) < (double)ns / 4 && calls < 1u << 24)
        calls *= 2;
    calls = (unsigned)(calls * ((double)ns / (took + 1))) + 1;
    return calls;
}

void measure_run(struct measure *m, void *ctx)
{
    unsigned calls[MEASURE_MAX];

    for (unsigned i = 0; i < m->count; i++)
        calls[i] = calls_for(m->fn[i], ctx, m->sample_ns);
    for (unsigned r = 0; r < m->rounds; r++)
        for (unsigned i = 0; i < m->count; i++) {
            m->fn[i](ctx); /* brings its own data into the caches */
            m->ns[i][r] = time_calls(m->fn[i], ctx, calls[i]) / calls[i];
        }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

double measure_ns(const struct measure *m, unsigned which)
{
    double v[MEASURE_ROUNDS_MAX];

    memcpy(v, m->ns[which], sizeof(v));
    return median(v, m->rounds);
}

double measure_ratio(const struct measure *m, unsigned a, unsigned b)
{
    double v[MEASURE_ROUNDS_MAX];

    for (unsigned r = 0; r < m->rounds; r++)
        v[r] = m->ns[a][r] / m->ns[b][r];
    return median(v, m->rounds);
}

static void cpu_name(char *out, size_t cap)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256], family[16] = "?", model[16] = "?", name[128] = "?";

    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "cpu family : %15s", family);
        sscanf(line, "model : %15s", model);
        sscanf(line, "model name : %127[^\n]", name);
        if (line[0] == '\n')
            break;
    }
    if (f)
        fclose(f);
    snprintf(out, cap, "%s, family %s model %s", name, family, model);
}

int report_open(struct report *r, const char *bench, int argc, char **argv, char **rest)
{
    char cpu[256], date[64];
    time_t now = time(NULL);
    int left = 0;

    *r = (struct report){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") || i + 1 == argc) {
            rest[left++] = argv[i];
            continue;
        }
        r->json = fopen(argv[++i], "w");
        if (!r->json) {
            perror(argv[i]);
            return -1;
        }
    }
    cpu_name(cpu, sizeof(cpu));
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    printf("%s on %s, %s\n", bench, cpu, date);
    if (r->json)
        fprintf(r->json, "{\"bench\": \"%s\", \"cpu\": \"%s\", \"date\": \"%s\", \"rows\": [", bench, cpu, date);
    return left;
}

void report_close(struct report *r)
{
    if (r->json) {
        fprintf(r->json, "\n]}\n");
        fclose(r->json);
    }
}

void report_head(const char *const *names, unsigned count)
{
    for (unsigned i = 0; i <= count; i++)
        printf("| %s ", names[i]);
    printf("|\n");
    for (unsigned i = 0; i <= count; i++)
        printf("|---");
    printf("|\n");
}

void report_row(struct report *r, const char *const *names, const char *text, const double *values, unsigned count)
{
    printf("| %s ", text);
    if (r->json)
        fprintf(r->json, "%s\n {\"%s\": \"%s\"", r->rows++ ? "," : "", names[0], text);
    for (unsigned i = 0; i < count; i++) {
        double v = values[i];

        if (isnan(v)) {
            printf("| ");
            continue;
        }
        printf("| %.*f ", v == floor(v) && v < 1e9 ? 0 : v < 10 ? 2 : 1, v);
        if (r->json)
            fprintf(r->json, ", \"%s\": %.6g", names[i + 1], v);
    }
    printf("|\n");
    fflush(stdout);
    if (r->json)
        fprintf(r->json, "}");
}
