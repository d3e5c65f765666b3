/* timewait.h: what must be remembered of a connection after its end
 * Source:  RFC 9293 3.6.1, RFC 6191 (reuse by timestamp), RFC 1337 (resets do not end it)
 * Owner:   the stack
 * Memory:  a pool bounded by the config; the oldest gives way
 */
#ifndef TCP_TIMEWAIT_H
#define TCP_TIMEWAIT_H

#include "base/list.h"
#include "tcp/segment.h"
#include "tcp/table.h"

struct tcp_conn;
struct tcp_stack;

struct timewait {
    struct flow flow;
    struct list link; /* all last equally long: oldest first */
    uint64_t ends_ns, began_ns, quiet_until_ns;
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent, ts_offset;
    uint16_t wnd;
    bool ts_ok;
};

/* Takes c's place in the table and sends the ACK it owes. Without memory nothing is remembered. */
void timewait_enter(struct tcp_stack *s, struct tcp_conn *c, uint64_t now);
/* A segment for it. True: it is a SYN that may open a new connection, and tw is gone. */
bool timewait_input(struct tcp_stack *s, struct timewait *tw, const struct tcp_in *in, const uint8_t *src_mac,
                    uint64_t now);
void timewait_free(struct tcp_stack *s, struct timewait *tw);
/* May our own connect take over these endpoints? RFC 6191, with a second's distance as timestamps tick in ms. */
bool timewait_is_reusable(const struct timewait *tw, uint64_t now);
/* Ends those that are due. */
void timewait_expire(struct tcp_stack *s, uint64_t now);

#endif
