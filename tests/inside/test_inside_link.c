/* test_inside_link.c: the link between a gateway and its own node, over a real hub
 * How:     the test is the coding role at the other end of the hub's rings, and the pool that the link reports to
 */
#include "testing.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/sha256.h"
#include "inside/inside_link_impl.h"
#include "node/eal_testing.h"
#include "node/hub_impl.h"

#define PATIENCE_MS 20000
#define RESERVE     5120 /* of the ring to the lcore, that publishes leave free */

/* ---- the pool ---- */

struct heard {
    struct gw_outcome outcome;
    char topic[GW_NAME_MAX + 1];
};

struct gw_node {
    pthread_mutex_t lock, mine; /* the operations'; of what follows */
    pthread_cond_t changed;
    unsigned ups, downs, answers, healths, incoming, topics, refused, max_topics, topics_told;
    uint64_t lost, max_message_bytes;
    struct heard last;
    char payload[64], id_hex[65], source[128];
    bool is_held, is_busy, has_answer, knows, is_unready; /* incoming waits while held */
};

void gw_node_lock(struct gw_node *n)
{
    pthread_mutex_lock(&n->lock);
}

void gw_node_unlock(struct gw_node *n)
{
    pthread_mutex_unlock(&n->lock);
}

static void begin(struct gw_node *n)
{
    pthread_mutex_lock(&n->mine);
}

static void end(struct gw_node *n)
{
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->mine);
}

void gw_node_up(struct gw_node *n, uint64_t now)
{
    begin(n);
    n->ups++;
    end(n);
}

void gw_node_down(struct gw_node *n)
{
    begin(n);
    n->downs++;
    end(n);
}

void gw_node_answered(struct gw_node *n, struct slice topic, const uint8_t id[GW_ID_BYTES], const struct gw_outcome *o)
{
    begin(n);
    n->answers++;
    n->last.outcome = *o;
    snprintf(n->last.topic, sizeof(n->last.topic), "%.*s", (int)topic.len, (const char *)topic.p);
    end(n);
}

void gw_node_health(struct gw_node *n, const struct gw_node_health *h)
{
    begin(n);
    n->healths++;
    n->max_message_bytes = h->max_message_bytes;
    n->max_topics = h->max_topics;
    n->topics_told = h->topics;
    end(n);
}

void gw_node_refused_topic(struct gw_node *n, struct slice topic, const char *why)
{
    begin(n);
    n->refused++;
    snprintf(n->last.topic, sizeof(n->last.topic), "%.*s", (int)topic.len, (const char *)topic.p);
    assert_string_equal(why, hub_err_text(-HUB_ETOPICS));
    end(n);
}

void gw_node_set_ready(struct gw_node *n, bool is_ready)
{
    n->is_unready = !is_ready; /* under the operations' lock */
}

void gw_node_incoming(struct gw_node *n, struct gw_delivery *d)
{
    begin(n);
    n->is_busy = true;
    pthread_cond_broadcast(&n->changed);
    while (n->is_held)
        pthread_cond_wait(&n->changed, &n->mine);
    n->is_busy = false;
    n->incoming++;
    snprintf(n->payload, sizeof(n->payload), "%.*s", (int)d->raw.len, (const char *)d->raw.p);
    snprintf(n->id_hex, sizeof(n->id_hex), "%s", d->id_hex);
    snprintf(n->source, sizeof(n->source), "%s", d->source);
    end(n);
}

void gw_node_bad(struct gw_node *n)
{
    fail();
}

void gw_node_lost(struct gw_node *n, uint64_t messages)
{
    begin(n);
    n->lost += messages;
    end(n);
}

/* What tells threads apart from their end: a counter that a thread moves. */
static void wait_for(struct gw_node *n, const unsigned *count, unsigned want)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    begin(n);
    while (*count < want)
        assert_int_equal(pthread_cond_timedwait(&n->changed, &n->mine, &until), 0);
    end(n);
}

/* ---- the node ---- */

struct fix {
    struct xdoor coding_door, hub_door;
    struct xring to_coding, from_coding;
    struct node_config cfg;
    struct hub *hub;
    struct gw_node node;
    struct gw_link *link;
    struct inside_link *impl;
    unsigned released; /* clients' payloads */
    unsigned homes;    /* the lcore's payloads that came home */
};

