/* kad_query.h: one lookup: whom to ask next for the peers nearest to a key, and when to stop
 * Shape:   candidates and answers in, whom to ask out. Sends nothing itself
 * Source:  libp2p specs kad-dht, "Peer routing": over when the KAD_K nearest of those that answer have answered
 * Owner:   one kad core
 * Limits:  KAD_ALPHA questions under way; KAD_CANDIDATES kept, the farthest make way; KAD_ASKED_MAX questions in all, so
 *          liars that always know someone nearer cannot keep it going
 */
#ifndef LIBP2P_KAD_QUERY_H
#define LIBP2P_KAD_QUERY_H

#include "libp2p/kad_key.h"
#include "libp2p/kad_wire.h"

#define KAD_ALPHA      3
#define KAD_CANDIDATES 64
#define KAD_ASKED_MAX  100

enum kad_candidate_state { KAD_NEW, KAD_ASKED, KAD_ANSWERED, KAD_FAILED };

struct kad_candidate {
    struct peer_id id;
    struct kad_key key;
    enum kad_candidate_state state;
};

struct kad_query {
    struct kad_key target;
    unsigned count, asking, asked; /* asked: in all */
    struct kad_candidate c[KAD_CANDIDATES]; /* nearest first */
};

void kad_query_init(struct kad_query *q, const struct kad_key *target);
/* Someone to ask, if near enough. True: new to this query. */
bool kad_query_add(struct kad_query *q, const struct peer_id *id);
/* Whom to ask now; NULL: none, until an answer comes. It then counts as asked. Borrowed until the next call. */
const struct peer_id *kad_query_next(struct kad_query *q);
void kad_query_answered(struct kad_query *q, const struct peer_id *id);
void kad_query_failed(struct kad_query *q, const struct peer_id *id);
bool kad_query_is_over(const struct kad_query *q);
/* The nearest that answered, at most cap; returns how many. */
unsigned kad_query_result(const struct kad_query *q, struct peer_id *out, unsigned cap);

#endif
