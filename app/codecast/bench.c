/* bench.c: codecast bench: from publish to delivery: latency, loss, duplicates */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/rng.h"
#include "base/text.h"
#include "cli/tally.h"
#include "cli/units.h"
#include "command.h"

#define PROBE_NS    250000000u
#define PROGRESS_NS 500000000u
#define WINDOW      256

struct options {
    struct common common;
    uint64_t count, size, duration_ns, patience_ns;
    double rate;
    const char *receiver;
    bool is_json, is_flat_out;
};

static const struct cli_opt opts[] = {
    {"rate", 'r', CLI_RATE, offsetof(struct options, rate), "RATE", "messages a second [100]", 0, 0, NULL},
    {"flat-out", 0, CLI_FLAG, offsetof(struct options, is_flat_out), NULL, "as fast as they are taken, 256 without an answer at most", 0, 0, NULL},
    {"size", 0, CLI_BYTES, offsetof(struct options, size), "SIZE", "bytes of each: 100, 1K, 1M [1K]", CLI_TALLY_HEAD, CLI_MESSAGE_MAX, NULL},
    {"count", 'n', CLI_COUNT, offsetof(struct options, count), "N", "so many messages [what --for gives]", 1, 1e8, NULL},
    {"for", 0, CLI_DURATION, offsetof(struct options, duration_ns), "TIME", "publish for so long [5s]", 0, 0, NULL},
    {"receiver", 0, CLI_TEXT, offsetof(struct options, receiver), "ADDR", "receive here, e.g. sidecar://HOST:PORT [where it publishes]", 0, 0, NULL},
    {"timeout", 't', CLI_DURATION, offsetof(struct options, patience_ns), "TIME", "how long to wait for the first message, and for those missing [10s]", 0, 0, NULL},
    {"json", 0, CLI_FLAG, offsetof(struct options, is_json), NULL, "the result as JSON", 0, 0, NULL},
};

static void defaults(void *o)
{
    struct options *opt = o;

    opt->size = 1024;
    opt->rate = 100;
    opt->patience_ns = 10000000000u;
}

struct bench {
    struct invocation *inv;
    const struct options *opt;
    struct cli_target receiver;
    char topic[64];
    const char *topics[1];
    struct cli_inbox inbox;
    struct cli_link *in, *out; /* messages come in, publishes go out */
    struct rng rng;
    uint8_t *payload;
    struct cli_tally tally;
    uint64_t under_way, begun_ns, end_ns, next_ns, shown_ns;
    uint64_t probe_run, heard_probes, lost;
    bool has_progress;
};

static int publish_payload(struct bench *b, uint64_t run, uint64_t n)
{
    rng_fill(&b->rng, b->payload, b->opt->size);
    cli_tally_head(b->payload, run, n);
    return cli_link_publish(b->out, b->topic, slice_of(b->payload, b->opt->size), run == b->tally.run ? n : UINT64_MAX, &b->inv->fault);
}

static bool is_probe(const struct bench *b, const struct cli_event *e)
{
    uint8_t head[CLI_TALLY_HEAD];

    cli_tally_head(head, b->probe_run, 0);
    return e->payload.len == b->opt->size && memcmp(e->payload.p, head, 8) == 0;
}

static int answered(struct bench *b, const struct cli_event *e)
{
    if (e->tag != UINT64_MAX) {
        b->under_way--;
        cli_tally_answer(&b->tally, e->tag, e->err != 0, e->at_ns);
    }
    if (!e->err)
        return 0;
    if (e->err == CLI_EREACH || e->err == CLI_EDENIED || b->tally.sent == 0)
        return cli_fail(&b->inv->fault, (enum cli_err)e->err, "%s", e->text); /* it will not become better */
    if (b->tally.refused == 1)
        say(b->inv, "message %llu: %s", (unsigned long long)e->tag + 1, e->text);
    return 0;
}

