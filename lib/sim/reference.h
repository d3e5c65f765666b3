/* reference.h: the rule without repair, to be compared with
 * Source:  a model of the reference's behaviour as we measured it, not its code: a publisher sends ceil(k * mult) mixtures, each to
 *          `reference_copies` mesh peers in turn; a node does the same once, when its rank reaches threshold * k, with what it has
 *          then; nobody is ever asked for anything, nobody says that it is done. Two copies
 *          explain its egress (3.1 times what is needed at k = 4, mult 1.5) and where it stalls (k = 16, mult 2.5, 6 peers: 13 or
 *          14 shards each)
 * Owner:   one simulated node
 */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include "base/slice.h"

#include <stdint.h>

struct sim;
struct reference;

struct reference *reference_new(struct sim *s, uint32_t node);
void reference_free(struct reference *r);
void reference_publish(struct reference *r, uint32_t message);
void reference_input(struct reference *r, uint32_t end, struct slice frame);

#endif
