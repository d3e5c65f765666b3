#include "rpc/rpc_loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <grpc/support/log.h>

#include "base/log.h"
#include "rpc/rpc_gather.h"
#include "rpc/rpc_tag.h"
#include "rpc/rpc_thread.h"

#define TURN_EVENTS 32

struct rpc_loop {
    grpc_completion_queue *cq;
    pthread_t thread;
    bool is_fed;
    bool has_cpus;
    cpu_set_t cpus;
    char name[16];
};

/* gRPC core's own log lines become ours. */
static void core_log(gpr_log_func_args *a)
{
    char text[300];

    if (a->severity < GPR_LOG_SEVERITY_ERROR)
        return;
    snprintf(text, sizeof(text), "%s", a->message);
    for (char *p = text; *p; p++)
        if (*p == '"')
            *p = '\'';
    log_warn("\"grpc core\" detail=\"%s\"", text);
}

static void *loop_main(void *arg)
{
    struct rpc_loop *l = arg;
    unsigned turn = 0;

    rpc_gather_flush();
    for (;;) {
        bool looks_only = l->is_fed && rpc_gather_has() && turn++ < TURN_EVENTS;
        grpc_event ev;
        struct rpc_tag *t;

        if (!looks_only) {
            rpc_gather_flush();
            turn = 0;
        }
        ev = grpc_completion_queue_next(
            l->cq, looks_only ? gpr_inf_past(GPR_CLOCK_REALTIME) : gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        t = ev.tag;
        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            break;
        if (ev.type == GRPC_OP_COMPLETE)
            t->fn(t, ev.success != 0);
        else
            turn = TURN_EVENTS; /* nothing has come: what waits goes out */
    }
    rpc_gather_end();
    return NULL;
}

/* One reference of gRPC core is kept for the process's life. The last grpc_shutdown joins core's own threads, and after a
 * large write one of them may sit in a poll of 10 s: a program told to stop must not wait for it. */
static pthread_once_t core_kept = PTHREAD_ONCE_INIT;

static void keep_core(void)
{
    grpc_init();
}

static grpc_completion_queue *make_cq(grpc_cq_polling_type polling)
{
    grpc_completion_queue_attributes a = {
        .version = 1, .cq_completion_type = GRPC_CQ_NEXT, .cq_polling_type = polling};

    return grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&a), &a, NULL);
}

static struct rpc_loop *loop_new(const char *name, const cpu_set_t *cpus, grpc_cq_polling_type polling)
{
    struct rpc_loop *l = calloc(1, sizeof(*l));
    struct rpc_thread_mask saved;
    int err;

    if (!l)
        return NULL;
    snprintf(l->name, sizeof(l->name), "%s", name);
    if (cpus) {
        l->has_cpus = true;
        l->cpus = *cpus;
    }
    rpc_thread_enter(&saved, rpc_loop_cpus(l));
    gpr_set_log_function(core_log);
    pthread_once(&core_kept, keep_core);
    grpc_init();
    l->is_fed = polling == GRPC_CQ_NON_POLLING;
    l->cq = make_cq(polling);
    err = pthread_create(&l->thread, NULL, loop_main, l);
    rpc_thread_leave(&saved);
    if (err) {
        grpc_completion_queue_shutdown(l->cq);
        while (grpc_completion_queue_next(l->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
            ;
        grpc_completion_queue_destroy(l->cq);
        grpc_shutdown();
        free(l);
        return NULL;
    }
    pthread_setname_np(l->thread, l->name);
    return l;
}

struct rpc_loop *rpc_loop_new(const char *name, const cpu_set_t *cpus)
{
    return loop_new(name, cpus, GRPC_CQ_DEFAULT_POLLING);
}

struct rpc_loop *rpc_loop_new_fed(const char *name, const cpu_set_t *cpus)
{
    return loop_new(name, cpus, GRPC_CQ_NON_POLLING);
}

void rpc_loop_free(struct rpc_loop *l)
{
    if (!l)
        return;
    grpc_completion_queue_shutdown(l->cq);
    pthread_join(l->thread, NULL);
    grpc_completion_queue_destroy(l->cq);
    grpc_shutdown();
    free(l);
}

bool rpc_loop_is_current(const struct rpc_loop *l)
{
    return pthread_equal(pthread_self(), l->thread);
}

grpc_completion_queue *rpc_loop_cq(struct rpc_loop *l)
{
    return l->cq;
}

const cpu_set_t *rpc_loop_cpus(const struct rpc_loop *l)
{
    return l->has_cpus ? &l->cpus : NULL;
}
