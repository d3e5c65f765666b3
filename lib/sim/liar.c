/* liar.c: what adversaries do to the frames of their own, honest core
 * Forger:     every payload goes out with its first byte changed; headers, ranks and indices stay right
 * Silent:     takes part in the mesh, and sends no message, shard, have or want
 * Withholder: tells what it has, and sends none of it
 */
#include "base/pb.h"
#include "pubsub/coded_wire.h"
#include "pubsub/pubsub_wire.h"
#include "sim/sim_int.h"

static bool is_payload(const struct pb_field *f)
{
    return f->type == PB_BYTES && (f->number == CODED_SHARD || f->number == RPC_F_PUBLISH);
}

bool sim_liar_has_payload(struct slice frame)
{
    struct rd r = rd_of(frame);
    struct pb_field f;

    while (pb_next(&r, &f) > 0)
        if (is_payload(&f))
            return true;
    return false;
}

/* The payload's first byte inside a shard, or a message. */
static void forge(struct slice field, uint32_t number)
{
    struct rd r = rd_of(field);
    struct pb_field f;
    struct coded_shard shard;

    if (number == CODED_SHARD) {
        if (!coded_shard_read(field, &shard) && shard.payload.len)
            ((uint8_t *)(uintptr_t)shard.payload.p)[0] ^= 1;
        return;
    }
    while (pb_next(&r, &f) > 0)
        if (f.type == PB_BYTES && f.number == MESSAGE_F_DATA && f.bytes.len)
            ((uint8_t *)(uintptr_t)f.bytes.p)[0] ^= 1;
}

bool sim_liar_frame(struct sim *s, struct sim_node *n, struct sim_end *e, struct buf *buf)
{
    struct rd r = rd_of(buf_slice(buf));
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        if (n->behaviour == SIM_SILENT && (is_payload(&f) || f.number >= CODED_HEADER))
            return false;
        if (n->behaviour == SIM_WITHHOLDER && is_payload(&f))
            return false;
        if (n->behaviour == SIM_FORGER && is_payload(&f)) {
            e->was_lied = true;
            forge(f.bytes, f.number);
        }
    }
    return true;
}
