#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/units.h"
#include "cli/words.h"

int sink_open(struct sink *s, struct cli_fault *f)
{
    if (s->dir && mkdir(s->dir, 0777) && errno != EEXIST)
        return cli_fail(f, CLI_EFAILED, "%s: %s", s->dir, strerror(errno));
    if (s->dir && access(s->dir, W_OK | X_OK))
        return cli_fail(f, CLI_EFAILED, "%s: %s", s->dir, strerror(errno));
    s->is_terminal = isatty(STDOUT_FILENO);
    return 0;
}

/* 2026-11-22T22:45:01.123Z */
static void put_time(char out[32])
{
    struct timespec t;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03ldZ", t.tv_nsec / 1000000);
}

/* The file's name: number, and the beginning of the id. */
static void file_name(const struct sink *s, const struct cli_event *e, char *out, size_t cap)
{
    bool is_hex = strlen(e->id) >= 16 && strspn(e->id, "0123456789abcdef") == strlen(e->id);

    snprintf(out, cap, "%s/%06llu%s%.16s", s->dir, (unsigned long long)s->number, is_hex ? "-" : "", is_hex ? e->id : "");
}

static int write_all(int fd, struct slice b)
{
    while (b.len) {
        ssize_t n = write(fd, b.p, b.len);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            b = slice_of(b.p + n, b.len - (size_t)n);
    }
    return 0;
}

/* Whole or not at all under its name: who watches the folder never reads half a message. */
static int put_file(const struct sink *s, const struct cli_event *e, char *path, size_t cap, struct cli_fault *f)
{
    char part[4200];
    int fd, rc;

    file_name(s, e, path, cap);
    snprintf(part, sizeof(part), "%s.part", path);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return cli_fail(f, CLI_EFAILED, "%s: %s", part, strerror(errno));
    rc = write_all(fd, e->payload);
    if (close(fd) || rc || rename(part, path))
        return cli_fail(f, CLI_EFAILED, "%s: %s", path, strerror(errno));
    return 0;
}

static void put_json(FILE *out, const struct cli_event *e, const char *path)
{
    bool is_text = cli_is_utf8(e->payload);
    size_t cap = BASE64_SIZE(e->payload.len);
    char now[32], *base64 = is_text || path ? NULL : malloc(cap);
    json_t *j = json_object();

    put_time(now);
    json_object_set_new(j, "time", json_string(now));
    json_object_set_new(j, "topic", json_stringn((const char *)e->topic.p, e->topic.len));
    json_object_set_new(j, "message_id", json_string(e->id));
    if (e->source[0])
        json_object_set_new(j, "source_node_id", json_string(e->source));
    json_object_set_new(j, "bytes", json_integer((json_int_t)e->payload.len));
    if (path) {
        json_object_set_new(j, "file", json_string(path));
    } else if (is_text) {
        json_object_set_new(j, "message", json_stringn((const char *)e->payload.p, e->payload.len));
    } else if (base64) {
        base64_encode(base64, e->payload);
        json_object_set_new(j, "encoding", json_string("base64"));
        json_object_set_new(j, "message", json_string(base64));
    }
    json_dumpf(j, out, JSON_COMPACT);
    fputc('\n', out);
    free(base64);
    json_decref(j);
}

static void put_details(FILE *out, const struct cli_event *e)
{
    char now[32], size[CLI_UNIT_TEXT], id[13];

    put_time(now);
    fprintf(out, "%.12s  %9s  %s  ", now + 11, cli_bytes_text(size, (double)e->payload.len), cli_clean(id, sizeof(id), slice_str(e->id)));
}

/* NULs and all. */
static void put_line(FILE *out, struct slice s)
{
    if (s.len)
        fwrite(s.p, 1, s.len, out);
    fputc('\n', out);
}

static void put_text(FILE *out, const struct sink *s, const struct cli_event *e, const char *path)
{
    char topic[257], id[72], size[CLI_UNIT_TEXT];

    if (s->has_details)
        put_details(out, e);
    if (s->has_topics)
        fprintf(out, "%s\t", cli_clean(topic, sizeof(topic), e->topic));
    if (path)
        fprintf(out, "%s\n", path);
    else if (s->is_terminal ? cli_is_plain(e->payload) : cli_is_utf8(e->payload))
        put_line(out, e->payload);
    else
        fprintf(out, "<%s of binary data, sha256 %s>\n", cli_bytes_text(size, (double)e->payload.len),
                cli_clean(id, sizeof(id), slice_str(e->id)));
}

/* To stdout, which may be a pipe that nobody reads for long: a signal ends the wait. */
static int put_out(struct sink *s, struct slice text, struct cli_fault *f)
{
    int rc = cli_inbox_write(s->inbox, STDOUT_FILENO, text);

    if (rc < 0)
        return cli_fail(f, CLI_EFAILED, "writing: %s", strerror(-rc));
    return rc ? 128 + rc : 0;
}

static int put_line_of(struct sink *s, const struct cli_event *e, const char *path, struct cli_fault *f)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc;

    if (!out)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    if (s->format == SINK_JSON)
        put_json(out, e, path);
    else
        put_text(out, s, e, path);
    rc = fclose(out) ? cli_fail(f, CLI_EFAILED, "out of memory") : put_out(s, slice_of(text, len), f);
    free(text);
    return rc;
}

int sink_put(struct sink *s, const struct cli_event *e, struct cli_fault *f)
{
    char path[4096];
    int rc = 0;

    s->number++;
    if (s->dir)
        rc = put_file(s, e, path, sizeof(path), f);
    if (rc)
        return rc;
    if (s->format != SINK_RAW)
        return put_line_of(s, e, s->dir ? path : NULL, f);
    return s->dir ? 0 : put_out(s, e->payload, f);
}
