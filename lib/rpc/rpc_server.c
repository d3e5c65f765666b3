#include "rpc/rpc_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "base/log.h"
#include "base/map.h"
#include "proto/descriptors.h"
#include "rpc/rpc_args.h"
#include "rpc/rpc_bundle.h"
#include "rpc/rpc_call_impl.h"
#include "rpc/rpc_server_impl.h"
#include "rpc/rpc_slice.h"
#include "rpc/rpc_thread.h"
#include "rpc/rpc_tls.h"

#define DEFAULT_THREADS       2
#define MAX_THREADS           16
#define DEFAULT_RECV_BYTES    (4u << 20)
#define DEFAULT_CALLS         4096
#define DEFAULT_STREAMS       1024
#define DEFAULT_MEMORY_BYTES  (UINT64_C(1) << 30)
#define DEFAULT_KEEPALIVE_MS  60000
#define DEFAULT_TIMEOUT_MS    20000
#define HANDSHAKE_MS          10000     /* a connection that never says hello goes */
#define MAX_METADATA_BYTES    (32 << 10) /* a token fits several times */
#define MIN_PING_MS           100
#define ACCEPTS_PER_LOOP      8

struct route {
    const struct rpc_method *method;
    void *user;
};

/* One waiting grpc_server_request_call. */
struct accept_slot {
    struct rpc_tag tag;
    struct rpc_server *server;
    struct rpc_loop *loop;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array headers;
};

enum server_state { SERVER_NEW, SERVER_RUNNING, SERVER_STOPPING, SERVER_STOPPED };

struct rpc_server {
    struct rpc_server_config cfg;
    struct rpc_tls tls;
    cpu_set_t cpus;
    char bind[128];
    grpc_server *core;
    struct rpc_loop *loops[MAX_THREADS];
    struct accept_slot *slots;
    unsigned slot_count;
    struct map routes;
    const char *services[RPC_MAX_SERVICES];
    unsigned service_count;
    struct rpc_home home;
    atomic_ullong unknown, refused;
    struct rpc_health *health;
    struct rpc_reflect *reflect;
    int port;
    struct rpc_tag shut_tag;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum server_state state;  /* lock */
    unsigned slots_waiting;   /* lock */
    bool shut;                /* lock */
};

/* "50051" and ":50051" mean every address; anything else goes to core as it is. */
static int normalize_bind(char *out, size_t cap, const char *in)
{
    bool is_port = in[0] && strspn(in, "0123456789") == strlen(in);
    int n;

    if (is_port)
        n = snprintf(out, cap, "[::]:%s", in);
    else if (in[0] == ':' && in[1] != ':')
        n = snprintf(out, cap, "[::]%s", in);
    else
        n = snprintf(out, cap, "%s", in);
    return n > 0 && (size_t)n < cap && strrchr(out, ':') ? 0 : -RPC_EARG;
}

static void set_defaults(struct rpc_server_config *c)
{
    if (!c->threads)
        c->threads = DEFAULT_THREADS;
    if (!c->max_recv_bytes)
        c->max_recv_bytes = DEFAULT_RECV_BYTES;
    if (!c->max_calls)
        c->max_calls = DEFAULT_CALLS;
    if (!c->max_streams)
        c->max_streams = DEFAULT_STREAMS;
    if (!c->memory_bytes)
        c->memory_bytes = DEFAULT_MEMORY_BYTES;
    if (!c->keepalive_ms)
        c->keepalive_ms = DEFAULT_KEEPALIVE_MS;
    if (!c->keepalive_timeout_ms)
        c->keepalive_timeout_ms = DEFAULT_TIMEOUT_MS;
    if (!c->descriptors.p)
        c->descriptors = slice_of(proto_descriptors, proto_descriptors_bytes);
}

