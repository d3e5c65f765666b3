/* subscribe.c: codecast subscribe: messages of topics as they come */
#include <string.h>

#include "cli/units.h"
#include "command.h"
#include "sink.h"

#define TOPICS_MAX  1000
#define PAUSE_NS    200000000u
#define PAUSE_MAX_NS 5000000000u

struct options {
    struct common common;
    int format;
    bool is_json, is_raw, is_verbose;
    const char *dir, *client_id;
    uint64_t count, timeout_ns;
    double threshold;
};

static const char *const formats[] = {"text", "json", "raw", NULL};

static const struct cli_opt opts[] = {
    {"format", 'f', CLI_CHOICE, offsetof(struct options, format), "FORMAT", "text, json (a line each) or raw (the bytes alone) [text]", 0, 0, formats},
    {"json", 0, CLI_FLAG, offsetof(struct options, is_json), NULL, "--format json", 0, 0, NULL},
    {"raw", 0, CLI_FLAG, offsetof(struct options, is_raw), NULL, "--format raw", 0, 0, NULL},
    {"verbose", 'v', CLI_FLAG, offsetof(struct options, is_verbose), NULL, "text: with time, size and id", 0, 0, NULL},
    {"out", 'o', CLI_TEXT, offsetof(struct options, dir), "DIR", "each message into a file of its own in DIR; stdout has their names", 0, 0, NULL},
    {"count", 'n', CLI_COUNT, offsetof(struct options, count), "N", "end after N messages", 1, 1e15, NULL},
    {"timeout", 't', CLI_DURATION, offsetof(struct options, timeout_ns), "TIME", "end after TIME; with --count exit 4 when fewer came", 0, 0, NULL},
    {"threshold", 0, CLI_SHARE, offsetof(struct options, threshold), "SHARE", "once this share of the nodes has a message: 0.1 to 1 [the gateway's]", 0, 0, NULL},
    {"client-id", 0, CLI_TEXT, offsetof(struct options, client_id), "ID", "a name whose subscriptions the gateway keeps [they go with the connection]", 0, 0, NULL},
};

struct subscriber {
    struct invocation *inv;
    const struct options *opt;
    struct cli_subscription sub;
    struct sink sink;
    struct cli_inbox inbox;
    struct cli_link *link;
    uint64_t begun_ns, end_ns, got, bytes, lost, breaks, pause_ns;
};

static bool is_done(const struct subscriber *s)
{
    return s->opt->count && s->got >= s->opt->count;
}

static int take(struct subscriber *s, struct cli_event *e)
{
    int rc = 0;

    if (e->kind == CLI_MESSAGE && !is_done(s)) {
        s->got++;
        s->bytes += e->payload.len;
        rc = sink_put(&s->sink, e, &s->inv->fault);
    } else if (e->kind == CLI_LOST) {
        s->lost += e->lost;
        say(s->inv, "the server dropped %llu messages: we read too slowly", (unsigned long long)e->lost);
    } else if (e->kind == CLI_DOWN && e->err != CLI_EREACH) {
        rc = cli_fail(&s->inv->fault, (enum cli_err)e->err, "%s", e->text);
        if (e->err == CLI_EDENIED)
            cli_hint_token(&s->inv->fault, &s->inv->target);
    } else if (e->kind == CLI_DOWN) {
        say(s->inv, "%s; trying again", e->text);
        cli_link_free(s->link);
        s->link = NULL;
        s->breaks++;
        s->pause_ns = PAUSE_NS;
    }
    cli_event_free(e);
    return rc;
}

static int connect_once(struct subscriber *s)
{
    int rc = cli_link_open(&s->link, &s->inv->target, &s->inbox, &s->inv->fault);

    if (!rc)
        rc = cli_link_subscribe(s->link, &s->sub, &s->inv->fault);
    if (rc) {
        cli_link_free(s->link);
        s->link = NULL;
    }
    return rc;
}

/* After a break: again and again, with growing pauses, unless we are refused. */
static int connect_again(struct subscriber *s)
{
    int rc = connect_once(s);

    if (!rc) {
        say(s->inv, "connected again");
        s->pause_ns = 0;
        return 0;
    }
    s->pause_ns = s->pause_ns * 2 < PAUSE_MAX_NS ? s->pause_ns * 2 : PAUSE_MAX_NS;
    return rc == -CLI_EREACH ? 0 : rc;
}

/* Until the next thing is due; UINT64_MAX: nothing is. */
static uint64_t patience(const struct subscriber *s, uint64_t now)
{
    uint64_t left = s->end_ns ? (s->end_ns > now ? s->end_ns - now : 0) : UINT64_MAX;

    return !s->link && s->pause_ns < left ? s->pause_ns : left;
}

