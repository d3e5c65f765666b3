/* coding_nets.c: the net roles as the router sees them: which one a message is for, which one dials (coding_int.h) */
#include "base/map.h"
#include "node/coding_int.h"

#define LEAD_MAX 2 /* connections that a role may have more than the least busy one, and still be given a dial */

bool coding_to_net(struct coding_role *r, const struct xmsg *m)
{
    unsigned i = net_conn_role(m->conn);

    return i < r->nnets && xout_send(&r->nets[i].out, m);
}

bool coding_nets_have_room(const struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        if (r->nets[i].out.nheld || xring_room(r->nets[i].out.ring) <= CODING_NET_ROOM)
            return false;
    return true;
}

bool coding_nets_take_more(const struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        if (r->nets[i].out.nheld >= XOUT_HELD / 2)
            return false;
    return true;
}

void coding_nets_flush(struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        xout_flush(&r->nets[i].out);
}

void coding_nets_send_home(struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        xhomes_flush_sp(&r->nets[i].frames, r->nets[i].out.ring, X_FRAMES_HOME);
}

bool coding_nets_have_input(const struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++) {
        const struct coding_net *n = &r->nets[i];
        if (!xring_is_empty(n->in) || n->out.nheld || n->frames.head)
            return true;
    }
    return false;
}

/* A peer's address falls to the same role in every life of this node, whose dials then come from the same ports as before
 * (transport_tcp.c says why); but no role is given many more connections than another. */
unsigned coding_dial_role(const struct coding_role *r, const struct multiaddr *addr)
{
    static const uint64_t seed[2] = {0x6c636f726573, 0};
    unsigned least = r->nets[0].conns;
    struct multiaddr_target t;

    if (r->nnets == 1 || multiaddr_target(multiaddr_slice(addr), &t))
        return 0;
    for (unsigned i = 1; i < r->nnets; i++)
        if (r->nets[i].conns < least)
            least = r->nets[i].conns;
    uint64_t at = siphash13(seed, slice_of(t.ip, t.kind == MULTIADDR_IP4 ? 4 : 16)) + t.port;
    for (unsigned i = 0; i < r->nnets; i++, at++)
        if (r->nets[at % r->nnets].conns < least + LEAD_MAX)
            break;
    return (unsigned)(at % r->nnets);
}

void coding_nets_count(struct coding_role *r, unsigned from, const struct net_event *ev)
{
    if (ev->type == NET_EV_CONN_UP && !ev->is_dialer)
        r->nets[from].conns++;
    else if ((ev->type == NET_EV_CONN_DOWN || ev->type == NET_EV_DIAL_FAILED) && r->nets[from].conns)
        r->nets[from].conns--;
}