static int take(struct bench *b, struct cli_event *e)
{
    int rc = 0;

    if (e->kind == CLI_PUBLISHED)
        rc = answered(b, e);
    else if (e->kind == CLI_MESSAGE && is_probe(b, e))
        b->heard_probes++;
    else if (e->kind == CLI_MESSAGE)
        cli_tally_arrive(&b->tally, e->payload, e->at_ns);
    else if (e->kind == CLI_LOST)
        b->lost += e->lost;
    else if (e->kind == CLI_DOWN)
        rc = cli_fail(&b->inv->fault, (enum cli_err)e->err, "the receiver's connection: %s", e->text);
    cli_event_free(e);
    return rc;
}

/* One wait; 0 also when the time is over. */
static int turn(struct bench *b, uint64_t until_ns)
{
    uint64_t now = cli_now_ns();
    struct cli_event *e;
    enum cli_wake wake = cli_inbox_wait(&b->inbox, -1, until_ns > now ? until_ns - now : 0, &e);

    if (wake == CLI_WAKE_SIGNAL)
        return 128 + b->inbox.signal;
    return wake == CLI_WAKE_EVENT ? take(b, e) : 0;
}

/* The first message has to find the way: only then it is measured. */
static int warm_up(struct bench *b)
{
    uint64_t end = cli_now_ns() + b->opt->patience_ns, next = 0, n = 0;
    int rc = 0;

    while (!rc && !b->heard_probes) {
        uint64_t now = cli_now_ns();

        if (now > end) {
            rc = cli_fail(&b->inv->fault, CLI_ETIME, "no message came through within --timeout (%llu sent)", (unsigned long long)n);
            cli_hint(&b->inv->fault, "are publisher and receiver of one network? codecast peers and codecast health tell");
            return rc;
        }
        if (now >= next) {
            rc = publish_payload(b, b->probe_run, n++);
            next = now + PROBE_NS;
        }
        if (!rc)
            rc = turn(b, next < end ? next : end);
    }
    return rc;
}

static void progress(struct bench *b, uint64_t now)
{
    char p50[CLI_UNIT_TEXT], p99[CLI_UNIT_TEXT];

    if (!b->has_progress || now < b->shown_ns + PROGRESS_NS)
        return;
    b->shown_ns = now;
    fprintf(stderr, "\rsent %llu  delivered %llu  p50 %s  p99 %s\033[K", (unsigned long long)b->tally.sent,
            (unsigned long long)b->tally.arrived, cli_duration_text(p50, cli_stats_at(&b->tally.delivery, 50)),
            cli_duration_text(p99, cli_stats_at(&b->tally.delivery, 99)));
}

static bool is_all_sent(const struct bench *b, uint64_t now)
{
    return (b->opt->count && b->tally.sent >= b->opt->count) || (b->end_ns && now >= b->end_ns);
}

static int send_due(struct bench *b, uint64_t now)
{
    uint64_t n;

    if (b->under_way >= WINDOW || now < b->next_ns)
        return 0;
    n = cli_tally_send(&b->tally, now);
    if (n == UINT64_MAX)
        return cli_fail(&b->inv->fault, CLI_EFAILED, "out of memory");
    if (!b->opt->is_flat_out)
        b->next_ns += (uint64_t)(1e9 / b->opt->rate);
    b->under_way++;
    return publish_payload(b, b->tally.run, n);
}

static int send_all(struct bench *b)
{
    uint64_t now = cli_now_ns();
    int rc = 0;

    b->begun_ns = b->next_ns = now;
    b->end_ns = b->opt->duration_ns || !b->opt->count ? now + (b->opt->duration_ns ? b->opt->duration_ns : 5000000000u) : 0;
    while (!rc && !is_all_sent(b, now)) {
        uint64_t until;

        rc = send_due(b, now);
        until = b->under_way >= WINDOW ? now + PROGRESS_NS : b->next_ns;
        if (b->end_ns && until > b->end_ns)
            until = b->end_ns;
        if (!rc)
            rc = turn(b, until);
        now = cli_now_ns();
        progress(b, now);
    }
    return rc;
}

