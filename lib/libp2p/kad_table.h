/* kad_table.h: the DHT's routing table: k-buckets by the bits an id's key shares with ours
 * Shape:   ids that proved to serve -> the nearest to a key; which bucket wants a refresh
 * Source:  libp2p specs kad-dht, "Kademlia routing table"; Maymounkov and Mazières: who has stayed long stays
 * Owner:   one kad core
 * Memory:  a bucket is allocated when its first peer comes; entries are copied out
 * Errors:  add: false when the bucket is full of live peers or there is no memory: the newcomer has to wait
 * Limits:  KAD_K peers a bucket; so a flood of ids cannot drive out peers that answer
 */
#ifndef LIBP2P_KAD_TABLE_H
#define LIBP2P_KAD_TABLE_H

#include "libp2p/kad_key.h"
#include "libp2p/kad_wire.h"

#define KAD_FAILURES 2
#define KAD_STALE_NS 3600000000000ull /* one of whom nothing was heard for so long makes way */

struct kad_entry {
    struct peer_id id;
    struct kad_key key;
    uint64_t heard_ns; /* it last answered or asked */
    unsigned failures; /* since then */
};

struct kad_bucket {
    unsigned count;
    uint64_t refreshed_ns; /* a lookup last went its way */
    struct kad_entry e[KAD_K];
};

struct kad_table {
    struct kad_key self;
    struct kad_bucket *buckets[KAD_KEY_BITS];
    unsigned count;
};

void kad_table_init(struct kad_table *t, const struct peer_id *self);
void kad_table_fini(struct kad_table *t);
/* It serves, and was just heard of. False: not taken (ourselves, or no place). */
bool kad_table_add(struct kad_table *t, const struct peer_id *id, uint64_t now);
/* It serves no more. */
void kad_table_remove(struct kad_table *t, const struct peer_id *id);
/* It did not answer: KAD_FAILURES in a row, and it is out. */
void kad_table_failed(struct kad_table *t, const struct peer_id *id);
bool kad_table_has(const struct kad_table *t, const struct peer_id *id);
/* The nearest to key, nearest first, at most cap and KAD_K, without `except` (may be NULL); returns how many. */
unsigned kad_table_closest(const struct kad_table *t, const struct kad_key *key, const struct peer_id *except,
                           struct kad_entry *out, unsigned cap);
/* A lookup of key was made. */
void kad_table_looked_up(struct kad_table *t, const struct kad_key *key, uint64_t now);
/* The first bucket from *from on that had no lookup for age_ns: true, and its number in *from. Buckets nearer to us than
 * the nearest that holds anyone are not counted: a lookup of ourselves fills those. */
bool kad_table_stale(const struct kad_table *t, uint64_t age_ns, unsigned *from, uint64_t now);

#endif
