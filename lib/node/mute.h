/* mute.h: a peer that takes our pub/sub stream and says nothing itself
 * Shape:   facts (our stream is ready, it opened one, it spoke, a connection went down), now -> open our stream anew? hang up?
 * Source:  js-libp2p keeps one stream to us and opens none while it has one, even on a connection that died without a
 *          word (our TCP sends no FIN when its process is killed). When it finds that out, it opens no other by
 *          itself; it does when a stream of ours arrives. Opening again harms nobody: a second stream replaces the first.
 *          rust-libp2p (0.57) tells its subscriptions on the first of a peer's connections alone, and that may be such a dead
 *          one: it then opens no stream on ours, whatever we do on it. Only a new connection helps, once the dead one is found
 * Owner:   the coding role, one for each peer
 * Limits:  MUTE_TRIES, further and further apart: a peer that subscribes to nothing may well be silent
 */
#ifndef NODE_MUTE_H
#define NODE_MUTE_H

#include <stdbool.h>
#include <stdint.h>

#define MUTE_NS    3000000000ull /* before the first try; doubled after each */
#define MUTE_TRIES 4             /* the last one after 24 s: longer than js needs to notice (it pings every 10 s) */

struct mute {
    uint64_t since_ns; /* our stream is ready and nothing was heard; 0: no stream */
    uint64_t opened_on; /* the connection on which it opened its stream; 0: none, or that connection is gone */
    uint64_t heard_on; /* the connection that brought its last RPC; 0: nothing heard, or that connection is gone */
    unsigned tries;
};

void mute_stream_ready(struct mute *m, uint64_t now);
void mute_stream_gone(struct mute *m);
void mute_opened(struct mute *m, uint64_t conn);
void mute_heard(struct mute *m, uint64_t conn);
/* Any of the peer's connections. */
void mute_conn_down(struct mute *m, uint64_t conn, uint64_t now);
/* True: open the stream anew, now; it counts as a try. */
bool mute_is_due(struct mute *m, uint64_t now);
/* Did a try not even lead to a stream of its own? Then a new connection may. Every other implementation opens one early. */
bool mute_is_lost(const struct mute *m);

#endif
