#include "node/sidecar.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/http_metrics.h"
#include "node/sidecar_impl.h"
#include "sidecar.pb-c.h"

#define THREADS        2
#define FEW_CPUS       2
#define MIN_RECV_BYTES (32u << 20) /* so that an oversize publish is answered in our words up to here */
#define STOP_GRACE_MS  1000

static struct rpc_msg *pack(const ProtobufCMessage *pb)
{
    struct rpc_msg *m = rpc_msg_new(protobuf_c_message_get_packed_size(pb));

    if (m)
        protobuf_c_message_pack(pb, rpc_msg_bytes(m));
    return m;
}

static void reply(struct rpc_call *call, const ProtobufCMessage *pb)
{
    struct rpc_msg *m = pack(pb);

    if (m)
        rpc_call_reply(call, m);
    else
        rpc_call_finish(call, RPC_CODE_RESOURCE_EXHAUSTED, "no memory");
    rpc_msg_unref(m);
}

static void health_asked(struct rpc_call *call, struct rpc_msg *request, void *user)
{
    struct sidecar *s = user;
    Proto__HealthResponse r = PROTO__HEALTH_RESPONSE__INIT;
    struct hub_health h;

    hub_health_get(s->hub, &h);
    r.status = true;
    r.nodemode = (char *)(uintptr_t)hub_mode(s->hub);
    r.memoryused = (float)h.memory_used;
    r.cpuused = (float)h.cpu_used;
    r.diskused = (float)h.disk_used;
    r.p2paddress = (char *)(uintptr_t)h.p2p_address;
    r.country = (char *)(uintptr_t)h.country;
    r.country_iso = (char *)(uintptr_t)h.country_iso;
    r.max_message_bytes = hub_max_message_bytes(s->hub);
    r.max_topics = hub_max_topics(s->hub);
    r.topics = hub_topics_now(s->hub);
    reply(call, &r.base);
}

static void topics_asked(struct rpc_call *call, struct rpc_msg *request, void *user)
{
    struct sidecar *s = user;
    Proto__TopicList r = PROTO__TOPIC_LIST__INIT;

    if (!sidecar_auth_call(s, call))
        return;
    r.topics = hub_topics(s->hub);
    while (r.topics && r.topics[r.n_topics])
        r.n_topics++;
    reply(call, &r.base);
    hub_strings_free(r.topics);
}

static int add_service(struct sidecar *s, const struct node_config *cfg)
{
    s->policy = (enum node_client_policy)cfg->client_policy;
    s->methods[0] = sidecar_listen_commands;
    s->methods[0].queue.max_bytes = cfg->client_queue_bytes;
    s->methods[0].queue.budget = &s->deliveries;
    s->deliveries.max_bytes = cfg->clients_queue_bytes;
    s->methods[0].queue.policy = s->policy == NODE_CLIENT_DROP_OLDEST ? RPC_DROP_OLDEST : RPC_REFUSE;
    s->methods[1] = (struct rpc_method){.name = "Health", .kind = RPC_UNARY, .on.on_message = health_asked};
    s->methods[2] = (struct rpc_method){.name = "ListTopics", .kind = RPC_UNARY, .on.on_message = topics_asked};
    s->service = (struct rpc_service){"proto.CommandStream", s->methods, 3};
    return rpc_server_add(s->server, &s->service, s);
}

/* Threads that wait on gRPC core's one set of sockets hand the turn round with a wake-up each: where CPUs are few one does as much for less. */
static unsigned threads_on(const cpu_set_t *cpus)
{
    cpu_set_t own;

    if (!cpus && sched_getaffinity(0, sizeof(own), &own) == 0)
        cpus = &own;
    return cpus && CPU_COUNT(cpus) > FEW_CPUS ? THREADS : 1;
}

static int start_server(struct sidecar *s, const struct node_config *cfg, const cpu_set_t *cpus, char err[256])
{
    bool is_v6 = strchr(cfg->sidecar_bind, ':') && cfg->sidecar_bind[0] != '[';
    uint32_t max = hub_max_message_bytes(s->hub);
    char bind[160];
    struct rpc_server_config rc = {
        .bind = bind,
        .threads = threads_on(cpus),
        .cpus = cpus,
        .max_recv_bytes = max > (MIN_RECV_BYTES >> 1) ? (max > (UINT32_MAX >> 1) ? UINT32_MAX : max * 2) : MIN_RECV_BYTES,
    };
    int e;

    snprintf(bind, sizeof(bind), is_v6 ? "[%s]:%u" : "%s:%u", cfg->sidecar_bind, cfg->sidecar_port);
    e = rpc_server_new(&s->server, &rc);
    if (!e)
        e = add_service(s, cfg);
    if (!e)
        e = rpc_server_start(s->server);
    if (e == -RPC_EBIND || e == -RPC_EARG)
        snprintf(err, 256, "SIDECAR_PORT=%u: the gRPC server cannot listen on %s: taken, or not an address of this machine",
                 cfg->sidecar_port, bind);
    else if (e)
        snprintf(err, 256, "SIDECAR_PORT=%u: the gRPC server does not start: %s", cfg->sidecar_port, rpc_err_name(e));
    return e;
}

