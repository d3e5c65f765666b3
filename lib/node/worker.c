#include "node/worker.h"

#include <poll.h>
#include <rte_pause.h>
#include <sys/resource.h>
#include <time.h>

#include "base/timerq.h"

#define WAIT_FDS    8
#define LONGEST_NS  1000000000ull /* a sleep is never longer, so `stop` is noticed even if a bell were lost */

uint64_t clock_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int worker_init(struct worker *w)
{
    *w = (struct worker){0};
    return xdoor_init(&w->door);
}

void worker_fini(struct worker *w)
{
    xdoor_fini(&w->door);
}

void worker_stop(struct worker *w)
{
    __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
    xdoor_ring(&w->door);
}

static unsigned turn(struct worker *w, uint64_t now)
{
    unsigned work = 0;

    if (w->net)
        work += net_role_poll(w->net, now);
    if (w->coding)
        work += coding_role_poll(w->coding, now);
    if (w->helper)
        work += helper_role_poll(w->helper);
    return work;
}

static bool has_input(const struct worker *w)
{
    return (w->net && net_role_has_input(w->net)) || (w->coding && coding_role_has_input(w->coding)) ||
           (w->helper && helper_role_has_input(w->helper));
}

static uint64_t next_deadline(const struct worker *w)
{
    uint64_t net = w->net ? net_role_next_deadline(w->net) : TIMER_NEVER;
    uint64_t coding = w->coding ? coding_role_next_deadline(w->coding) : TIMER_NEVER;

    return net < coding ? net : coding;
}

static void wait_for_input(struct worker *w, uint64_t now)
{
    struct pollfd pfd[WAIT_FDS + 1];
    int fds[WAIT_FDS];
    unsigned n = w->net ? net_wait_fds(w->net->net, fds, WAIT_FDS) : 0;
    uint64_t at = next_deadline(w), ns;
    struct timespec ts;

    if (at <= now)
        return;
    ns = at - now < LONGEST_NS ? at - now : LONGEST_NS;
    ts = (struct timespec){(time_t)(ns / 1000000000ull), (long)(ns % 1000000000ull)};
    for (unsigned i = 0; i < n; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    pfd[n] = (struct pollfd){.fd = w->door.fd, .events = POLLIN};
    xdoor_sleep(&w->door, w->coding && coding_role_needs_home(w->coding));
    if (!has_input(w) && !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
        ppoll(pfd, n + 1, &ts, NULL);
    xdoor_wake(&w->door);
}

static bool was_put_off(struct worker *w)
{
    struct rusage use;
    long before = w->put_off;

    if (getrusage(RUSAGE_THREAD, &use))
        return false;
    w->put_off = use.ru_nivcsw;
    return w->put_off != before;
}

int worker_run(void *arg)
{
    struct worker *w = arg;
    uint64_t idle_since = 0, asleep_since = 0;

    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        uint64_t now = clock_now_ns();
        if (asleep_since)
            spin_slept(&w->spin, now - asleep_since, was_put_off(w));
        asleep_since = 0;
        if (turn(w, now)) {
            idle_since = 0;
            continue;
        }
        if (!idle_since)
            idle_since = now;
        if (now - idle_since < w->spin.ns) {
            rte_pause();
            continue;
        }
        wait_for_input(w, now);
        idle_since = 0;
        asleep_since = now;
    }
    return 0;
}
