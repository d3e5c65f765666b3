/* publish.c: codecast publish: one message, a file, lines of stdin, or made-up ones
 * Note:    lines outlive a restart of the gateway: what it did not answer is sent again for --retry, the same bytes, so that it counts once
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "cli/stats.h"
#include "cli/units.h"
#include "command.h"
#include "source.h"

#define SHOWN_FAILURES 3
#define RETRY_NS       30000000000u /* with --lines */
#define AGAIN_NS       500000000u   /* between two tries */

struct options {
    struct common common;
    const char *file;
    bool has_lines, is_json;
    uint64_t count, size, window, retry_ns;
    double rate;
};

static const struct cli_opt opts[] = {
    {"file", 'f', CLI_TEXT, offsetof(struct options, file), "FILE", "the message is this file's bytes; - is stdin", 0, 0, NULL},
    {"lines", 'l', CLI_FLAG, offsetof(struct options, has_lines), NULL, "each line of stdin (or of FILE) is a message", 0, 0, NULL},
    {"size", 0, CLI_BYTES, offsetof(struct options, size), "SIZE", "random messages of this size: 100, 64K, 1M", 1, CLI_MESSAGE_MAX, NULL},
    {"count", 'n', CLI_COUNT, offsetof(struct options, count), "N", "so many messages; a given MESSAGE gets \" 1\", \" 2\".. behind it [1]", 1, 1e12, NULL},
    {"rate", 'r', CLI_RATE, offsetof(struct options, rate), "RATE", "at most so many a second: 100, 30/m [as fast as they are taken]", 0, 0, NULL},
    {"window", 0, CLI_COUNT, offsetof(struct options, window), "N", "publishes without an answer yet, at most [32]", 1, 4096, NULL},
    {"retry", 0, CLI_DURATION, offsetof(struct options, retry_ns), "TIME", "while nobody answers, try so long again [30s with --lines, else not]", 0, 0, NULL},
    {"json", 0, CLI_FLAG, offsetof(struct options, is_json), NULL, "a JSON line for each message", 0, 0, NULL},
};

static void defaults(void *o)
{
    ((struct options *)o)->window = 32;
}

struct slot {
    uint64_t number, sent_ns;
    size_t bytes;
    bool is_used, is_waiting; /* waiting: to be sent again */
    bool was_retried;
    uint8_t *payload; /* a copy, when it may be sent again */
};

struct publisher {
    struct invocation *inv;
    const struct options *opt;
    const char *topic;
    struct source source;
    struct cli_inbox inbox;
    struct cli_link *link;
    struct slot *slots;
    uint64_t retry_ns;  /* 0: never */
    uint64_t down_ns;   /* since when nobody answers; 0: somebody does */
    uint64_t under_way; /* slots in use */
    uint64_t waiting;   /* of them */
    uint64_t sent, published, duplicates, failed, bytes;
    uint64_t begun_ns, next_ns;
    struct cli_stats answer;
    int worst; /* the first failure's CLI_E.. */
    bool is_over; /* nobody is there any more, or we may not: no further one is tried */
};

static void print_id(const struct publisher *p, const struct cli_event *e, const struct slot *s)
{
    char size[CLI_UNIT_TEXT], took[CLI_UNIT_TEXT];
    const char *status = e->is_duplicate ? "deduplicated" : "published";

    if (p->opt->is_json && e->err)
        printf("{\"number\":%llu,\"status\":\"error\",\"code\":\"%s\"}\n", (unsigned long long)s->number, cli_err_name(e->err));
    else if (p->opt->is_json)
        printf("{\"number\":%llu,\"status\":\"%s\",\"message_id\":\"%s\",\"bytes\":%zu,\"ms\":%.3f}\n",
               (unsigned long long)s->number, status, e->id, s->bytes, (double)(e->at_ns - s->sent_ns) / 1e6);
    else if (!e->err && source_is_single(&p->source) && !is_quiet(p->inv))
        printf("%s %s  %s  %s\n", status, e->id, cli_bytes_text(size, (double)s->bytes),
               cli_duration_text(took, e->at_ns - s->sent_ns));
}

