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

static int stdout_failed(struct cli_fault *f)
{
    return cli_fail(f, CLI_EFAILED, "writing: %s", strerror(errno));
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

static int put_json(const struct cli_event *e, const char *path, struct cli_fault *f)
{
    bool is_text = cli_is_utf8(e->payload);
    size_t cap = BASE64_SIZE(e->payload.len);
    char now[32], *base64 = is_text || path ? NULL : malloc(cap);
    json_t *j = json_object();
    int rc;

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
    rc = json_dumpf(j, stdout, JSON_COMPACT) || fputc('\n', stdout) == EOF ? stdout_failed(f) : 0;
    free(base64);
    json_decref(j);
    return rc;
}

static void put_details(const struct cli_event *e)
{
    char now[32], size[CLI_UNIT_TEXT], id[13];

    put_time(now);
    printf("%.12s  %9s  %s  ", now + 11, cli_bytes_text(size, (double)e->payload.len), cli_clean(id, sizeof(id), slice_str(e->id)));
}

/* NULs and all. */
static void put_line(struct slice s)
{
    if (s.len)
        fwrite(s.p, 1, s.len, stdout);
    putchar('\n');
}

static int put_text(const struct sink *s, const struct cli_event *e, const char *path, struct cli_fault *f)
{
    char topic[257], id[72], size[CLI_UNIT_TEXT];

    if (s->has_details)
        put_details(e);
    if (s->has_topics)
        printf("%s\t", cli_clean(topic, sizeof(topic), e->topic));
    if (path)
        printf("%s\n", path);
    else if (s->is_terminal ? cli_is_plain(e->payload) : cli_is_utf8(e->payload))
        put_line(e->payload);
    else
        printf("<%s of binary data, sha256 %s>\n", cli_bytes_text(size, (double)e->payload.len),
               cli_clean(id, sizeof(id), slice_str(e->id)));
    return ferror(stdout) ? stdout_failed(f) : 0;
}

int sink_put(struct sink *s, const struct cli_event *e, struct cli_fault *f)
{
    char path[4096];
    const char *written = s->dir ? path : NULL;
    int rc = 0;

    s->number++;
    if (s->dir)
        rc = put_file(s, e, path, sizeof(path), f);
    if (rc)
        return rc;
    if (s->format == SINK_JSON)
        rc = put_json(e, written, f);
    else if (s->format == SINK_TEXT)
        rc = put_text(s, e, written, f);
    else if (!s->dir && e->payload.len && fwrite(e->payload.p, 1, e->payload.len, stdout) != e->payload.len)
        rc = stdout_failed(f);
    if (!rc && fflush(stdout))
        rc = stdout_failed(f);
    return rc;
}
