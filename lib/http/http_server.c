/* http_server.c: starting and stopping the threads */
#include "http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/http_private.h"

struct listen_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

static int parse_bind(const char *bind_to, uint16_t port, struct listen_addr *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->sa;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, bind_to, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        out->len = sizeof(*in);
        return 0;
    }
    if (inet_pton(AF_INET6, bind_to[0] ? bind_to : "::", &in6->sin6_addr) != 1)
        return -HTTP_E_ADDRESS;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    out->len = sizeof(*in6);
    return 0;
}

/* share: several sockets on one port (SO_REUSEPORT). Without it a second server on the port is refused by the kernel. */
static int open_socket(const struct listen_addr *a, bool share, bool listening)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, off = 0, saved;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (a->sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (const struct sockaddr *)&a->sa, a->len) == 0 && (!listening || listen(fd, 1024) == 0))
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);

    getsockname(fd, (struct sockaddr *)&sa, &len);
    return ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
                                         : ((struct sockaddr_in6 *)&sa)->sin6_port);
}

static int open_listeners(struct http_server *s)
{
    struct listen_addr a;
    int rc = parse_bind(s->bind, s->cfg.port, &a), probe;
    bool share = s->n_threads > 1;

    if (rc < 0)
        return rc;
    probe = open_socket(&a, false,
                        false); /* with SO_REUSEPORT alone we would silently join another server's port */
    if (probe < 0 && !s->bind[0] && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) { /* no IPv6 here */
        parse_bind("0.0.0.0", s->cfg.port, &a);
        probe = open_socket(&a, false, false);
    }
    if (probe < 0)
        return -HTTP_E_BIND;
    close(probe);
    for (unsigned i = 0; i < s->n_threads; i++) {
        s->threads[i].fd = open_socket(&a, share, true);
        if (s->threads[i].fd < 0)
            return -HTTP_E_BIND;
        s->port = port_of(s->threads[i].fd);
        if (a.sa.ss_family == AF_INET)
            ((struct sockaddr_in *)&a.sa)->sin_port = htons(s->port);
        else
            ((struct sockaddr_in6 *)&a.sa)->sin6_port = htons(s->port);
    }
    return 0;
}

static void config_defaults(struct http_server_config *c)
{
    c->threads = c->threads ? c->threads < HTTP_THREADS_MAX ? c->threads : HTTP_THREADS_MAX : 1;
    c->max_body_bytes = c->max_body_bytes ? c->max_body_bytes : 1u << 20;
    c->max_header_bytes = c->max_header_bytes ? c->max_header_bytes : 32u << 10;
    c->max_conns = c->max_conns ? c->max_conns : 10000;
    c->request_timeout_ms = c->request_timeout_ms ? c->request_timeout_ms : 30000;
    c->answer_timeout_ms = c->answer_timeout_ms ? c->answer_timeout_ms : 60000;
    c->drain_ms = c->drain_ms ? c->drain_ms : 2000;
}

static char *copy_or(const char *s, const char *otherwise)
{
    return strdup(s ? s : otherwise);
}

static struct http_server *server_new(const struct http_server_config *cfg)
{
    struct http_server *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->cfg = *cfg;
    config_defaults(&s->cfg);
    s->n_threads = s->cfg.threads;
    s->bind = copy_or(cfg->bind, "");
    s->cors = cfg->cors_origins && cfg->cors_origins[0] ? strdup(cfg->cors_origins) : NULL;
    s->name = copy_or(cfg->server_name, "codecast");
    s->thread_name = copy_or(cfg->thread_name, "http");
    s->threads = calloc(s->n_threads, sizeof(*s->threads));
    if (cfg->cpus) {
        s->cpus = *cfg->cpus;
        s->has_cpus = true;
    }
    s->has_few_cpus = http_accept_has_few_cpus(s);
    for (unsigned i = 0; s->threads && i < s->n_threads; i++) {
        struct http_thread *th = &s->threads[i];

        th->server = s;
        th->index = i;
        th->fd = -1;
        pthread_mutex_init(&th->lock, NULL);
        sem_init(&th->ready, 0, 0);
        list_init(&th->peers);
        list_init(&th->laters);
        list_init(&th->ws);
        ws_fan_init(&th->fan);
        list_init(&th->watches);
        th->inbox.end = &th->inbox.first;
        if (cfg->tls)
            th->tls = http_tls_ref(cfg->tls);
    }
    return s;
}

