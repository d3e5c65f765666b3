#include "pubsub/replay.h"

#include <stdlib.h>

struct author {
    struct list by_age;
    struct peer_id id;
    uint64_t floor; /* the largest of the turns that are over */
    uint64_t recent[REPLAY_TURNS], turn; /* the largest of each turn, up to this one */
};

void replay_init(struct replay *r, uint32_t max, uint64_t forget_ns, const uint8_t seed[16])
{
    *r = (struct replay){.max = max, .turn_ns = forget_ns / REPLAY_TURNS};
    map_init(&r->by_author, 0, seed);
    list_init(&r->by_age);
}

static void forget(struct replay *r, struct author *a)
{
    list_del(&a->by_age);
    map_del(&r->by_author, peer_id_slice(&a->id));
    free(a);
}

void replay_fini(struct replay *r)
{
    struct list *it;

    if (!r->max)
        return;
    while ((it = list_pop_front(&r->by_age))) {
        struct author *a = CONTAINER_OF(it, struct author, by_age);
        map_del(&r->by_author, peer_id_slice(&a->id));
        free(a);
    }
    map_fini(&r->by_author);
    *r = (struct replay){0};
}

/* Turns that are over since the author was last looked at pass into the floor. */
static void advance(struct author *a, uint64_t turn)
{
    for (unsigned i = 0; i < REPLAY_TURNS && a->turn < turn; i++) {
        uint64_t *slot = &a->recent[++a->turn % REPLAY_TURNS];
        if (*slot > a->floor)
            a->floor = *slot;
        *slot = 0;
    }
    a->turn = turn > a->turn ? turn : a->turn;
}

bool replay_is_old(const struct replay *r, const struct peer_id *author, uint64_t seqno, uint64_t now)
{
    const struct author *known = map_get(&r->by_author, peer_id_slice(author));
    struct author a;

    if (!known)
        return false;
    a = *known;
    advance(&a, now / r->turn_ns);
    return seqno <= a.floor;
}

static struct author *author_new(struct replay *r, const struct peer_id *id, uint64_t turn)
{
    struct author *a;

    if (r->by_author.count >= r->max) {
        forget(r, CONTAINER_OF(r->by_age.next, struct author, by_age));
        r->evicted++;
    }
    a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->id = *id;
    a->turn = turn;
    if (map_put(&r->by_author, peer_id_slice(id), a)) {
        free(a);
        return NULL;
    }
    list_push_back(&r->by_age, &a->by_age);
    return a;
}

void replay_note(struct replay *r, const struct peer_id *author, uint64_t seqno, uint64_t now)
{
    uint64_t turn = now / r->turn_ns, *slot;
    struct author *a = map_get(&r->by_author, peer_id_slice(author));

    if (a) {
        list_del(&a->by_age);
        list_push_back(&r->by_age, &a->by_age);
    } else if (!(a = author_new(r, author, turn))) {
        r->unguarded++;
        return;
    }
    advance(a, turn);
    slot = &a->recent[a->turn % REPLAY_TURNS];
    if (seqno > *slot)
        *slot = seqno;
}
