/* resolver.h: names of bootstrap peers become addresses, on a control thread of its own
 * Shape:   ask(index, address) from any control thread -> on_answer(user, answer) on the resolver's thread
 * Source:  c-ares: A and AAAA for dns, dns4, dns6 (with /etc/hosts); TXT for dnsaddr, one inside another to RESOLVER_DEPTH
 * Owner:   the main thread starts and stops it; never called from an lcore
 * Memory:  an answer is a heap block, the receiver's
 * Errors:  start: NULL and a sentence in err; a name that has no answer: count 0 and a reason
 * Limits:  RESOLVER_QUERIES questions to name servers for one name, RESOLVER_ASKED names at a time; the rest is not taken:
 *          whoever asked asks again in time
 */
#ifndef NODE_RESOLVER_H
#define NODE_RESOLVER_H

#include <sched.h>

#include "node/names.h"

#define RESOLVER_DEPTH   4
#define RESOLVER_QUERIES 32
#define RESOLVER_ASKED   NAMES_MAX

struct xresolved {
    unsigned index, count;
    struct multiaddr addrs[NAMES_ADDRS_MAX]; /* ip4|ip6/tcp/p2p */
    char reason[80];                         /* of count 0 */
};

struct resolver;

/* servers: comma list of a.b.c.d[:port], "": the system's. */
struct resolver *resolver_start(const char *servers, const cpu_set_t *cpus, void (*on_answer)(void *user, struct xresolved *a),
                                void *user, char err[256]);
void resolver_ask(struct resolver *r, unsigned index, const struct multiaddr *addr);
/* What is under way is answered, without addresses, before it returns; nothing after. NULL is allowed. */
void resolver_stop(struct resolver *r);

#endif
