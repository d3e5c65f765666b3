/* status.c: codecast peers, topics, health: one look, printed once */
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/units.h"
#include "cli/words.h"
#include "cli/view.h"
#include "command.h"

struct options {
    struct common common;
    bool is_json;
};

static const struct cli_opt opts[] = {
    {"json", 0, CLI_FLAG, offsetof(struct options, is_json), NULL, "the server's own answer as JSON", 0, 0, NULL},
};

static bool wants_json(const struct invocation *inv)
{
    return ((const struct options *)inv->options)->is_json;
}

static const char *text_of(const json_t *j, const char *name)
{
    const char *v = json_string_value(json_object_get(j, name));

    return v ? v : "";
}

static double number_of(const json_t *j, const char *name)
{
    return json_number_value(json_object_get(j, name));
}

static void print_json(json_t *j)
{
    json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stdout);
}

/* ---- peers ---- */

/* All meshes of a peer in one cell. */
static void put_meshes(char *out, size_t cap, const json_t *mesh)
{
    size_t n = 0, i;
    json_t *v;

    out[0] = 0;
    json_array_foreach(mesh, i, v)
        if (n < cap)
            n += (size_t)snprintf(out + n, cap - n, "%s%s", i ? "," : "", json_string_value(v) ? json_string_value(v) : "");
    if (!out[0])
        snprintf(out, cap, "-");
}

static void print_node_peers(const json_t *j)
{
    static const char *const head[] = {"<PEER", "<ADDRESS", "<DIR", ">RTT", ">SCORE", ">QUEUE", ">UP", "<MESH"};
    struct cli_table t;
    char rtt[CLI_UNIT_TEXT], queue[CLI_UNIT_TEXT], up[CLI_UNIT_TEXT], mesh[96];
    json_t *p;
    size_t i;

    cli_table_init(&t, head, 8);
    json_array_foreach(json_object_get(j, "peers"), i, p)
    {
        put_meshes(mesh, sizeof(mesh), json_object_get(p, "mesh"));
        cli_table_add(&t, "%s", text_of(p, "peer_id"));
        cli_table_add(&t, "%s", text_of(p, "address"));
        cli_table_add(&t, "%s", strcmp(text_of(p, "direction"), "inbound") == 0 ? "in" : "out");
        cli_table_add(&t, "%s", cli_duration_text(rtt, (uint64_t)(number_of(p, "rtt_ms") * 1e6)));
        cli_table_add(&t, "%.1f", number_of(p, "score"));
        cli_table_add(&t, "%s", cli_bytes_text(queue, number_of(p, "queue_bytes")));
        cli_table_add(&t, "%s", cli_duration_text(up, (uint64_t)(number_of(p, "connected_seconds") * 1e9)));
        cli_table_add(&t, "%s", mesh);
    }
    if (t.rows)
        cli_table_print(stdout, &t, 0, 0, 0, has_colour());
    else
        printf("no peers\n");
    cli_table_fini(&t);
}

/* A gateway's peers are its nodes. */
static void print_gateway_nodes(const json_t *j)
{
    char text[256];
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(j, "peers"), i, v)
        printf("%s\n", cli_clean(text, sizeof(text), slice_str(json_string_value(v) ? json_string_value(v) : "")));
    if (!json_array_size(json_object_get(j, "peers")))
        printf("no node can be reached\n");
}

static int run_peers(struct invocation *inv)
{
    bool is_node = inv->target.kind == CLI_SIDECAR;
    struct cli_http *h = cli_http_new(&inv->target, &inv->target.http);
    json_t *j;
    int rc = h ? cli_http_json(h, is_node ? "/debug/peers" : "/api/v1/node-state", &j, &inv->fault)
               : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");

    if (!rc) {
        if (wants_json(inv))
            print_json(j);
        else if (is_node)
            print_node_peers(j);
        else
            print_gateway_nodes(j);
        json_decref(j);
    }
    cli_http_free(h);
    return rc;
}

/* ---- topics ---- */

static void print_node_topics(const json_t *j)
{
    struct cli_table t;

    cli_view_topics(&t, j);
    if (t.rows)
        cli_table_print(stdout, &t, 0, 0, 0, has_colour());
    else
        printf("no topics\n");
    cli_table_fini(&t);
}

static void print_gateway_topics(const json_t *j)
{
    static const char *const head[] = {"<TOPIC"};
    struct cli_table t;
    json_t *v;
    size_t i;

    cli_table_init(&t, head, 1);
    json_array_foreach(json_object_get(j, "topics"), i, v)
        cli_table_add(&t, "%s", json_string_value(v) ? json_string_value(v) : "");
    if (t.rows)
        cli_table_print(stdout, &t, 0, 0, 0, has_colour());
    else
        printf("no topics: nobody is subscribed here\n");
    cli_table_fini(&t);
}

