/* gw_lane.h: the gateway's end of lanes (lane/lane_server.h): publishes of the HTTP threads to one node, without gRPC
 * Shape:   one TCP connection of each HTTP thread to the node, in that thread's own event loop. What a turn of the loop publishes
 *          goes out with one write; what one read brings is told to the publishers on the same thread, which nobody wakes
 * Rules:   a lane is offered by the node over its stream (gw_link_grpc.c) and ends with it. Without one, while it is being opened, when
 *          it is full, for large payloads and from other threads the stream is used
 * Owner:   a lane's socket and buffers: its HTTP thread. Its state and what it has under way: the pool's lock
 * Limits:  UNDER_WAY_MAX publishes and OUT_MAX bytes a lane; a node that sends anything but answers loses its lanes
 */
#ifndef GATEWAY_GW_LANE_H
#define GATEWAY_GW_LANE_H

#include "gateway/gw_link.h"
#include "lane/lane_frame.h"

struct gw_lanes;

/* What the node said: where, and the secret. */
struct gw_lane_offer {
    char address[64]; /* of an IP */
    uint16_t port;
    uint8_t secret[LANE_SECRET_BYTES];
};

/* NULL: no memory. */
struct gw_lanes *gw_lanes_new(struct gw_link *link);
void gw_lanes_free(struct gw_lanes *all); /* when the HTTP threads have ended; NULL is allowed */
/* With the node's lock, as all that follow but gw_lanes_turn. */
void gw_lanes_offer(struct gw_lanes *all, const struct gw_lane_offer *offer);
/* Nothing more goes by lanes until the next offer. */
void gw_lanes_end(struct gw_lanes *all);
/* False: not by a lane. */
bool gw_lanes_publish(struct gw_lanes *all, struct gw_publish *p);
/* Opens what is wanted, gives up what does not answer. */
void gw_lanes_tick(struct gw_lanes *all, uint64_t now);
/* Its answer is late: what goes by this lane may not arrive. */
void gw_lane_late(struct gw_publish *p, uint64_t now);
/* p is under way no more, as far as its lane is concerned. */
void gw_lane_forget(struct gw_publish *p);

/* The end of a turn of an HTTP thread: what was published goes. */
void gw_lanes_turn(void);

#endif
