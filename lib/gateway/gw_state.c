/* gw_state.c: subscriptions that outlive the gateway: a file of ["client","topic",threshold] lines (SUBSCRIPTIONS_FILE)
 * Owner:   loaded before the servers start; saved by the ticker, and once more by whoever stops
 * Note:    written beside and renamed, so that the file is always whole. Clients without an id of their own are not in it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "http/http_json.h"

#define LINE_MAX_BYTES (2 * HTTP_JSON_STR_MAX(GW_NAME_MAX) + 64)

static bool is_name(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) > 0 && json_string_length(v) <= GW_NAME_MAX;
}

static struct slice name_of(const json_t *v)
{
    return slice_of((const uint8_t *)json_string_value(v), json_string_length(v));
}

static bool load_line(struct gateway *gw, const char *line, size_t len, uint64_t now)
{
    json_t *j = json_loadb(line, len, 0, NULL);
    json_t *client = json_array_get(j, 0), *topic = json_array_get(j, 1), *threshold = json_array_get(j, 2);
    bool ok = is_name(client) && is_name(topic) && json_is_number(threshold) && json_number_value(threshold) > 0 &&
              json_number_value(threshold) <= 1 &&
              gw_registry_subscribe(&gw->registry, name_of(client), name_of(topic), json_number_value(threshold), now) == 0;

    json_decref(j);
    return ok;
}

int gw_state_load(struct gateway *gw, char err[256])
{
    const char *path = gw->cfg.subscriptions_file;
    unsigned good = 0, bad = 0;
    char line[LINE_MAX_BYTES];
    FILE *f;

    if (!path[0])
        return 0;
    f = fopen(path, "re");
    if (!f && errno != ENOENT) {
        snprintf(err, 256, "SUBSCRIPTIONS_FILE=%.150s: %s", path, strerror(errno));
        return -1;
    }
    while (f && fgets(line, sizeof(line), f))
        *(load_line(gw, line, strlen(line), gw_now_ns()) ? &good : &bad) += 1;
    if (f)
        fclose(f);
    gw->saved_changes = gw_registry_changes(&gw->registry);
    gw->has_state = true;
    log_info("\"subscriptions read\" file=%s count=%u", path, good);
    if (bad)
        log_warn("\"lines that are no subscription were passed over\" file=%s count=%u", path, bad);
    return 0;
}

static void add_line(void *user, struct slice client, struct slice topic, double threshold)
{
    char quoted[HTTP_JSON_STR_MAX(GW_NAME_MAX)];
    FILE *f = user;

    fputc('[', f);
    fwrite(quoted, 1, http_json_quote(quoted, client), f);
    fputc(',', f);
    fwrite(quoted, 1, http_json_quote(quoted, topic), f);
    fprintf(f, ",%.9g]\n", threshold);
}

/* Into memory first: under the registry's lock nothing may wait for a disk. */
static char *make_text(struct gateway *gw, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);

    if (!f)
        return NULL;
    gw_registry_each_kept(&gw->registry, add_line, f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

static bool write_file(const char *path, const char *text, size_t len)
{
    char beside[4096];
    int fd = -1;
    bool ok;

    if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) < sizeof(beside))
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    for (ok = true; ok && len;) {
        ssize_t n = write(fd, text, len);

        ok = n > 0;
        text += ok ? n : 0;
        len -= ok ? (size_t)n : 0;
    }
    ok = close(fd) == 0 && ok;
    return ok && rename(beside, path) == 0;
}

void gw_state_save(struct gateway *gw)
{
    uint64_t changes = gw_registry_changes(&gw->registry);
    size_t len = 0;
    char *text;
    bool ok;

    if (!gw->has_state || changes == gw->saved_changes)
        return;
    text = make_text(gw, &len);
    ok = text && write_file(gw->cfg.subscriptions_file, text, len);
    free(text);
    if (ok)
        gw->saved_changes = changes;
    else if (!gw->is_unsaved)
        log_error("\"subscriptions cannot be saved, trying on\" file=%s why=\"%s\"", gw->cfg.subscriptions_file,
                  strerror(errno));
    gw->is_unsaved = !ok;
}
