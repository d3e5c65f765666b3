/* http_route.c: which handler answers which method and path */
#include "http/http_route.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/http_err.h"

#define ROUTES_PER_PATH 6

/* The methods of one path. */
struct http_route_list {
    struct http_route at[ROUTES_PER_PATH];
    unsigned count;
    char allow[80];
    char path[];
};

int http_routes_init(struct http_routes *t, const uint8_t seed[16])
{
    map_init(&t->by_path, 0, seed);
    return 0;
}

void http_routes_fini(struct http_routes *t)
{
    struct http_route_list *l;
    size_t it = 0;

    while ((l = map_next(&t->by_path, &it, NULL))) {
        for (unsigned i = 0; i < l->count; i++)
            free((char *)l->at[i].method);
        free(l);
    }
    map_fini(&t->by_path);
}

static void allow_append(struct http_route_list *l, const char *method)
{
    size_t n = strlen(l->allow);

    snprintf(l->allow + n, sizeof(l->allow) - n, "%s%s%s", n ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

static struct http_route_list *list_of(struct http_routes *t, const char *path)
{
    struct slice key = slice_str(path);
    struct http_route_list *l = map_get(&t->by_path, key);

    if (l)
        return l;
    l = calloc(1, sizeof(*l) + key.len + 1);
    if (!l)
        return NULL;
    memcpy(l->path, path, key.len + 1);
    if (map_put(&t->by_path, key, l) < 0) {
        free(l);
        return NULL;
    }
    return l;
}

static int add_at(struct http_routes *t, const struct http_route *r, const char *path)
{
    struct http_route_list *l = list_of(t, path);
    char *method;

    if (!l)
        return -HTTP_E_NOMEM;
    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(l->at[i].method, r->method) == 0)
            return 0;
    method = strdup(r->method);
    if (!method || l->count == ROUTES_PER_PATH) {
        free(method);
        return -HTTP_E_NOMEM;
    }
    l->at[l->count] = *r;
    l->at[l->count].method = method;
    l->at[l->count++].path = l->path;
    allow_append(l, method);
    return 0;
}

int http_routes_add(struct http_routes *t, const struct http_route *r, const char *const *prefixes)
{
    static const char *const bare[] = {"", NULL};
    char path[256];

    for (const char *const *p = prefixes && !r->no_prefix ? prefixes : bare; *p; p++) {
        int rc;

        if (snprintf(path, sizeof(path), "%s%s", *p, r->path) >= (int)sizeof(path))
            return -HTTP_E_NOMEM;
        rc = add_at(t, r, path);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool method_fits(const char *of_route, struct slice method)
{
    return slice_is_equal(slice_str(of_route), method) ||
           (strcmp(of_route, "GET") == 0 && slice_is_equal(method, SLICE_LIT("HEAD")));
}

enum http_match http_routes_find(const struct http_routes *t, struct slice method, struct slice path,
                                 const struct http_route **out, const char **allow)
{
    const struct http_route_list *l = map_get(&t->by_path, path);

    if (!l && path.len > 1 && path.p[path.len - 1] == '/')
        l = map_get(&t->by_path, slice_of(path.p, path.len - 1));
    if (!l)
        return HTTP_MATCH_NO_PATH;
    for (unsigned i = 0; i < l->count; i++)
        if (method_fits(l->at[i].method, method)) {
            *out = &l->at[i];
            return HTTP_MATCH_OK;
        }
    *allow = l->allow;
    return HTTP_MATCH_NO_METHOD;
}
