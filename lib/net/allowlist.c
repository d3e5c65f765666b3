#include "net/allowlist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX (8u << 20)

static int compare(const void *a, const void *b)
{
    const struct peer_id *x = a, *y = b;

    return x->len != y->len ? (int)x->len - (int)y->len : memcmp(x->bytes, y->bytes, x->len);
}

static struct slice trimmed(struct slice line)
{
    const uint8_t *hash = line.len ? memchr(line.p, '#', line.len) : NULL;

    if (hash)
        line.len = (size_t)(hash - line.p);
    while (line.len && strchr(" \t\r", line.p[0])) {
        line.p++;
        line.len--;
    }
    while (line.len && strchr(" \t\r", line.p[line.len - 1]))
        line.len--;
    return line;
}

static struct slice next_line(struct slice *text)
{
    const uint8_t *end = memchr(text->p, '\n', text->len);
    struct slice line = {text->p, end ? (size_t)(end - text->p) : text->len};
    size_t used = line.len + (end != NULL);

    *text = slice_of(text->p + used, text->len - used);
    return line;
}

static unsigned unique(struct peer_id *ids, unsigned n)
{
    unsigned kept = 0;

    qsort(ids, n, sizeof(ids[0]), compare);
    for (unsigned i = 0; i < n; i++)
        if (kept == 0 || compare(&ids[kept - 1], &ids[i]) != 0)
            ids[kept++] = ids[i];
    return kept;
}

static unsigned count_lines(struct slice text)
{
    unsigned n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.p[i] == '\n';
    return n;
}

struct allowlist *allowlist_parse(struct slice text, char err[256])
{
    unsigned lines = count_lines(text);
    struct allowlist *a = calloc(1, sizeof(*a) + (lines < ALLOWLIST_MAX ? lines : ALLOWLIST_MAX) * sizeof(a->ids[0]));

    if (!a) {
        snprintf(err, 256, "no memory");
        return NULL;
    }
    for (unsigned number = 1; text.len; number++) {
        struct slice id = trimmed(next_line(&text));
        if (id.len == 0)
            continue;
        if (a->count == ALLOWLIST_MAX) {
            snprintf(err, 256, "line %u: more than %u ids", number, ALLOWLIST_MAX);
            goto bad;
        }
        if (peer_id_parse(&a->ids[a->count], id)) {
            snprintf(err, 256, "line %u: \"%.*s\" is not a peer id like 12D3KooW..", number, (int)(id.len < 80 ? id.len : 80),
                     (const char *)id.p);
            goto bad;
        }
        a->count++;
    }
    a->count = unique(a->ids, a->count);
    if (a->count)
        return a;
    snprintf(err, 256, "no peer id in it: nobody could connect");
bad:
    free(a);
    return NULL;
}

struct allowlist *allowlist_load(const char *path, char err[256])
{
    FILE *f = fopen(path, "rb");
    struct allowlist *a = NULL;
    uint8_t *text;
    size_t len;

    if (!f) {
        snprintf(err, 256, "%s", strerror(errno));
        return NULL;
    }
    text = malloc(FILE_MAX);
    len = text ? fread(text, 1, FILE_MAX, f) : 0;
    if (!text)
        snprintf(err, 256, "no memory");
    else if (ferror(f))
        snprintf(err, 256, "%s", strerror(errno));
    else if (len == FILE_MAX)
        snprintf(err, 256, "larger than %u bytes", FILE_MAX);
    else
        a = allowlist_parse(slice_of(text, len), err);
    free(text);
    fclose(f);
    return a;
}

struct allowlist *allowlist_copy(const struct allowlist *a)
{
    size_t bytes = sizeof(*a) + a->count * sizeof(a->ids[0]);
    struct allowlist *copy = malloc(bytes);

    if (copy)
        memcpy(copy, a, bytes);
    return copy;
}

void allowlist_free(struct allowlist *a)
{
    free(a);
}

bool allowlist_has(const struct allowlist *a, const struct peer_id *id)
{
    return !a || bsearch(id, a->ids, a->count, sizeof(a->ids[0]), compare) != NULL;
}
