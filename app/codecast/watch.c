/* watch.c: codecast watch: a live picture of a node or a gateway in the terminal */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/frame.h"
#include "command.h"

struct options {
    struct common common;
    uint64_t interval_ns, count;
    bool is_once;
};

static const struct cli_opt opts[] = {
    {"interval", 'i', CLI_DURATION, offsetof(struct options, interval_ns), "TIME", "a new picture each TIME [1s]", 0, 0, NULL},
    {"once", '1', CLI_FLAG, offsetof(struct options, is_once), NULL, "one picture, plain, after one interval (rates need two looks)", 0, 0, NULL},
    {"count", 'n', CLI_COUNT, offsetof(struct options, count), "N", "end after N pictures", 1, 1e9, NULL},
};

static void defaults(void *o)
{
    ((struct options *)o)->interval_ns = 1000000000u;
}

struct watch {
    struct invocation *inv;
    const struct options *opt;
    struct cli_inbox inbox;
    struct cli_http *http;
    struct cli_view view;
    struct cli_history history;
    char *metrics, *before;
    uint64_t metrics_ns, before_ns;
    char url[CLI_URL_TEXT];
    bool is_node, has_view, is_live, has_termios, has_keys;
    struct termios termios;
};

/* ---- asking ---- */

static int ask_metrics(struct watch *w)
{
    struct cli_http_answer a;
    int rc = cli_http_get(w->http, "/metrics", &a, &w->inv->fault);

    if (rc)
        return rc;
    if (a.status != 200) {
        rc = cli_http_refused(&w->inv->fault, &a);
        if (rc == -CLI_EDENIED)
            cli_hint_token(&w->inv->fault, &w->inv->target);
        cli_http_answer_fini(&a);
        return rc;
    }
    free(w->before);
    w->before = w->metrics;
    w->before_ns = w->metrics_ns;
    w->metrics = a.body;
    w->metrics_ns = cli_now_ns();
    return 0;
}

static int look(struct watch *w)
{
    json_t *health = NULL, *detail = NULL;
    struct cli_fault ignored;
    int rc = cli_http_json(w->http, "/api/v1/health", &health, &w->inv->fault);

    if (!rc)
        rc = ask_metrics(w);
    if (!rc) {
        cli_http_json(w->http, w->is_node ? "/debug/peers" : "/api/v1/node-state", &detail, &ignored); /* may need a token */
        if (w->has_view)
            cli_view_fini(&w->view);
        cli_view_make(&w->view, &(struct cli_view_input){.is_node = w->is_node,
                                                         .url = w->url,
                                                         .health = health,
                                                         .detail = detail,
                                                         .metrics = w->metrics,
                                                         .before = w->before,
                                                         .seconds = (double)(w->metrics_ns - w->before_ns) / 1e9});
        w->has_view = true;
        if (w->before)
            cli_history_add(&w->history, w->view.per_second);
    }
    json_decref(health);
    json_decref(detail);
    return rc;
}

/* ---- the terminal ---- */

static void enter(struct watch *w)
{
    struct termios raw;

    w->is_live = isatty(STDOUT_FILENO) && !w->opt->is_once;
    if (!w->is_live)
        return;
    w->has_keys = isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
    w->has_termios = w->has_keys && tcgetattr(STDIN_FILENO, &w->termios) == 0;
    if (w->has_termios) {
        raw = w->termios;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
}

static void leave(struct watch *w)
{
    if (!w->is_live)
        return;
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (w->has_termios)
        tcsetattr(STDIN_FILENO, TCSANOW, &w->termios);
    w->is_live = false;
}

static void size_of_terminal(struct cli_frame_style *s)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
        s->width = size.ws_col;
        s->height = size.ws_row;
    } else {
        s->width = 80;
        s->height = 24;
    }
}

/* A line at a time over the old picture, so that nothing flickers. */
static void show_live(struct watch *w, const struct cli_frame_style *s)
{
    size_t len;
    char *text, *line, *at;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    cli_frame_print(f, &w->view, &w->history, s);
    fclose(f);
    fputs("\033[H", stdout);
    for (at = text; (line = strchr(at, '\n')) != NULL; at = line + 1) {
        *line = 0;
        /* no line end behind the last one: the screen would roll */
        printf("%s\033[K%s", at, line[1] ? "\r\n" : "");
    }
    fputs("\033[J", stdout);
    fflush(stdout);
    free(text);
}

