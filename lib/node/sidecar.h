/* sidecar.h: the gRPC service CommandStream of the node (SIDECAR_PORT)
 * Shape:   calls of lib/rpc <-> the hub
 * Source:  proto/sidecar.proto
 * Owner:   the main thread starts and stops it; calls run on lib/rpc's threads
 * Errors:  sidecar_start: NULL and a sentence in err that names the setting
 */
#ifndef NODE_SIDECAR_H
#define NODE_SIDECAR_H

#include <sched.h>

#include "node/config.h"
#include "node/hub.h"

struct sidecar;

struct sidecar *sidecar_start(const struct node_config *cfg, struct hub *hub, const cpu_set_t *cpus, char err[256]);
/* The port in use, also when 0 was asked for. */
int sidecar_port(const struct sidecar *s);
/* Ends open streams with UNAVAILABLE, then stops. NULL is allowed. */
void sidecar_stop(struct sidecar *s);

/* Adds the families of what the sidecar counts. */
struct metrics;
void sidecar_metrics(struct sidecar *s, struct metrics *m);

#endif
