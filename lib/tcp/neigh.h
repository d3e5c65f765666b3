/* neigh.h: who is at which MAC
 * Shape:   IP -> MAC, or a wait; answers in, questions out (ARP requests, or events when neighbours are set from outside)
 *          A fixed entry is the host's own word (a permanent neighbour): never asked about, never overruled by the network
 * Source:  RFC 826, RFC 1122 2.3.2 (aging; questions at most one a second; RFC 4861's reachable time)
 * Owner:   the stack
 * Memory:  a fixed array; connections that wait hang on the entry by their own list node
 * Errors:  NULL when every entry looked at is waited for
 * Limits:  entries are made only for our own next hops and for neighbours that ask for us by ARP
 */
#ifndef TCP_NEIGH_H
#define TCP_NEIGH_H

#include <stdbool.h>

#include "base/list.h"
#include "base/timerq.h"
#include "tcp/ip_addr.h"
#include "tcp/tcp_wire.h"

enum neigh_state { NEIGH_FREE, NEIGH_ASKING, NEIGH_KNOWN };

struct neigh {
    struct ip_addr ip;
    uint8_t mac[ETH_ALEN];
    uint8_t state;         /* enum neigh_state */
    uint8_t asks;          /* unanswered questions; 0: not asking */
    bool is_broadcast_ask; /* the next question goes to everyone */
    bool has_mac;          /* mac was its MAC once, also while we ask anew */
    bool is_fixed;
    bool is_heard;         /* mac is of our own hearing, not the host's word */
    uint32_t gen;          /* changes when the entry becomes another neighbour's */
    uint64_t confirmed_ns, used_ns;
    struct neigh *hash_next;
    struct list waiters;  /* the stack's */
    struct list ask_link; /* on the table's list of questions to put */
    struct timer timer;   /* kind NEIGH_TIMER_KIND, in the stack's queue */
};

struct neigh_table {
    struct neigh *entries, **buckets;
    uint32_t max, made, mask, hand, fixed;
    bool is_external;
    struct list to_ask;
    struct timerq *timers;
    uint64_t key[2];
};

#define NEIGH_TIMER_KIND      1
#define NEIGH_REACHABLE_NS    30000000000ull
#define NEIGH_ASK_INTERVAL_NS 1000000000ull
#define NEIGH_MAX_ASKS        3

int neigh_init(struct neigh_table *t, uint32_t max, bool is_external, struct timerq *timers,
               const uint64_t key[2]);
void neigh_fini(struct neigh_table *t);

struct neigh *neigh_find(const struct neigh_table *t, const struct ip_addr *ip);
/* Finds or makes the entry; a new one begins to ask. NULL: full. */
struct neigh *neigh_get(struct neigh_table *t, const struct ip_addr *ip, uint64_t now);
/* The entry is about to be used for sending: an old one is asked about meanwhile. */
void neigh_use(struct neigh_table *t, struct neigh *n, uint64_t now);
/* The same for one that nobody here has asked for yet: takes no place of one that was ever used. NULL: no such place. */
struct neigh *neigh_get_unasked(struct neigh_table *t, const struct ip_addr *ip);
/* Whether it is to be the host's own word; no more than half of the table is, the others count as learnt. */
void neigh_fix(struct neigh_table *t, struct neigh *n, bool is_fixed);
/* An answer; true: it had another MAC before. The caller wakes n's waiters. */
bool neigh_learn(struct neigh_table *t, struct neigh *n, const uint8_t mac[ETH_ALEN], uint64_t now);
/* The peer behind it acknowledged something: it lives. */
static inline void neigh_confirm(struct neigh *n, uint64_t now)
{
    n->confirmed_ns = now;
}

/* What was sent there is not answered: it may have another MAC by now. Asked about at once, once a second at most. */
void neigh_doubt(struct neigh_table *t, struct neigh *n, uint64_t now);
/* Another MAC is claimed for it: everyone is asked at once, even where the one we know was asked lately. It holds meanwhile. */
void neigh_dispute(struct neigh_table *t, struct neigh *n, uint64_t now);

/* Its timer fired: true when it failed for good (state is NEIGH_FREE then; the caller takes care of n's waiters). */
bool neigh_on_timer(struct neigh_table *t, struct neigh *n, uint64_t now);
/* Declared dead from outside; as a failed timer. */
void neigh_forget(struct neigh_table *t, struct neigh *n);
/* The next question to put, NULL when none. */
struct neigh *neigh_next_ask(struct neigh_table *t);

#endif
