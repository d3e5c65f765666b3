/* channel.h: a gRPC channel with its loop, and calls that the main thread waits for
 * Owner:   whoever opened it; callbacks of streams run on the loop's thread
 * Errors:  -CLI_EREACH, -CLI_EDENIED, -CLI_EFAILED with words
 */
#ifndef CLI_CHANNEL_H
#define CLI_CHANNEL_H

#include "cli/target.h"
#include "rpc/rpc_client.h"

struct cli_channel {
    const struct cli_target *target;
    struct rpc_loop *loop;
    struct rpc_client *client;
    struct rpc_header headers[4]; /* the token's, for every call */
    unsigned header_count;
    char bearer[8192];
};

/* Does not wait: the first call tells whether somebody is there. fini also after a failure. */
int cli_channel_init(struct cli_channel *c, const struct cli_target *t, struct cli_fault *f);
void cli_channel_fini(struct cli_channel *c);
/* One call, waited for; after a signal that ends the program there is no client any more. *reply (may be NULL) carries a reference. req is used up. */
int cli_channel_call(struct cli_channel *c, const char *path, struct rpc_msg *req, struct rpc_msg **reply,
                     struct cli_fault *f);
/* What a status means for a person. */
int cli_channel_fault(const struct cli_target *t, const struct rpc_status *st, struct cli_fault *f);

#endif