static void make(struct fix *f)
{
    struct hub_config hc = {.config = &f->cfg, .to_coding = &f->to_coding, .from_coding = &f->from_coding, .door = &f->hub_door};

    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->node.lock, NULL);
    pthread_mutex_init(&f->node.mine, NULL);
    pthread_cond_init(&f->node.changed, NULL);
    f->cfg.optimum.max_msg_bytes = 1000;
    f->cfg.active = &f->cfg.optimum;
    f->cfg.shard_factor = 4;
    assert_int_equal(xdoor_init(&f->coding_door), 0);
    assert_int_equal(xdoor_init(&f->hub_door), 0);
    assert_int_equal(xring_init(&f->to_coding, "inside_to", 8192, &f->coding_door), 0);
    assert_int_equal(xring_init(&f->from_coding, "inside_from", 64, &f->hub_door), 0);
    f->hub = hub_new(&hc);
    assert_non_null(f->hub);
    assert_int_equal(hub_start(f->hub), 0);
    f->link = inside_link_new(f->hub, "192.0.2.1:33212", NULL);
    assert_non_null(f->link);
    f->link->node = &f->node;
    f->impl = CONTAINER_OF(f->link, struct inside_link, link);
}

static void start(struct fix *f)
{
    make(f);
    assert_true(f->link->ops->start(f->link));
    assert_int_equal(f->node.ups, 1);
    assert_int_equal(f->node.max_message_bytes, 1000); /* known before the first request */
}

/* The next message for the lcore but those that only bring things home. */
static struct xmsg next(struct fix *f)
{
    struct xmsg m;

    for (unsigned ms = 0; ms < PATIENCE_MS;) {
        if (!xring_pop_sc(&f->to_coding, &m)) {
            usleep(1000);
            ms++;
        } else if (m.type == X_PAYLOADS_HOME) {
            f->homes += m.homes.count;
        } else if (m.type != X_DELIVERY_HOME && m.type != X_TRACE_HOME) {
            return m;
        }
    }
    fail_msg("the hub sends nothing");
    return m;
}

static void drain_homes(struct fix *f, unsigned want)
{
    struct xmsg m;

    for (unsigned ms = 0; f->homes < want && ms < PATIENCE_MS;)
        if (!xring_pop_sc(&f->to_coding, &m)) {
            usleep(1000);
            ms++;
        } else if (m.type == X_PAYLOADS_HOME) {
            f->homes += m.homes.count;
        }
    assert_int_equal(f->homes, want);
}

/* The lcore is done with a publish. */
static void finish_publish(struct fix *f, struct xpublish *p)
{
    struct xmsg home = {.type = X_SOURCES_HOME, .homes = {.buf = {p->payload}, .count = 1}};
    struct xmsg done = {.type = X_PUBLISHED, .publish = p};

    assert_true(xring_push_sp(&f->from_coding, &home));
    assert_true(xring_push_sp(&f->from_coding, &done));
}

static void drop(struct fix *f)
{
    struct xmsg m;

    f->link->ops->stop(f->link);
    assert_int_equal(f->node.downs, 1);
    f->link->ops->free(f->link);
    hub_stop(f->hub);
    while (xring_pop_sc(&f->to_coding, &m)) {
        if (m.type == X_SNAPSHOT) /* asked once more by a slow machine: nobody waits for it now */
            free(m.snapshot);
        if (m.type == X_SUBSCRIBE || m.type == X_UNSUBSCRIBE)
            free(m.publish);
        if (m.type == X_PUBLISH) {
            hub_source_done(m.publish->payload);
            free(m.publish);
        }
    }
    hub_free(f->hub);
    xring_fini(&f->to_coding);
    xring_fini(&f->from_coding);
    xdoor_fini(&f->coding_door);
    xdoor_fini(&f->hub_door);
}

static void count_release(void *n)
{
    __atomic_fetch_add((unsigned *)n, 1, __ATOMIC_RELAXED);
}

static bool publish(struct fix *f, const char *topic, size_t topic_len, const char *text)
{
    struct gw_publish p = {.topic = slice_of(topic, topic_len)};
    bool is_taken;

    sha256_of(slice_str(text), p.id);
    p.payload = rpc_msg_wrap(slice_str(text), count_release, &f->released);
    gw_node_lock(&f->node);
    is_taken = f->link->ops->publish(f->link, &p);
    gw_node_unlock(&f->node);
    rpc_msg_unref(p.payload); /* the pool's own reference goes at any time */
    return is_taken;
}

