#include "cli/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Three digits say enough: 1.24, 12.4, 124. A trailing ".0" says nothing. */
static int put_number(char *out, size_t cap, double v)
{
    int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0, n;

    if (v == floor(v))
        decimals = 0;
    n = snprintf(out, cap, "%.*f", decimals, v);
    if (decimals && n > 0)
        while (out[n - 1] == '0' || out[n - 1] == '.') {
            bool is_point = out[n - 1] == '.';

            out[--n] = 0;
            if (is_point)
                break;
        }
    return n;
}

static char *put_unit(char *out, double v, const char *unit)
{
    int n = put_number(out, CLI_UNIT_TEXT, v);

    snprintf(out + n, CLI_UNIT_TEXT - (size_t)n, " %s", unit);
    return out;
}

static double scale(double v, double step, unsigned last, unsigned *at)
{
    for (*at = 0; *at < last && v >= step - step / 2048; ++*at)
        v /= step;
    return v;
}

char *cli_bytes_text(char out[CLI_UNIT_TEXT], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned at;
    double v = scale(bytes, 1024, 5, &at);

    return put_unit(out, at ? v : round(v), units[at]);
}

char *cli_byte_rate_text(char out[CLI_UNIT_TEXT], double bytes)
{
    cli_bytes_text(out, bytes);
    strncat(out, "/s", CLI_UNIT_TEXT - strlen(out) - 1);
    return out;
}

char *cli_count_text(char out[CLI_UNIT_TEXT], double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    unsigned at;
    double v = scale(n, 1000, 4, &at);

    if (n < 9999.5) /* four digits are read as easily as "9.99 k" */
        snprintf(out, CLI_UNIT_TEXT, "%.0f", n);
    else
        put_unit(out, v, units[at]);
    return out;
}

char *cli_rate_text(char out[CLI_UNIT_TEXT], double per_s)
{
    if (per_s < 99.95) {
        int n = put_number(out, CLI_UNIT_TEXT, round(per_s * 10) / 10);

        snprintf(out + n, CLI_UNIT_TEXT - (size_t)n, "/s");
        return out;
    }
    cli_count_text(out, per_s);
    strncat(out, "/s", CLI_UNIT_TEXT - strlen(out) - 1);
    return out;
}

char *cli_duration_text(char out[CLI_UNIT_TEXT], uint64_t ns)
{
    unsigned long long s = ns / 1000000000u;

    if (ns < 1000)
        return put_unit(out, (double)ns, "ns");
    if (ns < 999500)
        return put_unit(out, (double)ns / 1e3, "us");
    if (ns < 999500000)
        return put_unit(out, (double)ns / 1e6, "ms");
    if (ns < 59950000000)
        return put_unit(out, round((double)ns / 1e7) / 100, "s");
    if (s < 3600)
        snprintf(out, CLI_UNIT_TEXT, "%llu m %02llu s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, CLI_UNIT_TEXT, "%llu h %02llu m", s / 3600, s / 60 % 60);
    else
        snprintf(out, CLI_UNIT_TEXT, "%llu d %02llu h", s / 86400, s / 3600 % 24);
    return out;
}

/* A plain decimal at the start of text; *rest is what follows. No signs, hex, inf or nan. */
static bool read_number(const char *text, double *v, const char **rest)
{
    char *end;
    size_t n = strspn(text, "0123456789.");

    if (!n || n > 18 || text[0] == '.')
        return false;
    *v = strtod(text, &end);
    *rest = text + n;
    return end == *rest;
}

struct unit {
    const char *name;
    double factor;
};

static bool read_unit(const char *name, const struct unit *units, size_t n, double *factor)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(name, units[i].name) == 0) {
            *factor = units[i].factor;
            return true;
        }
    return false;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool cli_bytes_parse(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1}, {"B", 1}, {"K", 1024}, {"KB", 1024}, {"KiB", 1024},
                                        {"M", 1 << 20}, {"MB", 1 << 20}, {"MiB", 1 << 20},
                                        {"G", 1 << 30}, {"GB", 1 << 30}, {"GiB", 1 << 30}};
    const char *rest;
    double v, f;

    if (!read_number(text, &v, &rest) || !read_unit(rest, units, COUNT(units), &f) || v * f > 9e15)
        return false;
    *bytes = (uint64_t)(v * f);
    return true;
}

bool cli_duration_parse(const char *text, uint64_t *ns)
{
    static const struct unit units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"m", 60e9}, {"h", 3600e9}};
    const char *rest;
    double v, f;

    if (!read_number(text, &v, &rest) || !read_unit(rest, units, COUNT(units), &f) || v * f > 9e18)
        return false;
    *ns = (uint64_t)(v * f);
    return true;
}

bool cli_rate_parse(const char *text, double *per_s)
{
    static const struct unit units[] = {{"", 1}, {"/s", 1}, {"/m", 1 / 60.0}, {"/h", 1 / 3600.0},
                                        {"k", 1e3}, {"k/s", 1e3}, {"M", 1e6}, {"M/s", 1e6}};
    const char *rest;
    double v, f;

    if (!read_number(text, &v, &rest) || !read_unit(rest, units, COUNT(units), &f) || v * f <= 0 || v * f > 1e9)
        return false;
    *per_s = v * f;
    return true;
}
