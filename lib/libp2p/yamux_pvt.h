/* yamux_pvt.h: what yamux*.c share */
#ifndef LIBP2P_YAMUX_PVT_H
#define LIBP2P_YAMUX_PVT_H

#include "libp2p/yamux.h"

/* yamux.c */
struct yamux_stream *yamux_stream_new(struct yamux *y, uint32_t id, bool is_ours, uint64_t now);
/* Puts st on the lists it belongs on now. */
void yamux_stream_touch(struct yamux *y, struct yamux_stream *st);
/* Queues an RST for id; on overflow the session is marked dead. */
void yamux_refuse(struct yamux *y, uint32_t id);
int yamux_fail(struct yamux *y, int err);

#endif