static void slot_free(struct publisher *p, struct slot *s)
{
    free(s->payload);
    *s = (struct slot){0};
    p->under_way--;
}

static void wait_for_another(struct publisher *p, struct slot *s, const char *why)
{
    s->is_waiting = s->was_retried = true;
    p->waiting++;
    if (!p->down_ns) {
        p->down_ns = cli_now_ns();
        fprintf(stderr, "codecast publish: %s; trying again\n", why);
    }
}

static void settled(struct publisher *p, const struct cli_event *e, const struct slot *s)
{
    bool is_repeat = e->is_duplicate && !s->was_retried; /* else the first try had come through */

    print_id(p, e, s);
    fflush(stdout); /* whoever reads a pipe wants it now */
    if (!e->err) {
        p->published += !is_repeat;
        p->duplicates += is_repeat;
        p->down_ns = 0;
        p->bytes += s->bytes;
        cli_stats_add(&p->answer, e->at_ns - s->sent_ns);
        return;
    }
    if (!p->failed++) {
        p->worst = e->err;
        cli_fail(&p->inv->fault, (enum cli_err)e->err, "%s", e->text);
    }
    p->is_over |= e->err == CLI_EREACH || e->err == CLI_EDENIED;
    if (p->failed <= SHOWN_FAILURES && !source_is_single(&p->source))
        fprintf(stderr, "codecast publish: message %llu: %s\n", (unsigned long long)s->number, e->text);
}

static bool may_try_again(const struct publisher *p, const struct cli_event *e)
{
    return p->retry_ns && (e->is_passing || e->err == CLI_EREACH) && (!p->down_ns || cli_now_ns() - p->down_ns < p->retry_ns);
}

static void answered(struct publisher *p, const struct cli_event *e)
{
    struct slot *s = &p->slots[e->tag];

    if (e->err && s->payload && may_try_again(p, e)) {
        wait_for_another(p, s, e->text);
        return;
    }
    settled(p, e, s);
    slot_free(p, s);
}

static uint64_t free_slot(const struct publisher *p)
{
    uint64_t i = 0;

    while (p->slots[i].is_used)
        i++;
    return i;
}

static int send_one(struct publisher *p, struct slice payload)
{
    uint64_t at = free_slot(p), now = cli_now_ns();
    int rc;

    p->slots[at] = (struct slot){.number = ++p->sent, .sent_ns = now, .bytes = payload.len, .is_used = true};
    p->under_way++;
    if (p->retry_ns && (p->slots[at].payload = malloc(payload.len + 1)) != NULL && payload.len)
        memcpy(p->slots[at].payload, payload.p, payload.len);
    if (p->opt->rate > 0)
        p->next_ns = (p->next_ns ? p->next_ns : now) + (uint64_t)(1e9 / p->opt->rate);
    rc = cli_link_publish(p->link, p->topic, payload, at, &p->inv->fault);
    if (rc == -CLI_EREACH && p->slots[at].payload) {
        wait_for_another(p, &p->slots[at], p->inv->fault.what);
        return 0;
    }
    if (rc) {
        slot_free(p, &p->slots[at]);
        p->sent--;
    }
    return rc;
}

/* What waits, in the order of its numbers. */
static int send_waiting(struct publisher *p)
{
    while (p->waiting) {
        struct slot *first = NULL;
        int rc;

        for (uint64_t i = 0; i < p->opt->window; i++)
            if (p->slots[i].is_waiting && (!first || p->slots[i].number < first->number))
                first = &p->slots[i];
        rc = cli_link_publish(p->link, p->topic, slice_of(first->payload, first->bytes), (uint64_t)(first - p->slots), &p->inv->fault);
        if (rc == -CLI_EREACH)
            return 0; /* they wait on */
        if (rc)
            return rc;
        first->is_waiting = false;
        p->waiting--;
    }
    return 0;
}

