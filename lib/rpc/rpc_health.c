/* rpc_health.c: grpc.health.v1.Health
 * Owner:   any thread, under one lock; watchers hold a reference to their call
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/pb.h"
#include "rpc/rpc_server_impl.h"

enum serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct service {
    char name[128];
    enum serving status;
};

struct watcher {
    struct list node;
    struct rpc_call *call;
    char name[128];
    int last;
};

struct rpc_health {
    pthread_mutex_t lock;
    struct service service[RPC_MAX_SERVICES + 1];
    unsigned count;
    bool stopped;
    struct list watchers;
};

struct rpc_health *rpc_health_new(void)
{
    struct rpc_health *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    list_init(&h->watchers);
    h->service[0].status = SERVING;
    h->count = 1; /* "": the whole server */
    return h;
}

void rpc_health_free(struct rpc_health *h)
{
    if (!h)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static struct service *find(struct rpc_health *h, const char *name)
{
    for (unsigned i = 0; i < h->count; i++)
        if (strcmp(h->service[i].name, name) == 0)
            return &h->service[i];
    return NULL;
}

static struct rpc_msg *answer(int status)
{
    uint8_t bytes[8];
    struct wr w = wr_of(bytes, sizeof(bytes));

    pb_put_varint(&w, 1, (uint64_t)status);
    return rpc_msg_copy(slice_of(bytes, w.len));
}

/* Under the lock. */
static void tell(struct rpc_health *h, struct watcher *w)
{
    struct service *s = find(h, w->name);
    int status = s ? (int)s->status : SERVICE_UNKNOWN;
    struct rpc_msg *m;

    if (status == w->last || !(m = answer(status)))
        return;
    if (rpc_call_send(w->call, m, RPC_MUST) == 0)
        w->last = status;
    rpc_msg_unref(m);
}

int rpc_health_set(struct rpc_health *h, const char *name, bool serving)
{
    struct service *s;
    int err = 0;

    pthread_mutex_lock(&h->lock);
    s = find(h, name);
    if (!s && h->count < sizeof(h->service) / sizeof(*h->service) && strlen(name) < sizeof(s->name)) {
        s = &h->service[h->count++];
        strcpy(s->name, name);
    }
    if (s)
        s->status = serving ? SERVING : NOT_SERVING;
    else
        err = -RPC_EARG;
    LIST_EACH (n, &h->watchers)
        tell(h, CONTAINER_OF(n, struct watcher, node));
    pthread_mutex_unlock(&h->lock);
    return err;
}

void rpc_health_stop(struct rpc_health *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopped = true;
    for (unsigned i = 0; i < h->count; i++)
        h->service[i].status = NOT_SERVING;
    LIST_EACH (n, &h->watchers) {
        struct watcher *w = CONTAINER_OF(n, struct watcher, node);

        tell(h, w);
        rpc_call_finish(w->call, RPC_CODE_UNAVAILABLE, "the server stops");
    }
    pthread_mutex_unlock(&h->lock);
}

/* The request's service name into name; false: malformed, or too long to be one of ours (name is then "?"). */
static bool read_name(struct rpc_msg *m, char name[128])
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    int got;

    name[0] = 0;
    while ((got = pb_next(&r, &f)) == 1) {
        if (!pb_is(&f, 1, PB_BYTES))
            continue;
        if (f.bytes.len > 127 || memchr(f.bytes.p, 0, f.bytes.len)) {
            strcpy(name, "?");
        } else {
            if (f.bytes.len)
                memcpy(name, f.bytes.p, f.bytes.len);
            name[f.bytes.len] = 0;
        }
    }
    return got == 0;
}

static void check_asked(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct rpc_health *h = user;
    char name[128];
    struct service *s;
    struct rpc_msg *reply;
    int status = SERVICE_UNKNOWN;

    if (!read_name(m, name)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "the request does not decode");
        return;
    }
    pthread_mutex_lock(&h->lock);
    s = find(h, name);
    if (s)
        status = s->status;
    pthread_mutex_unlock(&h->lock);
    if (status == SERVICE_UNKNOWN) {
        rpc_call_finish(c, RPC_CODE_NOT_FOUND, "unknown service");
        return;
    }
    reply = answer(status);
    if (reply)
        rpc_call_reply(c, reply);
    else
        rpc_call_finish(c, RPC_CODE_RESOURCE_EXHAUSTED, "no memory");
    rpc_msg_unref(reply);
}

static void watch_asked(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct rpc_health *h = user;
    struct watcher *w;

    if (rpc_call_data(c))
        return; /* one request is all there is */
    w = calloc(1, sizeof(*w));
    if (!w || !read_name(m, w->name)) {
        free(w);
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "the request does not decode");
        return;
    }
    w->call = c; /* the call outlives its on_close, where we unlink */
    rpc_call_set_data(c, w);
    pthread_mutex_lock(&h->lock);
    list_push_back(&h->watchers, &w->node);
    tell(h, w);
    if (h->stopped)
        rpc_call_finish(c, RPC_CODE_UNAVAILABLE, "the server stops");
    pthread_mutex_unlock(&h->lock);
}

static void watch_closed(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct rpc_health *h = user;
    struct watcher *w = rpc_call_data(c);

    if (!w)
        return;
    pthread_mutex_lock(&h->lock);
    list_del(&w->node);
    pthread_mutex_unlock(&h->lock);
    free(w);
}

static const struct rpc_method methods[] = {
    {.name = "Check", .kind = RPC_UNARY, .on = {.on_message = check_asked}},
    {.name = "Watch",
     .kind = RPC_BIDI,
     .on = {.on_message = watch_asked, .on_close = watch_closed},
     .queue = {.max_messages = 16, .max_bytes = 1024, .policy = RPC_DROP_OLDEST}},
};

const struct rpc_service rpc_health_service = {"grpc.health.v1.Health", methods, 2};
