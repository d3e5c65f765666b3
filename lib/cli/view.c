#include "cli/view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/prom.h"
#include "cli/units.h"
#include "cli/words.h"

struct maker {
    struct cli_view *v;
    const struct cli_view_input *in;
};

static const char *text_of(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s ? s : "";
}

static double number_of(const json_t *j, const char *name)
{
    return json_number_value(json_object_get(j, name));
}

/* Numbers that are strings. */
static double percent(const struct maker *m, const char *name)
{
    double v = strtod(text_of(m->in->health, name), NULL);

    return v >= 0 && v <= 100 ? v : 0;
}

static double rate(const struct maker *m, const char *name, const char *label, const char *value)
{
    return cli_prom_rate(m->in->before, m->in->metrics, m->in->seconds, name, label, value);
}

static double total(const struct maker *m, const char *name)
{
    return cli_prom_sum(m->in->metrics, name, NULL, NULL);
}

/* Coded and plain mode have the same figures under two prefixes; one of them is 0. */
static double both_rate(const struct maker *m, const char *tail)
{
    char a[96], b[96];

    snprintf(a, sizeof(a), "optimum_mump2p_%s", tail);
    snprintf(b, sizeof(b), "optimum_gossip_p2p_%s", tail);
    return rate(m, a, NULL, NULL) + rate(m, b, NULL, NULL);
}

static struct cli_view_line *line(const struct maker *m, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static struct cli_view_line *line(const struct maker *m, const char *label, const char *fmt, ...)
{
    struct cli_view_line *l = &m->v->lines[m->v->n_lines < CLI_VIEW_LINES - 1 ? m->v->n_lines++ : CLI_VIEW_LINES - 1];
    va_list ap;

    snprintf(l->label, sizeof(l->label), "%s", label);
    va_start(ap, fmt);
    vsnprintf(l->text, sizeof(l->text), fmt, ap);
    va_end(ap);
    return l;
}

/* Totals since the start: one that is not 0 makes the line bad. */
struct trouble {
    const char *word;
    const char *metric;
};

static void trouble_line(const struct maker *m, const struct trouble *t, unsigned n)
{
    struct cli_view_line *l = line(m, "trouble", "%s", "");
    char count[CLI_UNIT_TEXT];
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        double v = total(m, t[i].metric);

        if (v <= 0 || len >= sizeof(l->text))
            continue;
        l->is_bad = true;
        len += (size_t)snprintf(l->text + len, sizeof(l->text) - len, "%s%s %s", len ? "  " : "", t[i].word, cli_count_text(count, v));
    }
    if (!len)
        snprintf(l->text, sizeof(l->text), "none");
}

static void clean_to(char *out, size_t cap, const char *s)
{
    cli_clean(out, cap, slice_str(s));
}

/* The label of a series that every program has. */
static void name_of(const struct maker *m, const char *metric)
{
    const char *at = m->in->metrics ? m->in->metrics : "";
    struct cli_prom_sample s;
    char name[64] = "";

    while (cli_prom_next(&at, &s))
        if (slice_is_equal(s.name, slice_str(metric)) && cli_prom_label(&s, "cluster_id", name, sizeof(name)))
            break;
    clean_to(m->v->name, sizeof(m->v->name), name);
}


/* ---- a node ---- */

void cli_view_topics(struct cli_table *t, const json_t *topics)
{
    static const char *const head[] = {"<TOPIC", "<SUBSCRIBED", ">PEERS", ">MESH"};
    json_t *j;
    size_t i;

    cli_table_init(t, head, 4);
    for (int is_ours = 1; is_ours >= 0; is_ours--)
        json_array_foreach(json_object_get(topics, "topics"), i, j)
        {
            if (json_is_true(json_object_get(j, "subscribed")) != is_ours)
                continue;
            cli_table_add(t, "%s", text_of(j, "topic"));
            cli_table_add(t, "%s", is_ours ? "yes" : "no");
            cli_table_add(t, "%.0f", number_of(j, "peers"));
            cli_table_add(t, "%.0f", number_of(j, "mesh"));
        }
}

static void node_peers(const struct maker *m)
{
    static const char *const head[] = {"<PEER", "<ADDRESS", "<DIR", ">RTT", ">SCORE", ">QUEUE", ">MESHES"};
    struct cli_table *t = &m->v->peers;
    char rtt[CLI_UNIT_TEXT], queue[CLI_UNIT_TEXT];
    json_t *j;
    size_t i;

    cli_table_init(t, head, 7);
    json_array_foreach(json_object_get(m->in->detail, "peers"), i, j)
    {
        const char *id = text_of(j, "peer_id");
        size_t len = strlen(id);

        cli_table_add(t, "..%s", len > 8 ? id + len - 8 : id); /* its beginning is that of all */
        cli_table_add(t, "%s", text_of(j, "address"));
        cli_table_add(t, "%s", strcmp(text_of(j, "direction"), "inbound") == 0 ? "in" : "out");
        cli_table_add(t, "%s", cli_duration_text(rtt, (uint64_t)(number_of(j, "rtt_ms") * 1e6)));
        cli_table_add(t, "%.1f", number_of(j, "score"));
        cli_table_add(t, "%s", cli_bytes_text(queue, number_of(j, "queue_bytes")));
        cli_table_add(t, "%zu", json_array_size(json_object_get(j, "mesh")));
    }
}

