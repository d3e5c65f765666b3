/* mactable.c: stations and their ports (mactable.h) */
#include "drivers/mactable.h"

#include <string.h>

#include "base/map.h"

void mactable_init(struct mactable *t, const uint64_t seed[2])
{
    memset(t, 0, sizeof(*t));
    memcpy(t->seed, seed, sizeof(t->seed));
}

static struct mactable_entry *set_of(const struct mactable *t, const uint8_t mac[6])
{
    return (struct mactable_entry *)(uintptr_t)t->sets[siphash13(t->seed, slice_of(mac, 6)) % MACTABLE_SETS];
}

static struct mactable_entry *entry_of(const struct mactable *t, const uint8_t mac[6])
{
    struct mactable_entry *e = set_of(t, mac);

    for (unsigned i = 0; i < MACTABLE_WAYS; i++)
        if (e[i].seen_ns && memcmp(e[i].mac, mac, 6) == 0)
            return &e[i];
    return NULL;
}

void mactable_learn(struct mactable *t, const uint8_t mac[6], uint16_t port, uint64_t now)
{
    struct mactable_entry *e = entry_of(t, mac), *set;

    if (mac[0] & 1)
        return;
    if (!e) {
        set = e = set_of(t, mac);
        for (unsigned i = 1; i < MACTABLE_WAYS; i++)
            if (set[i].seen_ns < e->seen_ns)
                e = &set[i];
        memcpy(e->mac, mac, 6);
    }
    e->port = port;
    e->seen_ns = now;
}

uint16_t mactable_find(const struct mactable *t, const uint8_t mac[6], uint64_t now)
{
    const struct mactable_entry *e = entry_of(t, mac);

    return e && now - e->seen_ns < MACTABLE_AGE_NS ? e->port : MACTABLE_NONE;
}

void mactable_forget_port(struct mactable *t, uint16_t port)
{
    for (unsigned s = 0; s < MACTABLE_SETS; s++)
        for (unsigned i = 0; i < MACTABLE_WAYS; i++)
            if (t->sets[s][i].port == port)
                t->sets[s][i].seen_ns = 0;
}
