/* sidecar_impl.h: the sidecar's insides: the service, its streams, what waits for the lcore's ring
 * Owner:   streams belong to their call's loop thread; fields marked "lock" to the sidecar's mutex; counters are atomic
 */
#ifndef NODE_SIDECAR_IMPL_H
#define NODE_SIDECAR_IMPL_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "auth/auth_guard.h"
#include "base/budget.h"
#include "base/list.h"
#include "lane/lane_server.h"
#include "node/hub.h"
#include "node/sidecar.h"
#include "node/sidecar_text.h"
#include "rpc/rpc_server.h"

/* A publish that has not gone through yet: one message, or what is left of a batch. */
struct publish_job {
    struct rpc_msg *request; /* keeps the bytes; NULL: no job */
    struct sidecar_command command;
    json_t *batch; /* command 6 */
    size_t next;          /* in the batch */
    bool is_charged;      /* the message at hand has been taken off its client's limits */
};

struct stream {
    struct list node;    /* lock: all streams */
    struct list waiting; /* lock: those with a job that the ring had no room for */
    struct sidecar *sidecar;
    struct rpc_call *call;
    struct hub_subscriber *subscriber; /* made by the first subscription */
    bool reads_answers; /* a refused publish is said in its answer alone; else in the stream's end too, when the client half-closes */
    struct {
        enum rpc_code code; /* RPC_CODE_OK: none */
        char why[128];
    } refused;          /* the latest publish that was */
    bool has_traces;
    bool is_raw;      /* payloads as they are, not in base64 */
    struct publish_job job; /* the loop thread's, or the retry thread's while waiting */
    struct { /* sidecar_lane.c */
        struct lane_session *session; /* NULL: not offered */
    } lane;
    struct auth_grant *grant;   /* the loop thread's; NULL: no token yet. Others read it, and it changes, under the lock */
    _Atomic int64_t expires_s;  /* of the token */
    atomic_bool has_run_out;    /* that it did has been counted, and the stream is being ended */
    atomic_ullong lost;     /* messages owed for which there was no memory, not yet told */
    bool is_warned;         /* the loop thread's: that it is slow has been logged */
};

/* The last message that was encoded, for its other subscribers. */
struct sidecar_cache {
    struct hub_message *message;
    struct rpc_msg *encoded[2]; /* as JSON, raw; NULL: nobody wanted it so */
    uint64_t at_ns;
};

struct sidecar {
    struct hub *hub;
    enum node_client_policy policy;
    struct budget deliveries; /* that wait for clients */
    struct rpc_method methods[3];
    struct rpc_service service;
    struct rpc_server *server;
    struct auth_guard *guard; /* NULL: no tokens */
    struct lane_server *lanes; /* NULL: none are offered */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t retry;
    bool has_retry;
    bool stopping;              /* lock */
    struct stream *retrying;    /* lock: the retry thread works on it; it must not go */
    struct list streams;        /* lock */
    struct list waiting;        /* lock */
    struct sidecar_cache cache; /* lock */
    struct {
        atomic_ullong streams, published, deduplicated, refused, topics_refused, delivered, lost, traces, traces_lost, answers_lost, waits;
        atomic_uint open;
    } n;
};

extern const struct rpc_method sidecar_listen_commands;

/* sidecar_job.c: publishing. */
/* Begins to publish what c says; answers go to the stream. False: the ring is full, the job waits in st->job. */
bool sidecar_publish(struct stream *st, struct rpc_msg *request, const struct sidecar_command *c);
/* Tries the stream's job again. True: it is done. */
bool sidecar_job_run(struct stream *st);
void sidecar_job_fini(struct publish_job *j);

/* Takes a payload to the hub and counts what became of it: as hub_publish, whose errors are also those of a topic that cannot be one. */
int sidecar_hand_on(struct sidecar *s, struct slice topic, struct slice payload, void (*release)(void *), void *user, char id[65]);
/* A subscription is refused; the stream goes on. */
void sidecar_tell_refused_topic(struct stream *st, struct slice topic, int http, const char *why);
/* What the hub's refusals are in HTTP. */
int sidecar_refusal_http(int err);

/* Says no, and remembers it for the stream's end; the stream goes on. */
void sidecar_refuse(struct stream *st, struct slice topic, const char *id, int http, enum rpc_code code, const char *why);

/* sidecar_auth.c: who may. What says false has answered or ended the call. */
struct metrics;
int sidecar_auth_start(struct sidecar *s, const struct node_config *cfg, char err[256]);
bool sidecar_auth_call(struct sidecar *s, struct rpc_call *c); /* by metadata alone */
bool sidecar_auth_open(struct stream *st);
bool sidecar_auth_command(struct stream *st, const struct sidecar_command *c);
/* Takes one message off the limits, once. */
bool sidecar_auth_publish(struct stream *st, struct slice topic, struct slice payload);
/* The same for a grant: 0, or 413 or 429 and why. Any thread. */
int sidecar_auth_charge(struct sidecar *s, const struct auth_grant *g, size_t bytes, char why[128]);
/* Any thread: the token has run out, and the stream ends. */
bool sidecar_auth_is_over(struct stream *st);
void sidecar_auth_metrics(struct sidecar *s, struct metrics *m);

/* sidecar_lane.c */
int sidecar_lane_start(struct sidecar *s, const struct node_config *cfg, const cpu_set_t *cpus, char err[256]);
/* Tells the stream's client where lanes are, if it wants and may have any. */
void sidecar_lane_offer(struct stream *st);
void sidecar_lane_metrics(struct sidecar *s, struct metrics *m);

/* sidecar_retry.c: what waits. */
void *sidecar_retry_main(void *arg);
/* Hands the stream's job to the retry thread, and holds the stream's further messages until it is done. */
void sidecar_wait_for_room(struct stream *st);
/* The stream ends: takes it off the retry thread's hands. */
void sidecar_wait_no_more(struct stream *st);

/* sidecar_cache.c */
/* The whole Response for m, encoded once for all its subscribers of a kind; the caller unrefs. NULL: no memory. */
struct rpc_msg *sidecar_encoded(struct sidecar *s, struct hub_message *m, bool is_raw);
/* Forgets what is older than max_age_ns. Returns whether something is left. */
bool sidecar_cache_expire(struct sidecar *s, uint64_t max_age_ns);

#define SIDECAR_COUNT(s, field, k) ((void)atomic_fetch_add_explicit(&(s)->n.field, (k), memory_order_relaxed))

#endif
