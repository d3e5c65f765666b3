/* iplimit.c: counts per address (iplimit.h) */
#include "net/iplimit.h"

#include <stdlib.h>

struct counts {
    uint32_t conns, handshakes;
};

static struct slice key_of(const struct endpoint *e)
{
    return slice_of(e->ip, e->ip_len == 4 ? 4 : 8);
}

void iplimit_init(struct iplimit *l, uint32_t max_conns, uint32_t max_handshakes, const uint8_t seed[16])
{
    map_init(&l->counts, 0, seed);
    l->max_conns = max_conns;
    l->max_handshakes = max_handshakes;
}

void iplimit_fini(struct iplimit *l)
{
    size_t it = 0;
    struct slice key;
    void *value;

    while ((value = map_next(&l->counts, &it, &key)))
        free(value);
    map_fini(&l->counts);
}

bool iplimit_take(struct iplimit *l, const struct endpoint *e)
{
    struct counts *c = map_get(&l->counts, key_of(e));

    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c)
            return false;
        if (map_put(&l->counts, key_of(e), c) < 0) {
            free(c);
            return false;
        }
    }
    if (c->conns >= l->max_conns || c->handshakes >= l->max_handshakes)
        return false; /* never the first one: the block has an owner */
    c->conns++;
    c->handshakes++;
    return true;
}

void iplimit_handshake_over(struct iplimit *l, const struct endpoint *e)
{
    struct counts *c = map_get(&l->counts, key_of(e));

    if (c && c->handshakes > 0)
        c->handshakes--;
}

void iplimit_give(struct iplimit *l, const struct endpoint *e)
{
    struct counts *c = map_get(&l->counts, key_of(e));

    if (c && --c->conns == 0)
        free(map_del(&l->counts, key_of(e)));
}
