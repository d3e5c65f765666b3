#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/link.h"

#define NUMBER_ROOM 24

/* Room for n more bytes and a number behind them. */
static bool reserve(struct source *s, size_t n)
{
    size_t need = s->len + n + NUMBER_ROOM, cap = s->cap ? s->cap : 65536;
    uint8_t *more;

    while (cap < need)
        cap *= 2;
    if (cap == s->cap)
        return true;
    more = realloc(s->data, cap);
    if (!more)
        return false;
    s->data = more;
    s->cap = cap;
    return true;
}

static int no_memory(struct cli_fault *f)
{
    return cli_fail(f, CLI_EFAILED, "out of memory");
}

static int read_whole(struct source *s, const char *name, struct cli_fault *f)
{
    ssize_t n;

    do {
        if (s->len > CLI_MESSAGE_MAX)
            return cli_fail(f, CLI_EFAILED, "%s: more than any node takes as one message", name);
        if (!reserve(s, 65536))
            return no_memory(f);
        n = read(s->fd, s->data + s->len, s->cap - s->len - NUMBER_ROOM);
        s->len += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? cli_fail(f, CLI_EFAILED, "%s: %s", name, strerror(errno)) : 0;
}

static int open_input(struct source *s, const char *file, struct cli_fault *f)
{
    s->fd = 0;
    if (file && strcmp(file, "-") != 0)
        s->fd = open(file, O_RDONLY | O_CLOEXEC);
    return s->fd < 0 ? cli_fail(f, CLI_EFAILED, "%s: %s", file, strerror(errno)) : 0;
}

static int init_random(struct source *s, const struct source_config *c, struct cli_fault *f)
{
    s->kind = SOURCE_RANDOM;
    s->count = c->count ? c->count : 1;
    if (!reserve(s, c->size))
        return no_memory(f);
    s->len = c->size;
    rng_init_system(&s->rng);
    rng_init_seeded(&s->rng, rng_u64(&s->rng)); /* gigabytes from the kernel would take longer than sending them */
    return 0;
}

static int init_message(struct source *s, const char *message, struct cli_fault *f)
{
    size_t n = strlen(message);

    if (!reserve(s, n))
        return no_memory(f);
    memcpy(s->data, message, n);
    s->len = n;
    return 0;
}

static int check(const struct source_config *c, struct cli_fault *f)
{
    bool is_stdin = !c->message || strcmp(c->message, "-") == 0;

    if ((c->message != NULL) + (c->file != NULL) + (c->size != 0) > 1)
        return cli_fail(f, CLI_EUSAGE, "one of MESSAGE, --file and --size, not several");
    if (c->has_lines && (c->size || (c->message && !is_stdin)))
        return cli_fail(f, CLI_EUSAGE, "--lines reads stdin or --file");
    if (!c->file && !c->size && !c->message && isatty(0))
        return cli_fail(f, CLI_EUSAGE, "MESSAGE is missing (- reads the terminal)");
    return 0;
}

int source_init(struct source *s, const struct source_config *c, struct cli_fault *f)
{
    bool is_input = !c->size && (!c->message || strcmp(c->message, "-") == 0);
    int rc = check(c, f);

    *s = (struct source){.fd = -1, .count = c->count ? c->count : 1};
    if (rc)
        return rc;
    if (c->size)
        return init_random(s, c, f);
    if (is_input)
        rc = open_input(s, c->file, f);
    if (!rc && c->has_lines) {
        s->kind = SOURCE_LINES;
        s->count = c->count ? c->count : UINT64_MAX;
        return 0;
    }
    s->is_numbered = s->count > 1;
    if (!rc && is_input)
        rc = read_whole(s, c->file ? c->file : "stdin", f);
    else if (!rc)
        rc = init_message(s, c->message, f);
    if (!rc && !s->len && !s->is_numbered)
        rc = cli_fail(f, CLI_EFAILED, "the message is empty");
    if (rc)
        source_fini(s);
    return rc;
}

void source_fini(struct source *s)
{
    if (s->fd > 0)
        close(s->fd);
    s->fd = -1;
    free(s->data);
    s->data = NULL;
}

bool source_is_single(const struct source *s)
{
    return s->kind != SOURCE_LINES && s->count == 1;
}

int source_fd(const struct source *s)
{
    return s->kind == SOURCE_LINES && !s->is_eof ? s->fd : -1;
}

void source_read(struct source *s)
{
    ssize_t n;

    if (s->used) {
        memmove(s->data, s->data + s->used, s->len - s->used);
        s->len -= s->used;
        s->used = 0;
    }
    if (s->len > CLI_MESSAGE_MAX || !reserve(s, 65536)) {
        snprintf(s->error, sizeof(s->error), "a line is longer than any node takes");
        s->is_eof = true;
        return;
    }
    n = read(s->fd, s->data + s->len, s->cap - s->len - NUMBER_ROOM);
    if (n > 0)
        s->len += (size_t)n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        s->is_eof = true;
    if (n < 0 && s->is_eof)
        snprintf(s->error, sizeof(s->error), "reading: %s", strerror(errno));
}

/* The next line that is not empty, without its end. The last one may have none. */
static enum source_state next_line(struct source *s, struct slice *payload)
{
    while (s->used < s->len) {
        uint8_t *from = s->data + s->used, *end = memchr(from, '\n', s->len - s->used);
        size_t n = end ? (size_t)(end - from) : s->len - s->used;

        if (!end && !s->is_eof)
            return SOURCE_WAIT;
        s->used += n + (end != NULL);
        if (n && from[n - 1] == '\r')
            n--;
        if (n) {
            *payload = slice_of(from, n);
            return SOURCE_READY;
        }
    }
    return s->error[0] ? SOURCE_FAILED : s->is_eof ? SOURCE_END : SOURCE_WAIT;
}

enum source_state source_next(struct source *s, struct slice *payload)
{
    enum source_state state = SOURCE_READY;

    if (s->given >= s->count)
        return SOURCE_END;
    if (s->kind == SOURCE_LINES) {
        state = next_line(s, payload);
    } else if (s->kind == SOURCE_RANDOM) {
        rng_fill(&s->rng, s->data, s->len);
        *payload = slice_of(s->data, s->len);
    } else {
        int n = s->is_numbered ? sprintf((char *)s->data + s->len, "%s%llu", s->len ? " " : "", (unsigned long long)s->given + 1) : 0;

        *payload = slice_of(s->data, s->len + (size_t)n);
    }
    s->given += state == SOURCE_READY;
    return state;
}
