#include "pubsub/topics.h"

#include <stdlib.h>

void topics_init(struct topics *t, const uint8_t seed[16])
{
    *t = (struct topics){0};
    map_init(&t->map, TOPICS_MAX, seed);
    list_init(&t->all);
}

void topics_fini(struct topics *t)
{
    LIST_EACH(it, &t->all)
        free(CONTAINER_OF(it, struct topic, node));
    map_fini(&t->map);
}

struct topic *topic_find(const struct topics *t, struct slice name)
{
    return map_get(&t->map, name);
}

struct topic *topic_get(struct topics *t, struct slice name, uint32_t max)
{
    struct topic *tp = topic_find(t, name);

    if (tp)
        return tp;
    if (t->map.count >= max || !(tp = calloc(1, sizeof(*tp))))
        return NULL;
    memcpy(tp->name, name.p, name.len);
    tp->len = (uint16_t)name.len;
    list_init(&tp->links);
    list_init(&tp->mesh);
    list_init(&tp->kept);
    if (map_put(&t->map, name, tp)) {
        free(tp);
        return NULL;
    }
    list_push_back(&t->all, &tp->node);
    return tp;
}

struct topic *topic_get_to_publish(struct topics *t, struct slice name)
{
    return topic_get(t, name, t->npublished < TOPICS_PUBLISHED_MAX ? TOPICS_OF_PUBLISHES_MAX : 0);
}

void topic_set_published(struct topics *t, struct topic *tp, uint64_t at_ns)
{
    t->npublished -= tp->published_ns != 0;
    t->npublished += at_ns != 0;
    tp->published_ns = at_ns;
}

void topic_release(struct topics *t, struct topic *tp)
{
    if (tp->is_subscribed || tp->is_wanted || tp->npeers || !list_is_empty(&tp->kept) || tp->published_ns || tp->npending)
        return;
    map_del(&t->map, topic_slice(tp));
    list_del(&tp->node);
    free(tp);
}

struct link *link_add(struct topic *tp, struct peer *p, struct list *peer_links)
{
    struct link *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->topic = tp;
    l->peer = p;
    list_push_back(&tp->links, &l->by_topic);
    list_push_back(peer_links, &l->by_peer);
    tp->npeers++;
    return l;
}

void link_free(struct link *l)
{
    link_mesh_del(l);
    list_del(&l->by_topic);
    list_del(&l->by_peer);
    l->topic->npeers--;
    free(l);
}

void link_mesh_add(struct link *l)
{
    if (link_is_mesh(l))
        return;
    list_push_back(&l->topic->mesh, &l->by_mesh);
    l->topic->nmesh++;
}

void link_mesh_del(struct link *l)
{
    if (!link_is_mesh(l))
        return;
    link_set_needy(l, false);
    list_del(&l->by_mesh);
    l->topic->nmesh--;
}

void link_set_needy(struct link *l, bool is_needy)
{
    l->topic->nneedy += is_needy;
    l->topic->nneedy -= l->is_needy;
    l->is_needy = is_needy;
}
