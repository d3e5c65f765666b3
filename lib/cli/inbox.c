#include "cli/inbox.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

uint64_t cli_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct cli_event *cli_event_new(enum cli_event_kind kind, struct slice topic, size_t payload_bytes)
{
    struct cli_event *e = malloc(sizeof(*e) + topic.len + 1 + payload_bytes);

    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    if (topic.len)
        memcpy(e->data, topic.p, topic.len);
    e->data[topic.len] = 0;
    e->topic = slice_of(e->data, topic.len);
    e->payload = slice_of(e->data + topic.len + 1, payload_bytes);
    return e;
}

uint8_t *cli_event_payload(struct cli_event *e)
{
    return e->data + e->topic.len + 1;
}

void cli_event_free(struct cli_event *e)
{
    free(e);
}

int cli_inbox_init(struct cli_inbox *b, struct cli_fault *f)
{
    sigset_t set;

    memset(b, 0, sizeof(*b));
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    b->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    b->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (b->wake_fd < 0 || b->signal_fd < 0)
        return cli_fail(f, CLI_EFAILED, "no descriptor to wait on: is ulimit -n too low?");
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->room, NULL);
    list_init(&b->events);
    return 0;
}

void cli_inbox_fini(struct cli_inbox *b)
{
    struct list *n;

    while ((n = list_pop_front(&b->events)) != NULL)
        cli_event_free(CONTAINER_OF(n, struct cli_event, node));
    close(b->wake_fd);
    close(b->signal_fd);
    pthread_cond_destroy(&b->room);
    pthread_mutex_destroy(&b->lock);
}

static uint64_t weight(const struct cli_event *e)
{
    return sizeof(*e) + e->topic.len + e->payload.len;
}

bool cli_inbox_push(struct cli_inbox *b, struct cli_event *e)
{
    static const uint64_t one = 1;
    bool has_room;

    pthread_mutex_lock(&b->lock);
    list_push_back(&b->events, &e->node);
    b->bytes += weight(e);
    has_room = b->bytes < CLI_INBOX_BYTES;
    b->is_full |= !has_room;
    pthread_mutex_unlock(&b->lock);
    return write(b->wake_fd, &one, sizeof(one)) && has_room; /* a counter that is full wakes as well */
}

bool cli_inbox_wait_room(struct cli_inbox *b)
{
    bool is_closing;

    pthread_mutex_lock(&b->lock);
    while (b->bytes >= CLI_INBOX_BYTES && !b->is_closing)
        pthread_cond_wait(&b->room, &b->lock);
    is_closing = b->is_closing;
    pthread_mutex_unlock(&b->lock);
    return !is_closing;
}

void cli_inbox_close(struct cli_inbox *b)
{
    pthread_mutex_lock(&b->lock);
    b->is_closing = true;
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
}

static struct cli_event *pop(struct cli_inbox *b)
{
    struct cli_event *e = NULL;
    struct list *n;
    bool tell = false;

    pthread_mutex_lock(&b->lock);
    n = list_pop_front(&b->events);
    if (n) {
        e = CONTAINER_OF(n, struct cli_event, node);
        b->bytes -= weight(e);
        if (b->is_full && b->bytes < CLI_INBOX_BYTES / 2) {
            tell = true;
            b->is_full = false;
            pthread_cond_broadcast(&b->room);
        }
    }
    pthread_mutex_unlock(&b->lock);
    if (tell && b->on_room)
        b->on_room(b->room_user);
    return e;
}

static bool take_signal(struct cli_inbox *b)
{
    struct signalfd_siginfo info;

    if (read(b->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return false;
    b->signal = (int)info.ssi_signo;
    return true;
}

bool cli_signal_is_pending(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP);
}

int cli_inbox_signal(struct cli_inbox *b)
{
    take_signal(b);
    return b->signal;
}

int cli_inbox_write(struct cli_inbox *b, int fd, struct slice s)
{
    while (s.len) {
        struct pollfd p[2] = {{fd, POLLOUT, 0}, {b->signal_fd, POLLIN, 0}};
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (p[1].revents && take_signal(b))
            return b->signal;
        if (!p[0].revents)
            continue;
        n = write(fd, s.p, s.len < PIPE_BUF ? s.len : PIPE_BUF); /* so much a pipe takes at once when it takes any */
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n > 0)
            s = slice_of(s.p + n, s.len - (size_t)n);
    }
    return 0;
}

/* What ppoll found, in the order of the promise; false: an old wake-up, nothing is there. */
static bool look(struct cli_inbox *b, const struct pollfd p[3], struct cli_event **e, enum cli_wake *wake)
{
    uint64_t count;

    if (p[0].revents && read(b->wake_fd, &count, sizeof(count)) > 0)
        *e = pop(b);
    if (*e)
        *wake = CLI_WAKE_EVENT;
    else if (p[1].revents && take_signal(b))
        *wake = CLI_WAKE_SIGNAL;
    else if (p[2].revents)
        *wake = CLI_WAKE_FD;
    else
        return false;
    return true;
}

enum cli_wake cli_inbox_wait(struct cli_inbox *b, int fd, uint64_t timeout_ns, struct cli_event **e)
{
    uint64_t now = cli_now_ns(), end = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
    enum cli_wake wake;

    *e = pop(b);
    if (*e)
        return CLI_WAKE_EVENT;
    do {
        struct pollfd p[3] = {{b->wake_fd, POLLIN, 0}, {b->signal_fd, POLLIN, 0}, {fd, POLLIN, 0}}; /* fd -1 is passed over */
        uint64_t ns = end > now ? end - now : 0;
        struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

        if (ppoll(p, 3, end == UINT64_MAX ? NULL : &left, NULL) > 0 && look(b, p, e, &wake))
            return wake;
        now = cli_now_ns();
    } while (now < end);
    return CLI_WAKE_TIME;
}
