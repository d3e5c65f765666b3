#include "cli/tally.h"

#include <stdlib.h>
#include <string.h>

static void put_u64(uint8_t *out, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

void cli_tally_init(struct cli_tally *t, uint64_t run)
{
    memset(t, 0, sizeof(*t));
    t->run = run;
}

void cli_tally_fini(struct cli_tally *t)
{
    free(t->entry);
    cli_stats_fini(&t->delivery);
    cli_stats_fini(&t->answer);
}

void cli_tally_head(uint8_t out[CLI_TALLY_HEAD], uint64_t run, uint64_t n)
{
    put_u64(out, run);
    put_u64(out + 8, n);
}

uint64_t cli_tally_send(struct cli_tally *t, uint64_t now_ns)
{
    if (t->sent == t->cap) {
        uint64_t cap = t->cap ? t->cap * 2 : 1024;
        void *more = realloc(t->entry, cap * sizeof(*t->entry));

        if (!more)
            return UINT64_MAX;
        t->entry = more;
        t->cap = cap;
    }
    if (!t->sent)
        t->first_sent_ns = now_ns;
    t->last_sent_ns = now_ns;
    t->entry[t->sent] = (struct cli_tally_entry){.sent_ns = now_ns & INT64_MAX};
    return t->sent++;
}

void cli_tally_answer(struct cli_tally *t, uint64_t n, bool is_refused, uint64_t now_ns)
{
    if (n >= t->sent)
        return;
    t->answered++;
    t->refused += is_refused;
    t->entry[n].is_refused = is_refused;
    if (!is_refused)
        cli_stats_add(&t->answer, now_ns - t->entry[n].sent_ns);
}

bool cli_tally_arrive(struct cli_tally *t, struct slice payload, uint64_t now_ns)
{
    uint64_t n = payload.len >= CLI_TALLY_HEAD ? get_u64(payload.p + 8) : UINT64_MAX;

    if (payload.len < CLI_TALLY_HEAD || get_u64(payload.p) != t->run || n >= t->sent) {
        t->strange++;
        return false;
    }
    if (t->entry[n].arrivals++) {
        t->duplicates++;
        return true;
    }
    t->arrived++;
    t->last_arrival_ns = now_ns;
    cli_stats_add(&t->delivery, now_ns > t->entry[n].sent_ns ? now_ns - t->entry[n].sent_ns : 0);
    return true;
}

uint64_t cli_tally_missing(const struct cli_tally *t)
{
    uint64_t missing = 0;

    for (uint64_t i = 0; i < t->sent; i++)
        missing += !t->entry[i].arrivals && !t->entry[i].is_refused;
    return missing;
}
