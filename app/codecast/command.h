/* command.h: a subcommand, and what all of them share
 * Errors:  run returns the program's exit code; 0, or negative (-CLI_E...) with inv->fault set, or 128 + a signal
 */
#ifndef CODECAST_COMMAND_H
#define CODECAST_COMMAND_H

#include "cli/args.h"
#include "cli/http.h"
#include "cli/link.h"
#include "cli/target.h"

/* The first member of every command's options. */
struct common {
    struct cli_target_words words;
    uint64_t connect_ns;
    bool is_quiet, is_help;
};

struct command;

struct invocation {
    const struct command *command;
    void *options;
    const char **args;
    unsigned n_args;
    struct cli_target target;
    struct cli_fault fault;
};

struct command {
    const char *name, *usage, *summary;
    const char *notes; /* behind the options in the help; may be NULL */
    struct cli_opts opts;
    unsigned min_args, max_args;
    const char *wants; /* what is missing with fewer arguments */
    void (*defaults)(void *options);
    int (*run)(struct invocation *inv);
};

#define OPTIONS_MAX 512 /* bytes of a command's options */

extern const struct command command_publish, command_subscribe, command_peers, command_topics, command_health, command_watch,
    command_bench;

#define OPTS(table) {table, sizeof(table) / sizeof((table)[0])}

/* "codecast publish: what" for something that does not end the command; nothing with --quiet. */
void say(const struct invocation *inv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool is_quiet(const struct invocation *inv);
/* Colours and the like: to a terminal, unless NO_COLOR is set or TERM is dumb. */
bool has_colour(void);

#endif
