/* p2pnode: the node's program: arguments, environment, exit codes */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/signals.h"
#include "drivers/capture.h"
#include "inside/inside.h"
#include "node/config.h"
#include "node/eal.h"
#include "node/identity.h"
#include "node/node.h"

enum exit_code { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "p2pnode " CODECAST_VERSION ": a publish/subscribe node on a libp2p mesh\n"
    "\n"
    "Usage: p2pnode [run] [--idle=spin|adaptive] [--lcores=1|2] [--net-lcores=N] [--coding-lcores=M]\n"
    "               [--pcap FILE [--pcap-snap BYTES]] [-- ARGUMENTS OF DPDK]\n"
    "                                                             run, configured by the environment; --pcap writes the\n"
    "                                                             mesh's packets to FILE, for Wireshark. Lcores are as\n"
    "                                                             the CPUs allow, unless told\n"
    "       p2pnode generate-key [--force] [--output-peer-id] [--type=ed25519|secp256k1]\n"
    "                                                             make IDENTITY_DIR/p2p.key; Ed25519 unless told\n"
    "       p2pnode peer-id                                       print the peer id of that key\n"
    "       p2pnode check-config                                  check the environment, print what holds\n"
    "       p2pnode --version | --help\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration. SIGTERM and SIGINT end it politely.\n"
    "\n"
    "Environment, [default]:\n";

static int fail_usage(const char *what, const char *arg)
{
    fprintf(stderr, "p2pnode: %s '%s'; see p2pnode --help\n", what, arg);
    return EXIT_USAGE;
}

static void print_report(const struct settings_report *rep)
{
    for (unsigned i = 0; i < rep->count; i++) {
        if (rep->is_fatal[i])
            log_error("\"fatal: %s\"", rep->lines[i]);
        else
            log_warn("\"%s\"", rep->lines[i]);
    }
}

static const char *identity_dir(void)
{
    const char *dir = getenv("IDENTITY_DIR");

    return dir && *dir ? dir : "/identity";
}

static void print_peer_id(const struct key_pair *key)
{
    struct peer_id id;
    char text[PEER_ID_TEXT_MAX];

    key_pair_peer_id(key, &id);
    peer_id_format(&id, text);
    printf("%s\n", text);
}

struct generate_options {
    bool is_forced, is_bare, has_type;
    enum key_type type;
};

static int parse_type(const char *name, struct generate_options *o)
{
    o->has_type = true;
    for (unsigned t = KEY_RSA; t <= KEY_ECDSA; t++)
        if (is_own_key_type((enum key_type)t) && strcasecmp(name, key_type_name((enum key_type)t)) == 0) {
            o->type = (enum key_type)t;
            return 0;
        }
    return fail_usage("--type is ed25519 or secp256k1, not", name);
}

static int parse_generate_options(int argc, char **argv, struct generate_options *o)
{
    int rc = 0;

    *o = (struct generate_options){.type = KEY_ED25519};
    for (int i = 0; i < argc && !rc; i++) {
        if (strcmp(argv[i], "--force") == 0)
            o->is_forced = true;
        else if (strcmp(argv[i], "--output-peer-id") == 0)
            o->is_bare = true;
        else if (strncmp(argv[i], "--type=", 7) == 0)
            rc = parse_type(argv[i] + 7, o);
        else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc)
            rc = parse_type(argv[++i], o);
        else
            rc = fail_usage("generate-key does not take", argv[i]);
    }
    return rc;
}

/* With --output-peer-id, stdout has the peer id alone: it is used in $(...), also when the key is there already. */
static int generate_key(int argc, char **argv)
{
    struct generate_options o;
    struct key_pair key;
    char err[512];
    int rc = parse_generate_options(argc, argv, &o);

    if (rc)
        return rc;
    rc = identity_load(&key, identity_dir(), err);
    if (rc == 0 && !o.is_forced) {
        if (!o.is_bare) {
            fprintf(stderr, "p2pnode: %s/p2p.key exists already; --force replaces it, peer-id prints its id\n", identity_dir());
            key_pair_fini(&key);
            return EXIT_RUNTIME;
        }
        if (o.has_type && o.type != key.type)
            fprintf(stderr, "p2pnode: the key that is there is of type %s; --force replaces it\n", key_type_name(key.type));
    } else if (rc < 0 && !o.is_forced) {
        fprintf(stderr, "p2pnode: %s (--force replaces it)\n", err);
        return EXIT_RUNTIME;
    } else if (identity_generate(&key, o.type, identity_dir(), err)) {
        fprintf(stderr, "p2pnode: %s\n", err);
        return EXIT_RUNTIME;
    } else if (!o.is_bare) {
        fprintf(stderr, "wrote %s/p2p.key\n", identity_dir());
    }
    print_peer_id(&key);
    key_pair_fini(&key);
    return EXIT_OK;
}

