#include "rpc/rpc_queue.h"

#include <stdlib.h>

#define DEFAULT_MAX_MESSAGES 1024
#define DEFAULT_MAX_BYTES    (UINT64_C(32) << 20)

struct item {
    struct list all, may;
    struct rpc_msg *msg;
};

/* As the heap has it: queues of small messages that many calls share are made of places. */
#define PLACE_BYTES (sizeof(struct item) + 8)

void rpc_queue_init(struct rpc_queue *q, const struct rpc_queue_limits *limits)
{
    *q = (struct rpc_queue){.limits = *limits};
    if (!q->limits.max_messages)
        q->limits.max_messages = DEFAULT_MAX_MESSAGES;
    if (!q->limits.max_bytes)
        q->limits.max_bytes = DEFAULT_MAX_BYTES;
    list_init(&q->all);
    list_init(&q->may);
}

static struct rpc_msg *take(struct rpc_queue *q, struct item *it)
{
    struct rpc_msg *m = it->msg;

    list_del(&it->all);
    budget_give(q->limits.budget, PLACE_BYTES);
    if (list_is_linked(&it->may)) {
        list_del(&it->may);
        q->may_count--;
        q->may_bytes -= rpc_msg_len(m);
    }
    q->count--;
    q->bytes -= rpc_msg_len(m);
    free(it);
    return m;
}

static void drop(struct rpc_queue *q, struct list *at, struct rpc_queue_drops *d)
{
    struct item *it = CONTAINER_OF(at, struct item, all);

    if (list_is_linked(&it->may)) {
        d->may++;
    } else {
        d->must++;
        d->must_bytes += rpc_msg_len(it->msg);
    }
    rpc_msg_unref(take(q, it));
}

struct rpc_queue_drops rpc_queue_clear(struct rpc_queue *q)
{
    struct rpc_queue_drops d = {0};

    while (!list_is_empty(&q->all))
        drop(q, q->all.next, &d);
    return d;
}

struct rpc_queue_drops rpc_queue_squeeze(struct rpc_queue *q)
{
    struct rpc_queue_drops d = {0};

    if (!budget_watch_is_stuck(&q->watch, q->limits.budget, q->bytes))
        return d;
    while (q->count > 1 && q->bytes > BUDGET_SQUEEZED_BYTES)
        drop(q, q->limits.policy == RPC_REFUSE ? q->all.prev : q->all.next, &d);
    budget_squeezed(q->limits.budget, d.must + d.may);
    return d;
}

static bool has_room(const struct rpc_queue *q, size_t len, uint64_t max_bytes)
{
    return q->count == 0 || (q->count < q->limits.max_messages && q->bytes + len <= max_bytes);
}

/* Whether a message would fit if every droppable one went: asked before anything is evicted for nothing. */
static bool could_have_room(const struct rpc_queue *q, size_t len, uint64_t max_bytes)
{
    uint32_t count = q->count - q->may_count;

    return count == 0 ||
           (count < q->limits.max_messages && q->bytes - q->may_bytes + len <= max_bytes);
}

int rpc_queue_push(struct rpc_queue *q, struct rpc_msg *m, enum rpc_worth worth, struct rpc_queue_drops *drops)
{
    size_t len = rpc_msg_len(m);
    bool evicts_must = worth == RPC_MUST && q->limits.policy == RPC_DROP_OLDEST;
    uint64_t max_bytes = budget_room(q->limits.budget, q->limits.max_bytes, q->bytes, len);
    struct item *it;

    *drops = (struct rpc_queue_drops){0};
    if (!has_room(q, len, max_bytes) && !evicts_must && !could_have_room(q, len, max_bytes))
        return -RPC_EFULL;
    it = malloc(sizeof(*it));
    if (!it)
        return -RPC_ENOMEM;
    while (!has_room(q, len, max_bytes)) {
        bool is_may = !list_is_empty(&q->may);

        drop(q, is_may ? &CONTAINER_OF(q->may.next, struct item, may)->all : q->all.next, drops);
    }
    if (!q->count)
        budget_watch_moved(&q->watch);
    *it = (struct item){.msg = rpc_msg_ref(m)};
    budget_take(q->limits.budget, PLACE_BYTES);
    list_push_back(&q->all, &it->all);
    if (worth == RPC_MAY) {
        list_push_back(&q->may, &it->may);
        q->may_count++;
        q->may_bytes += len;
    }
    q->count++;
    q->bytes += len;
    return 0;
}

struct rpc_msg *rpc_queue_front(const struct rpc_queue *q)
{
    return list_is_empty(&q->all) ? NULL : CONTAINER_OF(q->all.next, struct item, all)->msg;
}

unsigned rpc_queue_run(const struct rpc_queue *q, unsigned max, size_t item_max, size_t head, size_t *room)
{
    unsigned n = 0;

    for (struct list *it = q->all.next; it != &q->all && n < max; it = it->next, n++) {
        size_t len = rpc_msg_len(CONTAINER_OF(it, struct item, all)->msg);

        if (len > item_max || len + head > *room)
            break;
        *room -= len + head;
    }
    return n;
}

struct rpc_msg *rpc_queue_pop(struct rpc_queue *q)
{
    budget_watch_moved(&q->watch);
    return list_is_empty(&q->all) ? NULL : take(q, CONTAINER_OF(q->all.next, struct item, all));
}
