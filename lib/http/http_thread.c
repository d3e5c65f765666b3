/* http_thread.c: one server thread: its loop, its listener, its end */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "http/http_place.h"
#include "http/http_private.h"

#define POOL_CHUNKS_KEPT 16
#define STOPPING_MS      20  /* between two looks at what is still open */
#define KILL_MS          500 /* after drain_ms: for connections to notice that they were shut */

bool http_thread_post(struct http_thread *th, struct http_msg *m)
{
    return http_thread_post_chain(th, m, &m->next);
}

bool http_thread_post_chain(struct http_thread *th, struct http_msg *first, struct http_msg **end)
{
    bool open, rings;

    *end = NULL;
    pthread_mutex_lock(&th->lock);
    open = th->open;
    rings = open && th->sleeps && th != http_thread_here; /* this thread looks into its inbox before it sleeps */
    if (open) {
        *th->inbox.end = first;
        th->inbox.end = end;
    }
    if (rings) {
        th->sleeps = false;
        h2o_multithread_send_message(&th->bell, NULL); /* under the lock: the thread may end once it is out of it */
    }
    pthread_mutex_unlock(&th->lock);
    return open;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void on_bell(h2o_multithread_receiver_t *r, h2o_linklist_t *messages)
{
    (void)r;
    (void)messages; /* there are none: the turn looks into the inbox */
}

/* Runs what was posted. True: there was something. */
static bool take_inbox(struct http_thread *th)
{
    struct http_msg *m, *next;

    pthread_mutex_lock(&th->lock);
    th->sleeps = false;
    m = th->inbox.first;
    th->inbox = (struct http_inbox){NULL, &th->inbox.first};
    pthread_mutex_unlock(&th->lock);
    if (!m)
        return false;
    for (; m; m = next) {
        next = m->next; /* m is its runner's */
        m->run(m, th);
    }
    return true;
}

static void end_turn(struct http_thread *th, bool last)
{
    if (th->server->cfg.on_turn)
        th->server->cfg.on_turn(last);
}

/* How long the loop may sleep: not at all while anything is posted. */
static int32_t sleep_ms(struct http_thread *th)
{
    bool sleeps;

    pthread_mutex_lock(&th->lock);
    sleeps = th->sleeps = th->inbox.first == NULL;
    pthread_mutex_unlock(&th->lock);
    return !sleeps ? 0 : ws_fan_sleep_ms(&th->fan, th->stopping ? STOPPING_MS : INT32_MAX, now_ns());
}

/* Running a message may leave callbacks to h2o's next turn, which must not sleep before them. */
static void turn(struct http_thread *th)
{
    bool has_run;

    ws_fan_begin(&th->fan, now_ns());
    has_run = take_inbox(th);
    has_run |= ws_fan_run(&th->fan, false);
    if (th->fan.written)
        ws_fan_end(&th->fan, now_ns());
    end_turn(th, false);
    h2o_evloop_run(th->loop, has_run ? 0 : sleep_ms(th));
}

void http_thread_tick(struct http_thread *th)
{
    if (!h2o_timeout_is_linked(&th->tick))
        h2o_timeout_link(th->loop, &th->ctx.one_sec_timeout, &th->tick);
}

/* Whether the last second left it time for more. */
static void look_at_cpu(struct http_thread *th)
{
    uint64_t at = now_ns(), cpu, took = at - th->cpu_at_ns;
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    cpu = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
    atomic_store_explicit(&th->is_full, th->cpu_at_ns && cpu - th->cpu_ns >= took / 100 * HTTP_PLACE_FULL_PCT, memory_order_relaxed);
    th->cpu_ns = cpu;
    th->cpu_at_ns = at;
}

static void on_tick(h2o_timeout_entry_t *e)
{
    struct http_thread *th = CONTAINER_OF(e, struct http_thread, tick);

    look_at_cpu(th);
    http_sweep(th);
    ws_conn_tick(th);
    if (th->accept_paused && th->listener) {
        th->accept_paused = false;
        http_accept_start(th);
    }
    if (!list_is_empty(&th->peers)) {
        http_thread_tick(th);
        return;
    }
    atomic_store_explicit(&th->is_full, false, memory_order_relaxed); /* the next look is after the next connection */
    th->cpu_at_ns = 0;
}

static void thread_open(struct http_thread *th)
{
    struct http_server *s = th->server;

    th->loop = h2o_evloop_create();
    h2o_context_init(&th->ctx, th->loop, &s->conf);
    th->accept = (h2o_accept_ctx_t){.ctx = &th->ctx, .hosts = s->conf.hosts, .ssl_ctx = th->tls ? th->tls->ctx : NULL};
    th->tick.cb = on_tick;
    h2o_multithread_register_receiver(th->ctx.queue, &th->bell, on_bell);
    th->listener = h2o_evloop_socket_create(th->loop, th->fd, H2O_SOCKET_FLAG_DONT_READ);
    th->fd = -1; /* the socket's now */
    th->listener->data = th;
    http_accept_start(th);
    th->open = true;
    sem_post(&th->ready);
}

/* Every request gets an answer and every socket an end, whatever its client does. */
static void thread_kill(struct http_thread *th)
{
    th->killing = true;
    http_later_abandon(th);
    ws_conn_kill_all(th);
    LIST_EACH(it, &th->peers)
    shutdown(CONTAINER_OF(it, struct http_peer, link)->fd, SHUT_RDWR);
}

static bool thread_is_done(struct http_thread *th)
{
    uint64_t now = h2o_now(th->loop);

    if (!th->stopping)
        return false;
    if (list_is_empty(&th->peers) && th->lingers == 0)
        return true;
    http_sweep_close_idle(th);
    if (now >= th->stop_at_ms && !th->killing)
        thread_kill(th);
    return now >= th->stop_at_ms + KILL_MS;
}

/* h2o keeps some freed blocks per thread and has no way to give them back when the thread ends. Pool chunks can be had
 * only by making pools: sixteen, as many as it keeps. */
static void free_recycled(void)
{
    h2o_mem_recycle_t *r = &h2o_socket_buffer_prototype.allocator;

    while (r->cnt)
        free(h2o_mem_alloc_recycle(r, 0));
    for (unsigned i = 0; i < POOL_CHUNKS_KEPT; i++) {
        h2o_mem_pool_t pool;

        h2o_mem_init_pool(&pool);
        h2o_mem_alloc_pool(&pool, 1);
        free(pool.chunks);
    }
}

static void thread_close(struct http_thread *th)
{
    h2o_multithread_queue_t *queue = th->ctx.queue;

    pthread_mutex_lock(&th->lock);
    th->open = false;
    pthread_mutex_unlock(&th->lock);
    take_inbox(th); /* what was posted before */
    ws_fan_run(&th->fan, true);
    http_watch_end_all(th);
    h2o_evloop_run(th->loop, 0);
    if (!list_is_empty(&th->peers) || th->lingers)
        return; /* a connection that h2o did not let go of: leak it rather than free what it uses */
    h2o_timeout_unlink(&th->tick);
    h2o_multithread_unregister_receiver(queue, &th->bell);
    h2o_context_dispose(&th->ctx);
    free(queue); /* h2o 2.2.5 frees it for libuv only */
    h2o_evloop_run(th->loop, 0);
    h2o_evloop_destroy(th->loop);
    free_recycled();
}

/* The program's signals are its main thread's; and h2o's writev must get EPIPE, not SIGPIPE. */
static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

void *http_thread_main(void *arg)
{
    struct http_thread *th = arg;

    block_signals();
    http_thread_here = th;
    thread_open(th);
    while (!thread_is_done(th))
        turn(th);
    thread_close(th);
    end_turn(th, true);
    return NULL;
}