static int run_topics(struct invocation *inv)
{
    bool is_node = inv->target.kind == CLI_SIDECAR;
    struct cli_http *h = cli_http_new(&inv->target, &inv->target.http);
    json_t *j;
    int rc = h ? cli_http_json(h, is_node ? "/api/v1/topics" : "/api/v1/node-state", &j, &inv->fault)
               : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");

    if (!rc) {
        if (wants_json(inv))
            print_json(j);
        else if (is_node)
            print_node_topics(j);
        else
            print_gateway_topics(j);
        json_decref(j);
    }
    cli_http_free(h);
    return rc;
}

/* ---- health ---- */

static void row(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void row(const char *name, const char *fmt, ...)
{
    char text[512], clean[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%-9s %s\n", name, cli_clean(clean, sizeof(clean), slice_str(text)));
}

struct health {
    json_t *health, *version, *state;
    char not_ready[256]; /* a node's reason; "" ready */
};

static void ask_ready(struct cli_http *h, struct health *out)
{
    struct cli_http_answer a;
    struct cli_fault f;
    json_t *j;

    if (cli_http_get(h, "/api/v1/ready", &a, &f))
        return;
    j = json_loadb(a.body ? a.body : "", a.len, 0, NULL);
    if (a.status == 503)
        snprintf(out->not_ready, sizeof(out->not_ready), "%s",
                 *text_of(j, "error") ? text_of(j, "error") : *text_of(j, "reason") ? text_of(j, "reason") : "not ready");
    json_decref(j);
    cli_http_answer_fini(&a);
}

static bool is_well(const struct health *h)
{
    return strcmp(text_of(h->health, "status"), "ok") == 0 && !h->not_ready[0];
}

static void print_health(const struct invocation *inv, const struct health *h)
{
    char url[CLI_URL_TEXT];
    bool is_node = inv->target.kind == CLI_SIDECAR;

    row(is_node ? "node" : "gateway", "%s", cli_http_url(url, &inv->target.http));
    row("status", "%s%s%s", text_of(h->health, "status"), h->not_ready[0] ? ", not ready: " : "", h->not_ready);
    if (is_node) {
        row("id", "%s", text_of(h->state, "pub_key"));
        row("mode", "%s", text_of(h->health, "mode"));
        row("peers", "%zu", json_array_size(json_object_get(h->state, "peers")));
    } else {
        row("nodes", "%.0f of %.0f healthy", number_of(h->health, "healthy_nodes"), number_of(h->health, "nodes"));
    }
    row("topics", "%zu", json_array_size(json_object_get(h->state, "topics")));
    row("cpu", "%s %%", text_of(h->health, "cpu_used"));
    row("memory", "%s %%", text_of(h->health, "memory_used"));
    row("disk", "%s %%", text_of(h->health, "disk_used"));
    row("version", "%s (%s)", text_of(h->version, "version"), text_of(h->version, "commit_hash"));
}

static int ask_health(struct invocation *inv, struct cli_http *h, struct health *out)
{
    struct cli_fault ignored;
    int rc = cli_http_json(h, "/api/v1/health", &out->health, &inv->fault);

    if (rc)
        return rc;
    /* these may need a token where health needs none */
    cli_http_json(h, "/api/v1/version", &out->version, &ignored);
    cli_http_json(h, "/api/v1/node-state", &out->state, &ignored);
    if (inv->target.kind == CLI_SIDECAR)
        ask_ready(h, out);
    return 0;
}

static int run_health(struct invocation *inv)
{
    struct cli_http *h = cli_http_new(&inv->target, &inv->target.http);
    struct health all = {0};
    int rc = h ? ask_health(inv, h, &all) : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");

    if (!rc) {
        if (wants_json(inv))
            print_json(all.health);
        else if (!is_quiet(inv))
            print_health(inv, &all);
        rc = is_well(&all) ? 0 : CLI_EFAILED;
    }
    json_decref(all.health);
    json_decref(all.version);
    json_decref(all.state);
    cli_http_free(h);
    return rc;
}

const struct command command_peers = {
    .name = "peers",
    .usage = "[OPTION]..",
    .summary = "The peers of a node, or the nodes of a gateway",
    .opts = OPTS(opts),
    .run = run_peers,
};

const struct command command_topics = {
    .name = "topics",
    .usage = "[OPTION]..",
    .summary = "The topics of a node with their meshes, or those of a gateway's clients",
    .opts = OPTS(opts),
    .run = run_topics,
};

const struct command command_health = {
    .name = "health",
    .usage = "[OPTION]..",
    .summary = "How a gateway or a node is; exit 0 when it is well, 1 when it is not, 3 when nobody answers",
    .opts = OPTS(opts),
    .run = run_health,
};
