/* lane_server.c: the listener, the thread, and who may come in */
#include "lane/lane_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/rng.h"
#include "lane/lane_impl.h"

#define STRANGERS_MAX     128
#define SESSION_CONNS_MAX 128 /* a gateway has one for each HTTP thread, and at most 64 of them */
#define EVENTS            64
#define ACCEPTS           16
#define SWEEP_NS          1000000000ull
#define RETRY_MS          1 /* a ring turns over in far less */

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- sessions ---- */

static void ring(struct lane_server *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->bell, &one, sizeof(one));

    (void)n; /* full: it has been rung */
}

/* Takes as long for any wrong one. */
static bool is_same(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;

    for (unsigned i = 0; i < LANE_SECRET_BYTES; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

struct lane_session *lane_session_new(struct lane_server *s, void *user, uint8_t secret[LANE_SECRET_BYTES])
{
    struct lane_session *x = calloc(1, sizeof(*x));
    struct rng rng;

    if (!x)
        return NULL;
    rng_init_system(&rng);
    rng_fill(&rng, x->secret, sizeof(x->secret));
    memcpy(secret, x->secret, sizeof(x->secret));
    x->refs = 1;
    x->server = s;
    x->user = user;
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->sessions, &x->node);
    pthread_mutex_unlock(&s->lock);
    return x;
}

struct lane_session *lane_session_find(struct lane_server *s, struct slice secret)
{
    struct lane_session *found = NULL;

    pthread_mutex_lock(&s->lock);
    LIST_EACH(it, &s->sessions)
    {
        struct lane_session *x = CONTAINER_OF(it, struct lane_session, node);

        if (is_same(x->secret, secret.p))
            found = x;
    }
    if (found && found->refs > SESSION_CONNS_MAX)
        found = NULL;
    if (found)
        found->refs++;
    pthread_mutex_unlock(&s->lock);
    return found;
}

void lane_session_unref(struct lane_session *x)
{
    struct lane_server *s = x->server;
    bool is_last;

    pthread_mutex_lock(&s->lock);
    is_last = --x->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&x->lock);
    explicit_bzero(x->secret, sizeof(x->secret));
    free(x);
}

void lane_session_free(struct lane_session *x)
{
    struct lane_server *s;

    if (!x)
        return;
    s = x->server;
    pthread_mutex_lock(&x->lock); /* publishes of its that are being handed on are through then */
    x->is_over = true;
    pthread_mutex_unlock(&x->lock);
    pthread_mutex_lock(&s->lock);
    list_del(&x->node);
    pthread_mutex_unlock(&s->lock);
    atomic_store(&s->has_ended, true);
    ring(s);
    lane_session_unref(x);
}

/* ---- the thread ---- */

static void hear(struct lane_server *s, bool hears)
{
    struct epoll_event e = {.events = hears ? EPOLLIN : 0, .data.ptr = s};

    epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &e);
    s->is_deaf = !hears;
}

/* An IPv6 host has its /64 whole. */
static uint8_t source_of(const struct lane_server *s, const struct sockaddr_storage *sa)
{
    const struct in6_addr *a6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;
    const struct in_addr *a4 = &((const struct sockaddr_in *)sa)->sin_addr;
    struct slice a = slice_of((const uint8_t *)a4, sizeof(*a4));

    if (sa->ss_family == AF_INET6)
        a = IN6_IS_ADDR_V4MAPPED(a6) ? slice_of(a6->s6_addr + 12, 4) : slice_of(a6->s6_addr, 8);
    return (uint8_t)siphash13(s->seed, a);
}

static void accept_some(struct lane_server *s, uint64_t now)
{
    for (unsigned i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof(sa);
        int fd = accept4(s->listener, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                hear(s, false); /* else the loop would spin; the sweep tries again */
            return;
        }
        LANE_COUNT(s, accepted);
        lane_conn_new(s, fd, source_of(s, &sa), now);
    }
}

/* The oldest of the source that has most: whoever opens many pushes out his own. */
static struct lane_conn *one_too_many(struct lane_server *s)
{
    unsigned most = 0;

    for (unsigned i = 1; i < SOURCES; i++)
        most = s->strangers_of[i] > s->strangers_of[most] ? i : most;
    LIST_EACH(it, &s->strangers)
    {
        struct lane_conn *c = CONTAINER_OF(it, struct lane_conn, node);

        if (c->source == most)
            return c;
    }
    return NULL;
}

/* Not while events of theirs may be at hand. */
static void trim(struct lane_server *s)
{
    while (s->n_strangers > STRANGERS_MAX) {
        LANE_COUNT(s, refused);
        lane_conn_close(one_too_many(s));
    }
}

static void sweep(struct lane_server *s, uint64_t now)
{
    bool has_ended = atomic_exchange(&s->has_ended, false);

    if (!has_ended && now - s->swept_ns < SWEEP_NS)
        return;
    s->swept_ns = now;
    LIST_EACH(it, &s->conns)
    lane_conn_sweep(CONTAINER_OF(it, struct lane_conn, node), now);
    LIST_EACH(it, &s->strangers)
    lane_conn_sweep(CONTAINER_OF(it, struct lane_conn, node), now);
    if (s->is_deaf)
        hear(s, true);
}

