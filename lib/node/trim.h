/* trim.h: which connected peers to let go when there are too many
 * Shape:   peers with what they are worth -> those to close, least worth first. Sans-IO
 * Source:  go-libp2p's connection manager in its idea: grace for the young, tags for the useful
 * Owner:   coding role 0
 */
#ifndef NODE_TRIM_H
#define NODE_TRIM_H

#include <stdbool.h>
#include <stdint.h>

struct trim_peer {
    unsigned handle;
    bool is_protected; /* never */
    bool is_young;     /* not yet: it may still prove useful */
    bool is_mesh;      /* last */
    bool has_stream;   /* speaks pub/sub with us */
    double score;
    uint64_t connected_ns;
};

/* Sorts p so that the first are to be closed; returns how many, so that at most `keep` of those that are not young remain,
 * as far as the protected let it. The young are not counted: a crowd of newcomers must not drive out who has proved useful,
 * only to be found of less use itself once it is settled. */
unsigned trim_choose(struct trim_peer *p, unsigned n, unsigned keep);

#endif
