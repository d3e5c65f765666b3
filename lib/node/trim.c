#include "node/trim.h"

#include <stdlib.h>

static bool may_go(const struct trim_peer *p)
{
    return !p->is_protected && !p->is_young;
}

/* Those that may not go come last. */
static int compare(const void *x, const void *y)
{
    const struct trim_peer *a = x, *b = y;

    if (may_go(a) != may_go(b))
        return may_go(a) ? -1 : 1;
    if (a->is_mesh != b->is_mesh)
        return a->is_mesh ? 1 : -1;
    if (a->has_stream != b->has_stream)
        return a->has_stream ? 1 : -1;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    if (a->connected_ns != b->connected_ns)
        return a->connected_ns > b->connected_ns ? -1 : 1; /* who has stayed long will stay */
    return a->handle < b->handle ? -1 : 1;
}

unsigned trim_choose(struct trim_peer *p, unsigned n, unsigned keep)
{
    unsigned chosen = 0, settled = 0;

    for (unsigned i = 0; i < n; i++)
        settled += !p[i].is_young;
    qsort(p, n, sizeof(*p), compare);
    while (chosen < settled && settled - chosen > keep && may_go(&p[chosen]))
        chosen++;
    return chosen;
}
