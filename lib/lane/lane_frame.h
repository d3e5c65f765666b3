/* lane_frame.h: what crosses a lane: publishes one way, their answers the other
 * Shape:   bytes -> one frame with slices into them; a frame -> bytes. Sans-IO
 * Source:  ours. Each frame: length (4 bytes, of what follows), type (1), fields; numbers are big-endian
 *            HELLO    version (1), secret (32)                         the gateway's first
 *            READY    largest payload (4)                              the node's answer to it
 *            PUBLISH  number (4), length of the topic (2), topic, payload
 *            ANSWER   number (4), outcome (1), and for LANE_REFUSED: HTTP status (2), text
 * Rules:   answers come in the order of the publishes. What is larger than LANE_PAYLOAD_MAX does not go by a lane: its cost is its
 *          bytes, whichever way they take
 * Memory:  borrows its input
 * Errors:  -1: these bytes are no frame, and nothing after them can be read
 * Limits:  LANE_FRAME_MAX bytes
 */
#ifndef LANE_LANE_FRAME_H
#define LANE_LANE_FRAME_H

#include <sys/types.h>

#include "base/slice.h"
#include "base/wr.h"

#define LANE_VERSION      1
#define LANE_SECRET_BYTES 32
#define LANE_HELLO_BYTES  (4 + 2 + LANE_SECRET_BYTES)
#define LANE_TOPIC_MAX    256
#define LANE_PAYLOAD_MAX  65536u
#define LANE_TEXT_MAX     199
#define LANE_HEAD_BYTES   11 /* of a publish, before its topic */
#define LANE_FRAME_MAX    (LANE_HEAD_BYTES + LANE_TOPIC_MAX + LANE_PAYLOAD_MAX)
#define LANE_ANSWER_MAX   (12 + LANE_TEXT_MAX)

enum lane_type { LANE_HELLO = 1, LANE_READY, LANE_PUBLISH, LANE_ANSWER };
enum lane_outcome { LANE_PUBLISHED, LANE_DEDUPLICATED, LANE_REFUSED };

struct lane_frame {
    enum lane_type type;
    struct slice secret;          /* HELLO */
    uint32_t max_payload;         /* READY */
    uint32_t number;              /* PUBLISH, ANSWER */
    struct slice topic, payload;  /* PUBLISH */
    enum lane_outcome outcome;    /* ANSWER */
    uint16_t http;                /* LANE_REFUSED */
    struct slice text;            /* LANE_REFUSED */
};

/* The frame that s begins with: its bytes in all; 0: it is not all here; -1. */
ssize_t lane_frame_read(struct lane_frame *f, struct slice s);
/* False: what s begins with will not be a hello, however much comes. */
bool lane_frame_may_be_hello(struct slice s);
/* The bytes of a publish. */
static inline size_t lane_publish_bytes(size_t topic, size_t payload)
{
    return LANE_HEAD_BYTES + topic + payload;
}
/* Appends f, whose fields keep within the limits; w goes bad when it has no room. A text that is too long is cut. */
void lane_frame_write(struct wr *w, const struct lane_frame *f);

#endif