static grpc_server *make_core(const struct rpc_server_config *c)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc_server");
    struct rpc_args a = {.count = 0};
    grpc_server *core;

    grpc_resource_quota_resize(quota, (size_t)c->memory_bytes);
    rpc_args_int(&a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, c->max_recv_bytes);
    rpc_args_int(&a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, c->max_send_bytes ? (int64_t)c->max_send_bytes : -1);
    rpc_args_int(&a, GRPC_ARG_MAX_CONCURRENT_STREAMS, c->max_streams);
    rpc_args_int(&a, GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
    rpc_args_int(&a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0); /* rpc_inflate.h says why */
    rpc_args_int(&a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS);
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_TIME_MS, c->keepalive_ms);
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, c->keepalive_timeout_ms);
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    /* clients ping every 2 s without a call, some more often: none of them is an attack, a ping costs us an answer */
    rpc_args_int(&a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, MIN_PING_MS);
    rpc_args_int(&a, GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    rpc_args_int(&a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    /* with it a second server on the same port would start, and get half of the clients */
    rpc_args_int(&a, GRPC_ARG_ALLOW_REUSEPORT, 0);
    rpc_args_int(&a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_args_pointer(&a, GRPC_ARG_RESOURCE_QUOTA, quota, grpc_resource_quota_arg_vtable());
    core = grpc_server_create(rpc_args_done(&a), NULL);
    grpc_resource_quota_unref(quota);
    return core;
}

int rpc_server_new(struct rpc_server **out, const struct rpc_server_config *cfg)
{
    static const uint8_t no_seed[16]; /* paths are ours, not a peer's */
    struct rpc_server *s = calloc(1, sizeof(*s));
    struct rpc_thread_mask saved;

    *out = NULL;
    if (!s)
        return -RPC_ENOMEM;
    s->cfg = *cfg;
    set_defaults(&s->cfg);
    if (cfg->cpus) {
        s->cpus = *cfg->cpus;
        s->cfg.cpus = &s->cpus;
    }
    if (s->cfg.threads > MAX_THREADS || normalize_bind(s->bind, sizeof(s->bind), cfg->bind) < 0) {
        free(s);
        return -RPC_EARG;
    }
    if (rpc_tls_init(&s->tls, cfg->tls_cert, cfg->tls_key) < 0) {
        rpc_tls_fini(&s->tls);
        free(s);
        return -RPC_ENOMEM;
    }
    map_init(&s->routes, 0, no_seed);
    rpc_home_init(&s->home);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    rpc_thread_enter(&saved, s->cfg.cpus);
    grpc_init();
    s->core = make_core(&s->cfg);
    rpc_thread_leave(&saved);
    s->health = rpc_health_new();
    s->reflect = rpc_reflect_new(s->cfg.descriptors, s);
    if (!s->health || !s->reflect || rpc_server_add(s, &rpc_health_service, s->health) < 0 ||
        rpc_server_add(s, &rpc_reflect_service_v1, s->reflect) < 0 ||
        rpc_server_add(s, &rpc_reflect_service_v1alpha, s->reflect) < 0) {
        rpc_server_free(s);
        return -RPC_ENOMEM;
    }
    *out = s;
    return 0;
}

static int add_route(struct rpc_server *s, const char *service, const struct rpc_method *m, void *user)
{
    char path[256];
    int n = snprintf(path, sizeof(path), "/%s/%s", service, m->name);
    struct slice key = slice_str(path);
    struct route *r;

    if (n < 0 || (size_t)n >= sizeof(path) || map_get(&s->routes, key))
        return -RPC_EARG;
    r = malloc(sizeof(*r));
    if (!r)
        return -RPC_ENOMEM;
    *r = (struct route){m, user};
    if (map_put(&s->routes, key, r) < 0) {
        free(r);
        return -RPC_ENOMEM;
    }
    return 0;
}

int rpc_server_add(struct rpc_server *s, const struct rpc_service *svc, void *user)
{
    int err = 0;

    if (s->state != SERVER_NEW)
        return -RPC_ESTATE;
    if (s->service_count == RPC_MAX_SERVICES)
        return -RPC_EARG;
    for (unsigned i = 0; i < svc->count && !err; i++)
        err = add_route(s, svc->name, &svc->methods[i], user);
    if (!err) {
        s->services[s->service_count++] = svc->name;
        err = rpc_health_set(s->health, svc->name, true);
    }
    return err;
}

unsigned rpc_server_services(const struct rpc_server *s, const char **names, unsigned cap)
{
    unsigned n = s->service_count < cap ? s->service_count : cap;

    memcpy(names, s->services, n * sizeof(*names));
    return n;
}

static void arm(struct accept_slot *a)
{
    struct rpc_server *s = a->server;
    grpc_completion_queue *cq = rpc_loop_cq(a->loop);
    grpc_call_error err = GRPC_CALL_ERROR;

    grpc_call_details_init(&a->details);
    grpc_metadata_array_init(&a->headers);
    a->call = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->state == SERVER_RUNNING)
        err = grpc_server_request_call(s->core, &a->call, &a->details, &a->headers, cq, cq, &a->tag);
    if (err == GRPC_CALL_OK)
        s->slots_waiting++;
    pthread_mutex_unlock(&s->lock);
}

static void take_headers(struct rpc_call *c, grpc_metadata_array *from)
{
    c->in_headers = *from;
    grpc_metadata_array_init(from);
    for (size_t i = 0; i < c->in_headers.count; i++) {
        grpc_slice_ref(c->in_headers.metadata[i].key);
        grpc_slice_ref(c->in_headers.metadata[i].value);
    }
}

/* Before the call starts. Without memory for the header there will be no bundles. */
static void agree_on_bundles(struct rpc_call *c)
{
    c->out_headers = calloc(1, sizeof(*c->out_headers));
    if (!c->out_headers)
        return;
    c->out_headers[0].key = grpc_slice_from_static_string(RPC_BUNDLE_KEY);
    c->out_headers[0].value = grpc_slice_from_static_string("1");
    c->out_header_count = 1;
    c->may_bundle = true;
}

/* A call that was asked for: routed, or refused by a status. Takes call and headers. */
static void accept_call(struct rpc_server *s, grpc_call *call, const grpc_call_details *details,
                        grpc_metadata_array *headers)
{
    static const struct rpc_method nothing = {.kind = RPC_UNARY};
    struct slice path = rpc_slice_view(&details->method);
    const struct route *r = map_get(&s->routes, path);
    bool is_full = rpc_home_open(&s->home) >= s->cfg.max_calls;
    const struct rpc_method *m = r && !is_full ? r->method : &nothing;
    struct rpc_call_setup setup = {
        .is_server = true,
        .is_unary = m->kind == RPC_UNARY,
        .on = &m->on,
        .user = r ? r->user : NULL,
        .queue = &m->queue,
        .max_send_bytes = s->cfg.max_send_bytes,
        .max_recv_bytes = s->cfg.max_recv_bytes,
        .home = &s->home,
        .deadline = details->deadline,
    };
    struct rpc_call *c = rpc_call_make(call, path, &setup);

    if (!c) {
        grpc_metadata_array_destroy(headers);
        grpc_call_cancel_with_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "no memory", NULL);
        grpc_call_unref(call);
        return;
    }
    take_headers(c, headers);
    if (m->takes_bundles && rpc_call_has_header(c, RPC_BUNDLE_KEY))
        agree_on_bundles(c);
    rpc_call_watch_end(c);
    log_debug("\"gRPC call\" method=%s peer=%s", rpc_call_path(c), rpc_call_peer(c));
    if (is_full) {
        RPC_COUNT(s->refused, 1);
        rpc_call_finish(c, RPC_CODE_RESOURCE_EXHAUSTED, "too many open calls");
    } else if (!r) {
        RPC_COUNT(s->unknown, 1);
        rpc_call_finish(c, RPC_CODE_UNIMPLEMENTED, "unknown method");
    } else if (m->on.on_open) {
        m->on.on_open(c, r->user);
    }
    rpc_call_start(c);
}

