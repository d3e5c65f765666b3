/* api.h: the node's HTTP API (API_PORT): health, state, version, peers, topics, configuration, metrics
 * Shape:   routes on lib/http, answered from the hub's snapshots
 * Owner:   the program's main thread makes and stops it; handlers run on the server's threads
 * Errors:  api_start: NULL and a sentence in err
 */
#ifndef NODE_API_H
#define NODE_API_H

#include <sched.h>

#include "node/config.h"
#include "node/hub.h"
#include "node/node.h"
#include "node/sidecar.h"

struct api;

/* guest: whose metrics are shown too, when it has any. */
struct api *api_start(const struct node_config *cfg, struct hub *hub, struct sidecar *sidecar, const struct node_guest *guest,
                      const cpu_set_t *cpus, char err[256]);
/* NULL is allowed. */
void api_stop(struct api *a);

#endif