static int print_own_peer_id(void)
{
    struct key_pair key;
    char err[512];
    int rc = identity_load(&key, identity_dir(), err);

    if (rc) {
        if (rc > 0)
            fprintf(stderr, "p2pnode: %s/p2p.key is not there; p2pnode generate-key makes it\n", identity_dir());
        else
            fprintf(stderr, "p2pnode: %s\n", err);
        return EXIT_RUNTIME;
    }
    print_peer_id(&key);
    key_pair_fini(&key);
    return EXIT_OK;
}

/* True: with a gateway inside. */
static bool load(struct node_config *cfg, struct gw_config *gw, struct settings_report *rep)
{
    node_config_load(cfg, settings_env, NULL, rep);
    return inside_config_load(gw, cfg, settings_env, NULL, rep);
}

static int check_config(void)
{
    static struct node_config cfg;
    static struct gw_config gw;
    static struct settings_report rep;
    bool has_gateway = load(&cfg, &gw, &rep);
    char *json;

    for (unsigned i = 0; i < rep.count; i++)
        fprintf(stderr, "%s: %s\n", rep.is_fatal[i] ? "fatal" : "warning", rep.lines[i]);
    if (rep.fatal)
        return EXIT_USAGE;
    json = node_config_json(&cfg);
    printf("%s\n", json ? json : "");
    free(json);
    if (has_gateway)
        gw_config_print(stdout, &gw);
    return EXIT_OK;
}

/* The value of "--name VALUE" or "--name=VALUE"; NULL: argv[*i] is another option, or has none. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return !argv[*i][n] && *i + 1 < argc ? argv[++*i] : NULL;
}

static int parse_snap(const char *text, uint32_t *bytes)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (!*text || *end || n < CAPTURE_SNAP_MIN || n > CAPTURE_SNAP_MAX)
        return fail_usage("--pcap-snap is 64 to 262144, not", text);
    *bytes = (uint32_t)n;
    return 0;
}

static int parse_lcores(const char *name, const char *text, unsigned most, unsigned *count)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (!*text || *end || n < 1 || n > most) {
        fprintf(stderr, "p2pnode: %s is 1 to %u, not '%s'; see p2pnode --help\n", name, most, text);
        return EXIT_USAGE;
    }
    *count = (unsigned)n;
    return 0;
}

/* All behind "--" is DPDK's. */
static int take_eal_args(int argc, char **argv, struct node_options *opt)
{
    for (int i = 0; i < argc; i++)
        if (eal_arg_is_ours(argv[i]))
            return fail_usage("which lcores there are is said by --net-lcores and --coding-lcores, not by", argv[i]);
    if (argc > EAL_ARGS_MAX)
        return fail_usage("too many arguments behind", "--");
    opt->eal_args = argv;
    opt->neal_args = (unsigned)argc;
    return 0;
}

static int parse_run_options(int argc, char **argv, struct node_options *opt)
{
    const char *value;
    int rc = 0;

    *opt = (struct node_options){0};
    for (int i = 0; i < argc && !rc; i++) {
        if (strcmp(argv[i], "--idle=spin") == 0)
            opt->is_spin = true;
        else if (strcmp(argv[i], "--idle=adaptive") == 0)
            opt->is_spin = false;
        else if ((value = option_value("--lcores", argc, argv, &i)))
            rc = parse_lcores("--lcores", value, 2, &opt->layout.lcores);
        else if ((value = option_value("--net-lcores", argc, argv, &i)))
            rc = parse_lcores("--net-lcores", value, LAYOUT_NET_MAX, &opt->layout.net);
        else if ((value = option_value("--coding-lcores", argc, argv, &i)))
            rc = parse_lcores("--coding-lcores", value, LAYOUT_CODING_MAX, &opt->layout.coding);
        else if (strcmp(argv[i], "--") == 0)
            return take_eal_args(argc - i - 1, argv + i + 1, opt);
        else if ((value = option_value("--pcap", argc, argv, &i)) && *value)
            opt->pcap_path = value;
        else if ((value = option_value("--pcap-snap", argc, argv, &i))) {
            rc = parse_snap(value, &opt->pcap_snap_bytes);
        } else
            rc = fail_usage("run does not take", argv[i]);
    }
    return rc;
}

