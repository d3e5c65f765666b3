/* fake_hub.c: hub.h over nothing but memory: what is published is delivered to this process's own subscribers, on a
 * thread of its own as the real hub does. So the sidecar can be tested without lcores.
 * Topics with a meaning: "busy..." is full for the first 20 tries of each payload; every message also makes a trace. */
#include "fake_hub.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "crypto/sha256.h"

#define MAX_SEEN 100000
#define TOPICS   1100 /* of a subscriber, and told of all */

struct message {
    struct hub_message pub; /* first */
    atomic_uint refs;
    struct list node;
    char topic[300];
    void (*release)(void *);
    void *user;
};

struct trace {
    struct hub_trace pub; /* first */
    atomic_uint refs;
    uint8_t bytes[16];
};

struct hub_subscriber {
    struct list node;
    struct hub *hub;
    struct hub_subscriber_ops ops;
    void *user;
    char topic[TOPICS][300];
    unsigned topics;
};

struct hub {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool stop;
    struct list queue, subscribers;
    struct hub_subscriber *calling;
    uint32_t max_bytes;
    const char *mode;
    char (*seen)[64 + 300];
    unsigned n_seen, busy;
    atomic_int held; /* payloads not yet released */
};

const char *hub_err_text(int err)
{
    static const char *const text[] = {"?", "too large", "topic must be 1 to 256 bytes", "busy", "dup", "shutting down",
                                       "out of memory", "too many topics", "too many topics for one client"};

    return text[-err];
}

struct hub_message *hub_message_ref(struct hub_message *m)
{
    ((struct message *)m)->refs++;
    return m;
}

void hub_message_unref(struct hub_message *pub)
{
    struct message *m = (struct message *)pub;

    if (--m->refs)
        return;
    m->release(m->user);
    free(m);
}

struct hub_trace *hub_trace_ref(struct hub_trace *t)
{
    ((struct trace *)t)->refs++;
    return t;
}

void hub_trace_unref(struct hub_trace *t)
{
    if (--((struct trace *)t)->refs == 0)
        free(t);
}

static bool wants(const struct hub_subscriber *s, const char *topic)
{
    for (unsigned i = 0; i < s->topics; i++)
        if (strcmp(s->topic[i], topic) == 0)
            return true;
    return false;
}

