/* ws_fan.c: deliveries to many clients of one server thread: rounds, and a rest after a long one */
#include "http/ws_fan.h"

#include "http/ws_private.h"

#define ROUND_NS    1000000ull /* below, a rest would be shorter than the loop can sleep */
#define REST_MAX_NS 5000000ull
#define ROUND_MIN   16 /* clients: what else took the time is no matter of ours */

void ws_fan_init(struct ws_fan *f)
{
    *f = (struct ws_fan){0};
    list_init(&f->parked);
}

void ws_fan_begin(struct ws_fan *f, uint64_t now)
{
    f->began_ns = now;
    f->written = 0;
}

void ws_fan_end(struct ws_fan *f, uint64_t now)
{
    uint64_t took = now - f->began_ns;

    if (f->written >= ROUND_MIN && took >= ROUND_NS)
        f->rest_until_ns = now + (took < REST_MAX_NS ? took : REST_MAX_NS);
}

/* By the clock of the turn's beginning: what is posted in one turn is treated alike. */
bool ws_fan_is_resting(const struct ws_fan *f)
{
    return f->began_ns < f->rest_until_ns;
}

int32_t ws_fan_sleep_ms(const struct ws_fan *f, int32_t most_ms, uint64_t now)
{
    int32_t ms;

    if (list_is_empty(&f->parked))
        return most_ms;
    ms = now >= f->rest_until_ns ? 0 : (int32_t)((f->rest_until_ns - now + 999999) / 1000000);
    return ms < most_ms ? ms : most_ms;
}

bool ws_fan_run(struct ws_fan *f, bool is_last)
{
    struct list due;
    struct list *it;

    if (list_is_empty(&f->parked) || (ws_fan_is_resting(f) && !is_last))
        return false;
    due = f->parked; /* what is parked from now on is of another round */
    due.next->prev = due.prev->next = &due;
    list_init(&f->parked);
    while ((it = list_pop_front(&due)))
        ws_conn_unpark(CONTAINER_OF(it, struct ws_conn, parked_link));
    return true;
}
