#include "rpc/rpc_client.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "rpc/rpc_args.h"
#include "rpc/rpc_bundle.h"
#include "rpc/rpc_call_impl.h"
#include "rpc/rpc_client_impl.h"
#include "rpc/rpc_thread.h"

#define DEFAULT_RECV_BYTES     (4u << 20)
#define DEFAULT_KEEPALIVE_MS   10000
#define DEFAULT_TIMEOUT_MS     5000
#define DEFAULT_BACKOFF_MS     200
#define DEFAULT_BACKOFF_MAX_MS 2000
#define DEFAULT_CONNECT_MS     5000
#define MAX_METADATA_BYTES     (32 << 10)

static uint32_t or_default(uint32_t v, uint32_t d)
{
    return v ? v : d;
}

static grpc_channel *make_channel(const struct rpc_client_config *c)
{
    grpc_channel_credentials *creds =
        c->tls_roots ? grpc_ssl_credentials_create(c->tls_roots, NULL, NULL, NULL) : grpc_insecure_credentials_create();
    struct rpc_args a = {.count = 0};
    grpc_channel *ch;

    rpc_args_int(&a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, or_default(c->max_recv_bytes, DEFAULT_RECV_BYTES));
    rpc_args_int(&a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, c->max_send_bytes ? (int64_t)c->max_send_bytes : -1);
    rpc_args_int(&a, GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
    rpc_args_int(&a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0); /* rpc_inflate.h says why */
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_TIME_MS, or_default(c->keepalive_ms, DEFAULT_KEEPALIVE_MS));
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, or_default(c->keepalive_timeout_ms, DEFAULT_TIMEOUT_MS));
    rpc_args_int(&a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_args_int(&a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    rpc_args_int(&a, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, or_default(c->backoff_initial_ms, DEFAULT_BACKOFF_MS));
    rpc_args_int(&a, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, or_default(c->backoff_max_ms, DEFAULT_BACKOFF_MAX_MS));
    /* by its name a backoff, in fact the time one attempt to connect may take */
    rpc_args_int(&a, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, or_default(c->connect_timeout_ms, DEFAULT_CONNECT_MS));
    /* a name is looked up again as often as a connection is tried, not every 30 s: the node may have a new address */
    rpc_args_int(&a, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS,
                 or_default(c->backoff_initial_ms, DEFAULT_BACKOFF_MS));
    rpc_args_int(&a, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_args_int(&a, GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX);
    /* channels to one target would share a connection, and its flow control */
    rpc_args_int(&a, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    /* the environment's http_proxy is for the web, not for nodes */
    rpc_args_int(&a, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    /* a publish must not go out twice by core's own decision */
    rpc_args_int(&a, GRPC_ARG_ENABLE_RETRIES, 0);
    rpc_args_int(&a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    ch = grpc_channel_create(c->target, creds, rpc_args_done(&a));
    grpc_channel_credentials_release(creds);
    return ch;
}

static enum rpc_state state_of(grpc_connectivity_state s)
{
    switch (s) {
    case GRPC_CHANNEL_IDLE: return RPC_IDLE;
    case GRPC_CHANNEL_CONNECTING: return RPC_CONNECTING;
    case GRPC_CHANNEL_READY: return RPC_READY;
    case GRPC_CHANNEL_TRANSIENT_FAILURE: return RPC_FAILING;
    default: return RPC_SHUT;
    }
}

const char *rpc_state_name(enum rpc_state s)
{
    static const char *const names[] = {"idle", "connecting", "ready", "failing", "shut"};

    return (unsigned)s < sizeof(names) / sizeof(*names) ? names[s] : "?";
}

static void watch(struct rpc_client *c)
{
    grpc_channel_watch_connectivity_state(c->channel, c->last, gpr_inf_future(GPR_CLOCK_REALTIME), rpc_loop_cq(c->loop),
                                          &c->watch_tag);
}

/* The channel changed its state: say so, look again, and by asking keep it dialling. */
static void on_watched(struct rpc_tag *t, bool ok)
{
    struct rpc_client *c = CONTAINER_OF(t, struct rpc_client, watch_tag);
    enum rpc_state was = state_of(c->last), is;

    pthread_mutex_lock(&c->lock);
    if (c->stopping) {
        c->watching = false;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
        return;
    }
    c->last = grpc_channel_check_connectivity_state(c->channel, 1);
    is = state_of(c->last);
    atomic_store(&c->state, is);
    pthread_mutex_unlock(&c->lock);
    if (is != was) {
        if (is == RPC_READY)
            RPC_COUNT(c->connects, 1);
        if (was == RPC_READY)
            RPC_COUNT(c->disconnects, 1);
        if (c->on_state)
            c->on_state(c, is, c->user);
    }
    pthread_mutex_lock(&c->lock);
    if (c->stopping) {
        c->watching = false;
        pthread_cond_broadcast(&c->changed);
    } else {
        watch(c);
    }
    pthread_mutex_unlock(&c->lock);
}

int rpc_client_new(struct rpc_client **out, const struct rpc_client_config *cfg)
{
    struct rpc_client *c = calloc(1, sizeof(*c));
    struct rpc_thread_mask saved;

    *out = NULL;
    if (!c || !(c->target = strdup(cfg->target))) {
        free(c);
        return -RPC_ENOMEM;
    }
    c->loop = cfg->loop;
    c->max_send_bytes = cfg->max_send_bytes;
    c->max_recv_bytes = or_default(cfg->max_recv_bytes, DEFAULT_RECV_BYTES);
    c->on_state = cfg->on_state;
    c->user = cfg->user;
    rpc_home_init(&c->home);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->watch_tag.fn = on_watched;
    *out = c; /* before the first callback may want it */
    rpc_thread_enter(&saved, rpc_loop_cpus(c->loop));
    c->channel = make_channel(cfg);
    c->last = grpc_channel_check_connectivity_state(c->channel, 1);
    atomic_store(&c->state, state_of(c->last));
    c->watching = true;
    watch(c);
    rpc_thread_leave(&saved);
    return 0;
}

void rpc_client_free(struct rpc_client *c)
{
    struct rpc_thread_mask saved;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_mutex_unlock(&c->lock);
    rpc_thread_enter(&saved, rpc_loop_cpus(c->loop));
    rpc_home_close(&c->home);
    rpc_home_cancel_all(&c->home, RPC_CODE_CANCELLED, "the client stops");
    rpc_home_wait_empty(&c->home);
    grpc_channel_destroy(c->channel); /* this ends the watch, too: its state becomes SHUTDOWN */
    pthread_mutex_lock(&c->lock);
    while (c->watching)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    rpc_thread_leave(&saved);
    rpc_home_fini(&c->home);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c->target);
    free(c);
}

enum rpc_state rpc_client_state(const struct rpc_client *c)
{
    return atomic_load(&c->state);
}

const char *rpc_client_target(const struct rpc_client *c)
{
    return c->target;
}

gpr_timespec rpc_client_deadline(const struct rpc_call_options *o)
{
    if (!o || !o->timeout_ms)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(o->timeout_ms, GPR_TIMESPAN));
}

uint32_t rpc_client_flags(const struct rpc_call_options *o)
{
    return o && o->wait_for_ready
               ? GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
               : 0;
}

int rpc_client_headers(const struct rpc_call_options *o, grpc_metadata **out, size_t *count)
{
    size_t n = o ? o->header_count : 0, all = n + (o && o->offers_bundles);

    *out = NULL;
    *count = 0;
    if (!all)
        return 0;
    for (size_t i = 0; i < n; i++) {
        grpc_slice key = grpc_slice_from_static_string(o->headers[i].key);
        grpc_slice value = grpc_slice_from_static_buffer(o->headers[i].value.p, o->headers[i].value.len);

        if (!grpc_header_key_is_legal(key) ||
            (!grpc_is_binary_header(key) && !grpc_header_nonbin_value_is_legal(value)))
            return -RPC_EARG;
    }
    *out = calloc(all, sizeof(**out));
    if (!*out)
        return -RPC_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        (*out)[i].key = grpc_slice_from_copied_string(o->headers[i].key);
        (*out)[i].value =
            grpc_slice_from_copied_buffer((const char *)o->headers[i].value.p, o->headers[i].value.len);
    }
    if (all > n) {
        (*out)[n].key = grpc_slice_from_static_string(RPC_BUNDLE_KEY);
        (*out)[n].value = grpc_slice_from_static_string("1");
    }
    *count = all;
    return 0;
}

grpc_call *rpc_client_call(struct rpc_client *c, const char *path, gpr_timespec deadline)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc_loop_cq(c->loop), method,
                                               NULL, deadline, NULL);

    grpc_slice_unref(method);
    return call;
}

