#include "cli/frame.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/units.h"
#include "cli/words.h"

#define BOLD  "1"
#define DIM   "2"
#define RED   "31"
#define GREEN "32"

struct frame {
    FILE *out;
    const struct cli_frame_style *style;
    unsigned lines;  /* said so far */
    unsigned column; /* of the line being said */
};

/* Text up to the right edge; colour (NULL: none) round it. */
static void say(struct frame *f, const char *colour, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(struct frame *f, const char *colour, const char *fmt, ...)
{
    unsigned width = f->style->width ? f->style->width : ~0u;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (colour && f->style->has_colour)
        fprintf(f->out, "\033[%sm", colour);
    for (const char *p = text; *p; p++) {
        bool is_first = ((unsigned char)*p & 0xc0) != 0x80;

        if (is_first && f->column >= width)
            break;
        f->column += is_first;
        fputc(*p, f->out);
    }
    if (colour && f->style->has_colour)
        fputs("\033[0m", f->out);
}

static bool has_room(const struct frame *f, unsigned lines)
{
    unsigned kept = f->style->footer ? 1 : 0;

    return !f->style->height || f->lines + lines + kept <= f->style->height;
}

static void end(struct frame *f)
{
    fputc('\n', f->out);
    f->lines++;
    f->column = 0;
}

static void gap(struct frame *f)
{
    if (has_room(f, 1))
        end(f);
}

static void head(struct frame *f, const struct cli_view *v)
{
    const char *problem = f->style->problem;

    say(f, BOLD, "%s %s", v->is_node ? "node" : "gateway", v->name);
    say(f, NULL, "  %s  ", v->url);
    say(f, problem || !v->is_well ? RED : GREEN, "%s", problem ? problem : v->status);
    if (f->style->clock)
        say(f, DIM, "  %s", f->style->clock);
    end(f);
    if (v->id[0] && has_room(f, 1)) {
        say(f, DIM, "%s", v->id);
        end(f);
    }
    if (has_room(f, 1)) {
        say(f, NULL, "%s", v->about);
        end(f);
    }
}

static void figures(struct frame *f, const struct cli_view *v, const struct cli_history *h)
{
    char curve[CLI_CURVE_TEXT], most[CLI_UNIT_TEXT];

    for (unsigned i = 0; i < v->n_lines && has_room(f, 1); i++) {
        const struct cli_view_line *l = &v->lines[i];

        say(f, DIM, "%-10s ", l->label);
        say(f, l->is_bad ? RED : NULL, "%s", l->text);
        end(f);
    }
    if (h && h->n > 1 && has_room(f, 1)) {
        say(f, DIM, "%-10s ", "curve");
        say(f, GREEN, "%s", cli_history_curve(curve, h, CLI_HISTORY_MAX, f->style->is_utf8));
        say(f, DIM, " messages/s, at most %s", cli_rate_text(most, cli_history_most(h)));
        end(f);
    }
}

/* At most rows rows (0: all) of t and, when that is not all, how many are missing. */
static void table(struct frame *f, const struct cli_table *t, unsigned rows, const char *what)
{
    unsigned shown = !rows || rows >= t->rows ? t->rows : rows > 1 ? rows - 1 : 1;

    if (!t->rows || !has_room(f, 2))
        return;
    cli_table_print(f->out, t, 0, f->style->width, shown, f->style->has_colour);
    f->lines += 1 + shown;
    if (shown < t->rows && has_room(f, 1)) {
        say(f, DIM, "and %u %s more", t->rows - shown, what);
        end(f);
    }
}

/* Rows for topics and peers below what was said: a third and the rest, each leaving the other what it does not need. */
static void share(const struct frame *f, const struct cli_view *v, unsigned *topics, unsigned *peers)
{
    unsigned used = f->lines + 4 + (f->style->footer ? 1 : 0), room, want;

    *topics = *peers = 0;
    if (!f->style->height)
        return;
    room = f->style->height > used + 2 ? f->style->height - used : 2;
    want = v->topics.rows < room / 3 ? v->topics.rows : room / 3;
    if (v->peers.rows < room - want)
        want = v->topics.rows < room - v->peers.rows ? v->topics.rows : room - v->peers.rows;
    *topics = want ? want : 1;
    *peers = room - want > 0 ? room - want : 1;
}

void cli_frame_print(FILE *out, const struct cli_view *v, const struct cli_history *h, const struct cli_frame_style *s)
{
    struct frame f = {.out = out, .style = s};
    unsigned topics, peers;

    head(&f, v);
    gap(&f);
    figures(&f, v, h);
    share(&f, v, &topics, &peers);
    gap(&f);
    table(&f, &v->topics, topics, "topics");
    if (v->topics.rows)
        gap(&f);
    table(&f, &v->peers, peers, v->peers_name ? v->peers_name : "");
    if (s->footer) {
        say(&f, DIM, "%s", s->footer);
        end(&f);
    }
}
