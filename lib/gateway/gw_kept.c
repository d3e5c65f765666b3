#include "gateway/gw_kept.h"

#include <stdlib.h>

#define HEAD sizeof(struct gw_kept_head)

void gw_kept_init(struct gw_kept *k, size_t cap)
{
    *k = (struct gw_kept){.cap = cap};
}

void gw_kept_fini(struct gw_kept *k)
{
    free(k->ring);
    *k = (struct gw_kept){0};
}

/* n bytes from `at` behind the first one; they may wrap. */
static void copy_out(const struct gw_kept *k, size_t at, void *out, size_t n)
{
    size_t from = (k->first + at) % k->cap, left = k->cap - from, a = n < left ? n : left;

    memcpy(out, k->ring + from, a);
    memcpy((uint8_t *)out + a, k->ring, n - a);
}

static void copy_in(struct gw_kept *k, const void *p, size_t n)
{
    size_t to = (k->first + k->len) % k->cap, left = k->cap - to, a = n < left ? n : left;

    memcpy(k->ring + to, p, a);
    memcpy(k->ring, (const uint8_t *)p + a, n - a);
    k->len += n;
}

static size_t bytes_of(const struct gw_kept_head *head)
{
    return HEAD + head->topic_len + head->payload_len;
}

static void drop(struct gw_kept *k, size_t n)
{
    k->first = (k->first + n) % k->cap;
    k->len -= n;
}

bool gw_kept_add(struct gw_kept *k, struct slice topic, const uint8_t id[GW_ID_BYTES], struct slice payload, uint64_t now)
{
    size_t n = HEAD + topic.len + payload.len;
    struct gw_kept_head head;

    if (topic.len > GW_NAME_MAX || payload.len > GW_KEPT_PAYLOAD_MAX || n > k->cap)
        return false;
    if (!k->ring && !(k->ring = malloc(k->cap)))
        return false;
    while (k->cap - k->len < n) {
        copy_out(k, 0, &head, HEAD);
        drop(k, bytes_of(&head));
    }
    head = (struct gw_kept_head){.at_ns = now, .topic_len = (uint32_t)topic.len, .payload_len = (uint32_t)payload.len};
    memcpy(head.id, id, GW_ID_BYTES);
    copy_in(k, &head, HEAD);
    copy_in(k, topic.p, topic.len);
    if (payload.len)
        copy_in(k, payload.p, payload.len);
    return true;
}

void gw_kept_expire(struct gw_kept *k, uint64_t until_ns)
{
    struct gw_kept_head head;

    while (k->len) {
        copy_out(k, 0, &head, HEAD);
        if (head.at_ns >= until_ns)
            return;
        drop(k, bytes_of(&head));
    }
}

bool gw_kept_pop(struct gw_kept *k, struct gw_kept_item *out)
{
    if (!k->len)
        return false;
    copy_out(k, 0, &out->head, HEAD);
    copy_out(k, HEAD, out->bytes, out->head.topic_len + out->head.payload_len);
    drop(k, bytes_of(&out->head));
    return true;
}
