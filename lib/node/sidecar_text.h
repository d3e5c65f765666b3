/* sidecar_text.h: what CommandStream reads and writes, as bytes
 * Shape:   Request bytes -> a command; hub objects -> whole Response messages, ready to be sent to any number of streams
 * Source:  proto/sidecar.proto; the JSON of messages and answers is the clients' contract
 * Memory:  a command points into the request; responses are one allocation, the payload is encoded straight into it
 * Errors:  sidecar_command_read: false for bytes that do not decode; the writers: NULL, no memory
 */
#ifndef NODE_SIDECAR_TEXT_H
#define NODE_SIDECAR_TEXT_H

#include "node/hub.h"
#include "rpc/rpc_msg.h"

/* Request.command. */
enum sidecar_verb {
    SIDECAR_PUBLISH = 1,
    SIDECAR_SUBSCRIBE = 2,
    SIDECAR_UNSUBSCRIBE = 3,
    SIDECAR_SUBSCRIBE_MANY = 4,
    SIDECAR_PUBLISH_BATCH = 6, /* 5, random data, is a benchmark's and not served */
};

struct sidecar_command {
    int32_t verb;
    struct slice data, topic, token;
};

bool sidecar_command_read(struct sidecar_command *c, struct slice request);

/* Type 1: JSON with the payload in base64. */
struct rpc_msg *sidecar_message(const struct hub_message *m);
/* The same for those who asked for raw payloads: JSON without one, and the payload as it is. */
struct rpc_msg *sidecar_message_raw(const struct hub_message *m);
/* Type 2 or 3. */
struct rpc_msg *sidecar_trace(const struct hub_trace *t);

struct sidecar_answer {
    struct slice topic;
    const char *message_id; /* "" when there is none */
    const char *status;     /* "published", "deduplicated", "error" */
    const char *error;      /* with "error" alone */
    int code;               /* with "error" alone: an HTTP status */
};

/* Type 0 (Unknown), which clients that do not know it pass over: the answer to a publish. */
struct rpc_msg *sidecar_answer(const struct sidecar_answer *a);
/* Type 0: messages owed to this stream that its queue could not hold. */
struct rpc_msg *sidecar_lost(uint64_t messages);
/* Type 0: where lanes are, and the secret that opens them. */
struct rpc_msg *sidecar_offer(uint16_t port, const char *secret_hex);

/* The topics of command 4: a JSON array of strings, or {"topics":[...]}, or text with commas or white space between, in data
 * or, when that is empty, in topic. Calls each once per topic until it says no; false: nothing there, or it is malformed. */
bool sidecar_each_topic(const struct sidecar_command *c, bool (*each)(void *user, struct slice topic), void *user);

#endif