static void node_lines(const struct maker *m)
{
    static const struct trouble bad[] = {{"refused", "codecast_publish_refused_full_total"},
                                         {"too large", "codecast_publish_refused_size_total"},
                                         {"expired", "codecast_generations_expired_total"},
                                         {"forged", "codecast_shards_forged_total"},
                                         {"bad signatures", "codecast_bad_signatures_total"},
                                         {"lost by slow clients", "codecast_sidecar_lost_total"},
                                         {"floods", "codecast_floods_total"}};
    char a[CLI_UNIT_TEXT], b[CLI_UNIT_TEXT], c[CLI_UNIT_TEXT], d[CLI_UNIT_TEXT];
    double delivered = both_rate(m, "delivered_messages_count");

    m->v->per_second = rate(m, "optimum_p2p_messages_published_total", NULL, NULL) + delivered;
    line(m, "messages", "published %-9s  from peers %-9s  to clients %s",
         cli_rate_text(a, rate(m, "optimum_p2p_messages_published_total", NULL, NULL)), cli_rate_text(b, delivered),
         cli_rate_text(c, rate(m, "codecast_sidecar_delivered_total", NULL, NULL)));
    line(m, "network", "in %-12s  out %s", cli_byte_rate_text(a, rate(m, "optimum_bandwidth_total_bytes", "direction", "in")),
         cli_byte_rate_text(b, rate(m, "optimum_bandwidth_total_bytes", "direction", "out")));
    if (strcmp(text_of(m->in->health, "mode"), "gossipsub") != 0)
        line(m, "shards", "in %-9s  duplicate %s  unhelpful %s  unnecessary %s", cli_rate_text(a, both_rate(m, "shards_total")),
             cli_rate_text(b, both_rate(m, "shards_duplicate_total")), cli_rate_text(c, both_rate(m, "shards_unhelpful_total")),
             cli_rate_text(d, both_rate(m, "shards_unnecessary_total")));
    trouble_line(m, bad, sizeof(bad) / sizeof(bad[0]));
}

static void make_node(const struct maker *m)
{
    struct cli_view *v = m->v;
    char up[CLI_UNIT_TEXT];

    name_of(m, "codecast_up");
    clean_to(v->id, sizeof(v->id), text_of(m->in->detail, "peer_id"));
    snprintf(v->about, sizeof(v->about), "%.12s  up %s  peers %.0f  topics %zu  clients %.0f  cpu %.0f %%  memory %.0f %%",
             text_of(m->in->health, "mode"), cli_duration_text(up, (uint64_t)(total(m, "codecast_uptime_seconds") * 1e9)),
             number_of(m->in->detail, "total_peers"), json_array_size(json_object_get(m->in->detail, "topics")),
             total(m, "codecast_sidecar_streams"), percent(m, "cpu_used"), percent(m, "memory_used"));
    v->peers_name = "peers";
    node_lines(m);
    cli_view_topics(&v->topics, m->in->detail);
    node_peers(m);
}

/* ---- a gateway ---- */

static void gateway_nodes(const struct maker *m)
{
    static const char *const head[] = {"<NODE", "<UP", ">PUBLISHED", ">RECEIVED", ">UNCONFIRMED"};
    struct cli_table *t = &m->v->peers;
    const char *at = m->in->metrics ? m->in->metrics : "";
    struct cli_prom_sample s;
    char node[128], a[CLI_UNIT_TEXT], b[CLI_UNIT_TEXT], c[CLI_UNIT_TEXT];

    cli_table_init(t, head, 5);
    while (cli_prom_next(&at, &s)) {
        if (!slice_is_equal(s.name, SLICE_LIT("codecast_gateway_node_up")) || !cli_prom_label(&s, "node", node, sizeof(node)))
            continue;
        cli_table_add(t, "%s", node);
        cli_table_add(t, "%s", s.value > 0 ? "yes" : "NO");
        cli_table_add(t, "%s", cli_rate_text(a, rate(m, "codecast_gateway_node_published_total", "node", node)));
        cli_table_add(t, "%s", cli_rate_text(b, rate(m, "node_received_messages_total", "node", node)));
        cli_table_add(t, "%s", cli_count_text(c, cli_prom_sum(m->in->metrics, "codecast_gateway_node_unconfirmed_total", "node", node)));
    }
}

static void gateway_topics(const struct maker *m)
{
    static const char *const head[] = {"<TOPIC"};
    json_t *j;
    size_t i;

    cli_table_init(&m->v->topics, head, 1);
    json_array_foreach(json_object_get(m->in->detail, "topics"), i, j)
        cli_table_add(&m->v->topics, "%s", json_string_value(j) ? json_string_value(j) : "");
}

