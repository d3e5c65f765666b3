/* dnsaddr.h: what TXT records say of a dnsaddr, and what a resolved host becomes
 * Shape:   record text -> address; (address with a name, IP) -> the address with that IP. Sans-IO
 * Source:  libp2p specs addressing, "/dnsaddr": TXT of _dnsaddr.<name>, each "dnsaddr=<multiaddr>"
 * Owner:   values
 */
#ifndef NODE_DNSADDR_H
#define NODE_DNSADDR_H

#include "libp2p/multiaddr.h"

#define DNSADDR_QUERY_MAX 300

/* "_dnsaddr.<host>"; false: too long. */
bool dnsaddr_query(struct slice host, char out[DNSADDR_QUERY_MAX]);
/* One record; false: of another kind, malformed, nothing that we can dial or resolve, or of another peer than `only`
 * (len 0: any) names. */
bool dnsaddr_record(struct slice text, const struct peer_id *only, struct multiaddr *out);
/* host.. -> ip.. with the same port and peer. */
void dnsaddr_with_ip(const struct multiaddr_target *named, const uint8_t *ip, unsigned ip_len, struct multiaddr *out);

#endif
