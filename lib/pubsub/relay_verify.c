/* relay_verify.c: plain messages whose signature is checked elsewhere (jobs.h) */
#include "pubsub/core.h"

/* A copy of what is being checked: if that is good its bringer has it, and if it is forged he is to blame as well. */
static void also(struct pubsub *ps, struct peer *p, struct pubsub_job *job)
{
    ps->c.duplicates++;
    unwanted_add(&p->unwanted, job->in.key, ps->tick); /* it need not be sent to him */
    trace_message(ps, TRACE_DUPLICATE_MESSAGE, p, job->in.f.topic, job->in.ids, NULL, job->in.f.data.len);
    for (unsigned i = 0; i < job->nsources; i++)
        if (job->sources[i] == p->handle)
            return;
    if (job->nsources < JOB_SOURCES)
        job->sources[job->nsources++] = p->handle;
}

bool relay_verify_later(struct pubsub *ps, struct peer *p, const struct incoming *in, const struct rpc_item *it, struct buf *frame)
{
    struct pubsub_job *job = ps->jobs.nout ? job_same(&ps->jobs, in) : NULL;

    if (job) {
        also(ps, p, job);
        return true;
    }
    job = job_new(&ps->jobs, JOB_VERIFY, frame, p->handle, ps->now);
    if (!job)
        return false;
    job->in = *in;
    job->in.ids.p = job->in.id;
    job->upstream = p->id;
    job->message = message_new_received(ps->pool, &in->f, &in->from, job->in.ids, it->whole, frame);
    if (!job->message || !jobs_send(ps, job)) {
        job_take(&ps->jobs, job);
        job_free(&ps->jobs, job);
        return false;
    }
    job_list(&ps->jobs, job);
    in->topic->npending++; /* it stays until the answer */
    return true;
}

static struct peer *source_of(const struct pubsub *ps, const struct pubsub_job *job, unsigned i)
{
    return job->sources[i] ? peer_find(ps, job->sources[i]) : NULL;
}

static void refuse(struct pubsub *ps, const struct pubsub_job *job)
{
    if (job->err == -MESSAGE_EMEM) {
        ps->c.no_memory++;
        return;
    }
    for (unsigned i = 0; i < job->nsources; i++) {
        struct peer *p = source_of(ps, job, i);
        if (p)
            relay_reject(ps, p, &job->in.f, job->err);
    }
}

/* Those who brought it too, within the time that it took: P3. */
static void reward(struct pubsub *ps, const struct pubsub_job *job)
{
    const struct topic *tp = job->in.topic;

    for (unsigned i = 1; i < job->nsources; i++) {
        struct peer *p = source_of(ps, job, i);
        if (p && tp->subject.params->mesh_weight != 0 && mcache_brought(job->message, p->handle))
            score_again(&ps->scores, p->score, tp->subject);
    }
}

void relay_verified(struct pubsub *ps, struct pubsub_job *job)
{
    struct topic *tp = job->in.topic;
    struct peer *first = source_of(ps, job, 0);

    tp->npending--;
    if (job->err) {
        refuse(ps, job);
    } else if (!tp->is_subscribed) {
        ps->c.unsubscribed++;
    } else if (seen_has(&ps->seen, job->in.key, ps->now)) { /* written another way, it came and was checked meanwhile */
        ps->c.duplicates++;
    } else if (!relay_is_replay(ps, first, &job->in)) {
        relay_arrived(ps, first, &job->upstream, &job->in, job->message, job->at_ns);
        reward(ps, job);
    }
    topic_release(&ps->topics, tp);
}
