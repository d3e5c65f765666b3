/* sink.h: where received messages go: text, JSON lines, raw bytes, or a file each
 * Errors:  0, or -CLI_EFAILED with words (a pipe that nobody reads any more, a full disk), or 128 + a signal
 */
#ifndef CODECAST_SINK_H
#define CODECAST_SINK_H

#include "cli/inbox.h"

enum sink_format { SINK_TEXT, SINK_JSON, SINK_RAW };

struct sink {
    struct cli_inbox *inbox; /* whose signals end the wait for a reader */
    enum sink_format format;
    const char *dir;   /* NULL: to stdout */
    bool has_topics;   /* text: the topic is put before each */
    bool has_details;  /* text: time, size and id, too */
    bool is_terminal;  /* what is no text is told, not shown */
    uint64_t number;   /* of the message, from 1 */
};

int sink_open(struct sink *s, struct cli_fault *f);
int sink_put(struct sink *s, const struct cli_event *e, struct cli_fault *f);

#endif
