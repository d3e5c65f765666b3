/* coding_jobs.c: the router's helpers: what is given to them, and what comes back (coding_int.h)
 * Why so:  splitting the router itself by message would need a copy of meshes, scores and peers on each lcore, and every RPC to a peer put
 *          together from several of them. What costs most of the router's time needs none of that state: a signature is 40 us, the hash of a
 *          shard of 256 KiB 100 us and more, all the rest of a message a few. So the state stays in one place and the work goes round it
 */
#include "node/coding_int.h"

#define DEEP       16 /* jobs out at a helper: with as many at each, the router takes a share of the work */
#define JOBS_SPARE 64 /* left for the frames at hand */

static bool has_net_input(const struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        if (!xring_is_empty(r->nets[i].in))
            return true;
    return false;
}

static struct coding_helper *least_busy(struct coding_role *r)
{
    struct coding_helper *best = &r->helpers[0];

    for (unsigned i = 1; i < r->nhelpers; i++)
        if (r->helpers[i].jobs < best->jobs)
            best = &r->helpers[i];
    return best;
}

/* A single message on a quiet node is done here: waking another lcore takes as long. */
static struct coding_helper *helper_for_now(struct coding_role *r)
{
    struct coding_helper *h = r->nhelpers ? least_busy(r) : NULL;

    if (!h || h->jobs >= DEEP || (r->jobs_out == 0 && !has_net_input(r)))
        return NULL;
    return h;
}

void coding_give_work(struct coding_role *r, struct pubsub_job *job, uint64_t now)
{
    struct coding_helper *h = helper_for_now(r);
    struct xmsg m = {.type = X_JOB, .job = job};

    if (h && h->out.nheld == 0 && xout_send(&h->out, &m)) {
        h->jobs++;
        r->jobs_out++;
        return;
    }
    r->jobs_here++;
    pubsub_job_run(r->own_helper, job);
    pubsub_job_done(r->ps, job, now);
}

static void from_helper(struct coding_role *r, unsigned from, const struct xmsg *m, uint64_t now)
{
    switch (m->type) {
    case X_JOB:
        r->helpers[from].jobs--;
        r->jobs_out--;
        pubsub_job_done(r->ps, m->job, now);
        break;
    case X_SNAPSHOT: coding_pass_snapshot(r, r->nnets + from + 1, m); break;
    default: break;
    }
}

unsigned coding_take_jobs(struct coding_role *r, uint64_t now)
{
    struct xmsg m;
    unsigned n = 0;

    for (unsigned i = 0; i < r->nhelpers; i++)
        while (coding_drain(r, now) && xring_pop_sc(r->helpers[i].in, &m)) {
            from_helper(r, i, &m, now);
            n++;
        }
    return n;
}

bool coding_may_take_frames(const struct coding_role *r)
{
    return !r->nhelpers || pubsub_jobs_free(r->ps) > JOBS_SPARE;
}

void coding_jobs_flush(struct coding_role *r)
{
    for (unsigned i = 0; i < r->nhelpers; i++)
        xout_flush(&r->helpers[i].out);
}

bool coding_jobs_have_input(const struct coding_role *r)
{
    for (unsigned i = 0; i < r->nhelpers; i++)
        if (!xring_is_empty(r->helpers[i].in) || r->helpers[i].out.nheld)
            return true;
    return false;
}
