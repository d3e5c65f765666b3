/* source.h: what is published: one message, a file, lines as they come, or random bytes
 * Shape:   config -> payloads one by one; lines are read when their descriptor can be
 * Memory:  a payload is valid until the next call
 * Limits:  CLI_MESSAGE_MAX bytes a message or line
 */
#ifndef CODECAST_SOURCE_H
#define CODECAST_SOURCE_H

#include "base/rng.h"
#include "base/slice.h"
#include "cli/fault.h"

struct source_config {
    const char *message; /* NULL: none; "-": stdin */
    const char *file;    /* NULL: none; "-": stdin */
    bool has_lines;
    uint64_t count; /* 0: 1, or all lines */
    uint64_t size;  /* random; 0: not */
};

enum source_kind { SOURCE_ONE, SOURCE_RANDOM, SOURCE_LINES };
enum source_state { SOURCE_READY, SOURCE_WAIT, SOURCE_END, SOURCE_FAILED };

struct source {
    enum source_kind kind;
    uint64_t count, given;
    bool is_numbered; /* a number is put behind each, for equal ones are one message */
    uint8_t *data;    /* the message; or what was read of the lines */
    size_t len, cap, used;
    struct rng rng;
    int fd;
    bool is_eof;
    char error[256];
};

int source_init(struct source *s, const struct source_config *c, struct cli_fault *f);
void source_fini(struct source *s);
enum source_state source_next(struct source *s, struct slice *payload);
/* What to wait on while the state is SOURCE_WAIT; -1: nothing. */
int source_fd(const struct source *s);
/* Reads what is there. */
void source_read(struct source *s);
/* One message alone is wanted. */
bool source_is_single(const struct source *s);

#endif
