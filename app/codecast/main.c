/* codecast: publish, subscribe and look at a network, from a terminal. codecast --help says the rest */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static const struct command *const commands[] = {&command_publish, &command_subscribe, &command_peers, &command_topics,
                                                 &command_health,  &command_watch,     &command_bench};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct cli_opt common_opts[] = {
    {"gateway", 'g', CLI_TEXT, offsetof(struct common, words.gateway), "ADDR", "a gateway: HOST:PORT, http(s)://.., grpc(s)://.. [127.0.0.1:8080]", 0, 0, NULL},
    {"sidecar", 's', CLI_TEXT, offsetof(struct common, words.sidecar), "ADDR", "a node's sidecar instead: HOST:PORT [port 33212]", 0, 0, NULL},
    {"api", 0, CLI_TEXT, offsetof(struct common, words.api), "ADDR", "where health, peers, topics, metrics are asked [a node's port 9090]", 0, 0, NULL},
    {"token", 0, CLI_TEXT, offsetof(struct common, words.token), "JWT", "sent as a bearer token", 0, 0, NULL},
    {"ca", 0, CLI_TEXT, offsetof(struct common, words.ca), "FILE", "CA certificates (PEM) to check TLS against [the system's]", 0, 0, NULL},
    {"connect-timeout", 0, CLI_DURATION, offsetof(struct common, connect_ns), "TIME", "give up reaching it after this [5s]", 0, 0, NULL},
    {"quiet", 'q', CLI_FLAG, offsetof(struct common, is_quiet), NULL, "no summary, no notes", 0, 0, NULL},
    {"help", 'h', CLI_FLAG, offsetof(struct common, is_help), NULL, "this text", 0, 0, NULL},
};

static const struct cli_opts common_list = OPTS(common_opts);

static void print_help(FILE *out)
{
    fprintf(out, "codecast: publish, subscribe and look at a Codecast network\n\n"
                 "Usage: codecast COMMAND [ARGUMENT].. [OPTION]..\n\n");
    for (unsigned i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n  codecast COMMAND --help    its arguments and options\n"
                 "  codecast --version\n\n"
                 "It talks to the gateway at 127.0.0.1:8080 unless told otherwise, by options (--gateway, --sidecar, --api, --token,\n"
                 "--ca) or by the environment: CODECAST_GATEWAY, CODECAST_SIDECAR, CODECAST_API, CODECAST_TOKEN, CODECAST_CA.\n\n"
                 "Exit codes: 0 done, 1 refused, lost or not healthy, 2 wrong arguments, 3 nobody answers there, 4 --timeout was over\n"
                 "first, 5 not allowed (token), 128+N ended by signal N before it was done.\n");
}

static void print_command_help(FILE *out, const struct command *c)
{
    fprintf(out, "Usage: codecast %s %s\n\n%s.\n", c->name, c->usage, c->summary);
    if (c->opts.count) {
        fprintf(out, "\n");
        cli_args_help(out, &c->opts);
    }
    fprintf(out, "\n");
    cli_args_help(out, &common_list);
    if (c->notes)
        fprintf(out, "\n%s", c->notes);
}

bool is_quiet(const struct invocation *inv)
{
    return ((const struct common *)inv->options)->is_quiet;
}

void say(const struct invocation *inv, const char *fmt, ...)
{
    va_list ap;

    if (is_quiet(inv))
        return;
    fprintf(stderr, "codecast %s: ", inv->command->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

bool has_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static const char *get_env(const char *name)
{
    return getenv(name);
}

static const struct command *find_command(const char *name)
{
    for (unsigned i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int usage_error(const struct command *c, const struct cli_fault *f)
{
    cli_fault_print(stderr, c->name, f);
    fprintf(stderr, "  codecast %s %s; --help says more\n", c->name, c->usage);
    return CLI_EUSAGE;
}

static int check_args(const struct invocation *inv, struct cli_fault *f)
{
    const struct command *c = inv->command;

    if (inv->n_args < c->min_args)
        return cli_fail(f, CLI_EUSAGE, "%s is missing", c->wants);
    if (inv->n_args > c->max_args)
        return cli_fail(f, CLI_EUSAGE, "'%s' is one argument too many%s", inv->args[c->max_args],
                        c->max_args ? " (quote what holds spaces)" : "");
    return 0;
}

static int invoke(struct invocation *inv, int argc, char **argv)
{
    const struct command *c = inv->command;
    const struct cli_opts lists[] = {c->opts, common_list};
    struct common *common = inv->options;
    int rc;

    common->connect_ns = 5000000000u;
    if (c->defaults)
        c->defaults(inv->options);
    rc = cli_args_parse(lists, 2, argc, argv, inv->options, inv->args, &inv->n_args, &inv->fault);
    if (!rc && common->is_help) {
        print_command_help(stdout, c);
        return 0;
    }
    if (!rc)
        rc = check_args(inv, &inv->fault);
    if (!rc)
        rc = cli_target_choose(&inv->target, &common->words, get_env, &inv->fault);
    if (rc)
        return usage_error(c, &inv->fault);
    inv->target.connect_ns = common->connect_ns ? common->connect_ns : 1000000;
    rc = c->run(inv);
    if (rc == -CLI_EUSAGE)
        return usage_error(c, &inv->fault);
    if (rc < 0)
        cli_fault_print(stderr, c->name, &inv->fault);
    return rc < 0 ? -rc : rc;
}

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS], *near;

    for (unsigned i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i]->name;
    near = name[0] == '-' ? NULL : cli_args_nearest(name, names, N_COMMANDS);
    if (name[0] == '-')
        fprintf(stderr, "codecast: the command comes first: codecast COMMAND %s ..; see codecast --help\n", name);
    else
        fprintf(stderr, "codecast: there is no command '%s'%s%s%s; see codecast --help\n", name, near ? "; did you mean " : "",
            near ? near : "", near ? "?" : "");
    return CLI_EUSAGE;
}

static int run_command(const struct command *c, int argc, char **argv)
{
    struct invocation inv = {.command = c};
    int rc = CLI_EFAILED;

    inv.options = calloc(1, OPTIONS_MAX);
    inv.args = calloc((size_t)argc + 1, sizeof(*inv.args));
    if (inv.options && inv.args)
        rc = invoke(&inv, argc, argv);
    free(inv.options);
    free(inv.args);
    if (fflush(stdout) && rc == 0)
        rc = CLI_EFAILED; /* the answer did not get out */
    return rc;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    const struct command *c;
    int rc;

    signal(SIGPIPE, SIG_IGN);
    if (!name) {
        print_help(stderr);
        return CLI_EUSAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("codecast %s\n", CODECAST_VERSION);
        return 0;
    }
    c = strcmp(name, "help") == 0 && argc > 2 ? find_command(argv[2]) : NULL;
    if (c) {
        print_command_help(stdout, c);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    c = find_command(name);
    if (!c)
        return unknown_command(name);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = run_command(c, argc - 2, argv + 2);
    curl_global_cleanup();
    return rc;
}
