#include "pubsub/jobs.h"

#include <stdlib.h>

#include "pubsub/generation_hash.h"
#include "pubsub/pubsub.h"

struct pubsub_helper {
    struct message_scratch scratch;
};

int jobs_init(struct jobs *j, unsigned max)
{
    *j = (struct jobs){.max = max};
    list_init(&j->out);
    j->stock = max ? calloc(max, sizeof(*j->stock)) : NULL;
    for (unsigned i = 0; j->stock && i < max; i++) {
        j->stock[i].next = j->free;
        j->free = &j->stock[i];
    }
    return max && !j->stock ? -1 : 0;
}

static void let_go(struct pubsub_job *job)
{
    buf_unref(job->frame);
    message_unref(job->message);
    job->frame = NULL;
    job->message = NULL;
}

void jobs_fini(struct jobs *j)
{
    if (j->stock)
        LIST_EACH(it, &j->out)
            let_go(CONTAINER_OF(it, struct pubsub_job, node));
    free(j->stock);
    j->stock = NULL;
}

struct pubsub_job *job_new(struct jobs *j, enum job_kind kind, struct buf *frame, pubsub_peer source, uint64_t now)
{
    struct pubsub_job *job = j->free;
    bool is_same_frame = j->nout && CONTAINER_OF(j->out.prev, struct pubsub_job, node)->frame == frame;
    uint64_t bytes = is_same_frame ? 0 : frame->len; /* a frame of many messages is charged once */

    if (!job || (j->nout && j->bytes + bytes > JOBS_BYTES_MAX))
        return NULL;
    j->free = job->next;
    *job = (struct pubsub_job){.kind = kind, .frame = buf_ref(frame), .sources = {source}, .nsources = 1, .at_ns = now, .charged_bytes = bytes};
    list_push_back(&j->out, &job->node);
    j->nout++;
    j->bytes += bytes;
    return job;
}

static struct pubsub_job **bucket_of(struct jobs *j, struct msgkey key)
{
    return &j->bucket[key.a % JOBS_BUCKETS];
}

void job_list(struct jobs *j, struct pubsub_job *job)
{
    struct pubsub_job **b = bucket_of(j, job->in.key);

    job->next = *b;
    *b = job;
}

static bool is_same(const struct message_fields *a, const struct message_fields *b)
{
    return a->has == b->has && slice_is_equal(a->signature, b->signature) && slice_is_equal(a->from, b->from) &&
           slice_is_equal(a->seqno, b->seqno) && slice_is_equal(a->topic, b->topic) && slice_is_equal(a->key, b->key) &&
           slice_is_equal(a->data, b->data);
}

struct pubsub_job *job_same(const struct jobs *j, const struct incoming *in)
{
    struct pubsub_job *job = j->bucket[in->key.a % JOBS_BUCKETS];

    while (job && !(job->in.key.a == in->key.a && job->in.key.b == in->key.b && is_same(&job->in.f, &in->f)))
        job = job->next;
    return job;
}

void job_take(struct jobs *j, struct pubsub_job *job)
{
    list_del(&job->node);
    j->nout--;
    j->bytes -= job->charged_bytes;
    for (struct pubsub_job **at = bucket_of(j, job->in.key); job->kind == JOB_VERIFY && *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            break;
        }
}

void job_free(struct jobs *j, struct pubsub_job *job)
{
    let_go(job);
    job->next = j->free;
    j->free = job;
}

void jobs_forget(struct jobs *j, pubsub_peer source)
{
    if (j->stock)
        LIST_EACH(it, &j->out) {
            struct pubsub_job *job = CONTAINER_OF(it, struct pubsub_job, node);
            for (unsigned i = 0; i < job->nsources; i++)
                if (job->sources[i] == source)
                    job->sources[i] = 0;
        }
}

/* ---- of who runs them ---- */

struct pubsub_helper *pubsub_helper_new(void)
{
    return calloc(1, sizeof(struct pubsub_helper));
}

void pubsub_helper_free(struct pubsub_helper *h)
{
    if (h)
        message_scratch_fini(&h->scratch);
    free(h);
}

void pubsub_job_run(struct pubsub_helper *h, struct pubsub_job *job)
{
    if (job->kind == JOB_VERIFY)
        job->err = message_verify(&job->in.f, &job->in.from, &h->scratch);
    else
        generation_hash_shard(job->shard.payload, job->digest);
}