static int wait_for_rest(struct bench *b)
{
    int rc = 0;

    while (!rc && (b->under_way || b->tally.arrived + b->tally.refused < b->tally.sent)) {
        uint64_t now = cli_now_ns();
        uint64_t last = b->tally.last_arrival_ns > b->tally.last_sent_ns ? b->tally.last_arrival_ns : b->tally.last_sent_ns;

        if (now > last + b->opt->patience_ns)
            break;
        rc = turn(b, now + PROGRESS_NS / 5);
        progress(b, now);
    }
    return rc;
}

/* ---- the result ---- */

static json_t *stats_json(struct cli_stats *s)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "mean", cli_stats_mean(s) / 1e6, "min", (double)s->min / 1e6, "p50",
                     (double)cli_stats_at(s, 50) / 1e6, "p95", (double)cli_stats_at(s, 95) / 1e6, "p99",
                     (double)cli_stats_at(s, 99) / 1e6, "max", (double)s->max / 1e6);
}

static double seconds(const struct bench *b)
{
    uint64_t end = b->tally.last_sent_ns > b->begun_ns ? b->tally.last_sent_ns : b->begun_ns;

    return (double)(end - b->begun_ns) / 1e9;
}

static double rate_of(const struct bench *b, uint64_t n)
{
    double s = seconds(b);

    return s > 0 && n > 1 ? (double)(n - 1) / s : 0;
}

static void print_json(struct bench *b)
{
    struct cli_tally *t = &b->tally;
    char from[CLI_URL_TEXT], to[CLI_URL_TEXT];
    json_t *j = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f}", "publisher", cli_target_text(from, &b->inv->target),
                          "receiver", cli_target_text(to, &b->receiver), "topic", b->topic, "bytes", (json_int_t)b->opt->size,
                          "sent", (json_int_t)t->sent, "delivered", (json_int_t)t->arrived, "lost",
                          (json_int_t)cli_tally_missing(t), "duplicates", (json_int_t)t->duplicates, "refused",
                          (json_int_t)t->refused, "seconds", seconds(b), "sent_per_second", rate_of(b, t->sent));

    json_object_set_new(j, "delivery_ms", stats_json(&t->delivery));
    json_object_set_new(j, "answer_ms", stats_json(&t->answer));
    json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    fputc('\n', stdout);
    json_decref(j);
}

static void print_stats(const char *name, const char *what, struct cli_stats *s)
{
    char a[CLI_UNIT_TEXT], c[CLI_UNIT_TEXT], d[CLI_UNIT_TEXT], e[CLI_UNIT_TEXT];

    if (s->count)
        printf("%-11s p50 %-8s p95 %-8s p99 %-8s max %-8s %s\n", name, cli_duration_text(a, cli_stats_at(s, 50)),
               cli_duration_text(c, cli_stats_at(s, 95)), cli_duration_text(d, cli_stats_at(s, 99)), cli_duration_text(e, s->max), what);
}

static void print_text(struct bench *b)
{
    struct cli_tally *t = &b->tally;
    char from[CLI_URL_TEXT], to[CLI_URL_TEXT], size[CLI_UNIT_TEXT], took[CLI_UNIT_TEXT], rate[CLI_UNIT_TEXT], speed[CLI_UNIT_TEXT];
    double r = rate_of(b, t->sent);

    printf("from        %s\nto          %s\n", cli_target_text(from, &b->inv->target), cli_target_text(to, &b->receiver));
    printf("sent        %llu of %s in %s, %s, %s\n", (unsigned long long)t->sent, cli_bytes_text(size, (double)b->opt->size),
           cli_duration_text(took, (uint64_t)(seconds(b) * 1e9)), cli_rate_text(rate, r), cli_byte_rate_text(speed, r * (double)b->opt->size));
    printf("delivered   %llu  (%.4g %%)\n", (unsigned long long)t->arrived, t->sent ? 100.0 * (double)t->arrived / (double)t->sent : 0);
    printf("lost        %llu\nduplicates  %llu\n", (unsigned long long)cli_tally_missing(t), (unsigned long long)t->duplicates);
    if (t->refused)
        printf("refused     %llu\n", (unsigned long long)t->refused);
    if (b->lost)
        printf("dropped     %llu  (by the server: the receiver read too slowly)\n", (unsigned long long)b->lost);
    print_stats("latency", "publish to delivery", &t->delivery);
    print_stats("answer", "publish to its answer", &t->answer);
}