static void retry(struct lane_server *s)
{
    LIST_EACH(it, &s->conns)
    lane_conn_retry(CONTAINER_OF(it, struct lane_conn, node));
}

static void handle(struct lane_server *s, const struct epoll_event *e)
{
    uint64_t rings;
    ssize_t n;

    if (e->data.ptr == s) {
        accept_some(s, now_ns());
    } else if (e->data.ptr == &s->bell) {
        n = read(s->bell, &rings, sizeof(rings));
        (void)n;
    } else {
        lane_conn_ready(e->data.ptr, e->events);
    }
}

static int patience_ms(const struct lane_server *s)
{
    return s->n_stalled ? RETRY_MS : s->n_conns || s->is_deaf ? (int)(SWEEP_NS / 1000000) : -1;
}

static void *main_of(void *arg)
{
    struct lane_server *s = arg;
    struct epoll_event e[EVENTS];
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (!atomic_load(&s->stopping)) {
        int n = epoll_wait(s->epoll, e, EVENTS, patience_ms(s));

        for (int i = 0; i < n; i++)
            handle(s, &e[i]);
        trim(s);
        if (s->n_stalled)
            retry(s);
        sweep(s, now_ns());
    }
    LIST_EACH(it, &s->conns)
    lane_conn_close(CONTAINER_OF(it, struct lane_conn, node));
    LIST_EACH(it, &s->strangers)
    lane_conn_close(CONTAINER_OF(it, struct lane_conn, node));
    return NULL;
}

/* ---- start and end ---- */

static int listen_on(struct lane_server *s)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
    socklen_t len = sizeof(*in);
    int on = 1;

    if (inet_pton(AF_INET, s->cfg.bind, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(s->cfg.port);
    } else if (inet_pton(AF_INET6, s->cfg.bind, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(s->cfg.port);
        len = sizeof(*in6);
    } else {
        errno = EINVAL;
        return -1;
    }
    s->listener = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0)
        return -1;
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(s->listener, (struct sockaddr *)&sa, len) < 0 || listen(s->listener, 64) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&sa, &len) < 0)
        return -1;
    s->port = ntohs(sa.ss_family == AF_INET ? in->sin_port : in6->sin6_port);
    return 0;
}

static int open_epoll(struct lane_server *s)
{
    struct epoll_event door = {.events = EPOLLIN, .data.ptr = s}, bell = {.events = EPOLLIN, .data.ptr = &s->bell};

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll < 0 || s->bell < 0)
        return -1;
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &door) || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->bell, &bell) ? -1 : 0;
}

static int start_thread(struct lane_server *s)
{
    pthread_attr_t attr;
    int err;

    pthread_attr_init(&attr);
    if (s->cfg.cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(*s->cfg.cpus), s->cfg.cpus);
    err = pthread_create(&s->thread, &attr, main_of, s);
    pthread_attr_destroy(&attr);
    s->has_thread = err == 0;
    if (!err)
        pthread_setname_np(s->thread, "lane");
    errno = err;
    return err ? -1 : 0;
}

struct lane_server *lane_server_new(const struct lane_server_config *cfg)
{
    struct lane_server *s = calloc(1, sizeof(*s));
    struct rng rng;
    int saved;

    if (!s)
        return NULL;
    rng_init_system(&rng);
    rng_fill(&rng, s->seed, sizeof(s->seed));
    s->cfg = *cfg;
    if (s->cfg.max_payload > LANE_PAYLOAD_MAX)
        s->cfg.max_payload = LANE_PAYLOAD_MAX;
    s->listener = s->epoll = s->bell = -1;
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->sessions);
    list_init(&s->conns);
    list_init(&s->strangers);
    if (listen_on(s) == 0 && open_epoll(s) == 0 && start_thread(s) == 0)
        return s;
    saved = errno;
    lane_server_free(s);
    errno = saved;
    return NULL;
}

uint16_t lane_server_port(const struct lane_server *s)
{
    return s->port;
}

void lane_server_get_stats(const struct lane_server *s, struct lane_server_stats *out)
{
    *out = (struct lane_server_stats){.accepted = s->n.accepted, .refused = s->n.refused, .broken = s->n.broken,
                                      .publishes = s->n.publishes, .reads = s->n.reads, .waits = s->n.waits, .conns = s->n.conns};
}

void lane_server_free(struct lane_server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    if (s->has_thread) {
        ring(s);
        pthread_join(s->thread, NULL);
    }
    if (s->listener >= 0)
        close(s->listener);
    if (s->epoll >= 0)
        close(s->epoll);
    if (s->bell >= 0)
        close(s->bell);
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->in, sizeof(s->in)); /* hellos came in there */
    free(s);
}
