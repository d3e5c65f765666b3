/* coded_near.c: who is next to whom
 * Note:    peers tell their mesh the tags of their mesh. With that and a shard's list of who else is being sent it, all that
 *          receive a shard together agree, without a word, which one of them passes it to a neighbour that the sender does not
 *          reach. A wrong list costs a duplicate or a repair, never delivery
 */
#include "crypto/sha256.h"
#include "pubsub/coded_int.h"

uint32_t coded_tag_of(const struct peer_id *id)
{
    uint8_t digest[SHA256_BYTES];

    sha256_of(peer_id_slice(id), digest);
    return coded_tag_read(digest);
}

bool coded_tags_have(struct slice tags, uint32_t tag)
{
    for (size_t i = 0; i + CODED_TAG_BYTES <= tags.len; i += CODED_TAG_BYTES)
        if (coded_tag_read(tags.p + i) == tag)
            return true;
    return false;
}

static uint64_t topic_hash(const struct coded *c, struct slice topic)
{
    uint64_t h = siphash13(c->hash_seed, topic);

    return h ? h : 1;
}

static const struct coded_near_list *near_find(const struct coded *c, const struct coded_peer *peer, struct slice topic)
{
    uint64_t h = topic_hash(c, topic);

    for (unsigned i = 0; i < CODED_NEAR_TOPICS; i++)
        if (peer->near[i].topic == h)
            return &peer->near[i];
    return NULL;
}

void coded_on_near(struct coded *c, pubsub_peer p, struct slice content)
{
    struct coded_peer *peer = coded_peer_find(c, p);
    struct coded_near_list *list;
    struct coded_near n;
    int err = coded_near_read(content, &n);

    if (err) {
        c->host.penalize(c->host.core, p, 1, coded_err_name(err));
        return;
    }
    if (!c->host.is_subscribed(c->host.core, n.topic)) {
        c->host.counters->control_ignored++;
        return;
    }
    list = (struct coded_near_list *)(uintptr_t)near_find(c, peer, n.topic);
    if (!list)
        list = &peer->near[peer->next_near++ % CODED_NEAR_TOPICS];
    list->topic = topic_hash(c, n.topic);
    list->count = (uint8_t)(n.tags.len / CODED_TAG_BYTES);
    for (unsigned i = 0; i < list->count; i++)
        list->tags[i] = coded_tag_read(n.tags.p + i * CODED_TAG_BYTES);
}

struct coded_topic *coded_near_topic(struct coded *c, struct slice topic, uint64_t now)
{
    struct coded_topic *t;

    if (c->near_at_ns == TIMER_NEVER)
        c->near_at_ns = now + CODED_NEAR_NS;
    for (unsigned i = 0; i < c->topic_count; i++)
        if (slice_is_equal(slice_of(c->topics[i].name, c->topics[i].len), topic))
            return &c->topics[i];
    if (topic.len > CODED_TOPIC_MAX || c->topic_count == sizeof(c->topics) / sizeof(c->topics[0]))
        return NULL; /* further topics do without: their shards spread by election among fewer */
    t = &c->topics[c->topic_count++];
    memcpy(t->name, topic.p, topic.len);
    t->len = (uint16_t)topic.len;
    t->told = 0;
    return t;
}

/* Our mesh of the topic as sorted tags: the order must not look like a change. */
static unsigned own_tags(struct coded *c, struct slice topic, const pubsub_peer *mesh, unsigned n, uint8_t *out)
{
    uint32_t tags[CODED_MESH_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        struct coded_peer *peer = coded_peer_find(c, mesh[i]);
        unsigned at = count;

        if (!peer)
            continue;
        for (; at > 0 && tags[at - 1] > peer->tag; at--)
            tags[at] = tags[at - 1];
        tags[at] = peer->tag;
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        coded_tag_write(out + CODED_TAG_BYTES * i, tags[i]);
    return count;
}

static void tell_topic(struct coded *c, struct coded_topic *t)
{
    struct slice name = slice_of(t->name, t->len);
    uint8_t tags[CODED_MESH_MAX * CODED_TAG_BYTES];
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = c->host.mesh(c->host.core, name, mesh, CODED_MESH_MAX);
    unsigned count = own_tags(c, name, mesh, n, tags);
    struct coded_near near = {name, slice_of(tags, count * CODED_TAG_BYTES)};
    uint64_t told = siphash13(c->hash_seed, near.tags);

    if (told == t->told)
        return;
    t->told = told;
    for (unsigned i = 0; i < n; i++) {
        struct coded_body b;

        coded_body_init(&b);
        coded_near_put(&b.w, &near);
        coded_body_send(c, &b, mesh[i]);
    }
}

void coded_near_tell(struct coded *c)
{
    c->near_at_ns = TIMER_NEVER;
    for (unsigned i = 0; i < c->topic_count;) {
        struct coded_topic *t = &c->topics[i];

        if (!c->host.is_subscribed(c->host.core, slice_of(t->name, t->len))) {
            *t = c->topics[--c->topic_count];
            continue;
        }
        tell_topic(c, t);
        i++;
    }
}

uint64_t coded_near_lot(const uint8_t *id, unsigned index, uint32_t tag)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++)
        x = x << 8 | id[i];
    x ^= (uint64_t)tag << 32 | (uint64_t)index << 8;
    x *= 0x9E3779B97F4A7C15ull;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ull;
    return x ^ x >> 32;
}

static bool list_has(const struct coded_near_list *l, uint32_t tag)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->tags[i] == tag)
            return true;
    return false;
}

bool coded_near_is_ours(const struct coded *c, const struct generation *g, unsigned index, const struct coded_peer *u,
                        struct slice sent)
{
    const struct coded_near_list *near = near_find(c, u, g->topic);
    uint64_t mine = coded_near_lot(g->id, index, c->self_tag);

    if (!near)
        return true;
    for (size_t i = 0; i + CODED_TAG_BYTES <= sent.len; i += CODED_TAG_BYTES) {
        uint32_t tag = coded_tag_read(sent.p + i);

        if (tag != c->self_tag && list_has(near, tag) && coded_near_lot(g->id, index, tag) < mine)
            return false;
    }
    return true;
}
