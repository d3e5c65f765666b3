/* ws_fan.h: deliveries to many clients of one server thread: rounds, and a rest after a long one
 * Shape:   a round is the writing of what waits for one client after another. One that took ROUND_NS or longer is followed by a rest
 *          as long as it was, REST_MAX_NS at most: deliveries that come meanwhile are written together in the next round, one
 *          writev for a client's several messages. After a short round there is no rest: a lone message always goes at once.
 *          Replies, closings and input never wait for it
 * Owner:   the server thread
 * Units:   ns monotonic; now is the caller's clock
 */
#ifndef HTTP_WS_FAN_H
#define HTTP_WS_FAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct http_thread;

struct ws_fan {
    struct list parked; /* struct ws_conn whose deliveries wait for the next round; a reference each */
    uint64_t rest_until_ns;
    uint64_t began_ns; /* the present turn */
    unsigned written;  /* clients in it */
};

void ws_fan_init(struct ws_fan *f);
/* Around a turn's writing. */
void ws_fan_begin(struct ws_fan *f, uint64_t now);
void ws_fan_end(struct ws_fan *f, uint64_t now);
bool ws_fan_is_resting(const struct ws_fan *f);
/* How long the thread may sleep: most_ms, or until the rest is over. */
int32_t ws_fan_sleep_ms(const struct ws_fan *f, int32_t most_ms, uint64_t now);
/* The next round, when the rest is over or is_last. True: there was anything. */
bool ws_fan_run(struct ws_fan *f, bool is_last);

#endif