static void give(struct hub *h, struct message *m, struct trace *t)
{
    pthread_mutex_lock(&h->lock);
    for (struct list *it = h->subscribers.next; it != &h->subscribers; it = it->next) {
        struct hub_subscriber *s = CONTAINER_OF(it, struct hub_subscriber, node);
        bool is_wanted = wants(s, m->topic);

        h->calling = s;
        pthread_mutex_unlock(&h->lock);
        if (s->ops.on_trace)
            s->ops.on_trace(s->user, &t->pub);
        if (is_wanted)
            s->ops.on_message(s->user, &m->pub);
        pthread_mutex_lock(&h->lock);
        h->calling = NULL;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
}

static void *dispatch(void *arg)
{
    static const uint8_t event[] = {0x08, 0x03, 0x12, 0x02, 'm', 'e', 0x18, 0x2a}; /* DELIVER_MESSAGE, peer "me", time 42 */
    struct hub *h = arg;

    for (;;) {
        struct list *n;
        struct message *m;
        struct trace *t;

        pthread_mutex_lock(&h->lock);
        while (list_is_empty(&h->queue) && !h->stop)
            pthread_cond_wait(&h->changed, &h->lock);
        n = list_pop_front(&h->queue);
        pthread_mutex_unlock(&h->lock);
        if (!n)
            return NULL;
        m = CONTAINER_OF(n, struct message, node);
        t = calloc(1, sizeof(*t));
        t->refs = 1;
        memcpy(t->bytes, event, sizeof(event));
        t->pub = (struct hub_trace){strcmp(h->mode, "optimum") == 0 ? 2 : 3, slice_of(t->bytes, sizeof(event))};
        give(h, m, t);
        hub_trace_unref(&t->pub);
        hub_message_unref(&m->pub);
    }
}

struct hub *fake_hub_new(uint32_t max_bytes, const char *mode)
{
    struct hub *h = calloc(1, sizeof(*h));

    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    list_init(&h->queue);
    list_init(&h->subscribers);
    h->max_bytes = max_bytes;
    h->mode = mode;
    h->seen = calloc(MAX_SEEN, sizeof(*h->seen));
    pthread_create(&h->thread, NULL, dispatch, h);
    return h;
}

int fake_hub_free(struct hub *h)
{
    int held;

    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    held = h->held + (list_is_empty(&h->subscribers) ? 0 : 1000000);
    free(h->seen);
    free(h);
    return held;
}

struct held {
    struct hub *hub;
    void (*release)(void *);
    void *user;
};

static void release_held(void *arg)
{
    struct held *g = arg;

    g->release(g->user);
    g->hub->held--;
    free(g);
}

/* Under the lock. */
static int admit(struct hub *h, const char *topic, const char *id)
{
    char key[64 + 300];

    snprintf(key, sizeof(key), "%s%s", id, topic);
    for (unsigned i = h->n_seen; i-- > 0;)
        if (strcmp(h->seen[i], key) == 0)
            return -HUB_EDUP;
    if (strncmp(topic, "busy", 4) == 0 && ++h->busy % 20)
        return -HUB_EFULL;
    memcpy(h->seen[h->n_seen++ % MAX_SEEN], key, sizeof(key));
    return 0;
}

int hub_publish(struct hub *h, const char *topic, struct slice payload, void (*release)(void *user), void *user,
                char id[65])
{
    uint8_t sha[32];
    struct message *m;
    struct held *g;
    int err = 0;

    id[0] = 0;
    if (!topic[0] || strlen(topic) > 256)
        err = -HUB_ETOPIC;
    else if (payload.len > h->max_bytes)
        err = -HUB_ESIZE;
    if (!err) {
        sha256_of(payload, sha);
        for (int i = 0; i < 32; i++)
            snprintf(id + 2 * i, 3, "%02x", sha[i]);
        pthread_mutex_lock(&h->lock);
        err = admit(h, topic, id);
        pthread_mutex_unlock(&h->lock);
    }
    if (err) {
        if (release)
            release(user);
        return err;
    }
    h->held++;
    if (!release) {
        uint8_t *copy = malloc(payload.len + 1);

        memcpy(copy, payload.p, payload.len);
        payload.p = copy;
        release = free;
        user = copy;
    }
    m = calloc(1, sizeof(*m));
    g = malloc(sizeof(*g));
    *g = (struct held){h, release, user};
    m->refs = 1;
    m->release = release_held;
    m->user = g;
    snprintf(m->topic, sizeof(m->topic), "%s", topic);
    m->pub = (struct hub_message){.topic = m->topic, .payload = payload, .source_node_id = "12D3KooWFake",
                                  .upstream_peer_id = strncmp(topic, "far", 3) == 0 ? "12D3KooWUp" : "", .k = 4};
    memcpy(m->pub.message_id, id, 65);
    pthread_mutex_lock(&h->lock);
    list_push_back(&h->queue, &m->node);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    return 0;
}

struct hub_subscriber *hub_subscriber_new(struct hub *h, const struct hub_subscriber_ops *ops, void *user)
{
    struct hub_subscriber *s = calloc(1, sizeof(*s));

    s->hub = h;
    s->ops = *ops;
    s->user = user;
    pthread_mutex_lock(&h->lock);
    list_push_back(&h->subscribers, &s->node);
    pthread_mutex_unlock(&h->lock);
    return s;
}

void hub_subscriber_free(struct hub_subscriber *s)
{
    struct hub *h;

    if (!s)
        return;
    h = s->hub;
    pthread_mutex_lock(&h->lock);
    while (h->calling == s)
        pthread_cond_wait(&h->changed, &h->lock);
    list_del(&s->node);
    pthread_mutex_unlock(&h->lock);
    free(s);
}

unsigned hub_subscriber_topics(struct hub_subscriber *s)
{
    unsigned n;

    pthread_mutex_lock(&s->hub->lock);
    n = s->topics;
    pthread_mutex_unlock(&s->hub->lock);
    return n;
}

int hub_subscribe(struct hub_subscriber *s, const char *topic)
{
    int err = 0;

    pthread_mutex_lock(&s->hub->lock);
    if (!wants(s, topic)) {
        if (s->ops.max_topics && s->topics >= s->ops.max_topics)
            err = -HUB_ESUBSCRIBER;
        else if (s->topics == TOPICS)
            err = -HUB_ETOPICS;
        else
            snprintf(s->topic[s->topics++], sizeof(s->topic[0]), "%s", topic);
    }
    pthread_mutex_unlock(&s->hub->lock);
    return err;
}

int hub_unsubscribe(struct hub_subscriber *s, const char *topic)
{
    pthread_mutex_lock(&s->hub->lock);
    for (unsigned i = 0; i < s->topics; i++)
        if (strcmp(s->topic[i], topic) == 0)
            memmove(s->topic[i], s->topic[--s->topics], sizeof(s->topic[0]));
    pthread_mutex_unlock(&s->hub->lock);
    return 0;
}

uint32_t hub_max_message_bytes(const struct hub *h)
{
    return h->max_bytes;
}

const char *hub_mode(const struct hub *h)
{
    return h->mode;
}

char **hub_topics(struct hub *h)
{
    char **v = calloc(TOPICS + 1, sizeof(*v));
    unsigned n = 0;

    pthread_mutex_lock(&h->lock);
    for (struct list *it = h->subscribers.next; it != &h->subscribers; it = it->next) {
        struct hub_subscriber *s = CONTAINER_OF(it, struct hub_subscriber, node);

        for (unsigned i = 0; i < s->topics && n < TOPICS; i++)
            v[n++] = strdup(s->topic[i]);
    }
    pthread_mutex_unlock(&h->lock);
    return v;
}

unsigned hub_topics_now(struct hub *h)
{
    char **v = hub_topics(h);
    unsigned n = 0;

    while (v[n])
        n++;
    hub_strings_free(v);
    return n;
}

unsigned hub_max_topics(const struct hub *h)
{
    return TOPICS;
}

void hub_strings_free(char **v)
{
    for (char **p = v; p && *p; p++)
        free(*p);
    free(v);
}

void hub_health_get(struct hub *h, struct hub_health *out)
{
    *out = (struct hub_health){.memory_used = 12.5, .cpu_used = 25, .disk_used = 50,
                               .p2p_address = "/ip4/1.2.3.4/tcp/7070", .country = "", .country_iso = ""};
}
