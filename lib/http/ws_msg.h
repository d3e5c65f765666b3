/* ws_msg.h: one WebSocket message, framed once, shared by every client it goes to
 * Shape:   [frame header][payload] in one block: server frames carry no mask, so the same bytes serve all
 * Owner:   counted, atomically: any thread may ref and unref; immutable once sealed
 */
#ifndef HTTP_WS_MSG_H
#define HTTP_WS_MSG_H

#include <stdatomic.h>

#include "base/slice.h"

#define WS_HEADER_MAX 10

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct budget;
struct ws_msg {
    _Atomic uint32_t refs;
    uint8_t start; /* where the wire bytes begin in block */
    bool sealed;
    size_t cap, len; /* of the payload */
    struct budget *budget; /* NULL: none */
    uint8_t block[]; /* WS_HEADER_MAX bytes of room, then cap bytes */
};

/* Room for cap payload bytes, one reference. NULL: no memory. */
struct ws_msg *ws_msg_new(size_t cap);
static inline uint8_t *ws_msg_data(struct ws_msg *m)
{
    return m->block + WS_HEADER_MAX;
}
/* Writes the header in front of len (<= cap) payload bytes. Exactly once, before the first send. */
void ws_msg_seal(struct ws_msg *m, enum ws_opcode op, size_t len);
/* As it is: len bytes that already are whole frames. */
void ws_msg_seal_raw(struct ws_msg *m, size_t len);
/* A sealed copy of s. */
struct ws_msg *ws_msg_copy(enum ws_opcode op, struct slice s);
/* Charges what it takes to b until its end. Once, sealed, before the first send; b NULL: nothing. */
void ws_msg_charge(struct ws_msg *m, struct budget *b);
struct ws_msg *ws_msg_ref(struct ws_msg *m);
void ws_msg_unref(struct ws_msg *m); /* NULL is allowed */
/* Header and payload, as they go out. */
struct slice ws_msg_wire(const struct ws_msg *m);

#endif
