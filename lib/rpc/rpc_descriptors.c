#include "rpc/rpc_descriptors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/pb.h"

#define MAX_DEPTH  16
#define MAX_NAME   512

struct file {
    struct slice bytes, name;
};

/* What a symbol stands for, beside its file. */
enum sort { SORT_MESSAGE = 1, SORT_OTHER = 2 };

struct rpc_descriptors {
    struct file file[RPC_MAX_FILES];
    unsigned count;
    struct map symbols; /* value: (file index * 4 + sort) as a pointer, never NULL since sort is not 0 */
};

struct scope {
    struct rpc_descriptors *d;
    unsigned file;
    char name[MAX_NAME]; /* "package.Outer" or "" */
    unsigned depth;
};

/* Field numbers of the lists inside one kind of descriptor; 0: it has none. */
struct grammar {
    uint32_t messages, enums, services, methods, fields;
};

static const struct grammar in_file = {.messages = 4, .enums = 5, .services = 6};
static const struct grammar in_message = {.messages = 3, .enums = 4, .fields = 2};
static const struct grammar in_service = {.methods = 2};
static const struct grammar in_nothing = {0};

static int add_symbol(struct rpc_descriptors *d, const char *name, unsigned file, enum sort sort)
{
    uintptr_t v = (uintptr_t)file * 4 + sort;

    return map_put(&d->symbols, slice_str(name), (void *)v);
}

static struct slice name_of(struct slice descriptor, uint32_t number)
{
    struct rd r = rd_of(descriptor);
    struct pb_field f;

    while (pb_next(&r, &f) == 1)
        if (pb_is(&f, number, PB_BYTES))
            return f.bytes;
    return (struct slice){NULL, 0};
}

static int walk(struct scope *sc, struct slice descriptor, const struct grammar *g);

/* Declares one named thing inside sc and goes into it. */
static int declare(struct scope *sc, struct slice descriptor, const struct grammar *g, enum sort sort)
{
    struct slice name = name_of(descriptor, 1);
    struct scope in = *sc;
    int n;

    if (!name.len || ++in.depth > MAX_DEPTH)
        return -1;
    n = snprintf(in.name, sizeof(in.name), "%s%s%.*s", sc->name, sc->name[0] ? "." : "", (int)name.len,
                 (const char *)name.p);
    if (n < 0 || (size_t)n >= sizeof(in.name) || add_symbol(sc->d, in.name, sc->file, sort) < 0)
        return -1;
    return walk(&in, descriptor, g);
}

static int walk(struct scope *sc, struct slice descriptor, const struct grammar *g)
{
    struct rd r = rd_of(descriptor);
    struct pb_field f;
    int got, err = 0;

    while (!err && (got = pb_next(&r, &f)) == 1) {
        if (f.type != PB_BYTES)
            continue;
        if (f.number == g->messages)
            err = declare(sc, f.bytes, &in_message, SORT_MESSAGE);
        else if (f.number == g->enums)
            err = declare(sc, f.bytes, &in_nothing, SORT_OTHER);
        else if (f.number == g->services)
            err = declare(sc, f.bytes, &in_service, SORT_OTHER);
        else if (f.number == g->methods || f.number == g->fields)
            err = declare(sc, f.bytes, &in_nothing, SORT_OTHER);
    }
    return err || got < 0 ? -1 : 0;
}

static int add_file(struct rpc_descriptors *d, struct slice bytes)
{
    struct scope sc = {.d = d, .file = d->count};
    struct slice package = name_of(bytes, 2);

    if (d->count == RPC_MAX_FILES || package.len >= sizeof(sc.name))
        return -1;
    d->file[d->count++] = (struct file){bytes, name_of(bytes, 1)};
    snprintf(sc.name, sizeof(sc.name), "%.*s", (int)package.len, package.len ? (const char *)package.p : "");
    return walk(&sc, bytes, &in_file);
}

struct rpc_descriptors *rpc_descriptors_new(struct slice set)
{
    static const uint8_t no_seed[16]; /* names are ours, not a peer's */
    struct rpc_descriptors *d = calloc(1, sizeof(*d));
    struct rd r = rd_of(set);
    struct pb_field f;
    int got, err = 0;

    if (!d)
        return NULL;
    map_init(&d->symbols, 0, no_seed);
    while (!err && (got = pb_next(&r, &f)) == 1)
        if (pb_is(&f, 1, PB_BYTES))
            err = add_file(d, f.bytes);
    if (err || got < 0) {
        rpc_descriptors_free(d);
        return NULL;
    }
    return d;
}

void rpc_descriptors_free(struct rpc_descriptors *d)
{
    if (!d)
        return;
    map_fini(&d->symbols);
    free(d);
}

int rpc_descriptors_by_name(const struct rpc_descriptors *d, struct slice name)
{
    for (unsigned i = 0; i < d->count; i++)
        if (slice_is_equal(d->file[i].name, name))
            return (int)i;
    return -1;
}

int rpc_descriptors_by_symbol(const struct rpc_descriptors *d, struct slice symbol)
{
    uintptr_t v = (uintptr_t)map_get(&d->symbols, symbol);

    return v ? (int)(v / 4) : -1;
}

bool rpc_descriptors_has_message(const struct rpc_descriptors *d, struct slice name)
{
    return ((uintptr_t)map_get(&d->symbols, name) & 3) == SORT_MESSAGE;
}

unsigned rpc_descriptors_with_imports(const struct rpc_descriptors *d, int file, struct slice out[RPC_MAX_FILES])
{
    bool taken[RPC_MAX_FILES] = {false};
    int list[RPC_MAX_FILES];
    unsigned count = 0;

    list[count++] = file;
    taken[file] = true;
    for (unsigned i = 0; i < count; i++) { /* the list grows while it is walked: every file enters once */
        struct rd r = rd_of(d->file[list[i]].bytes);
        struct pb_field f;

        out[i] = d->file[list[i]].bytes;
        while (pb_next(&r, &f) == 1) {
            int dep = pb_is(&f, 3, PB_BYTES) ? rpc_descriptors_by_name(d, f.bytes) : -1;

            if (dep >= 0 && !taken[dep]) {
                taken[dep] = true;
                list[count++] = dep;
            }
        }
    }
    return count;
}