static void configure_h2o(struct http_server *s)
{
    h2o_config_init(&s->conf);
    s->conf.server_name = h2o_iovec_init(s->name, strlen(s->name));
    s->conf.max_request_entity_size = s->cfg.max_body_bytes;
    s->conf.http1.req_timeout =
        s->cfg.request_timeout_ms + 2000; /* our sweep says 408 before h2o just closes */
    s->conf.http1.upgrade_to_http2 = 0;
    h2o_socket_buffer_mmap_settings.threshold =
        SIZE_MAX; /* large bodies stay in memory, not in files under /tmp */
    s->host = h2o_config_register_host(&s->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    http_answer_register(&s->host->fallback_path, s);
}

static int start_thread(struct http_thread *th)
{
    struct http_server *s = th->server;
    pthread_attr_t attr;
    char name[16];
    int rc;

    pthread_attr_init(&attr);
    if (s->has_cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(s->cpus), &s->cpus);
    rc = pthread_create(&th->tid, &attr, http_thread_main, th);
    pthread_attr_destroy(&attr);
    if (rc)
        return -HTTP_E_THREAD;
    th->started = true;
    snprintf(name, sizeof(name), "%.12s-%u", s->thread_name, th->index % 100);
    pthread_setname_np(th->tid, name);
    while (sem_wait(&th->ready) < 0 && errno == EINTR)
        ;
    return 0;
}

int http_server_start(struct http_server **out, const struct http_server_config *cfg)
{
    struct http_server *s = server_new(cfg);
    int rc = -HTTP_E_NOMEM, saved;

    *out = s;
    if (!s)
        return rc;
    configure_h2o(s);
    if (!s->threads || !s->bind || !s->name || !s->thread_name)
        goto fail;
    rc = open_listeners(s);
    for (unsigned i = 0; rc == 0 && i < s->n_threads; i++)
        rc = start_thread(&s->threads[i]);
    if (rc < 0)
        goto fail;
    return 0;
fail:
    saved = errno;
    *out = NULL;
    http_server_stop(s);
    http_server_free(s);
    errno = saved;
    return rc;
}

struct tls_msg {
    struct http_msg msg;
    struct http_tls *tls;
};

static void run_set_tls(struct http_msg *m, struct http_thread *th)
{
    struct tls_msg *t = CONTAINER_OF(m, struct tls_msg, msg);

    http_tls_unref(th->tls); /* open connections hold their context by themselves */
    th->tls = t->tls;
    th->accept.ssl_ctx = th->tls->ctx;
    free(t);
}

void http_server_set_tls(struct http_server *s, struct http_tls *tls)
{
    for (unsigned i = 0; s->cfg.tls && i < s->n_threads; i++) {
        struct tls_msg *m = calloc(1, sizeof(*m));

        if (!m)
            continue; /* this thread goes on with the old one */
        m->msg.run = run_set_tls;
        m->tls = http_tls_ref(tls);
        if (!http_thread_post(&s->threads[i], &m->msg)) {
            http_tls_unref(tls);
            free(m);
        }
    }
}

struct stop_msg {
    struct http_msg msg;
};

static void run_stop(struct http_msg *m, struct http_thread *th)
{
    free(CONTAINER_OF(m, struct stop_msg, msg));
    th->stopping = true;
    th->stop_at_ms = h2o_now(th->loop) + th->server->cfg.drain_ms;
    h2o_socket_close(th->listener);
    th->listener = NULL;
    th->ctx.shutdown_requested =
        1; /* h2o_context_request_shutdown would start HTTP/2 timers that nothing ends */
    ws_conn_close_all(th, 1001);
}

void http_server_stop(struct http_server *s)
{
    if (s->stopped || !s->threads)
        return;
    s->stopped = true;
    for (unsigned i = 0; i < s->n_threads; i++) {
        struct stop_msg *m = s->threads[i].started ? calloc(1, sizeof(*m)) : NULL;

        if (!m)
            continue;
        m->msg.run = run_stop;
        http_thread_post(&s->threads[i], &m->msg);
    }
    for (unsigned i = 0; i < s->n_threads; i++)
        if (s->threads[i].started)
            pthread_join(s->threads[i].tid, NULL);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; s->threads && i < s->n_threads; i++) {
        if (s->threads[i].fd >= 0)
            close(s->threads[i].fd);
        http_tls_unref(s->threads[i].tls);
        pthread_mutex_destroy(&s->threads[i].lock);
        sem_destroy(&s->threads[i].ready);
    }
    h2o_config_dispose(&s->conf);
    free(s->threads);
    free(s->bind);
    free(s->cors);
    free(s->name);
    free(s->thread_name);
    free(s);
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

unsigned http_server_threads(const struct http_server *s)
{
    return s->n_threads;
}

static uint64_t get(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void http_server_stats(const struct http_server *s, struct http_server_stats *out)
{
    *out = (struct http_server_stats){.conns = get(&s->conns)};
    for (unsigned i = 0; i < s->n_threads; i++) {
        const struct http_counters *c = &s->threads[i].count;

        out->accepted += get(&c->accepted);
        out->refused_conns += get(&c->refused_conns);
        out->requests += get(&c->requests);
        out->answers_2xx += get(&c->answers[2]);
        out->answers_3xx += get(&c->answers[3]);
        out->answers_4xx += get(&c->answers[4]);
        out->answers_5xx += get(&c->answers[5]);
        out->slow_answers_cut += get(&c->slow_answers_cut);
        out->deferred_vanished += get(&c->deferred_vanished);
        out->ws_conns += get(&c->ws_conns);
        out->ws_moved += get(&c->ws_moved);
        out->ws_dropped_msgs += get(&c->ws_dropped_msgs);
        out->ws_dropped_bytes += get(&c->ws_dropped_bytes);
    }
}
