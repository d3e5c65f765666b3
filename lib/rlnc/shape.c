/* shape.c: how a payload is cut into source shards */
#include "rlnc/rlnc.h"

int rlnc_shape_init(struct rlnc_shape *s, uint64_t size_bytes, unsigned k)
{
    if (k < 1 || k > RLNC_K_MAX)
        return -RLNC_E_K;
    if (size_bytes > UINT32_MAX)
        return -RLNC_E_SIZE;
    s->size_bytes = (uint32_t)size_bytes;
    s->shard_bytes = (uint32_t)((size_bytes + k - 1) / k);
    s->k = (uint16_t)k;
    return 0;
}

uint32_t rlnc_shape_offset(const struct rlnc_shape *s, unsigned i)
{
    uint64_t at = (uint64_t)i * s->shard_bytes;

    return at < s->size_bytes ? (uint32_t)at : s->size_bytes;
}

uint32_t rlnc_shape_length(const struct rlnc_shape *s, unsigned i)
{
    uint32_t left = s->size_bytes - rlnc_shape_offset(s, i);

    return left < s->shard_bytes ? left : s->shard_bytes;
}

struct rlnc_row rlnc_source_row(const struct rlnc_shape *s, const uint8_t *payload, unsigned i)
{
    return (struct rlnc_row){payload + rlnc_shape_offset(s, i), NULL, rlnc_shape_length(s, i), (uint16_t)i};
}

const char *rlnc_err_name(int err)
{
    switch (-err) {
    case 0: return "ok";
    case RLNC_E_K: return "k is not in 1..255";
    case RLNC_E_SIZE: return "payload is too large";
    case RLNC_E_LENGTH: return "row has a wrong length";
    case RLNC_E_RANK: return "rows do not span the generation";
    case RLNC_E_CUT: return "a shard cut short cannot be solved ahead";
    }
    return "unknown";
}