static void count_home(struct buf *b)
{
    fail(); /* an lcore's payload is never released on a control thread */
}

static void deliver(struct fix *f, struct xdelivery *d, struct buf *b, const char *topic, const char *text)
{
    struct xmsg m = {.type = X_DELIVER, .delivery = d};

    *b = (struct buf){.data = (uint8_t *)(uintptr_t)text, .len = (uint32_t)strlen(text), .refs = 1, .release = count_home};
    *d = (struct xdelivery){.payload = b, .k = 1};
    snprintf(d->topic, sizeof(d->topic), "%s", topic);
    assert_true(xring_push_sp(&f->from_coding, &m));
}

/* ---- tests ---- */

static void test_link_publishes_without_a_copy_and_answers(void **state)
{
    static const char text[] = "hello";
    struct fix f;
    struct xmsg m;

    start(&f);
    assert_true(publish(&f, "t", 1, text));
    wait_for(&f.node, &f.node.answers, 1);
    assert_int_equal(f.node.last.outcome.err, GW_OK);
    assert_false(f.node.last.outcome.is_duplicate);
    assert_string_equal(f.node.last.topic, "t");
    m = next(&f);
    assert_int_equal(m.type, X_PUBLISH);
    assert_string_equal(m.publish->topic, "t");
    assert_ptr_equal(m.publish->payload->data, text);
    assert_int_equal(f.released, 0); /* the lcore has it */
    finish_publish(&f, m.publish);
    assert_true(publish(&f, "t", 1, text));
    wait_for(&f.node, &f.node.answers, 2);
    assert_true(f.node.last.outcome.is_duplicate);
    drop(&f);
    assert_int_equal(f.released, 2);
}

static void test_link_tells_refusals_as_the_sidecar_does(void **state)
{
    static const struct {
        const char *topic;
        size_t len;
        int err, http;
    } rows[] = {{"t", 1, GW_E_TOO_LARGE, 413}, {"", 0, GW_E_REFUSED, 400}, {"a\0b", 3, GW_E_REFUSED, 400}};
    static char large[1002];
    struct fix f;

    memset(large, 'x', 1001);
    start(&f);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(publish(&f, rows[i].topic, rows[i].len, i ? "small" : large));
        wait_for(&f.node, &f.node.answers, i + 1);
        assert_int_equal(f.node.last.outcome.err, rows[i].err);
        assert_int_equal(f.node.last.outcome.http, rows[i].http);
        assert_non_null(f.node.last.outcome.text);
    }
    hub_leave(f.hub, 0);
    assert_true(publish(&f, "t", 1, "late"));
    wait_for(&f.node, &f.node.answers, 4);
    assert_int_equal(f.node.last.outcome.http, 503);
    drop(&f);
    assert_int_equal(f.released, 4);
}

/* A ring without room: the publish waits, what is behind it keeps its order, and nobody else is held. */
static void test_link_waits_for_room(void **state)
{
    struct xmsg filler = {.type = X_TRACE_HOME}, m;
    struct inside_link_stats s;
    struct fix f;

    start(&f);
    pthread_mutex_lock(&f.hub->lock); /* the ring's producers' lock */
    while (xring_room(&f.to_coding) >= RESERVE)
        assert_true(xring_push_sp(&f.to_coding, &filler));
    pthread_mutex_unlock(&f.hub->lock);
    assert_true(publish(&f, "t", 1, "one"));
    assert_true(publish(&f, "t", 1, "two"));
    do {
        usleep(1000);
        inside_link_stats(f.link, &s);
    } while (!s.waits);
    assert_int_equal(f.node.answers, 0);
    m = next(&f); /* takes the fillers out of the way */
    assert_memory_equal(m.publish->payload->data, "one", 3);
    finish_publish(&f, m.publish);
    m = next(&f);
    assert_memory_equal(m.publish->payload->data, "two", 3);
    finish_publish(&f, m.publish);
    wait_for(&f.node, &f.node.answers, 2);
    assert_int_equal(f.node.last.outcome.err, GW_OK);
    drop(&f);
    assert_int_equal(f.released, 2);
}