int rpc_client_open(struct rpc_client *c, const char *path, const struct rpc_handlers *on, void *data,
                    const struct rpc_call_options *opt, struct rpc_call **out)
{
    static const struct rpc_queue_limits by_default = {0};
    struct rpc_call_setup setup = {
        .on = on,
        .user = data,
        .data = data,
        .queue = opt ? &opt->queue : &by_default,
        .max_send_bytes = c->max_send_bytes,
        .max_recv_bytes = c->max_recv_bytes,
        .home = &c->home,
        .deadline = rpc_client_deadline(opt),
    };
    size_t header_count;
    grpc_metadata *headers;
    struct rpc_call *call;
    grpc_call *core;
    int err = rpc_client_headers(opt, &headers, &header_count);

    *out = NULL;
    if (err)
        return err;
    core = rpc_client_call(c, path, setup.deadline);
    call = core ? rpc_call_make(core, slice_str(path), &setup) : NULL;
    if (!call) {
        if (core)
            grpc_call_unref(core);
        rpc_client_headers_free(headers, header_count);
        return -RPC_ECLOSED;
    }
    call->out_headers = headers;
    call->out_header_count = header_count;
    call->start_flags = rpc_client_flags(opt);
    call->offers_bundles = opt && opt->offers_bundles;
    *out = rpc_call_ref(call); /* before the end can come, on the loop's thread */
    rpc_call_watch_end(call);
    rpc_call_start(*out);
    return 0;
}

void rpc_client_headers_free(grpc_metadata *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(headers[i].key);
        grpc_slice_unref(headers[i].value);
    }
    free(headers);
}

void rpc_client_get_stats(const struct rpc_client *c, struct rpc_client_stats *out)
{
    struct rpc_client *w = (struct rpc_client *)(uintptr_t)c; /* reading counts takes a lock */
    struct rpc_totals *t = &w->home.totals;

    *out = (struct rpc_client_stats){
        .calls = RPC_READ(t->calls),
        .ok = RPC_READ(t->ok),
        .failed = RPC_READ(t->failed),
        .received = RPC_READ(t->received),
        .received_bytes = RPC_READ(t->received_bytes),
        .sent = RPC_READ(t->sent),
        .sent_bytes = RPC_READ(t->sent_bytes),
        .refused = RPC_READ(t->refused),
        .dropped_must = RPC_READ(t->dropped_must),
        .dropped_may = RPC_READ(t->dropped_may),
        .connects = RPC_READ(w->connects),
        .disconnects = RPC_READ(w->disconnects),
        .open = rpc_home_open(&w->home),
    };
}
