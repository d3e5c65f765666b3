/* coded_absent.c: stands in while coded.c is not in the tree: PUBSUB_CODED cannot be had (pubsub_new returns NULL) */
#include "pubsub/coded.h"

struct coded *coded_new(const struct pubsub_config *cfg, const struct coded_host *host, uint64_t unix_ns)
{
    return NULL;
}

void coded_free(struct coded *c)
{
}

int coded_publish(struct coded *c, struct slice topic, struct buf *payload, const uint8_t sha256[32], uint64_t now)
{
    return -PUBSUB_EMEM;
}

bool coded_is_small(const struct coded *c, uint32_t size)
{
    return true;
}

void coded_input(struct coded *c, pubsub_peer p, uint32_t field, struct slice content, struct buf *frame, uint64_t now)
{
}

void coded_peer_up(struct coded *c, pubsub_peer p, uint64_t now)
{
}

void coded_peer_down(struct coded *c, pubsub_peer p, uint64_t now)
{
}

void coded_grafted(struct coded *c, pubsub_peer p, struct slice topic, uint64_t now)
{
}

void coded_heartbeat(struct coded *c, uint64_t now)
{
}

uint64_t coded_next_deadline(const struct coded *c)
{
    return UINT64_MAX;
}

void coded_on_deadline(struct coded *c, uint64_t now)
{
}

unsigned coded_generations(const struct coded *c, struct coded_generation_info *out, unsigned cap)
{
    return 0;
}
