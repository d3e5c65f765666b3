/* gw_balance.c: which node the next publish goes to */
#include "gateway/gw_balance.h"

#define UNIT_BYTES    16384
#define AHEAD_MAX     128            /* units: 2 MiB */
#define BEHIND_MAX    2
#define EQUAL_NS      4000000ull     /* what answers within this is equally good: the rest is noise */
#define ANSWER_NS_MAX 60000000000ull /* keeps the sums far from their end */

static uint64_t units(uint64_t bytes)
{
    return 1 + bytes / UNIT_BYTES;
}

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Microseconds of one unit; a machine without idle CPU counts three times. */
static uint64_t weight(const struct gw_load *l)
{
    double cpu = l->cpu < 0 ? 0 : l->cpu > 100 ? 100 : l->cpu;

    return (uint64_t)((double)latest(l->answer_ns, EQUAL_NS) / 1000 * (1 + cpu / 50));
}

/* Where its next share begins: where the last one ended. Bounded by its present weight either way: one that was slow is not
 * shunned for long once it is quick again, and one that was away is not owed all that it missed. */
static uint64_t begin(const struct gw_load *l, uint64_t clock)
{
    uint64_t ahead = weight(l) * AHEAD_MAX, behind = weight(l) * BEHIND_MAX;
    uint64_t most = clock + ahead, least = clock > behind ? clock - behind : 0;

    return l->due > most ? most : latest(l->due, least);
}

uint64_t gw_load_price(const struct gw_load *l, uint64_t bytes, uint64_t clock)
{
    return begin(l, clock) + weight(l) * (l->outstanding + units(bytes));
}

void gw_load_sent(struct gw_load *l, uint64_t bytes, uint64_t *clock)
{
    uint64_t from = begin(l, *clock);

    *clock = latest(*clock, from);
    l->due = from + weight(l) * units(bytes);
    l->outstanding += units(bytes);
}

void gw_load_taken(struct gw_load *l, uint64_t bytes)
{
    uint64_t n = units(bytes);

    l->outstanding -= n < l->outstanding ? n : l->outstanding;
}

void gw_load_answered(struct gw_load *l, uint64_t bytes, uint64_t took_ns)
{
    uint64_t sample = (took_ns < ANSWER_NS_MAX ? took_ns : ANSWER_NS_MAX) / units(bytes);

    l->answer_ns = l->answer_ns ? (3 * l->answer_ns + sample) / 4 : latest(sample, 1);
}