static int open_identity(const struct node_config *cfg, struct key_pair *key)
{
    enum identity_origin origin;
    char err[512];

    if (identity_open(key, cfg->identity_dir, &origin, err)) {
        log_error("\"fatal: IDENTITY_DIR=%s: %s\"", cfg->identity_dir, err);
        return -1;
    }
    if (origin == IDENTITY_MADE)
        log_info("\"made an identity\" file=%s/p2p.key", cfg->identity_dir);
    else if (origin == IDENTITY_MADE_FOR_THIS_RUN)
        log_warn("\"made an identity for this run alone: IDENTITY_DIR cannot be written\" dir=%s why=\"%s\"", cfg->identity_dir, err);
    return 0;
}

/* Ports and key are open, and no peer has been heard yet. */
static int become_user(void *user, char err[256])
{
    const struct node_config *cfg = user;
    int rc;

    if (!*cfg->run_as)
        return 0;
    rc = rights_give_up(&cfg->run_as_user, err);
    rights_log(rc, &cfg->run_as_user);
    return rc < 0 ? -1 : 0;
}

/* in: the gateway inside, or NULL. */
static int run_node(struct node_config *cfg, const struct key_pair *key, struct node_options *opt, struct inside *in)
{
    struct node *node;
    sigset_t stop;
    char err[512] = "";
    int sig = 0;

    signals_block(&stop);
    rights_seal();
    opt->on_open = become_user;
    opt->user = cfg;
    if (in)
        opt->guest = inside_guest(in);
    node = node_start(cfg, key, opt, err);
    if (!node) {
        log_error("\"fatal: %s\"", err);
        return EXIT_RUNTIME;
    }
    while (sigwait(&stop, &sig) == 0 && sig != SIGTERM && sig != SIGINT)
        if (sig == SIGHUP)
            node_reread(node);
        else
            log_on_signal(sig, (enum log_level)cfg->log_level);
    log_info("\"stopping\" signal=%s", sig == SIGTERM ? "TERM" : "INT");
    node_stop(node);
    log_info("\"stopped\"");
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    static struct node_config cfg;
    static struct gw_config gw;
    static struct settings_report rep;
    struct inside *in = NULL;
    struct node_options opt;
    struct key_pair key;
    bool has_gateway;
    int rc;

    if (parse_run_options(argc, argv, &opt))
        return EXIT_USAGE;
    has_gateway = load(&cfg, &gw, &rep);
    log_init((enum log_level)cfg.log_level, (enum log_format)cfg.log_format, rep.fatal ? NULL : cfg.cluster_id);
    print_report(&rep);
    if (rep.fatal)
        return EXIT_USAGE;
    if (open_identity(&cfg, &key))
        return EXIT_RUNTIME;
    if (has_gateway && !(in = inside_new(&gw, &cfg))) {
        log_error("\"fatal: no memory\"");
        rc = EXIT_RUNTIME;
    } else {
        rc = run_node(&cfg, &key, &opt, in);
    }
    inside_free(in);
    key_pair_fini(&key);
    return rc;
}

/* Behind any command, too. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return argc > 1 && strcmp(argv[1], "help") == 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";

    if (asks_for_help(argc, argv)) {
        fputs(usage, stdout);
        node_config_help(stdout);
        printf("\nWith PROXY_PORT set a gateway runs inside, for HTTP, WebSocket and gRPC clients of this node:\n");
        gw_config_print_help_inside(stdout);
        return EXIT_OK;
    }
    if (strcmp(command, "--version") == 0) {
        printf("p2pnode %s\n", CODECAST_VERSION);
        return EXIT_OK;
    }
    if (strcmp(command, "run") == 0)
        return run(argc > 1 ? argc - 2 : 0, argv + 2);
    if (strncmp(command, "--", 2) == 0)
        return run(argc - 1, argv + 1);
    if (strcmp(command, "generate-key") == 0)
        return generate_key(argc - 2, argv + 2);
    if (strcmp(command, "peer-id") == 0)
        return argc == 2 ? print_own_peer_id() : fail_usage("peer-id does not take", argv[2]);
    if (strcmp(command, "check-config") == 0)
        return argc == 2 ? check_config() : fail_usage("check-config does not take", argv[2]);
    return fail_usage("unknown command", command);
}