static void show(struct watch *w, const char *problem)
{
    struct cli_frame_style s = {.has_colour = has_colour(), .problem = problem};
    char clock[16];
    time_t now = time(NULL);
    struct tm tm;

    if (!w->has_view)
        return;
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    s.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    s.clock = clock;
    if (w->is_live) {
        size_of_terminal(&s);
        s.footer = w->has_keys ? "q ends" : "Ctrl-C ends";
        show_live(w, &s);
        return;
    }
    cli_frame_print(stdout, &w->view, &w->history, &s);
    fflush(stdout);
}

/* ---- the loop ---- */

static bool is_end_key(void)
{
    char c = 0;

    return read(STDIN_FILENO, &c, 1) <= 0 || c == 'q' || c == 'Q';
}

/* Until the next look. 1: the user had enough. */
static int rest(struct watch *w, uint64_t until_ns)
{
    struct cli_event *e;
    uint64_t now;

    while ((now = cli_now_ns()) < until_ns) {
        enum cli_wake wake = cli_inbox_wait(&w->inbox, w->is_live && w->has_keys ? STDIN_FILENO : -1, until_ns - now, &e);

        if (wake == CLI_WAKE_SIGNAL || (wake == CLI_WAKE_FD && is_end_key()))
            return 1;
    }
    return 0;
}

static int loop(struct watch *w)
{
    uint64_t next = cli_now_ns(), shown = 0, wanted = w->opt->is_once ? 1 : w->opt->count;
    int rc = 0;

    for (bool is_first = true;; is_first = false) {
        if (!is_first)
            rc = look(w);
        /* what was there a moment ago may come back; what never was there is an error */
        if (rc && (!w->is_live || rc != -CLI_EREACH || !w->has_view))
            return rc;
        if (rc || w->before || w->is_live) {
            show(w, rc ? "does not answer, trying on" : NULL);
            shown += w->before != NULL;
        }
        if (wanted && shown >= wanted)
            return 0;
        if (!w->is_live && w->before)
            putchar('\n'); /* between two pictures */
        next += w->opt->interval_ns;
        if (next < cli_now_ns())
            next = cli_now_ns();
        if (rest(w, next))
            return 0;
    }
}

static int run(struct invocation *inv)
{
    const struct options *opt = inv->options;
    struct watch w = {.inv = inv, .opt = opt, .is_node = inv->target.kind == CLI_SIDECAR};
    int rc;

    if (opt->interval_ns < 50000000)
        return cli_fail(&inv->fault, CLI_EUSAGE, "--interval: at least 50ms");
    setlocale(LC_CTYPE, "");
    cli_http_url(w.url, &inv->target.http);
    rc = cli_inbox_init(&w.inbox, &inv->fault);
    if (rc)
        return rc;
    w.http = cli_http_new(&inv->target, &inv->target.http);
    rc = w.http ? look(&w) : cli_fail(&inv->fault, CLI_EFAILED, "out of memory");
    if (!rc) {
        enter(&w);
        rc = loop(&w);
        leave(&w);
    } else if (cli_inbox_signal(&w.inbox)) {
        rc = 128 + w.inbox.signal;
    }
    if (w.has_view)
        cli_view_fini(&w.view);
    free(w.metrics);
    free(w.before);
    cli_http_free(w.http);
    cli_inbox_fini(&w.inbox);
    return rc;
}

const struct command command_watch = {
    .name = "watch",
    .usage = "[OPTION]..",
    .summary = "A live picture: health, rates, delays, topics, mesh and peers (or a gateway's nodes)",
    .notes = "Into a pipe or file it writes plain pictures one below the other. NO_COLOR is minded.\n\n"
             "Examples:\n"
             "  codecast watch\n"
             "  codecast watch --sidecar node1 --interval 500ms\n"
             "  codecast watch --api node1:9090 --once\n",
    .opts = OPTS(opts),
    .defaults = defaults,
    .run = run,
};
