/* telemetry.h: the node's commands on DPDK's telemetry socket: /codecast/mesh and /codecast/lcores
 * Shape:   telemetry_open once the hub runs, telemetry_close before it is freed; dpdk-telemetry.py asks in between
 * Owner:   DPDK's telemetry thread, which takes a snapshot of the lcores as the API does; one node a process
 * Errors:  a node whose snapshot does not come answers with an empty object
 * Source:  DPDK Programmer's Guide, "Telemetry Library"
 */
#ifndef NODE_TELEMETRY_H
#define NODE_TELEMETRY_H

struct hub;

/* Whether EAL may be told to open its socket: the folder for it can be written. */
int telemetry_has_folder(void);
void telemetry_open(struct hub *h);
/* Returns once no command is under way. */
void telemetry_close(void);

#endif