static void on_accept(struct rpc_tag *t, bool ok)
{
    struct accept_slot *a = CONTAINER_OF(t, struct accept_slot, tag);
    struct rpc_server *s = a->server;
    grpc_call *call = a->call;
    grpc_call_details details = a->details;
    grpc_metadata_array headers = a->headers;

    if (ok) {
        arm(a); /* first, so that the next client does not wait for this one's callbacks */
        accept_call(s, call, &details, &headers);
    } else {
        grpc_metadata_array_destroy(&headers);
    }
    grpc_call_details_destroy(&details);
    pthread_mutex_lock(&s->lock);
    s->slots_waiting--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static int start_loops(struct rpc_server *s)
{
    if (s->cfg.poller) /* its queue alone listens; no call is ever asked for on it */
        grpc_server_register_completion_queue(s->core, rpc_loop_cq(s->cfg.poller), NULL);
    for (unsigned i = 0; i < s->cfg.threads; i++) {
        char name[24];

        snprintf(name, sizeof(name), "rpc-server-%u", i);
        s->loops[i] = s->cfg.poller ? rpc_loop_new_fed(name, s->cfg.cpus) : rpc_loop_new(name, s->cfg.cpus);
        if (!s->loops[i])
            return -RPC_ENOMEM;
        grpc_server_register_completion_queue(s->core, rpc_loop_cq(s->loops[i]), NULL);
    }
    s->slot_count = s->cfg.threads * ACCEPTS_PER_LOOP;
    s->slots = calloc(s->slot_count, sizeof(*s->slots));
    return s->slots ? 0 : -RPC_ENOMEM;
}

static int listen_and_go(struct rpc_server *s)
{
    grpc_server_credentials *creds = rpc_tls_credentials(&s->tls);

    s->port = grpc_server_add_http2_port(s->core, s->bind, creds);
    grpc_server_credentials_release(creds);
    if (s->port <= 0) {
        s->port = 0;
        return -RPC_EBIND;
    }
    grpc_server_start(s->core);
    s->state = SERVER_RUNNING;
    for (unsigned i = 0; i < s->slot_count; i++) {
        struct accept_slot *a = &s->slots[i];

        a->tag.fn = on_accept;
        a->server = s;
        a->loop = s->loops[i % s->cfg.threads];
        arm(a);
    }
    return 0;
}

int rpc_server_start(struct rpc_server *s)
{
    struct rpc_thread_mask saved;
    int err;

    if (s->state != SERVER_NEW || s->loops[0])
        return -RPC_ESTATE;
    rpc_thread_enter(&saved, s->cfg.cpus);
    err = start_loops(s);
    if (!err)
        err = listen_and_go(s);
    rpc_thread_leave(&saved);
    return err;
}

int rpc_server_port(const struct rpc_server *s)
{
    return s->port;
}

int rpc_server_set_tls(struct rpc_server *s, const char *cert, const char *key)
{
    return s->tls.cert ? rpc_tls_set(&s->tls, cert, key) : -RPC_ESTATE;
}

void rpc_server_set_serving(struct rpc_server *s, const char *service, bool serving)
{
    rpc_health_set(s->health, service, serving);
}

static void on_shut(struct rpc_tag *t, bool ok)
{
    struct rpc_server *s = CONTAINER_OF(t, struct rpc_server, shut_tag);

    pthread_mutex_lock(&s->lock);
    s->shut = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Waits for core to have no call left; false when the grace is over first. */
static bool wait_shut(struct rpc_server *s, uint32_t grace_ms)
{
    struct timespec until;
    bool shut;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += grace_ms / 1000;
    until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&s->lock);
    while (!s->shut && err == 0)
        err = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    shut = s->shut;
    pthread_mutex_unlock(&s->lock);
    return shut;
}

void rpc_server_stop(struct rpc_server *s, uint32_t grace_ms)
{
    pthread_mutex_lock(&s->lock);
    if (s->state != SERVER_RUNNING) {
        pthread_mutex_unlock(&s->lock);
        return;
    }
    s->state = SERVER_STOPPING;
    pthread_mutex_unlock(&s->lock);

    rpc_health_stop(s->health);
    s->shut_tag.fn = on_shut;
    grpc_server_shutdown_and_notify(s->core, rpc_loop_cq(s->loops[0]), &s->shut_tag);
    if (!wait_shut(s, grace_ms))
        grpc_server_cancel_all_calls(s->core);
    rpc_home_wait_empty(&s->home);
    pthread_mutex_lock(&s->lock);
    while (!s->shut || s->slots_waiting)
        pthread_cond_wait(&s->changed, &s->lock);
    s->state = SERVER_STOPPED;
    pthread_mutex_unlock(&s->lock);
    rpc_home_wait_empty(&s->home); /* a call may have come in on the last slot */
}

/* Core insists that a server is shut down before it is destroyed, even one that never started. */
static void shut_unstarted(struct rpc_server *s)
{
    grpc_completion_queue *own = NULL, *cq;

    if (s->loops[0]) {
        s->shut_tag.fn = on_shut;
        cq = rpc_loop_cq(s->loops[0]);
        grpc_server_shutdown_and_notify(s->core, cq, &s->shut_tag);
        wait_shut(s, UINT32_MAX);
        return;
    }
    own = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->core, own, NULL);
    grpc_server_shutdown_and_notify(s->core, own, NULL);
    grpc_completion_queue_next(own, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_completion_queue_shutdown(own);
    while (grpc_completion_queue_next(own, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(own);
}

void rpc_server_free(struct rpc_server *s)
{
    size_t it = 0;
    void *route;

    if (!s)
        return;
    rpc_server_stop(s, 0);
    if (s->state == SERVER_NEW)
        shut_unstarted(s);
    grpc_server_destroy(s->core);
    for (unsigned i = 0; i < MAX_THREADS; i++)
        rpc_loop_free(s->loops[i]);
    rpc_home_fini(&s->home);
    rpc_health_free(s->health);
    rpc_reflect_free(s->reflect);
    while ((route = map_next(&s->routes, &it, NULL)))
        free(route);
    map_fini(&s->routes);
    free(s->slots);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    grpc_shutdown();
    rpc_tls_fini(&s->tls);
    free(s);
}

void rpc_server_get_stats(const struct rpc_server *s, struct rpc_server_stats *out)
{
    struct rpc_server *w = (struct rpc_server *)(uintptr_t)s; /* reading counts takes a lock */
    struct rpc_totals *t = &w->home.totals;

    *out = (struct rpc_server_stats){
        .calls = RPC_READ(t->calls),
        .calls_unknown = RPC_READ(w->unknown),
        .calls_refused = RPC_READ(w->refused),
        .ok = RPC_READ(t->ok),
        .failed = RPC_READ(t->failed),
        .cancelled = RPC_READ(t->cancelled),
        .received = RPC_READ(t->received),
        .received_bytes = RPC_READ(t->received_bytes),
        .sent = RPC_READ(t->sent),
        .sent_bytes = RPC_READ(t->sent_bytes),
        .refused = RPC_READ(t->refused),
        .dropped_must = RPC_READ(t->dropped_must),
        .dropped_may = RPC_READ(t->dropped_may),
        .open = rpc_home_open(&w->home),
    };
}
