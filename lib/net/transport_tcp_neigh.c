/* transport_tcp_neigh.c: what the kernel knows of neighbours is told to our stack (transport_tcp_pvt.h)
 * Where the address is shared, the host's table may know what ARP cannot find: permanent entries, those of a control plane.
 */
#include <stdlib.h>

#include "drivers/neigh_watch.h"
#include "net/transport_tcp_pvt.h"

void ttcp_neigh_open(struct ttcp *t, const char *iface, uint64_t now)
{
    t->neigh = malloc(sizeof(*t->neigh));
    if (!t->neigh || neigh_watch_open(t->neigh, iface) < 0) {
        free(t->neigh);
        t->neigh = NULL;
        t->neigh_denied = 1;
        return;
    }
    ttcp_neigh_turn(t, now); /* the first dials know them already */
}

static void tell(struct ttcp *t, const struct neigh_news *news, uint64_t now)
{
    static const enum tcp_neigh_word words[] = {
        [NEIGH_WORD_FIXED] = TCP_NEIGH_FIXED, [NEIGH_WORD_FRESH] = TCP_NEIGH_FRESH, [NEIGH_WORD_OLD] = TCP_NEIGH_OLD, [NEIGH_WORD_GONE] = TCP_NEIGH_GONE};
    struct ip_addr ip = news->is_ip6 ? ip_v6_bytes(news->ip) : ip_v4_bytes(news->ip);

    if (news->word == NEIGH_WORD_ANEW)
        tcp_stack_neigh_unfix(t->stack);
    else if (news->word == NEIGH_WORD_GONE || memcmp(news->mac, t->port->link.mac, 6) != 0) /* ours: where the kernel knows no better without ARP */
        tcp_stack_neigh_told(t->stack, &ip, news->mac, words[news->word], now);
}

void ttcp_neigh_turn(struct ttcp *t, uint64_t now)
{
    struct neigh_news news;

    if (!t->neigh)
        return;
    neigh_watch_turn(t->neigh);
    while (neigh_watch_next(t->neigh, &news))
        tell(t, &news, now);
    if (t->neigh->is_denied)
        t->neigh_denied = 1;
}

void ttcp_neigh_close(struct ttcp *t)
{
    if (t->neigh)
        neigh_watch_close(t->neigh);
    free(t->neigh);
}

void ttcp_neigh_stats(const struct ttcp *t, struct port_counters *out)
{
    out->neigh_denied = t->neigh_denied;
    out->neigh_overruns = t->neigh ? t->neigh->overruns : 0;
}