/* Lcores that do not answer make the node one that nothing is sent to, until they do. */
static void test_link_is_not_ready_while_the_data_path_does_not_answer(void **state)
{
    struct fix f;
    struct xmsg m;

    start(&f);
    assert_true(f.link->ops->ask_health(f.link));
    wait_for(&f.node, &f.node.healths, 2); /* one was told at the start */
    gw_node_lock(&f.node);
    assert_true(f.node.is_unready);
    gw_node_unlock(&f.node);
    m = next(&f);
    assert_int_equal(m.type, X_SNAPSHOT);
    assert_true(xring_push_sp(&f.from_coding, &m));
    for (unsigned asked = 3; f.node.is_unready && asked < 100; asked++) {
        assert_true(f.link->ops->ask_health(f.link));
        wait_for(&f.node, &f.node.healths, asked);
    }
    assert_false(f.node.is_unready);
    drop(&f);
}

static void on_topics(void *user, char *const *topics, size_t n)
{
    struct gw_node *node = user;

    begin(node);
    node->has_answer = topics != NULL;
    node->knows = n == 1 && strcmp(topics[0], "t") == 0;
    node->topics++;
    end(node);
}

/* Stopped while a publish waits: it is not answered (the pool answers it), and every question is. */
static void test_link_stops_while_it_waits(void **state)
{
    struct xmsg filler = {.type = X_TRACE_HOME};
    struct inside_link_stats s;
    struct fix f;

    start(&f);
    pthread_mutex_lock(&f.hub->lock);
    while (xring_room(&f.to_coding) >= RESERVE)
        assert_true(xring_push_sp(&f.to_coding, &filler));
    pthread_mutex_unlock(&f.hub->lock);
    assert_true(publish(&f, "t", 1, "one"));
    assert_true(publish(&f, "t", 1, "two"));
    assert_true(f.link->ops->ask_topics(f.link, on_topics, &f.node));
    do {
        usleep(1000);
        inside_link_stats(f.link, &s);
    } while (!s.waits);
    drop(&f);
    assert_int_equal(f.node.answers, 0);
    assert_int_equal(f.node.topics, 1);
    assert_false(f.node.has_answer);
    assert_int_equal(f.released, 2);
}

static void want(struct fix *f, const char *topic, bool wanted)
{
    gw_node_lock(&f->node);
    f->link->ops->want_topic(f->link, slice_str(topic), wanted);
    gw_node_unlock(&f->node);
}

static void test_link_subscribes_and_delivers(void **state)
{
    uint8_t sha[32];
    char hex[65];
    struct xdelivery d[2];
    struct buf b[2];
    struct xmsg m;
    struct fix f;

    start(&f);
    want(&f, "t", true);
    m = next(&f);
    assert_int_equal(m.type, X_SUBSCRIBE);
    assert_string_equal(m.publish->topic, "t");
    free(m.publish);
    assert_true(f.link->ops->ask_topics(f.link, on_topics, &f.node));
    wait_for(&f.node, &f.node.topics, 1);
    assert_true(f.node.has_answer && f.node.knows);
    deliver(&f, &d[0], &b[0], "other", "not for us");
    deliver(&f, &d[1], &b[1], "t", "for us");
    wait_for(&f.node, &f.node.incoming, 1);
    assert_string_equal(f.node.payload, "for us");
    sha256_of(slice_str("for us"), sha);
    hex_encode(hex, slice_of(sha, 32));
    assert_string_equal(f.node.id_hex, hex);
    drain_homes(&f, 2); /* both payloads go back to the lcore */
    want(&f, "t", false);
    m = next(&f);
    assert_int_equal(m.type, X_UNSUBSCRIBE);
    free(m.publish);
    drop(&f);
}

/* The pool hears which topic the node does not take, and how many it has. */
static void test_link_tells_of_a_topic_that_is_refused(void **state)
{
    unsigned asked = GW_TOPICS_MAX + 1;
    char topic[16];
    struct fix f;

    start(&f);
    for (unsigned i = 0; i < asked; i++) {
        snprintf(topic, sizeof(topic), "t%u", i);
        want(&f, topic, true);
    }
    for (unsigned i = 0; i < GW_TOPICS_MAX; i++) {
        struct xmsg m = next(&f);
        assert_int_equal(m.type, X_SUBSCRIBE);
        free(m.publish);
    }
    wait_for(&f.node, &f.node.refused, 1);
    assert_string_equal(f.node.last.topic, topic);
    inside_tell_health(f.impl);
    assert_int_equal(f.node.max_topics, GW_TOPICS_MAX);
    assert_int_equal(f.node.topics_told, GW_TOPICS_MAX);
    drop(&f);
}

