#include "node/layout.h"

#include <stdio.h>

#define SPLIT_CPUS    4 /* from so many on lcores have CPUs of their own */
#define CPUS_A_NET    4
#define NETS_USUAL    4 /* more only when asked for */
#define TWO_CODE_CPUS 16

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static void by_cpus(struct layout *l, unsigned ncpus, unsigned net_max)
{
    unsigned net = least(least(ncpus / CPUS_A_NET, NETS_USUAL), net_max);

    l->net = net > 1 ? net : 1;
    l->coding = ncpus >= TWO_CODE_CPUS ? 2 : 1;
    l->lcores = ncpus < SPLIT_CPUS ? 1 : l->net + l->coding;
}

int layout_make(struct layout *l, unsigned ncpus, const struct layout_wish *w, unsigned net_max, char err[256])
{
    *l = (struct layout){0};
    if (w->lcores && (w->net > 1 || w->coding > 1 || w->lcores > 2)) {
        snprintf(err, 256, "--lcores is 1 or 2, for one net and one coding role; for more say --net-lcores and --coding-lcores alone");
        return -1;
    }
    if (w->net > LAYOUT_NET_MAX || w->coding > LAYOUT_CODING_MAX) {
        snprintf(err, 256, "at most %u net and %u coding lcores, not %u and %u", LAYOUT_NET_MAX, LAYOUT_CODING_MAX, w->net, w->coding);
        return -1;
    }
    if (w->net > net_max) {
        snprintf(err, 256, "this NET_DRIVER takes at most %u net lcores, not %u", net_max, w->net);
        return -1;
    }
    by_cpus(l, ncpus, net_max);
    if (w->lcores) {
        l->net = l->coding = 1;
        l->lcores = w->lcores;
    } else if (w->net || w->coding) {
        l->net = w->net ? w->net : 1;
        l->coding = w->coding ? w->coding : 1;
        l->lcores = l->net + l->coding;
    }
    l->is_pinned = ncpus >= SPLIT_CPUS && l->lcores < ncpus;
    return 0;
}
