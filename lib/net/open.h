/* open.h: from a configuration to a transport: chooses the driver and opens it
 * Owner:   the role that is being made
 * Errors:  NULL with the reason in err, naming the setting; why gets one line on the choice
 */
#ifndef NET_OPEN_H
#define NET_OPEN_H

#include "net/net.h"
#include "net/transport.h"

struct transport *net_open_transport(const struct net_config *cfg, uint64_t now, char err[256], char why[512]);

#endif