/* A gateway that does not keep up: the newest are dropped and counted, the hub goes on, nothing stays lent. */
static void test_link_drops_what_a_slow_gateway_does_not_take(void **state)
{
    enum { MESSAGES = 20 };
    char text[MESSAGES][40];
    uint64_t waiting, bytes;
    struct xdelivery d[MESSAGES];
    struct inside_link_stats s;
    struct buf b[MESSAGES];
    struct xmsg m;
    struct fix f;

    make(&f);
    f.impl->in.bytes_max = 400;
    f.node.is_held = true;
    assert_true(f.link->ops->start(f.link));
    want(&f, "t", true);
    m = next(&f);
    free(m.publish);
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text[i], sizeof(text[i]), "message %d, with some more to it", i);
        deliver(&f, &d[i], &b[i], "t", text[i]);
        if (i == 0) { /* it is with the gateway now, and the queue is empty */
            begin(&f.node);
            while (!f.node.is_busy)
                pthread_cond_wait(&f.node.changed, &f.node.mine);
            end(&f.node);
        }
    }
    do { /* one is with the gateway, the rest waits or is lost */
        usleep(1000);
        inside_link_stats(f.link, &s);
        inside_queue_depth(&f.impl->in, &waiting, &bytes, &bytes);
    } while (1 + waiting + s.lost < MESSAGES);
    assert_true(s.lost > 0);
    assert_true(s.in_bytes <= 400 && s.in_peak_bytes <= 400);
    begin(&f.node);
    f.node.is_held = false;
    end(&f.node);
    wait_for(&f.node, &f.node.incoming, MESSAGES - (unsigned)s.lost);
    drain_homes(&f, MESSAGES);
    drop(&f);
    assert_int_equal(f.node.incoming + f.node.lost, MESSAGES);
    assert_int_equal(f.node.lost, s.lost);
}

/* Stopped with deliveries still in its queue: they go home too. */
static void test_link_stop_returns_what_waits(void **state)
{
    struct xdelivery d[3];
    struct buf b[3];
    struct xmsg m;
    struct fix f;

    start(&f);
    f.node.is_held = true;
    want(&f, "t", true);
    m = next(&f);
    free(m.publish);
    for (int i = 0; i < 3; i++)
        deliver(&f, &d[i], &b[i], "t", i == 0 ? "a" : i == 1 ? "b" : "c");
    while (f.hub->n.delivered < 3)
        usleep(1000);
    begin(&f.node);
    f.node.is_held = false;
    end(&f.node);
    f.link->ops->stop(f.link);
    drain_homes(&f, 3);
    assert_int_equal(f.node.downs, 1);
    f.node.downs = 0;
    drop(&f); /* stop may come twice */
}

static void test_queue_takes_one_of_any_size_and_refuses_past_its_bound(void **state)
{
    struct inside_item a, b, c;
    struct inside_queue q;

    inside_queue_init(&q, 100);
    assert_true(inside_queue_push(&q, &a, 1000));
    assert_false(inside_queue_push(&q, &b, 1));
    assert_ptr_equal(inside_queue_pop(&q), &a);
    assert_true(inside_queue_push(&q, &b, 60));
    assert_false(inside_queue_push(&q, &c, 41));
    assert_true(inside_queue_push(&q, &c, 40));
    inside_queue_stop(&q);
    assert_false(inside_queue_push(&q, &a, 0));
    assert_null(inside_queue_pop(&q));
    assert_ptr_equal(inside_queue_take(&q), &b);
    assert_ptr_equal(inside_queue_take(&q), &c);
    assert_null(inside_queue_take(&q));
    inside_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_publishes_without_a_copy_and_answers),
        cmocka_unit_test(test_link_tells_refusals_as_the_sidecar_does),
        cmocka_unit_test(test_link_waits_for_room),
        cmocka_unit_test(test_link_is_not_ready_while_the_data_path_does_not_answer),
        cmocka_unit_test(test_link_stops_while_it_waits),
        cmocka_unit_test(test_link_subscribes_and_delivers),
        cmocka_unit_test(test_link_tells_of_a_topic_that_is_refused),
        cmocka_unit_test(test_link_drops_what_a_slow_gateway_does_not_take),
        cmocka_unit_test(test_link_stop_returns_what_waits),
        cmocka_unit_test(test_queue_takes_one_of_any_size_and_refuses_past_its_bound),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
