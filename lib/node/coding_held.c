/* coding_held.c: publishes of clients, which wait in order while the peers they go to are behind (coding_int.h)
 * Limits:  the hub lets no more in than HUB_PUBLISHING_BYTES at a time, and refuses further ones as "full": their clients wait there.
 *          One waits HELD_NS at most, then it goes: what finds no room with a peer is put off and in the end dropped by the core (counted)
 */
#include <stdlib.h>

#include "node/coding_int.h"

#define HELD_NS       10000000000ull
#define LOOK_AGAIN_NS 50000000ull /* besides each time that a queue gets shorter */

static void publish(struct coding_role *r, struct xpublish *p, uint64_t now)
{
    struct xmsg m = {.type = X_PUBLISHED, .publish = p};

    p->err = pubsub_publish_hashed(r->ps, slice_str(p->topic), p->payload, p->sha256, slice_of(p->hashes, p->hashes_len), now);
    if (p->err)
        buf_unref(p->payload);
    xout_send_quiet(&r->to_control, &m, now); /* its client had its answer when the hub took it */
}

static bool must_wait(struct coding_role *r, const struct xpublish *p, uint64_t now)
{
    return !r->is_leaving && pubsub_publish_waits(r->ps, slice_str(p->topic), now);
}

void coding_publish(struct coding_role *r, struct xpublish *p, uint64_t now)
{
    coding_adopt(r, p->payload, coding_source_release);
    if (!r->held && !must_wait(r, p, now)) {
        publish(r, p, now);
        return;
    }
    p->next = NULL;
    if (r->held)
        r->held_last->next = p;
    else {
        r->held = p;
        r->held_ns = now;
    }
    r->held_last = p;
    r->nheld++;
    r->publishes_held++;
}

bool coding_held_go_on(struct coding_role *r, uint64_t now)
{
    struct xpublish *p = r->held;

    if (!p || (now - r->held_ns < HELD_NS && must_wait(r, p, now)))
        return false;
    r->held = p->next;
    r->held_ns = now;
    r->nheld--;
    publish(r, p, now);
    return true;
}

uint64_t coding_held_deadline(const struct coding_role *r, uint64_t now)
{
    return r->held ? now + LOOK_AGAIN_NS : UINT64_MAX;
}

void coding_held_drop(struct coding_role *r)
{
    for (struct xpublish *p = r->held, *next; p; p = next) {
        next = p->next;
        buf_unref(p->payload);
        free(p);
    }
    r->held = NULL;
}
