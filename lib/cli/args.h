/* args.h: a command's options by a table
 * Shape:   table of {name, kind, offset, help} and argv -> a filled struct and the arguments that are no options
 * Grammar: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags -a -b or -ab, -- ends the options, - is an argument
 * Memory:  texts point into argv, which outlives the struct
 * Errors:  -CLI_EUSAGE and a line that names the argument, the rule, and the option that was perhaps meant
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/fault.h"

enum cli_opt_kind {
    CLI_FLAG,     /* bool */
    CLI_TEXT,     /* const char * */
    CLI_COUNT,    /* uint64_t from min to max */
    CLI_BYTES,    /* uint64_t from min to max: 64K, 1M */
    CLI_DURATION, /* uint64_t, ns: 200ms, 10s */
    CLI_RATE,     /* double, per second: 100, 30/m */
    CLI_SHARE,    /* double, 0 < v <= 1 */
    CLI_CHOICE,   /* int: index in choices */
};

struct cli_opt {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum cli_opt_kind kind;
    size_t offset;
    const char *value; /* its value's name in the help */
    const char *help;
    double min, max; /* COUNT, BYTES; max 0: no bound */
    const char *const *choices;
};

struct cli_opts {
    const struct cli_opt *opt;
    size_t count;
};

/* args has room for argc. Options of all lists count; what is not given is left as it is in out. A name given twice: the
 * last wins. */
int cli_args_parse(const struct cli_opts *lists, size_t n_lists, int argc, char **argv, void *out, const char **args,
                   unsigned *n_args, struct cli_fault *f);

/* "  -c, --count N      text", a line each, the texts in one column. */
void cli_args_help(FILE *out, const struct cli_opts *opts);

/* The name of list (of n) that is nearest to what was typed; NULL: none is near. */
const char *cli_args_nearest(const char *typed, const char *const *list, size_t n);

#endif
