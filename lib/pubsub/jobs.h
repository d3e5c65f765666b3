/* jobs.h: work of the core that needs none of its state, and that another lcore may do: a plain message's signature, a source
 * shard's hash
 * Shape:   job_new -> filled in -> jobs_send (a WORK output) -> pubsub_job_run by whoever takes it -> pubsub_job_done. What follows
 *          from jobs is done in the order in which they were sent, whatever order they come back in: so the order of messages is the
 *          one in which they came, as without jobs
 * Owner:   the core; a job that is out belongs to who runs it, but for `sources`, `node` and `same`, which stay the core's
 * Memory:  a fixed stock. A job holds a reference of the frame that its bytes lie in
 * Limits:  cfg.jobs out at a time, and JOBS_BYTES_MAX of frames; beyond them the core does the work itself, at once: then a message may overtake those that are out
 */
#ifndef PUBSUB_JOBS_H
#define PUBSUB_JOBS_H

#include "base/list.h"
#include "pubsub/coded_wire.h"
#include "pubsub/message.h"
#include "pubsub/seen.h"

#define JOB_SOURCES    24 /* peers that brought the same meanwhile; a further one is only counted */
#define JOBS_BUCKETS   1024
#define JOBS_BYTES_MAX (64ull << 20)

enum job_kind { JOB_VERIFY, JOB_HASH };

/* A message on its way in. */
struct incoming {
    struct message_fields f;
    struct topic *topic;
    struct peer_id from;
    struct msgkey key;
    uint8_t id[MESSAGE_ID_MAX];
    struct slice ids;
};

struct pubsub_job {
    struct list node;        /* of jobs.out, oldest first */
    struct pubsub_job *next; /* free, or of one bucket */
    enum job_kind kind;
    bool is_done;
    pubsub_peer sources[JOB_SOURCES]; /* sources[0] brought it; 0: gone */
    unsigned nsources;
    struct peer_id upstream; /* of sources[0] */
    uint64_t at_ns;
    struct buf *frame;
    uint64_t charged_bytes;
    int err; /* of the run */
    struct incoming in;      /* VERIFY */
    struct message *message;
    struct coded_shard shard; /* HASH */
    uint8_t digest[CODED_HASH_BYTES];
};

struct jobs {
    struct pubsub_job *stock, *free;
    unsigned max, nout;
    uint64_t bytes; /* of the frames of those out */
    struct list out;
    struct pubsub_job *bucket[JOBS_BUCKETS]; /* VERIFY, by in.key */
};

/* max 0: none. 0 or -1 (no memory). */
int jobs_init(struct jobs *j, unsigned max);
/* Lets go of what jobs hold, also of those that are out: nobody may run one any more. */
void jobs_fini(struct jobs *j);
/* NULL: too much is out. */
struct pubsub_job *job_new(struct jobs *j, enum job_kind kind, struct buf *frame, pubsub_peer source, uint64_t now);
/* VERIFY: others find it by in.key from now on. */
void job_list(struct jobs *j, struct pubsub_job *job);
/* That checks this very message, field by field; NULL: none. */
struct pubsub_job *job_same(const struct jobs *j, const struct incoming *in);
/* Out of all lists; its fields stay until job_free. */
void job_take(struct jobs *j, struct pubsub_job *job);
/* Lets go of frame and message. */
void job_free(struct jobs *j, struct pubsub_job *job);
/* A peer left: its handle may come to name another. */
void jobs_forget(struct jobs *j, pubsub_peer source);

#endif
