/* inside.h: a gateway inside a node: one program that is a member of the network and serves clients
 * Shape:   both configurations -> a guest for node_start (node.h), which starts and stops the gateway at its times
 * Owner:   the program's main thread makes and frees it; the node calls the guest
 * Errors:  new: NULL, no memory. The guest's start: a sentence that names the setting
 */
#ifndef INSIDE_INSIDE_H
#define INSIDE_INSIDE_H

#include "gateway/gw_config.h"
#include "node/node.h"

struct inside;

/* Reads the gateway's settings beside the node's, which must be loaded. False: no gateway is wanted. */
bool inside_config_load(struct gw_config *gw, const struct node_config *node, settings_lookup get, void *ctx,
                        struct settings_report *rep);

/* Both are borrowed until inside_free. */
struct inside *inside_new(const struct gw_config *gw, const struct node_config *node);
struct node_guest inside_guest(struct inside *in);
/* After node_stop. NULL is allowed. */
void inside_free(struct inside *in);

#endif