/* 0: all that was asked for came, or the time is over; 128 + signal. */
static int listen_on(struct subscriber *s)
{
    struct cli_event *e;
    int rc = 0;

    while (!rc && !is_done(s)) {
        uint64_t now = cli_now_ns();
        enum cli_wake wake = cli_inbox_wait(&s->inbox, -1, patience(s, now), &e);

        if (wake == CLI_WAKE_SIGNAL)
            return 128 + s->inbox.signal;
        if (wake == CLI_WAKE_EVENT)
            rc = take(s, e);
        else if (s->end_ns && cli_now_ns() >= s->end_ns)
            break;
        else if (wake == CLI_WAKE_TIME && !s->link)
            rc = connect_again(s);
    }
    return rc;
}

static void summary(const struct subscriber *s)
{
    char bytes[CLI_UNIT_TEXT], took[CLI_UNIT_TEXT];

    char more[96] = "";

    if (s->lost || s->breaks)
        snprintf(more, sizeof(more), "; %llu dropped, connection lost %llu times", (unsigned long long)s->lost,
                 (unsigned long long)s->breaks);
    say(s->inv, "%llu message%s, %s in %s%s", (unsigned long long)s->got, s->got == 1 ? "" : "s",
        cli_bytes_text(bytes, (double)s->bytes), cli_duration_text(took, cli_now_ns() - s->begun_ns), more);
}

/* A signal ends a subscription without an end of its own well. */
static int verdict(struct subscriber *s, int rc)
{
    if (rc > 0)
        return s->opt->count ? rc : 0;
    if (rc == 0 && s->opt->count && !is_done(s))
        return cli_fail(&s->inv->fault, CLI_ETIME, "%llu of %llu messages came in time", (unsigned long long)s->got,
                        (unsigned long long)s->opt->count);
    return rc;
}

static int run_inbox(struct subscriber *s)
{
    char url[CLI_URL_TEXT];
    int rc;

    s->begun_ns = cli_now_ns();
    s->end_ns = s->opt->timeout_ns ? s->begun_ns + s->opt->timeout_ns : 0;
    rc = connect_once(s);
    if (rc)
        return cli_inbox_signal(&s->inbox) ? 128 + s->inbox.signal : rc;
    say(s->inv, "subscribed to %s%s at %s", s->sub.topics[0], s->sub.n_topics > 1 ? " and more" : "",
        cli_target_text(url, &s->inv->target));
    rc = verdict(s, listen_on(s));
    summary(s);
    return rc;
}

static int run(struct invocation *inv)
{
    const struct options *opt = inv->options;
    struct subscriber s = {.inv = inv, .opt = opt};
    int rc;

    if (opt->is_json && opt->is_raw)
        return cli_fail(&inv->fault, CLI_EUSAGE, "--json and --raw: one of them");
    s.sink = (struct sink){.inbox = &s.inbox,
                           .format = opt->is_json ? SINK_JSON : opt->is_raw ? SINK_RAW : (enum sink_format)opt->format,
                           .dir = opt->dir,
                           .has_topics = inv->n_args > 1,
                           .has_details = opt->is_verbose};
    s.sub = (struct cli_subscription){.topics = inv->args, .n_topics = inv->n_args, .threshold = opt->threshold, .client_id = opt->client_id};
    rc = sink_open(&s.sink, &inv->fault);
    if (!rc)
        rc = cli_inbox_init(&s.inbox, &inv->fault);
    if (rc)
        return rc;
    rc = run_inbox(&s);
    cli_inbox_close(&s.inbox);
    cli_link_free(s.link);
    cli_inbox_fini(&s.inbox);
    return rc;
}

const struct command command_subscribe = {
    .name = "subscribe",
    .usage = "TOPIC.. [OPTION]..",
    .summary = "Print the messages of one or several topics as they come",
    .notes = "It goes on until Ctrl-C, --count or --timeout, and connects again when the connection breaks.\n"
             "With several topics each text line begins with its topic and a tab.\n\n"
             "Examples:\n"
             "  codecast subscribe news\n"
             "  codecast subscribe news alerts --json | jq -r .message\n"
             "  codecast subscribe photos --raw --count 1 > photo.jpg\n"
             "  codecast subscribe photos --out inbox/\n",
    .opts = OPTS(opts),
    .min_args = 1,
    .max_args = TOPICS_MAX,
    .wants = "TOPIC",
    .run = run,
};