/* Time is over: what waits has failed. */
static void give_up(struct publisher *p, const struct cli_fault *f)
{
    struct cli_event e = {.err = f->err ? f->err : CLI_EREACH};

    snprintf(e.text, sizeof(e.text), "%.255s", f->what);
    for (uint64_t i = 0; i < p->opt->window; i++)
        if (p->slots[i].is_waiting) {
            settled(p, &e, &p->slots[i]);
            slot_free(p, &p->slots[i]);
        }
    p->waiting = 0;
    p->is_over = true;
}

/* Nothing is under way but what waits: a moment, then a new link. 0: go on; 128 + a signal; or an error. */
static int try_again(struct publisher *p)
{
    struct cli_fault f = {0};
    enum cli_wake wake;
    struct cli_event *e;
    int rc;

    wake = cli_inbox_wait(&p->inbox, -1, AGAIN_NS, &e);
    if (wake == CLI_WAKE_SIGNAL)
        return 128 + p->inbox.signal;
    if (wake == CLI_WAKE_EVENT) /* none of ours is under way */
        cli_event_free(e);
    cli_link_free(p->link);
    p->link = NULL;
    rc = cli_link_open(&p->link, &p->inv->target, &p->inbox, &f);
    if (!rc)
        return send_waiting(p);
    if (cli_inbox_signal(&p->inbox))
        return 128 + p->inbox.signal;
    if (rc != -CLI_EREACH || cli_now_ns() - p->down_ns >= p->retry_ns)
        give_up(p, &f);
    return 0;
}

/* How long until the next may go; 0: now. */
static uint64_t pause_ns(const struct publisher *p)
{
    uint64_t now = cli_now_ns();

    return p->next_ns > now ? p->next_ns - now : 0;
}

/* All that may be sent now. 1: nothing more will come. */
static int fill(struct publisher *p)
{
    struct slice payload;
    int rc = 0;

    while (!rc && !p->is_over && !p->waiting && p->under_way < p->opt->window && !pause_ns(p)) {
        enum source_state state = source_next(&p->source, &payload);

        if (state == SOURCE_WAIT)
            return 0;
        if (state == SOURCE_FAILED)
            return cli_fail(&p->inv->fault, CLI_EFAILED, "%s", p->source.error);
        if (state == SOURCE_END)
            return 1;
        rc = send_one(p, payload);
    }
    return rc ? rc : p->is_over;
}

/* 0: all was said and answered. */
static int pump(struct publisher *p)
{
    bool is_fed = false;
    struct cli_event *e;
    int rc;

    while (!is_fed || p->under_way) {
        bool may_send = !is_fed && !p->waiting && p->under_way < p->opt->window;
        uint64_t pause;
        enum cli_wake wake;

        if (p->waiting && p->waiting == p->under_way) {
            rc = try_again(p);
            if (rc)
                return rc;
            continue;
        }
        if (may_send) {
            rc = fill(p);
            if (rc < 0)
                return rc;
            is_fed = rc;
        }
        if (is_fed && !p->under_way)
            break;
        may_send = !is_fed && !p->waiting && p->under_way < p->opt->window;
        if (p->waiting && p->waiting == p->under_way)
            continue;
        pause = may_send ? pause_ns(p) : 0;
        wake = cli_inbox_wait(&p->inbox, may_send && !pause ? source_fd(&p->source) : -1, pause ? pause : UINT64_MAX, &e);
        if (wake == CLI_WAKE_SIGNAL)
            return 128 + p->inbox.signal;
        if (wake == CLI_WAKE_FD)
            source_read(&p->source);
        if (wake == CLI_WAKE_EVENT && e->kind == CLI_PUBLISHED)
            answered(p, e);
        if (wake == CLI_WAKE_EVENT)
            cli_event_free(e);
    }
    return 0;
}

