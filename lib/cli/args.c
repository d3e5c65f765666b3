#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/units.h"

#define NAME_MAX_BYTES 32
#define NAMES_MAX      64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    return a < b ? (a < c ? a : c) : b < c ? b : c;
}

/* Letters to insert, delete or change; for short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > NAME_MAX_BYTES || lb > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned corner = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return row[lb];
}

const char *cli_args_nearest(const char *typed, const char *const *list, size_t n)
{
    const char *best = NULL;
    unsigned least = 3; /* more than two slips are another word */

    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(typed, list[i]);

        if (strlen(typed) >= 2 && strncmp(typed, list[i], strlen(typed)) == 0)
            d = 1; /* the beginning of it */
        if (d < least && d < strlen(list[i])) {
            least = d;
            best = list[i];
        }
    }
    return best;
}

struct parser {
    const struct cli_opts *lists;
    size_t n_lists;
    int argc, at;
    char **argv;
    void *out;
    struct cli_fault *fault;
};

static const struct cli_opt *find(const struct parser *p, const char *name, size_t len, char letter)
{
    for (size_t l = 0; l < p->n_lists; l++)
        for (size_t i = 0; i < p->lists[l].count; i++) {
            const struct cli_opt *o = &p->lists[l].opt[i];

            if (letter ? o->letter == letter : strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                return o;
        }
    return NULL;
}

static int unknown(const struct parser *p, const char *name, size_t len)
{
    const char *names[NAMES_MAX], *near;
    char typed[NAME_MAX_BYTES + 1];
    size_t n = 0;

    snprintf(typed, sizeof(typed), "%.*s", (int)(len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES), name);
    for (size_t l = 0; l < p->n_lists; l++)
        for (size_t i = 0; i < p->lists[l].count && n < NAMES_MAX; i++)
            names[n++] = p->lists[l].opt[i].name;
    near = cli_args_nearest(typed, names, n);
    return near ? cli_fail(p->fault, CLI_EUSAGE, "there is no option --%s; did you mean --%s?", typed, near)
                : cli_fail(p->fault, CLI_EUSAGE, "there is no option --%s", typed);
}

static bool read_count(const char *text, uint64_t *v)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return !*end && errno == 0;
}

static bool read_share(const char *text, double *v)
{
    char *end;

    if (!strchr("0123456789.", text[0]) || !text[0])
        return false;
    *v = strtod(text, &end);
    return !*end && *v > 0 && *v <= 1;
}

static int read_choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    return -1;
}

static const char *rule_of(const struct cli_opt *o, char text[160])
{
    size_t n = 0;

    switch (o->kind) {
    case CLI_BYTES: return "a size such as 512, 64K or 1M";
    case CLI_DURATION: return "a duration such as 500ms, 10s or 2m";
    case CLI_RATE: return "a rate such as 100 or 30/m (per second, or /m, /h)";
    case CLI_SHARE: return "a number above 0, at most 1";
    case CLI_CHOICE:
        n = (size_t)snprintf(text, 160, "one of");
        for (int i = 0; o->choices[i] && n < 150; i++)
            n += (size_t)snprintf(text + n, 160 - n, "%s %s", i ? "," : "", o->choices[i]);
        return text;
    default: return "a whole number";
    }
}

static int out_of_range(const struct parser *p, const struct cli_opt *o, const char *text)
{
    char low[CLI_UNIT_TEXT], high[CLI_UNIT_TEXT];

    if (o->kind == CLI_BYTES) {
        cli_bytes_text(low, o->min);
        cli_bytes_text(high, o->max);
    } else {
        snprintf(low, sizeof(low), "%.0f", o->min);
        snprintf(high, sizeof(high), "%.0f", o->max);
    }
    return o->max > 0 ? cli_fail(p->fault, CLI_EUSAGE, "--%s=%s: from %s to %s", o->name, text, low, high)
                      : cli_fail(p->fault, CLI_EUSAGE, "--%s=%s: at least %s", o->name, text, low);
}

