/* http_place.c: which server thread has a connection */
#include "http/http_place.h"

static unsigned fewest_peers(const struct http_load *t, unsigned n)
{
    unsigned best = 0;

    for (unsigned i = 1; i < n; i++)
        if (t[i].is_full != t[best].is_full ? t[best].is_full : t[i].peers < t[best].peers)
            best = i;
    return best;
}

unsigned http_place_peer(const struct http_load *t, unsigned n, bool has_few_cpus)
{
    bool has_many = t[0].peers >= t[0].ws + HTTP_PLACE_PLAIN;

    return has_few_cpus && !t[0].is_full && !has_many ? 0 : fewest_peers(t, n);
}

unsigned http_place_ws(const struct http_load *t, unsigned n, unsigned here, bool has_few_cpus)
{
    unsigned best = here;

    if (!has_few_cpus) /* its connection was placed by number already */
        return here;
    if (here != 0 && t[0].ws < HTTP_PLACE_WS && !t[0].is_full)
        return 0;
    if (t[here].ws <= HTTP_PLACE_WS)
        return here;
    for (unsigned i = 0; i < n; i++)
        if (t[i].ws + (i != here) < t[best].ws + (best != here))
            best = i;
    return best;
}
