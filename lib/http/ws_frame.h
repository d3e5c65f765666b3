/* ws_frame.h: a client's frame header (RFC 6455 5.2), and taking its mask off
 * Shape:   bytes -> header; sans-IO
 * Errors:  ODD: not a frame that a client may send, in whatever way. MORE: the header is not here as a whole, and may be good
 */
#ifndef HTTP_WS_FRAME_H
#define HTTP_WS_FRAME_H

#include "base/slice.h"

enum { WS_CONTINUATION = 0 }; /* the other opcodes: ws_msg.h */

struct ws_frame {
    uint8_t op;
    bool is_last;
    unsigned head; /* bytes of the header, mask included */
    uint64_t len;  /* of the payload */
    uint8_t mask[4];
};

enum ws_frame_kind { WS_FRAME, WS_FRAME_MORE, WS_FRAME_ODD };

enum ws_frame_kind ws_frame_read(struct ws_frame *f, struct slice s);
static inline bool ws_frame_is_control(const struct ws_frame *f)
{
    return f->op >= 8;
}
/* n bytes from the at-th of the payload on, unmasked; out may be in. */
void ws_frame_unmask(uint8_t *out, const uint8_t *in, size_t n, const uint8_t mask[4], uint64_t at);

#endif
