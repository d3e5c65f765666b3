#include "base/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/rights.h"

#define SHOWN_MAX_BYTES 200

const char *const setting_log_levels[] = {"debug", "info", "warn", "error", NULL};
const char *const setting_log_formats[] = {"logfmt", "json", NULL};

const char *settings_env(void *ctx, const char *name)
{
    return getenv(name);
}

bool settings_is_set(settings_lookup get, void *ctx, const char *name)
{
    const char *v = get(ctx, name);
    return v && *v;
}

/* A value as a line shows it: a long one is cut, which is said. */
static const char *show(const char *value, char *out, size_t cap)
{
    size_t n = strlen(value), keep = SHOWN_MAX_BYTES;

    if (n <= SHOWN_MAX_BYTES)
        return value;
    while (keep > 0 && ((unsigned char)value[keep] & 0xc0) == 0x80) /* not inside a letter */
        keep--;
    snprintf(out, cap, "%.*s.. (%zu bytes in all)", (int)keep, value, n);
    return out;
}

static void add_line(struct settings_report *rep, bool is_fatal, const char *name, const char *value, const char *rule,
                     va_list ap)
{
    char text[280], shown[SHOWN_MAX_BYTES + 40];

    if (is_fatal)
        rep->fatal++;
    else
        rep->warnings++;
    if (rep->count == SETTINGS_MAX_LINES)
        return;
    vsnprintf(text, sizeof(text), rule, ap);
    rep->is_fatal[rep->count] = is_fatal;
    if (value)
        snprintf(rep->lines[rep->count], sizeof(rep->lines[0]), "%s=%s: %s", name, show(value, shown, sizeof(shown)), text);
    else
        snprintf(rep->lines[rep->count], sizeof(rep->lines[0]), "%s is not set: %s", name, text);
    rep->count++;
}

void settings_fatal(struct settings_report *rep, const char *name, const char *value, const char *rule, ...)
{
    va_list ap;

    va_start(ap, rule);
    add_line(rep, true, name, value, rule, ap);
    va_end(ap);
}

void settings_warn(struct settings_report *rep, const char *name, const char *value, const char *rule, ...)
{
    va_list ap;

    va_start(ap, rule);
    add_line(rep, false, name, value, rule, ap);
    va_end(ap);
}

void settings_check_name(struct settings_report *rep, const char *name, const char *value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    if (value && (strspn(value, allowed) != strlen(value) || strlen(value) > 100))
        settings_fatal(rep, name, value, "may hold letters, digits, '-', '_' and '.' alone, at most 100");
}

/* UTF-8 without control characters. */
static bool is_text(const unsigned char *s)
{
    while (*s) {
        unsigned len = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
        uint32_t c = *s;

        if (len == 0 || c < 0x20 || c == 0x7f)
            return false;
        c &= 0xffu >> len;
        for (unsigned i = 1; i < len; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (s[i] & 0x3f);
        }
        if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (len == 4 && (c < 0x10000 || c > 0x10ffff)))
            return false;
        s += len;
    }
    return true;
}

void settings_check_country(struct settings_report *rep, const char *country, const char *iso)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (strlen(country) > SETTING_COUNTRY_MAX || !is_text((const unsigned char *)country))
        settings_fatal(rep, "COUNTRY", country, "must be text (UTF-8) of at most %d bytes", SETTING_COUNTRY_MAX);
    if (*iso && (strlen(iso) != 2 || strspn(iso, letters) != 2))
        settings_fatal(rep, "COUNTRY_ISO", iso, "must be two letters, as in AT");
}

unsigned settings_ip_bits(const char *s)
{
    struct in6_addr v6;
    struct in_addr v4;

    return inet_pton(AF_INET, s, &v4) == 1 ? 32 : inet_pton(AF_INET6, s, &v6) == 1 ? 128 : 0;
}

static bool parse_u64(const char *s, uint64_t *v)
{
    char *end;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *v = strtoull(s, &end, 10);
    return errno == 0 && *end == 0;
}

static bool parse_real(const char *s, double *v)
{
    char *end;

    if (strspn(s, "0123456789.+-eE") != strlen(s))
        return false;
    *v = strtod(s, &end);
    return end != s && *end == 0 && isfinite(*v);
}