static struct sidecar *sidecar_make(struct hub *hub)
{
    struct sidecar *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;

    if (!s)
        return NULL;
    s->hub = hub;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    list_init(&s->streams);
    list_init(&s->waiting);
    return s;
}

struct sidecar *sidecar_start(const struct node_config *cfg, struct hub *hub, const cpu_set_t *cpus, char err[256])
{
    struct sidecar *s = sidecar_make(hub);
    pthread_attr_t attr;

    if (!s) {
        snprintf(err, 256, "no memory");
        return NULL;
    }
    pthread_attr_init(&attr);
    if (cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
    s->has_retry = pthread_create(&s->retry, &attr, sidecar_retry_main, s) == 0;
    pthread_attr_destroy(&attr);
    if (!s->has_retry)
        snprintf(err, 256, "the sidecar's thread could not be started");
    else
        pthread_setname_np(s->retry, "sidecar-retry");
    if (!s->has_retry || sidecar_auth_start(s, cfg, err) < 0 || sidecar_lane_start(s, cfg, cpus, err) < 0 ||
        start_server(s, cfg, cpus, err) < 0) {
        sidecar_stop(s);
        return NULL;
    }
    return s;
}

int sidecar_port(const struct sidecar *s)
{
    return rpc_server_port(s->server);
}

void sidecar_stop(struct sidecar *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    LIST_EACH (n, &s->streams)
        rpc_call_finish(CONTAINER_OF(n, struct stream, node)->call, RPC_CODE_UNAVAILABLE,
                        hub_err_text(-HUB_ESTOPPING));
    pthread_mutex_unlock(&s->lock);
    if (s->has_retry)
        pthread_join(s->retry, NULL);
    if (s->server)
        rpc_server_stop(s->server, STOP_GRACE_MS);
    rpc_server_free(s->server);
    lane_server_free(s->lanes);
    auth_guard_free(s->guard);
    sidecar_cache_expire(s, 0);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sidecar_metrics(struct sidecar *s, struct metrics *m)
{
    struct rpc_server_stats r;

    rpc_server_get_stats(s->server, &r);
    metrics_gauge(m, "codecast_sidecar_streams", "Open command streams", atomic_load(&s->n.open));
    metrics_counter(m, "codecast_sidecar_streams_total", "Command streams opened", s->n.streams);
    metrics_counter(m, "codecast_sidecar_calls_total", "gRPC calls of any kind", r.calls);
    metrics_counter(m, "codecast_sidecar_calls_failed_total", "gRPC calls that ended with an error status", r.failed);
    metrics_counter(m, "codecast_sidecar_calls_refused_total", "gRPC calls over the bound of open calls", r.calls_refused);
    metrics_counter(m, "codecast_sidecar_received_bytes_total", "Bytes of messages from gRPC clients", r.received_bytes);
    metrics_counter(m, "codecast_sidecar_sent_bytes_total", "Bytes of messages to gRPC clients", r.sent_bytes);
    metrics_counter(m, "codecast_sidecar_published_total", "Publishes taken", s->n.published);
    metrics_counter(m, "codecast_sidecar_deduplicated_total", "Publishes that were repeats", s->n.deduplicated);
    metrics_counter(m, "codecast_sidecar_refused_total", "Publishes answered with an error", s->n.refused);
    metrics_counter(m, "codecast_sidecar_topics_refused_total", "Subscriptions answered with an error", s->n.topics_refused);
    metrics_counter(m, "codecast_sidecar_waits_total", "Publishes that waited for the data path", s->n.waits);
    metrics_counter(m, "codecast_sidecar_delivered_total", "Messages queued to subscribers", s->n.delivered);
    metrics_counter(m, "codecast_sidecar_lost_total", "Messages that slow subscribers lost", s->n.lost + r.dropped_must + r.refused);
    metrics_gauge(m, "codecast_sidecar_queued_bytes", "Messages that wait for subscribers, shared ones once",
                  (double)__atomic_load_n(&s->deliveries.bytes, __ATOMIC_RELAXED));
    metrics_counter(m, "codecast_sidecar_squeezed_total", "Messages that found no place because CLIENTS_QUEUE_BYTES was used up",
                    __atomic_load_n(&s->deliveries.squeezed, __ATOMIC_RELAXED));
    metrics_counter(m, "codecast_sidecar_traces_total", "Trace events queued to subscribers", s->n.traces);
    metrics_counter(m, "codecast_sidecar_traces_lost_total", "Trace events that slow subscribers lost",
                    s->n.traces_lost + r.dropped_may);
    metrics_counter(m, "codecast_sidecar_answers_lost_total", "Answers to publishers who do not read", s->n.answers_lost);
    sidecar_lane_metrics(s, m);
    sidecar_auth_metrics(s, m);
}
