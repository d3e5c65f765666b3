/* view.h: what watch shows, taken from a server's answers
 * Shape:   health, peers or state as JSON, metrics as text and those of a moment before -> struct cli_view; no I/O
 * Owner:   whoever made it; cli_view_fini
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/table.h"
#include "cli/target.h"

struct cli_view_input {
    bool is_node;
    const char *url;
    const json_t *health;
    const json_t *detail;        /* a node's /debug/peers, a gateway's /node-state; NULL: not known */
    const char *metrics, *before; /* texts; before NULL: no rates yet */
    double seconds;               /* between the two */
};

#define CLI_VIEW_LINES 8

struct cli_view_line {
    char label[16];
    char text[160];
    bool is_bad; /* something that ought to be 0 is not */
};

struct cli_view {
    bool is_node, is_well;
    char url[CLI_URL_TEXT], name[72], status[32], id[72];
    char about[160]; /* one line of facts */
    unsigned n_lines;
    struct cli_view_line lines[CLI_VIEW_LINES];
    double per_second; /* messages, for the little curve */
    struct cli_table topics, peers;
    const char *peers_name; /* "peers" or "nodes" */
};

void cli_view_make(struct cli_view *v, const struct cli_view_input *in);
void cli_view_fini(struct cli_view *v);
/* A node's topics as a table (cli_table_fini), those first that a client of it is subscribed to. j: {"topics":[..]}. */
void cli_view_topics(struct cli_table *t, const json_t *j);

/* The last values of a rate, for a curve. */
#define CLI_HISTORY_MAX 40
struct cli_history {
    double v[CLI_HISTORY_MAX];
    unsigned n;
};

void cli_history_add(struct cli_history *h, double v);
double cli_history_most(const struct cli_history *h);
/* The last `width` values as bars of eight heights, the largest of them full; ASCII without utf8. Returns out. */
#define CLI_CURVE_TEXT (CLI_HISTORY_MAX * 3 + 1)
char *cli_history_curve(char out[CLI_CURVE_TEXT], const struct cli_history *h, unsigned width, bool utf8);

#endif
