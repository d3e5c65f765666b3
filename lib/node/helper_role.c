#include "node/helper_role.h"

#include <stdlib.h>

#define JOBS_PER_TURN 32

int helper_role_init(struct helper_role *r)
{
    r->helper = pubsub_helper_new();
    return r->helper ? 0 : -1;
}

static void drop(const struct xmsg *m)
{
    if (m->type == X_SNAPSHOT)
        free(m->snapshot);
}

void helper_role_fini(struct helper_role *r)
{
    struct xmsg m;

    while (r->in && xring_pop_sc(r->in, &m))
        drop(&m);
    for (unsigned i = 0; i < r->out.nheld; i++)
        drop(&r->out.held[i]);
    pubsub_helper_free(r->helper);
    r->helper = NULL;
}

static void handle(struct helper_role *r, const struct xmsg *m)
{
    if (m->type == X_JOB)
        pubsub_job_run(r->helper, m->job);
    else if (m->type == X_SNAPSHOT) {
        snapshot_add_ring(m->snapshot, r->out.ring);
        snapshot_add_batches(m->snapshot, r->in);
    }
    xout_send(&r->out, m);
}

unsigned helper_role_poll(struct helper_role *r)
{
    struct xmsg m;
    unsigned n = 0;

    if (!xout_flush(&r->out))
        return 0;
    for (; n < JOBS_PER_TURN && xring_pop_sc(r->in, &m); n++)
        handle(r, &m);
    return n;
}

bool helper_role_has_input(const struct helper_role *r)
{
    return !xring_is_empty(r->in) || r->out.nheld;
}