static void delay_line(const struct maker *m)
{
    static const double q[] = {0.5, 0.95, 0.99};
    char text[3][CLI_UNIT_TEXT];
    const char *name = "codecast_gateway_delay_seconds";

    for (unsigned i = 0; i < 3; i++) {
        double v = cli_prom_quantile(m->in->before, m->in->metrics, name, q[i]);

        if (v < 0) {
            line(m, "delay", "nothing published here was delivered in this interval");
            return;
        }
        cli_duration_text(text[i], (uint64_t)(v * 1e9));
    }
    line(m, "delay", "p50 %-8s  p95 %-8s  p99 %-8s  of what was published here", text[0], text[1], text[2]);
}

static void gateway_lines(const struct maker *m)
{
    static const struct trouble bad[] = {{"publish errors", "publish_error_total"},
                                         {"dropped at WebSockets", "codecast_gateway_ws_dropped_total"},
                                         {"dropped at gRPC", "codecast_gateway_grpc_dropped_total"},
                                         {"dropped by nodes", "codecast_gateway_node_dropped_total"}};
    char a[CLI_UNIT_TEXT], b[CLI_UNIT_TEXT];

    m->v->per_second = rate(m, "optimum_p2p_messages_published_total", NULL, NULL) + rate(m, "optimum_p2p_messages_received_total", NULL, NULL);
    line(m, "published", "%-9s  %s", cli_rate_text(a, rate(m, "optimum_p2p_messages_published_total", NULL, NULL)),
         cli_byte_rate_text(b, rate(m, "codecast_gateway_published_bytes_total", NULL, NULL)));
    line(m, "received", "%-9s  %s", cli_rate_text(a, rate(m, "optimum_p2p_messages_received_total", NULL, NULL)),
         cli_byte_rate_text(b, rate(m, "codecast_gateway_received_bytes_total", NULL, NULL)));
    line(m, "delivered", "%-9s  to clients", cli_rate_text(a, rate(m, "codecast_gateway_deliveries_total", NULL, NULL)));
    delay_line(m);
    trouble_line(m, bad, sizeof(bad) / sizeof(bad[0]));
}

static void make_gateway(const struct maker *m)
{
    struct cli_view *v = m->v;

    name_of(m, "nodes_active_total");
    snprintf(v->about, sizeof(v->about), "nodes %.0f of %.0f  clients %.0f  sockets %.0f  subscriptions %.0f  cpu %.0f %%  memory %.0f %%",
             number_of(m->in->health, "healthy_nodes"), number_of(m->in->health, "nodes"), total(m, "codecast_gateway_clients"),
             total(m, "optimum_proxy_ws_clients_active"), total(m, "codecast_gateway_subscriptions"),
             percent(m, "cpu_used"), percent(m, "memory_used"));
    v->peers_name = "nodes";
    gateway_lines(m);
    gateway_topics(m);
    gateway_nodes(m);
}

void cli_view_make(struct cli_view *v, const struct cli_view_input *in)
{
    struct maker m = {v, in};

    memset(v, 0, sizeof(*v));
    v->is_node = in->is_node;
    snprintf(v->url, sizeof(v->url), "%s", in->url);
    clean_to(v->status, sizeof(v->status), text_of(in->health, "status"));
    v->is_well = strcmp(v->status, "ok") == 0;
    if (in->is_node)
        make_node(&m);
    else
        make_gateway(&m);
}

void cli_view_fini(struct cli_view *v)
{
    cli_table_fini(&v->topics);
    cli_table_fini(&v->peers);
}

/* ---- the curve ---- */

void cli_history_add(struct cli_history *h, double v)
{
    if (h->n == CLI_HISTORY_MAX) {
        memmove(h->v, h->v + 1, (CLI_HISTORY_MAX - 1) * sizeof(h->v[0]));
        h->n--;
    }
    h->v[h->n++] = v;
}

double cli_history_most(const struct cli_history *h)
{
    double most = 0;

    for (unsigned i = 0; i < h->n; i++)
        most = h->v[i] > most ? h->v[i] : most;
    return most;
}

char *cli_history_curve(char out[CLI_CURVE_TEXT], const struct cli_history *h, unsigned width, bool utf8)
{
    static const char ascii[] = "_.:-=+*#";
    unsigned from = h->n > width ? h->n - width : 0;
    double most = 0;
    size_t len = 0;

    for (unsigned i = from; i < h->n; i++)
        most = h->v[i] > most ? h->v[i] : most;
    for (unsigned i = from; i < h->n; i++) {
        unsigned level = most > 0 ? (unsigned)(h->v[i] / most * 7 + 0.5) : 0;

        level = level > 7 ? 7 : level;
        if (utf8) { /* U+2581 to U+2588 */
            memcpy(out + len, "\xe2\x96\x81", 3);
            out[len + 2] = (char)(0x81 + level);
            len += 3;
        } else {
            out[len++] = ascii[level];
        }
    }
    out[len] = 0;
    return out;
}
