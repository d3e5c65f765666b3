/* link.h: publishing and subscribing, whatever is at the other end
 * Shape:   open, subscribe and publish from one thread; what comes of it as events in an inbox (inbox.h)
 * Backends: link_http.c (gateway by HTTP and WebSocket), link_grpc.c (gateway by gRPC), link_sidecar.c (a node's sidecar)
 * Owner:   whoever opened it; the inbox outlives it
 * Errors:  -CLI_E...
 * Limits:  the caller bounds what is under way: each publish holds a copy of its payload until its CLI_PUBLISHED
 */
#ifndef CLI_LINK_H
#define CLI_LINK_H

#include "cli/inbox.h"
#include "cli/target.h"

#define CLI_MESSAGE_MAX (64u << 20)
#define CLI_TOPIC_MAX   256

struct cli_link;

struct cli_subscription {
    const char *const *topics;
    unsigned n_topics;
    double threshold;      /* 0: the gateway's own */
    const char *client_id; /* the gateway keeps its subscriptions; NULL: they go with the connection */
};

/* Reaches out and looks whether somebody is there. t and b outlive the link. */
int cli_link_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f);
/* Ends the link; no event of it is pushed afterwards. NULL is allowed. */
void cli_link_free(struct cli_link *l);

/* Once a link. 0: the server took it. Messages come as CLI_MESSAGE, the end as CLI_DOWN. */
int cli_link_subscribe(struct cli_link *l, const struct cli_subscription *s, struct cli_fault *f);
/* Begins; one CLI_PUBLISHED with tag follows. The bytes are copied. */
int cli_link_publish(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f);

/* ---- for the backends ---- */

struct cli_link_ops {
    int (*subscribe)(struct cli_link *l, const struct cli_subscription *s, struct cli_fault *f);
    int (*publish)(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f);
    void (*free)(struct cli_link *l);
};

struct cli_link {
    const struct cli_link_ops *ops;
    const struct cli_target *target;
    struct cli_inbox *inbox;
};

int cli_link_http_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f);
int cli_link_grpc_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f);
int cli_link_sidecar_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f);

/* "codecast-" and 8 random bytes in hex. */
#define CLI_CLIENT_ID_MAX 256
void cli_client_id(char out[CLI_CLIENT_ID_MAX], const char *wanted);
/* The JSON of a message as gateways and sidecars send it, as an event; NULL: it is none. */
struct cli_event *cli_event_of_json(struct slice text, uint64_t now_ns);
/* {"type":"notice","notice":"dropped","messages":N,..}, with which a gateway says that we read too slowly, as a CLI_LOST; NULL: it is none. */
struct cli_event *cli_notice_of_json(struct slice text);

#endif
