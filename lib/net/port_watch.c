/* port_watch.c: which counts have grown, and when that was last said (port_watch.h) */
#include "net/port_watch.h"

static const char *of_link(struct port_watch *w, bool is_up)
{
    if (is_up == w->is_up)
        return NULL;
    w->is_up = is_up;
    if (is_up)
        return "link is up";
    return "link is down";
}

const char *port_watch_next(struct port_watch *w, const struct transport_stats *s, bool is_up, uint64_t now)
{
    const struct {
        uint64_t count;
        const char *text;
    } thing[PORT_WATCH_THINGS] = {
        {s->port.lost, "the interface or device is gone: looked for every second"},
        {s->port.found, "the interface or device was gone and is open again"},
        {s->port.unopened, "the interface is there again and cannot be opened: rights that were given up, or another shape (queues, MTU)"},
        {s->port.resets, "the device was reset"},
        {s->port.no_memory, "out of packet memory"},
        {s->packets_dropped_in, "packets lost in front of us: the receive ring was full"},
        {s->port.zeroed, "a packet that was acknowledged could not be read: its connection breaks"},
        {s->packets_dropped_out, "packets refused by the port"},
        {s->port.mac_changed, "the interface has another MAC: our packets bear it"},
        {s->port.mtu_changed, "the interface has another MTU: our packets follow it"},
        {s->tcp.neigh_moved, "a neighbour has another MAC: we follow it"},
        {s->port.neigh_denied, "the kernel's neighbours cannot be read, netlink is denied: our own ARP and ND go on"},
        {s->port.neigh_overruns, "news of the kernel's neighbours were missed: all of them are read again"},
    };
    const char *link = of_link(w, is_up);

    for (unsigned i = 0; !link && i < PORT_WATCH_THINGS; i++) {
        bool has_grown = thing[i].count > w->seen[i];

        w->seen[i] = thing[i].count;
        if (!has_grown || now < w->next_ns[i])
            continue;
        w->next_ns[i] = now + PORT_WATCH_AGAIN_NS;
        return thing[i].text;
    }
    return link;
}
