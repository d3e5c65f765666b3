#include "node/peers.h"

#include <stdlib.h>

static struct slice conn_key(const net_conn_id *id)
{
    return slice_of(id, sizeof(*id));
}

void peers_init(struct peers *p, const uint8_t seed[16])
{
    memset(p, 0, sizeof(*p));
    map_init(&p->by_id, PEERS_MAX, seed);
    map_init(&p->by_conn, PEERS_MAX_CONNS, seed);
}

void peers_fini(struct peers *p)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (p->slots[i]) {
            LIST_EACH (it, &p->slots[i]->conns)
                free(CONTAINER_OF(it, struct peer_conn, node));
            peers_drop_held(p, p->slots[i]);
            buf_unref(p->slots[i]->record);
            free(p->slots[i]);
        }
    map_fini(&p->by_id);
    map_fini(&p->by_conn);
}

static struct peer *add_peer(struct peers *p, const struct peer_id *id, uint64_t now)
{
    struct peer *peer;
    unsigned i = 0;

    while (i < PEERS_MAX && p->slots[i])
        i++;
    if (i == PEERS_MAX || !(peer = calloc(1, sizeof(*peer))))
        return NULL;
    peer->handle = i + 1;
    peer->id = *id;
    peer->connected_ns = now;
    list_init(&peer->conns);
    if (map_put(&p->by_id, peer_id_slice(id), peer)) {
        free(peer);
        return NULL;
    }
    p->slots[i] = peer;
    p->count++;
    return peer;
}

struct peer_conn *peers_add(struct peers *p, const struct peer_id *id, net_conn_id conn, uint64_t now)
{
    struct peer *peer = map_get(&p->by_id, peer_id_slice(id));
    struct peer_conn *c = peer && peer->nconns >= PEERS_CONNS_EACH ? NULL : calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    if (!peer)
        peer = add_peer(p, id, now);
    c->id = conn;
    c->since_ns = now;
    c->peer = peer;
    if (!peer || map_put(&p->by_conn, conn_key(&c->id), c)) {
        if (peer && list_is_empty(&peer->conns))
            peers_drop(p, peer);
        free(c);
        return NULL;
    }
    list_push_back(&peer->conns, &c->node);
    peer->nconns++;
    return c;
}

struct peer *peers_find(const struct peers *p, const struct peer_id *id)
{
    return map_get(&p->by_id, peer_id_slice(id));
}

struct peer_conn *peers_conn(const struct peers *p, net_conn_id conn)
{
    return map_get(&p->by_conn, conn_key(&conn));
}

struct peer *peers_at(const struct peers *p, pubsub_peer handle)
{
    return handle >= 1 && handle <= PEERS_MAX ? p->slots[handle - 1] : NULL;
}

bool peers_remove(struct peers *p, struct peer_conn *c)
{
    struct peer *peer = c->peer;

    map_del(&p->by_conn, conn_key(&c->id));
    list_del(&c->node);
    peer->nconns--;
    free(c);
    return list_is_empty(&peer->conns);
}

void peers_drop(struct peers *p, struct peer *peer)
{
    peers_drop_held(p, peer);
    map_del(&p->by_id, peer_id_slice(&peer->id));
    p->slots[peer->handle - 1] = NULL;
    p->count--;
    buf_unref(peer->record);
    free(peer);
}

/* The first frame may have any length that net takes, or a peer whose subscriptions are long would never get through. */
bool peers_hold(struct peers *p, struct peer *peer, struct buf *frame)
{
    bool fits = peer->nheld == 0 || peer->held_bytes + frame->len <= PEERS_HELD_BYTES;

    if (!fits || peer->nheld == PEERS_HELD || p->held_bytes + frame->len > PEERS_ALL_BYTES)
        return false;
    frame->next = NULL;
    if (peer->held)
        peer->held_last->next = frame;
    else
        peer->held = frame;
    peer->held_last = frame;
    peer->nheld++;
    peer->held_bytes += frame->len;
    p->held_bytes += frame->len;
    return true;
}

struct buf *peers_next_held(struct peers *p, struct peer *peer)
{
    struct buf *frame = peer->held;

    if (!frame)
        return NULL;
    peer->held = frame->next;
    peer->nheld--;
    peer->held_bytes -= frame->len;
    p->held_bytes -= frame->len;
    return frame;
}

unsigned peers_drop_held(struct peers *p, struct peer *peer)
{
    unsigned n = 0;

    for (struct buf *frame; (frame = peers_next_held(p, peer)); n++)
        buf_unref(frame);
    return n;
}

struct peer_conn *peers_other_conn(const struct peer *peer)
{
    LIST_EACH (it, &peer->conns) {
        struct peer_conn *c = CONTAINER_OF(it, struct peer_conn, node);
        if (!c->has_no_pubsub && c->opens < PEERS_OPENS)
            return c;
    }
    return NULL;
}
