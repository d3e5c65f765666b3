/* seqset.h: a set of sequence numbers kept as few ranges
 * Shape:   [lo, hi) ranges, sorted, never touching each other
 * Owner:   the connection
 * Memory:  one array that doubles on the heap up to max ranges
 * Errors:  add: 0, or -1 when it would need one range too many or there is no memory; the set is then unchanged
 * Limits:  finding is logarithmic; adding and removing move at most max * 8 bytes
 */
#ifndef TCP_SEQSET_H
#define TCP_SEQSET_H

#include "tcp/seq.h"

struct seq_range {
    uint32_t lo, hi; /* lo < hi */
};

struct seqset {
    struct seq_range *r;
    uint32_t count, cap, max;
    uint32_t bytes; /* sum of the ranges */
};

void seqset_init(struct seqset *s, uint32_t max);
void seqset_fini(struct seqset *s);
/* Forgets the ranges, keeps the memory. */
void seqset_clear(struct seqset *s);
int seqset_add(struct seqset *s, uint32_t lo, uint32_t hi);
/* Removes everything below seq. */
void seqset_trim(struct seqset *s, uint32_t seq);
/* The place of the first range that ends above seq; count when there is none. */
uint32_t seqset_find(const struct seqset *s, uint32_t seq);

#endif
