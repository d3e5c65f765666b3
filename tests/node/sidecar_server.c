/* sidecar_server.c: the sidecar over the fake hub. Arguments: max message bytes, mode, queue bytes, policy (0 drop-oldest). Prints "port N"; a byte on stdin
 * prints the metrics, but after 'x' the next stream finds no memory; the end of stdin ends it. Exit 0 only if nothing was left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_hub.h"
#include "http/http_metrics.h"
#include "node/sidecar.h"
#include "node/sidecar_impl.h"

/* The linker sends every calloc of ours here (tests/node/meson.build). */
static atomic_bool has_no_memory;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    if (n == 1 && size == sizeof(struct stream) && atomic_exchange(&has_no_memory, false))
        return NULL;
    return __real_calloc(n, size);
}

static void say_metrics(struct sidecar *s)
{
    struct metrics m;

    metrics_init(&m, NULL, 0);
    sidecar_metrics(s, &m);
    printf("%.*s.\n", (int)m.len, m.text);
    fflush(stdout);
    metrics_fini(&m);
}

int main(int argc, char **argv)
{
    struct hub *h = fake_hub_new(argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1 << 20, argc > 2 ? argv[2] : "optimum");
    struct node_config cfg = {.sidecar_bind = "127.0.0.1", .client_queue_bytes = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64u << 20,
                              .client_policy = argc > 4 ? atoi(argv[4]) : 0, .sidecar_auth = getenv("AUTH0_DOMAIN") != NULL, .has_sidecar_lane = true};
    static struct settings_report rep;
    char err[256] = "", byte;
    struct sidecar *s;
    int held;

    auth_settings_load(&cfg.auth, "SIDECAR_AUTH", cfg.sidecar_auth, settings_env, NULL, &rep);
    s = sidecar_start(&cfg, h, NULL, err);

    if (!s) {
        fprintf(stderr, "%s\n", err);
        return 2;
    }
    printf("port %d\n", sidecar_port(s));
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
        if (byte == 'x')
            atomic_store(&has_no_memory, true);
        say_metrics(s);
    }
    sidecar_stop(s);
    held = fake_hub_free(h);
    printf("held %d\n", held);
    return held != 0;
}
