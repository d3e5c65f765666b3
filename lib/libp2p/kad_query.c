#include "libp2p/kad_query.h"

void kad_query_init(struct kad_query *q, const struct kad_key *target)
{
    *q = (struct kad_query){.target = *target};
}

static struct kad_candidate *find(struct kad_query *q, const struct peer_id *id)
{
    for (unsigned i = 0; i < q->count; i++)
        if (peer_id_is_equal(&q->c[i].id, id))
            return &q->c[i];
    return NULL;
}

/* The farthest that nobody waits for makes way; -1: there is none behind `at`. */
static int make_room(const struct kad_query *q, unsigned at)
{
    for (unsigned i = q->count; i-- > at;)
        if (q->c[i].state != KAD_ASKED)
            return (int)i;
    return -1;
}

bool kad_query_add(struct kad_query *q, const struct peer_id *id)
{
    struct kad_key key = kad_key_of(peer_id_slice(id));
    unsigned at = q->count, end = q->count;

    while (at > 0 && kad_key_compare(&q->target, &key, &q->c[at - 1].key) < 0)
        at--;
    if (at > 0 && peer_id_is_equal(&q->c[at - 1].id, id)) /* equal keys are the same id, and the walk stops behind it */
        return false;
    if (q->count == KAD_CANDIDATES) {
        int gone = make_room(q, at);
        if (gone < 0)
            return false;
        end = (unsigned)gone;
    } else {
        q->count++;
    }
    memmove(&q->c[at + 1], &q->c[at], (end - at) * sizeof(q->c[0]));
    q->c[at] = (struct kad_candidate){.id = *id, .key = key, .state = KAD_NEW};
    return true;
}

/* The first to ask among the nearest KAD_K that have not failed; NULL none. */
static struct kad_candidate *next_candidate(const struct kad_query *q)
{
    unsigned live = 0;

    for (unsigned i = 0; i < q->count && live < KAD_K; i++) {
        if (q->c[i].state == KAD_NEW)
            return (struct kad_candidate *)&q->c[i];
        live += q->c[i].state != KAD_FAILED;
    }
    return NULL;
}

const struct peer_id *kad_query_next(struct kad_query *q)
{
    struct kad_candidate *c = q->asking < KAD_ALPHA && q->asked < KAD_ASKED_MAX ? next_candidate(q) : NULL;

    if (!c)
        return NULL;
    c->state = KAD_ASKED;
    q->asking++;
    q->asked++;
    return &c->id;
}

static void settle(struct kad_query *q, const struct peer_id *id, enum kad_candidate_state state)
{
    struct kad_candidate *c = find(q, id);

    if (!c || c->state != KAD_ASKED)
        return;
    c->state = state;
    q->asking--;
}

void kad_query_answered(struct kad_query *q, const struct peer_id *id)
{
    settle(q, id, KAD_ANSWERED);
}

void kad_query_failed(struct kad_query *q, const struct peer_id *id)
{
    settle(q, id, KAD_FAILED);
}

/* Those still asked that are farther than the KAD_K nearest need not be waited for. */
bool kad_query_is_over(const struct kad_query *q)
{
    unsigned live = 0;

    if (q->asked >= KAD_ASKED_MAX && q->asking == 0)
        return true;
    for (unsigned i = 0; i < q->count && live < KAD_K; i++) {
        if (q->c[i].state == KAD_NEW || q->c[i].state == KAD_ASKED)
            return false;
        live += q->c[i].state == KAD_ANSWERED;
    }
    return true;
}

unsigned kad_query_result(const struct kad_query *q, struct peer_id *out, unsigned cap)
{
    unsigned n = 0;

    for (unsigned i = 0; i < q->count && n < cap; i++)
        if (q->c[i].state == KAD_ANSWERED)
            out[n++] = q->c[i].id;
    return n;
}
