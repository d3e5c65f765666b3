/* auth_meter.c: how much each client has published lately */
#include "auth/auth_meter.h"

#include <math.h>
#include <stdlib.h>

#define S_NS    1000000000ull
#define HOUR_NS (3600 * S_NS)
#define DAY_NS  (24 * HOUR_NS)

/* A window begins with the first that is taken in it; end_ns 0: not begun. */
struct window {
    uint64_t end_ns, used;
};

struct client {
    struct list link;
    uint64_t due_ns; /* GCRA: when the next would be due, were they spread evenly */
    struct window hour, day;
    size_t name_len;
    char name[];
};

void auth_meter_init(struct auth_meter *m, uint32_t max_clients, const uint8_t seed[16])
{
    map_init(&m->clients, max_clients, seed);
    list_init(&m->by_use);
    m->max = max_clients;
    m->forgotten = 0;
}

static void forget_quietest(struct auth_meter *m)
{
    struct list *first = list_pop_front(&m->by_use);
    struct client *c;

    if (!first)
        return;
    c = CONTAINER_OF(first, struct client, link);
    map_del(&m->clients, slice_of(c->name, c->name_len));
    free(c);
}

void auth_meter_fini(struct auth_meter *m)
{
    while (!list_is_empty(&m->by_use))
        forget_quietest(m);
    map_fini(&m->clients);
}

static struct client *client_of(struct auth_meter *m, struct slice name)
{
    struct client *c = map_get(&m->clients, name);

    if (c) {
        list_del(&c->link);
        list_push_back(&m->by_use, &c->link);
        return c;
    }
    if (m->clients.count >= m->max) {
        forget_quietest(m);
        m->forgotten++;
    }
    c = calloc(1, sizeof(*c) + name.len);
    if (!c)
        return NULL;
    memcpy(c->name, name.p, name.len);
    c->name_len = name.len;
    if (map_put(&m->clients, name, c) < 0) {
        free(c);
        return NULL;
    }
    list_push_back(&m->by_use, &c->link);
    return c;
}

/* How much of the limit is used in the window that `now` is in. */
static uint64_t used_of(const struct window *w, uint64_t now)
{
    return now < w->end_ns ? w->used : 0;
}

static void use(struct window *w, uint64_t n, uint64_t length_ns, uint64_t now)
{
    if (now >= w->end_ns) {
        w->end_ns = now + length_ns;
        w->used = 0;
    }
    w->used = n > UINT64_MAX - w->used ? UINT64_MAX : w->used + n;
}

/* When the window lets somebody in again; with a limit of 0 that is only a guess: the quota may have changed by then. */
static uint64_t wait_of(const struct window *w, uint64_t length_ns, uint64_t now)
{
    return now < w->end_ns ? w->end_ns - now : length_ns;
}

/* 0: may go, and *due is what to remember. Else how long to wait. */
static uint64_t check_rate(const struct client *c, double per_second, uint64_t *due, uint64_t now)
{
    double step, burst;
    uint64_t start = c->due_ns > now ? c->due_ns : now, ahead;

    *due = c->due_ns;
    if (isinf(per_second))
        return 0;
    if (!(per_second > 0))
        return HOUR_NS;
    step = 1e9 / per_second;
    step = step < 1 ? 1 : step > (double)DAY_NS ? (double)DAY_NS : step;
    burst = floor(per_second) - 1;
    ahead = (uint64_t)(step * (burst > 0 ? burst : 0));
    if (start - now > ahead)
        return start - now - ahead;
    *due = start + (uint64_t)step;
    return 0;
}

int auth_meter_take(struct auth_meter *m, struct slice name, const struct auth_quota *q, uint64_t bytes,
                    uint64_t *retry_ns, uint64_t now)
{
    struct client *c;
    uint64_t due;

    *retry_ns = 0;
    if (bytes > q->message_bytes || bytes > q->daily_bytes)
        return -AUTH_E_SIZE;
    c = client_of(m, name);
    if (!c)
        return -AUTH_E_NOMEM;
    if (q->daily_bytes != AUTH_UNLIMITED && q->daily_bytes - bytes < used_of(&c->day, now)) {
        *retry_ns = wait_of(&c->day, DAY_NS, now);
        return -AUTH_E_DAY;
    }
    if (used_of(&c->hour, now) >= q->per_hour) {
        *retry_ns = wait_of(&c->hour, HOUR_NS, now);
        return -AUTH_E_HOUR;
    }
    *retry_ns = check_rate(c, q->per_second, &due, now);
    if (*retry_ns)
        return -AUTH_E_SECOND;
    c->due_ns = due;
    use(&c->hour, 1, HOUR_NS, now);
    use(&c->day, bytes, DAY_NS, now);
    return 0;
}
