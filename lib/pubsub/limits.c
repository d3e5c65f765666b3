#include "pubsub/limits.h"

#include <string.h>

#include "pubsub/topics.h"

const char *const pubsub_limit_names[PUBSUB_LIMIT_COUNT] = {
    [LIMIT_IHAVE_RPCS] = "ihave_rpcs",
    [LIMIT_IHAVE_IDS] = "ihave_ids",
    [LIMIT_IWANT_IDS] = "iwant_ids",
    [LIMIT_IWANT_REPEATS] = "iwant_repeats",
    [LIMIT_IDONTWANT_RPCS] = "idontwant_rpcs",
    [LIMIT_IDONTWANT_IDS] = "idontwant_ids",
    [LIMIT_GRAFTS] = "grafts",
    [LIMIT_SUBSCRIPTIONS] = "subscriptions",
    [LIMIT_TOPICS] = "topics",
    [LIMIT_OFFERS] = "offers",
    [LIMIT_PX_PEERS] = "px_peers",
    [LIMIT_OVERSIZE] = "oversize",
    [LIMIT_VALIDATIONS] = "validations",
};

/* flood: used past max by so much is nobody's mistake. 0: passing it is no misdeed (an honest peer with many topics or
 * another configuration may do it). */
static const struct {
    uint32_t max, flood;
} table[PUBSUB_LIMIT_COUNT] = {
    [LIMIT_IHAVE_RPCS] = {10, 90},
    [LIMIT_IHAVE_IDS] = {5000, 0},
    [LIMIT_IWANT_IDS] = {5000, 15000},
    [LIMIT_IWANT_REPEATS] = {0, 1000},
    [LIMIT_IDONTWANT_RPCS] = {1000, 1000},
    [LIMIT_IDONTWANT_IDS] = {512, 20000},
    [LIMIT_GRAFTS] = {2048, 2048},
    [LIMIT_SUBSCRIPTIONS] = {4096, 4096},
    [LIMIT_TOPICS] = {TOPICS_PER_PEER, 0},
    [LIMIT_OFFERS] = {64, 0},
    [LIMIT_PX_PEERS] = {16, 0},
    [LIMIT_OVERSIZE] = {0, 0},
    [LIMIT_VALIDATIONS] = {256, 0},
};

uint32_t limit_max(enum pubsub_limit limit)
{
    return table[limit].max;
}

enum limit_verdict limits_take(struct limits *l, enum pubsub_limit limit, uint32_t n)
{
    uint32_t max = table[limit].max, flood = table[limit].flood, before = l->used[limit];

    l->used[limit] = n > UINT32_MAX - before ? UINT32_MAX : before + n;
    if (l->used[limit] <= max)
        return LIMIT_WITHIN;
    return flood && before <= max + flood && l->used[limit] > max + flood ? LIMIT_FLOOD : LIMIT_PAST;
}

bool limits_is_flood(const struct limits *l, enum pubsub_limit limit)
{
    return table[limit].flood && l->used[limit] > table[limit].max + table[limit].flood;
}

void limits_renew(struct limits *l)
{
    memset(l, 0, sizeof(*l));
}
