#include "switch.h"

static uint64_t key_of(const uint8_t *mac)
{
    uint64_t k = 1;

    for (unsigned i = 0; i < 6; i++)
        k = k << 8 | mac[i];
    return k;
}

/* Its slot, or the free one where it belongs. */
static uint32_t slot_of(const struct mac_switch *s, uint64_t key)
{
    uint32_t i = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) & (SWITCH_MACS - 1);

    while (s->mac[i] && s->mac[i] != key)
        i = (i + 1) & (SWITCH_MACS - 1);
    return i;
}

uint32_t switch_frame(struct mac_switch *s, uint32_t from, const uint8_t *frame)
{
    uint64_t source = key_of(frame + 6);
    uint32_t i = slot_of(s, source);

    if (!(frame[6] & 1) && (s->mac[i] || s->count < SWITCH_MACS - 1)) { /* one slot stays free: every search ends */
        s->count += s->mac[i] == 0;
        s->mac[i] = source;
        s->end[i] = (uint8_t)from;
    }
    if (frame[0] & 1)
        return SWITCH_ALL;
    i = slot_of(s, key_of(frame));
    return s->mac[i] ? s->end[i] : SWITCH_ALL;
}
