/* main.c: the gateway program: HTTP, WebSocket and gRPC clients in front, nodes' sidecars behind
 * Use:     gateway [run] | check-config | --help | --version
 * Exit:    0 after SIGTERM or SIGINT, 1 for a port in use and the like, 2 for wrong arguments or settings
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/signals.h"
#include "gateway/gateway.h"

enum exit_code { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

static void print_help(FILE *f)
{
    fprintf(f, "Usage: gateway [COMMAND]\n\n"
               "  run            serve clients (the default)\n"
               "  check-config   read the settings, print them, and exit\n"
               "  --help         this text\n"
               "  --version      the version\n\n"
               "Exit codes: 0 done, 1 failed, 2 wrong arguments or settings. SIGTERM and SIGINT end it politely.\n\n"
               "Settings come from the environment:\n\n");
    gw_config_print_help(f);
}

/* Every line of the report; false when one of them is fatal. */
static bool report(const struct settings_report *rep)
{
    for (unsigned i = 0; i < rep->count; i++) {
        if (rep->is_fatal[i])
            log_error("\"fatal: %s\"", rep->lines[i]);
        else
            log_warn("\"%s\"", rep->lines[i]);
    }
    return rep->fatal == 0;
}

static bool load(struct gw_config *cfg)
{
    static struct settings_report rep; /* large */

    gw_config_load(cfg, settings_env, NULL, &rep);
    log_init((enum log_level)cfg->log_level, (enum log_format)cfg->log_format, rep.fatal ? NULL : cfg->cluster_id);
    return report(&rep);
}

static int check_config(void)
{
    struct gw_config cfg;

    if (!load(&cfg))
        return EXIT_USAGE;
    gw_config_print(stdout, &cfg);
    return EXIT_OK;
}

static int wait_for_end(const sigset_t *set, enum log_level configured)
{
    int sig = 0;

    do {
        if (sigwait(set, &sig) != 0)
            sig = 0;
        if (sig == SIGHUP)
            log_info("\"nothing to read again: settings come from the environment\"");
        else
            log_on_signal(sig, configured);
    } while (sig != SIGTERM && sig != SIGINT);
    return sig;
}

/* False: the process must end. */
static bool become_user(const struct gw_config *cfg, char err[256])
{
    int rc = *cfg->run_as ? rights_give_up(&cfg->run_as_user, err) : RIGHTS_NOT_ROOT;

    if (*cfg->run_as)
        rights_log(rc, &cfg->run_as_user);
    return rc >= 0;
}

static int run(void)
{
    struct gw_config cfg;
    struct gateway *gw;
    char err[256] = "";
    sigset_t set;
    int sig;

    if (!load(&cfg))
        return EXIT_USAGE;
    signals_block(&set);
    rights_seal();
    gw = gateway_start(&cfg, NULL, err);
    if (!gw) {
        log_error("\"fatal: %s\"", err);
        return EXIT_RUNTIME;
    }
    if (!become_user(&cfg, err)) {
        log_error("\"fatal: RUN_AS_USER=%s: %s\"", cfg.run_as, err);
        gateway_stop(gw);
        gateway_free(gw);
        return EXIT_RUNTIME;
    }
    log_info("\"gateway is up\" proxy=%s:%u grpc=%s:%u api=%s:%u nodes=%u version=%s", cfg.proxy.host,
             cfg.proxy.port, cfg.grpc.host, cfg.grpc.port, cfg.api.host, cfg.api.port, cfg.n_nodes,
             CODECAST_VERSION);
    sig = wait_for_end(&set, (enum log_level)cfg.log_level);
    log_info("\"shutting down\" signal=%s", strsignal(sig));
    gateway_stop(gw);
    gateway_free(gw);
    log_info("\"bye\"");
    return EXIT_OK;
}

/* Behind any command, too. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";

    if (asks_for_help(argc, argv)) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (argc > 2 || (strcmp(command, "run") && strcmp(command, "check-config") &&
                     strcmp(command, "--version"))) {
        fprintf(stderr, "gateway: unknown argument '%s'; see gateway --help\n", argc > 2 ? argv[2] : command);
        return EXIT_USAGE;
    }
    if (strcmp(command, "--version") == 0) {
        printf("gateway %s\n", CODECAST_VERSION);
        return EXIT_OK;
    }
    return strcmp(command, "check-config") == 0 ? check_config() : run();
}
