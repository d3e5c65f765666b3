#include "tcp/seqset.h"

#include <stdlib.h>
#include <string.h>

#define SEQSET_FIRST_CAP 8

void seqset_init(struct seqset *s, uint32_t max)
{
    *s = (struct seqset){.max = max};
}

void seqset_fini(struct seqset *s)
{
    free(s->r);
    *s = (struct seqset){.max = s->max};
}

void seqset_clear(struct seqset *s)
{
    s->count = 0;
    s->bytes = 0;
}

uint32_t seqset_find(const struct seqset *s, uint32_t seq)
{
    uint32_t a = 0, b = s->count;

    while (a < b) {
        uint32_t m = (a + b) / 2;
        if (seq_gt(s->r[m].hi, seq))
            b = m;
        else
            a = m + 1;
    }
    return a;
}

static int grow(struct seqset *s)
{
    if (s->count < s->cap)
        return 0;
    if (s->count >= s->max)
        return -1;
    uint32_t cap = s->cap ? s->cap * 2 : SEQSET_FIRST_CAP;
    struct seq_range *r = realloc(s->r, (cap > s->max ? s->max : cap) * sizeof(*r));
    if (!r)
        return -1;
    s->r = r;
    s->cap = cap > s->max ? s->max : cap;
    return 0;
}

int seqset_add(struct seqset *s, uint32_t lo, uint32_t hi)
{
    uint32_t i = seqset_find(s, lo - 1); /* a range that ends exactly at lo is joined too */
    uint32_t j = i;

    for (; j < s->count && seq_leq(s->r[j].lo, hi); j++) {
        lo = seq_min(lo, s->r[j].lo);
        hi = seq_max(hi, s->r[j].hi);
        s->bytes -= s->r[j].hi - s->r[j].lo;
    }
    if (i == j) {
        if (grow(s))
            return -1;
        memmove(&s->r[i + 1], &s->r[i], (s->count - i) * sizeof(*s->r));
        s->count++;
    } else {
        memmove(&s->r[i + 1], &s->r[j], (s->count - j) * sizeof(*s->r));
        s->count -= j - i - 1;
    }
    s->r[i] = (struct seq_range){lo, hi};
    s->bytes += hi - lo;
    return 0;
}

void seqset_trim(struct seqset *s, uint32_t seq)
{
    uint32_t i = seqset_find(s, seq);

    for (uint32_t k = 0; k < i; k++)
        s->bytes -= s->r[k].hi - s->r[k].lo;
    if (i) {
        memmove(s->r, &s->r[i], (s->count - i) * sizeof(*s->r));
        s->count -= i;
    }
    if (s->count && seq_lt(s->r[0].lo, seq)) {
        s->bytes -= seq - s->r[0].lo;
        s->r[0].lo = seq;
    }
}