static int set(const struct parser *p, const struct cli_opt *o, const char *text)
{
    void *field = (char *)p->out + o->offset;
    char rule[160];
    bool is_good = true;
    uint64_t n = 0;
    int choice;

    switch (o->kind) {
    case CLI_FLAG: *(bool *)field = true; return 0;
    case CLI_TEXT: *(const char **)field = text; return 0;
    case CLI_RATE: is_good = cli_rate_parse(text, field); break;
    case CLI_SHARE: is_good = read_share(text, field); break;
    case CLI_DURATION: is_good = cli_duration_parse(text, field); break;
    case CLI_CHOICE:
        choice = read_choice(text, o->choices);
        is_good = choice >= 0;
        if (is_good)
            *(int *)field = choice;
        break;
    case CLI_COUNT:
    case CLI_BYTES:
        is_good = o->kind == CLI_COUNT ? read_count(text, &n) : cli_bytes_parse(text, &n);
        if (is_good && ((double)n < o->min || (o->max > 0 && (double)n > o->max)))
            return out_of_range(p, o, text);
        if (is_good)
            *(uint64_t *)field = n;
        break;
    }
    return is_good ? 0 : cli_fail(p->fault, CLI_EUSAGE, "--%s=%s: must be %s", o->name, text, rule_of(o, rule));
}

/* The value of o: in_place when the argument holds it itself (NULL: it does not), else the next one. */
static int take(struct parser *p, const struct cli_opt *o, const char *in_place)
{
    if (o->kind == CLI_FLAG && in_place)
        return cli_fail(p->fault, CLI_EUSAGE, "--%s takes no value", o->name);
    if (o->kind == CLI_FLAG || in_place)
        return set(p, o, in_place);
    if (p->at + 1 >= p->argc)
        return cli_fail(p->fault, CLI_EUSAGE, "--%s needs a value: --%s %s", o->name, o->name, o->value);
    return set(p, o, p->argv[++p->at]);
}

static int take_long(struct parser *p, const char *arg)
{
    const char *eq = strchr(arg, '=');
    size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
    const struct cli_opt *o = find(p, arg, len, 0);

    return o ? take(p, o, eq ? eq + 1 : NULL) : unknown(p, arg, len);
}

static int take_letters(struct parser *p, const char *arg)
{
    int rc = 0;

    while (*arg && !rc) {
        const struct cli_opt *o = find(p, NULL, 0, *arg);

        if (!o)
            return cli_fail(p->fault, CLI_EUSAGE, "there is no option -%c", *arg);
        arg++;
        if (o->kind != CLI_FLAG)
            return take(p, o, *arg ? arg : NULL);
        rc = take(p, o, NULL);
    }
    return rc;
}

int cli_args_parse(const struct cli_opts *lists, size_t n_lists, int argc, char **argv, void *out, const char **args,
                   unsigned *n_args, struct cli_fault *f)
{
    struct parser p = {.lists = lists, .n_lists = n_lists, .argc = argc, .argv = argv, .out = out, .fault = f};
    bool is_ended = false;
    int rc = 0;

    *n_args = 0;
    for (; p.at < argc && !rc; p.at++) {
        const char *a = argv[p.at];

        if (is_ended || a[0] != '-' || !a[1])
            args[(*n_args)++] = a;
        else if (strcmp(a, "--") == 0)
            is_ended = true;
        else
            rc = a[1] == '-' ? take_long(&p, a + 2) : take_letters(&p, a + 1);
    }
    return rc;
}

void cli_args_help(FILE *out, const struct cli_opts *opts)
{
    int width = 0;
    char left[64];

    for (size_t i = 0; i < opts->count; i++) {
        const struct cli_opt *o = &opts->opt[i];
        int n = (int)strlen(o->name) + (o->value ? (int)strlen(o->value) + 1 : 0);

        width = n > width ? n : width;
    }
    for (size_t i = 0; i < opts->count; i++) {
        const struct cli_opt *o = &opts->opt[i];

        snprintf(left, sizeof(left), "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        if (o->letter)
            fprintf(out, "  -%c, --%-*s  %s\n", o->letter, width, left, o->help);
        else
            fprintf(out, "      --%-*s  %s\n", width, left, o->help);
    }
}