static void summary(struct publisher *p)
{
    char bytes[CLI_UNIT_TEXT], took[CLI_UNIT_TEXT], rate[CLI_UNIT_TEXT], speed[CLI_UNIT_TEXT], p50[CLI_UNIT_TEXT], p95[CLI_UNIT_TEXT];
    uint64_t ns = cli_now_ns() - p->begun_ns, done = p->published + p->duplicates;
    double s = (double)(ns ? ns : 1) / 1e9;

    if (is_quiet(p->inv) || source_is_single(&p->source))
        return;
    fflush(stdout);
    fprintf(p->opt->is_json ? stderr : stdout, "published %llu of %llu  %s in %s  %s  %s", (unsigned long long)p->published, (unsigned long long)p->sent,
            cli_bytes_text(bytes, (double)p->bytes), cli_duration_text(took, ns), cli_rate_text(rate, (double)done / s),
            cli_byte_rate_text(speed, (double)p->bytes / s));
    if (done)
        fprintf(p->opt->is_json ? stderr : stdout, "  answer p50 %s p95 %s", cli_duration_text(p50, cli_stats_at(&p->answer, 50)),
                cli_duration_text(p95, cli_stats_at(&p->answer, 95)));
    if (p->duplicates)
        fprintf(p->opt->is_json ? stderr : stdout, "  %llu deduplicated", (unsigned long long)p->duplicates);
    if (p->failed)
        fprintf(p->opt->is_json ? stderr : stdout, "  %llu failed", (unsigned long long)p->failed);
    fputc('\n', p->opt->is_json ? stderr : stdout);
}

static int run_link(struct publisher *p)
{
    int rc;

    p->begun_ns = cli_now_ns();
    rc = pump(p);
    summary(p);
    if (rc == 0 && p->failed)
        rc = -p->worst;
    if (rc < 0 && p->failed && p->worst == CLI_EREACH)
        cli_hint_reach(&p->inv->fault, &p->inv->target);
    if (rc < 0 && p->failed && p->worst == CLI_EDENIED)
        cli_hint_token(&p->inv->fault, &p->inv->target);
    return rc;
}

static int run(struct invocation *inv)
{
    const struct options *opt = inv->options;
    struct publisher p = {.inv = inv, .opt = opt, .topic = inv->args[0],
                          .retry_ns = opt->retry_ns ? opt->retry_ns : opt->has_lines ? RETRY_NS : 0};
    struct source_config cfg = {.message = inv->n_args > 1 ? inv->args[1] : NULL,
                                .file = opt->file,
                                .has_lines = opt->has_lines,
                                .count = opt->count,
                                .size = opt->size};
    int rc;

    rc = source_init(&p.source, &cfg, &inv->fault);
    if (rc)
        return rc;
    p.slots = calloc(opt->window, sizeof(*p.slots));
    rc = p.slots ? cli_inbox_init(&p.inbox, &inv->fault) : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");
    if (!rc) {
        rc = cli_link_open(&p.link, &inv->target, &p.inbox, &inv->fault);
        if (!rc)
            rc = run_link(&p);
        else if (cli_inbox_signal(&p.inbox))
            rc = 128 + p.inbox.signal;
        cli_inbox_close(&p.inbox);
        cli_link_free(p.link);
        cli_inbox_fini(&p.inbox);
    }
    source_fini(&p.source);
    cli_stats_fini(&p.answer);
    for (uint64_t i = 0; p.slots && i < opt->window; i++)
        free(p.slots[i].payload);
    free(p.slots);
    return rc;
}

const struct command command_publish = {
    .name = "publish",
    .usage = "TOPIC [MESSAGE | -] [OPTION]..",
    .summary = "Publish to a topic: MESSAGE, a file, stdin, lines, or random bytes",
    .notes = "Without MESSAGE, --file or --size the message is what comes on stdin.\n\n"
             "Examples:\n"
             "  codecast publish news 'hello, all'\n"
             "  codecast publish news --file photo.jpg\n"
             "  tail -f app.log | codecast publish logs --lines\n"
             "  codecast publish load --size 64K --count 1000 --rate 50\n",
    .opts = OPTS(opts),
    .min_args = 1,
    .max_args = 2,
    .wants = "TOPIC",
    .defaults = defaults,
    .run = run,
};