static bool parse_port(const char *s, uint16_t *port)
{
    uint64_t v;

    if (!parse_u64(s, &v) || v < 1 || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

static bool parse_listen(const char *s, struct setting_listen *out)
{
    const char *colon = strrchr(s, ':');
    size_t n = colon ? (size_t)(colon - s) : 0;
    struct setting_listen l = {0};

    if (n >= 2 && s[0] == '[' && s[n - 1] == ']') { /* [v6]:port */
        s++;
        n -= 2;
    }
    if (n >= sizeof(l.host) || !parse_port(colon ? colon + 1 : s, &l.port))
        return false;
    memcpy(l.host, s, n);
    *out = l;
    return true;
}

static void describe_rule(const struct setting *s, char *out, size_t cap)
{
    size_t n = 0;

    if (s->rule) {
        snprintf(out, cap, "%s", s->rule);
        return;
    }
    switch (s->kind) {
    case SETTING_U32: snprintf(out, cap, "must be a whole number from %.0f to %.0f", s->min, s->max); break;
    case SETTING_REAL: snprintf(out, cap, "must be a number %s %g and <= %g", s->is_min_open ? ">" : ">=", s->min, s->max); break;
    case SETTING_PORT: snprintf(out, cap, "must be a port from 1 to 65535"); break;
    case SETTING_LISTEN: snprintf(out, cap, "must be PORT, :PORT or HOST:PORT with a port from 1 to 65535"); break;
    case SETTING_BOOL: snprintf(out, cap, "must be true or false (or 1, 0, t, f, yes, no, y, n, on, off)"); break;
    case SETTING_CHOICE:
        n = (size_t)snprintf(out, cap, "must be one of");
        for (unsigned i = 0; s->choices[i] && n < cap; i++)
            n += (size_t)snprintf(out + n, cap - n, "%s %s", i ? "," : "", s->choices[i]);
        break;
    case SETTING_TEXT: snprintf(out, cap, "must be set"); break;
    }
}

static bool parse_choice(const struct setting *s, const char *v, int *out)
{
    for (int i = 0; s->choices[i]; i++)
        if (strcmp(v, s->choices[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool parse_bool(const char *v, bool *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "f", "t", "no", "yes", "n", "y", "off", "on"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(v, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    return false;
}

static bool parse(const struct setting *s, const char *v, void *field)
{
    uint64_t u;
    double d;

    switch (s->kind) {
    case SETTING_TEXT: *(const char **)field = v; return true;
    case SETTING_U32:
        if (!parse_u64(v, &u) || (double)u < s->min || (double)u > s->max)
            return false;
        *(uint32_t *)field = (uint32_t)u;
        return true;
    case SETTING_REAL:
        if (!parse_real(v, &d) || d < s->min || d > s->max || (s->is_min_open && d <= s->min))
            return false;
        *(double *)field = d;
        return true;
    case SETTING_PORT: return parse_port(v, field);
    case SETTING_LISTEN: return parse_listen(v, field);
    case SETTING_CHOICE: return parse_choice(s, v, field);
    case SETTING_BOOL: return parse_bool(v, field);
    }
    return false;
}

unsigned settings_load(const struct setting *table, size_t count, void *out, settings_lookup get, void *ctx,
                       struct settings_report *rep)
{
    unsigned before = rep->fatal;

    for (size_t i = 0; i < count; i++) {
        const struct setting *s = &table[i];
        void *field = (char *)out + s->offset;
        const char *v = get(ctx, s->name);
        char rule[200];

        describe_rule(s, rule, sizeof(rule));
        if (!v || !*v) {
            if (!s->def)
                settings_fatal(rep, s->name, NULL, "%s", rule);
            else if (*s->def || s->kind == SETTING_TEXT)
                parse(s, s->def, field);
            continue;
        }
        if (!parse(s, v, field)) {
            settings_fatal(rep, s->name, v, "%s", rule);
            if (s->def && *s->def)
                parse(s, s->def, field);
        }
    }
    return rep->fatal - before;
}

void settings_check_user(struct rights_user *u, const char *name, const char *value, struct settings_report *rep)
{
    char err[256];

    if (*value && rights_find(u, value, err))
        settings_fatal(rep, name, value, "%s", err);
}

void settings_print_help(FILE *f, const struct setting *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char rule[200];
        describe_rule(&table[i], rule, sizeof(rule));
        fprintf(f, "  %-24s %s", table[i].name, table[i].help ? table[i].help : "");
        if (!table[i].def)
            fprintf(f, " (required)");
        else if (*table[i].def)
            fprintf(f, " [%s]", table[i].def);
        if (table[i].kind != SETTING_TEXT || table[i].rule)
            fprintf(f, "; %s", rule);
        fputc('\n', f);
    }
}
