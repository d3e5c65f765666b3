/* arena.h: buffers whose bytes are mostly not there
 * Shape:   addresses for as many bytes as a payload has, of which only the pages that somebody writes cost memory
 * Note:    pubsub_config.elide_bytes says which bytes of a payload exist: the beginning of each shard. The others count in every
 *          length and are never read, so a frame that carries a 256 KiB shard costs a page
 * Owner:   one simulation
 * Errors:  NULL: no memory
 */
#ifndef SIM_ARENA_H
#define SIM_ARENA_H

#include "pubsub/pubsub.h"

#define SIM_ELIDE_BYTES    16   /* of each shard, and of a plain payload */
#define SIM_ELIDE_FROM     4096 /* shorter buffers are ordinary */

struct sim_arena;

struct sim_arena *sim_arena_new(void);
void sim_arena_free(struct sim_arena *a);

/* pubsub_config.alloc: ctx is the arena. */
struct buf *sim_arena_alloc(void *ctx, uint32_t cap);

/* One frame of an RPC's pieces. It is elided when one of them is. */
struct buf *sim_arena_frame(struct sim_arena *a, const struct pubsub_piece *pieces, unsigned n);

#endif
