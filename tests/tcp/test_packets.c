/* test_packets.c: every case of scripts/<topic>/<name>.pkt, a test each, over IPv4 and IPv6
 * test_packets [DIR] [WORD]: only cases whose name holds WORD
 */
#include "pkt.h"
#include "testing.h"

#include <dirent.h>

#define MAX_CASES 1024

struct pkt_case {
    char *name; /* topic/file: case */
    char *file;
    char *text; /* its lines */
    unsigned first_line;
    bool is_v6;
};

static struct pkt_case cases[MAX_CASES];
static unsigned case_count;

/* ---- running one ---- */

static void init(struct pkt *p, const struct pkt_case *c)
{
    memset(p, 0, sizeof(*p));
    p->file = c->file;
    p->is_v6 = c->is_v6;
    rng_init_seeded(&p->rng, 1);
    tcp_config_defaults(&p->cfg);
    p->cfg.max_conns = 64;
    p->cfg.max_half_open = 16;
    p->cfg.quick_acks = 0; /* cases that are not about them would all have to say so */
    p->cfg.recv_buf_first_bytes = 0;
    p->start_ns = p->now = 5 * PKT_SEC;
    p->peer = (struct pkt_peer){.ts = true, .sack = true, .ws = 7, .mss = 1460, .win = 65535};
    for (unsigned i = 0; i < PKT_FLOWS; i++) {
        p->flow[i].peer_port = (uint16_t)(8000 + i);
        p->flow[i].peer_iss = 0xfffffe00u + i * 0x01000000u; /* the first wraps soon */
    }
}

static void run_lines(struct pkt *p, const struct pkt_case *c)
{
    char line[512];
    const char *at = c->text;

    p->line_number = c->first_line;
    while (*at && !p->is_skipped) {
        size_t n = strcspn(at, "\n");
        char whole[512];
        assert_true(n < sizeof(line));
        memcpy(line, at, n);
        line[n] = 0;
        memcpy(whole, line, n + 1);
        p->line = whole;
        pkt_run_line(p, line);
        at += n + (at[n] == '\n');
        p->line_number++;
    }
    if (p->is_skipped)
        return;
    p->line_number--;
    p->line = "(end of the case)";
    pkt_end(p);
}

static struct pkt world;

static void run_case(void **state)
{
    const struct pkt_case *c = *state;

    init(&world, c);
    run_lines(&world, c);
}

static int end_case(void **state)
{
    (void)state;
    tcp_stack_free(world.s);
    world.s = NULL;
    return 0;
}

/* ---- finding them ---- */

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 18);

    if (!f || !text)
        fail_msg("%s cannot be read", path);
    if (fread(text, 1, (1 << 18) - 1, f) == (1 << 18) - 1)
        fail_msg("%s is too long", path);
    fclose(f);
    return text;
}

static char *join(const char *a, const char *between, const char *b)
{
    size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
    char *s = malloc(n);

    snprintf(s, n, "%s%s%s", a, between, b);
    return s;
}

/* Cuts a file at its "case" lines. */
static void add_file(const char *dir, const char *topic, const char *name, const char *word)
{
    char *file = join(topic, "/", name), *path = join(dir, "/", file), *text = read_file(path);
    unsigned line = 1;
    struct pkt_case *open = NULL;

    for (char *at = text; *at; line++) {
        char *end = at + strcspn(at, "\n"), *next = *end ? end + 1 : end;
        if (strncmp(at, "case ", 5) == 0) {
            char kept = *end;
            *at = 0; /* ends the case before */
            *end = 0;
            char *title = join(file, ": ", at + 5);
            *end = kept;
            open = NULL;
            if (!word || strstr(title, word)) {
                assert_true(case_count < MAX_CASES);
                open = &cases[case_count++];
                *open = (struct pkt_case){title, join(file, "", ""), next, line + 1, false};
            } else
                free(title);
        }
        at = next;
    }
    for (unsigned i = 0; i < case_count; i++)
        if (cases[i].text >= text && cases[i].text < text + (1 << 18))
            cases[i].text = join(cases[i].text, "", "");
    free(text);
    free(path);
    free(file);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void add_topic(const char *dir, const char *topic, const char *word)
{
    char *path = join(dir, "/", topic);
    struct dirent **e;
    int n = scandir(path, &e, is_visible, alphasort);

    for (int i = 0; i < n; i++) {
        size_t len = strlen(e[i]->d_name);
        if (len > 4 && strcmp(e[i]->d_name + len - 4, ".pkt") == 0)
            add_file(dir, topic, e[i]->d_name, word);
        free(e[i]);
    }
    if (n >= 0)
        free(e);
    free(path);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "tests/tcp/scripts", *word = argc > 2 ? argv[2] : NULL;
    static struct CMUnitTest tests[MAX_CASES];
    struct dirent **e;
    int n = scandir(dir, &e, is_visible, alphasort);

    for (int i = 0; i < n; i++) {
        add_topic(dir, e[i]->d_name, word);
        free(e[i]);
    }
    if (n >= 0)
        free(e);
    if (case_count == 0) {
        fprintf(stderr, "no cases in %s\n", dir);
        return 1;
    }
    for (unsigned i = 0, n4 = case_count; i < n4; i++) {
        assert_true(case_count < MAX_CASES);
        cases[case_count++] = (struct pkt_case){join(cases[i].name, " ", "(IPv6)"), join(cases[i].file, "", ""),
                                                join(cases[i].text, "", ""), cases[i].first_line, true};
    }
    for (unsigned i = 0; i < case_count; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, run_case, NULL, end_case, &cases[i]};
    int failed = _cmocka_run_group_tests("tcp_packets", tests, case_count, NULL, NULL);
    for (unsigned i = 0; i < case_count; i++) {
        free(cases[i].name);
        free(cases[i].file);
        free(cases[i].text);
    }
    return failed;
}