static int measure(struct bench *b)
{
    int rc = warm_up(b);

    if (!rc)
        rc = send_all(b);
    if (!rc)
        rc = wait_for_rest(b);
    if (b->has_progress)
        fputs("\r\033[K", stderr);
    if (!b->tally.sent)
        return rc;
    if (b->opt->is_json)
        print_json(b);
    else
        print_text(b);
    return rc ? rc : cli_tally_missing(&b->tally) || b->tally.refused || b->tally.duplicates ? CLI_EFAILED : 0;
}

static int open_links(struct bench *b)
{
    struct cli_subscription sub = {.topics = b->topics, .n_topics = 1};
    int rc = cli_link_open(&b->in, &b->receiver, &b->inbox, &b->inv->fault);

    if (!rc)
        rc = cli_link_subscribe(b->in, &sub, &b->inv->fault);
    return rc ? rc : cli_link_open(&b->out, &b->inv->target, &b->inbox, &b->inv->fault);
}

static int prepare(struct bench *b)
{
    struct invocation *inv = b->inv;
    char hex[9];
    struct rng system;
    uint8_t tag[4];
    int rc = 0;

    b->receiver = inv->target;
    if (b->opt->receiver)
        rc = cli_target_parse(&b->receiver, b->opt->receiver, CLI_GATEWAY_HTTP, &inv->fault);
    rng_init_system(&system);
    rng_fill(&system, tag, sizeof(tag));
    hex_encode(hex, slice_of(tag, sizeof(tag)));
    snprintf(b->topic, sizeof(b->topic), "bench-%s", hex);
    if (inv->n_args)
        snprintf(b->topic, sizeof(b->topic), "%s", inv->args[0]);
    b->topics[0] = b->topic;
    cli_tally_init(&b->tally, rng_u64(&system));
    b->probe_run = ~b->tally.run;
    rng_init_seeded(&b->rng, rng_u64(&system));
    b->payload = malloc(b->opt->size);
    b->has_progress = !is_quiet(inv) && isatty(STDERR_FILENO);
    return rc || b->payload ? rc : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");
}

static int run(struct invocation *inv)
{
    struct bench b = {.inv = inv, .opt = inv->options};
    int rc = prepare(&b);

    if (!rc)
        rc = cli_inbox_init(&b.inbox, &inv->fault);
    if (!rc) {
        rc = open_links(&b);
        if (!rc)
            rc = measure(&b);
        else if (cli_inbox_signal(&b.inbox))
            rc = 128 + b.inbox.signal;
        cli_inbox_close(&b.inbox);
        cli_link_free(b.out);
        cli_link_free(b.in);
        cli_inbox_fini(&b.inbox);
    }
    cli_tally_fini(&b.tally);
    free(b.payload);
    return rc;
}

const struct command command_bench = {
    .name = "bench",
    .usage = "[TOPIC] [OPTION]..",
    .summary = "Measure from publish to delivery: latency, loss, duplicates",
    .notes = "It subscribes, publishes until a first message comes through, and only then begins to count.\n"
             "Exit 1 when messages were lost, refused or came twice.\n\n"
             "Examples:\n"
             "  codecast bench --rate 500 --size 1K --for 10s\n"
             "  codecast bench --gateway gw1:8080 --receiver gw2:8080 --size 1M --rate 5\n"
             "  codecast bench --flat-out --count 10000 --json\n",
    .opts = OPTS(opts),
    .max_args = 1,
    .defaults = defaults,
    .run = run,
};
