/* rxpool.h: memory for received and unread bytes, bounded for the whole stack
 * Shape:   blocks to copy into; charges for buffers kept by reference
 * Owner:   the stack
 * Memory:  blocks are made on demand, kept for reuse until fini. A copy may be put off (`late`): its place is there and charged,
 *          its bytes are still where they came; most are read there before the copy is due, and then it is never made
 * Errors:  NULL or false at the bound, or without memory. Bytes out of order are refused before the bound is near
 *          (RXPOOL_OOO_SHARE): peers with holes in their streams cannot starve those without
 */
#ifndef TCP_RXPOOL_H
#define TCP_RXPOOL_H

#include "base/buf.h"
#include "base/list.h"
#include "tcp/slab.h"

#define RXPOOL_BLOCK_BYTES 16384

struct rxpool {
    struct slab pieces; /* struct rx_piece */
    struct buf *free;   /* by next */
    struct list late;   /* of struct rx_piece: copies to be made by rxpool_settle */
    bool may_be_late;   /* what is being inserted lasts until then */
    bool is_unread;     /* its payload is not there yet, and lasts until then once it is: no copy is made before */
    uint64_t max_bytes, used_bytes;
};

void rxpool_init(struct rxpool *p, uint64_t max_bytes);
void rxpool_fini(struct rxpool *p);
/* A buffer of RXPOOL_BLOCK_BYTES with len 0 and one reference, charged until the last reference goes. */
struct buf *rxpool_block(struct rxpool *p, bool is_ooo);
bool rxpool_charge(struct rxpool *p, uint32_t bytes, bool is_ooo);
void rxpool_uncharge(struct rxpool *p, uint32_t bytes);
/* Makes the copies that were put off: whence they are made may change afterwards. */
void rxpool_settle(struct rxpool *p);

#endif
