#include "node/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "node/dnsaddr.h"

#define TRY_MS 2000
#define TRIES  2

struct asked {
    unsigned index;
    struct multiaddr addr;
};

struct resolver {
    void (*on_answer)(void *user, struct xresolved *a);
    void *user;
    pthread_t thread;
    pthread_mutex_t lock; /* over asked, nasked, is_stopping */
    struct asked asked[RESOLVER_ASKED];
    unsigned nasked;
    bool is_stopping;
    int bell;
    ares_channel channel; /* the thread's */
};

/* One name on its way: the questions that it still waits for. */
struct job {
    struct resolver *r;
    struct xresolved *answer;
    unsigned waiting, queries;
};

struct question {
    struct job *job;
    unsigned depth;
    struct multiaddr addr; /* what target's slices point into */
    struct multiaddr_target target;
};

static void resolve(struct job *j, const struct multiaddr *addr, unsigned depth);

static void say(struct job *j, const char *reason)
{
    if (!j->answer->reason[0])
        snprintf(j->answer->reason, sizeof(j->answer->reason), "%s", reason);
}

static void job_done(struct job *j)
{
    if (--j->waiting)
        return;
    if (j->answer->count == 0)
        say(j, "no usable address in the answer");
    j->r->on_answer(j->r->user, j->answer);
    free(j);
}

static void add(struct job *j, const struct multiaddr *a)
{
    struct xresolved *x = j->answer;

    for (unsigned i = 0; i < x->count; i++)
        if (slice_is_equal(multiaddr_slice(&x->addrs[i]), multiaddr_slice(a)))
            return;
    if (x->count < NAMES_ADDRS_MAX)
        x->addrs[x->count++] = *a;
}

static void on_addrinfo(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
    struct question *q = arg;

    if (status != ARES_SUCCESS)
        say(q->job, ares_strerror(status));
    for (struct ares_addrinfo_node *n = res ? res->nodes : NULL; n; n = n->ai_next) {
        struct multiaddr a;
        if (n->ai_family == AF_INET)
            dnsaddr_with_ip(&q->target, (const uint8_t *)&((struct sockaddr_in *)(void *)n->ai_addr)->sin_addr, 4, &a);
        else if (n->ai_family == AF_INET6)
            dnsaddr_with_ip(&q->target, (const uint8_t *)&((struct sockaddr_in6 *)(void *)n->ai_addr)->sin6_addr, 16, &a);
        else
            continue;
        add(q->job, &a);
    }
    if (res)
        ares_freeaddrinfo(res);
    job_done(q->job);
    free(q);
}

/* A record's text may come in several strings, which are one. */
static void take_records(struct question *q, const struct ares_txt_ext *list)
{
    char text[1024];
    size_t len = 0;

    for (const struct ares_txt_ext *t = list; t; t = t->next) {
        struct multiaddr a;
        if (t->record_start)
            len = 0;
        if (len + t->length <= sizeof(text)) {
            memcpy(text + len, t->txt, t->length);
            len += t->length;
        }
        if ((!t->next || t->next->record_start) && dnsaddr_record(slice_of(text, len), &q->target.peer, &a))
            resolve(q->job, &a, q->depth + 1);
    }
}

static void on_txt(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct question *q = arg;
    struct ares_txt_ext *list = NULL;

    if (status == ARES_SUCCESS)
        status = ares_parse_txt_reply_ext(bytes, len, &list);
    if (status != ARES_SUCCESS)
        say(q->job, ares_strerror(status));
    take_records(q, list);
    if (list)
        ares_free_data(list);
    job_done(q->job);
    free(q);
}

static void ask_host(struct question *q)
{
    struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    char host[256];

    snprintf(host, sizeof(host), "%.*s", (int)(q->target.host.len < 255 ? q->target.host.len : 255), (const char *)q->target.host.p);
    if (q->target.kind == MULTIADDR_DNS4)
        hints.ai_family = AF_INET;
    else if (q->target.kind == MULTIADDR_DNS6)
        hints.ai_family = AF_INET6;
    ares_getaddrinfo(q->job->r->channel, host, NULL, &hints, on_addrinfo, q);
}

static void ask_txt(struct question *q)
{
    char name[DNSADDR_QUERY_MAX];

    if (!dnsaddr_query(q->target.host, name)) {
        on_txt(q, ARES_EBADNAME, 0, NULL, 0);
        return;
    }
    ares_query(q->job->r->channel, name, ns_c_in, ns_t_txt, on_txt, q);
}

/* An address is the answer itself, or one more question. */
static void resolve(struct job *j, const struct multiaddr *addr, unsigned depth)
{
    struct multiaddr_target t;
    struct question *q;

    if (multiaddr_target(multiaddr_slice(addr), &t))
        return;
    if (t.kind == MULTIADDR_IP4 || t.kind == MULTIADDR_IP6) {
        add(j, addr);
        return;
    }
    if (depth > RESOLVER_DEPTH || j->queries >= RESOLVER_QUERIES || !(q = calloc(1, sizeof(*q)))) {
        say(j, "one name leads to too many others");
        return;
    }
    j->queries++;
    j->waiting++;
    q->job = j;
    q->depth = depth;
    q->addr = *addr;
    multiaddr_target(multiaddr_slice(&q->addr), &q->target);
    if (t.kind == MULTIADDR_DNSADDR)
        ask_txt(q);
    else
        ask_host(q);
}

static void begin(struct resolver *r, const struct asked *a)
{
    struct job *j = calloc(1, sizeof(*j));
    struct xresolved *x = calloc(1, sizeof(*x));

    if (!j || !x) {
        free(j);
        free(x);
        return; /* whoever asked asks again */
    }
    x->index = a->index;
    *j = (struct job){.r = r, .answer = x, .waiting = 1};
    resolve(j, &a->addr, 0);
    job_done(j);
}

static bool take_asked(struct resolver *r)
{
    struct asked asked[RESOLVER_ASKED];
    bool is_stopping;
    unsigned n;

    pthread_mutex_lock(&r->lock);
    n = r->nasked;
    memcpy(asked, r->asked, n * sizeof(asked[0]));
    r->nasked = 0;
    is_stopping = r->is_stopping;
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < n && !is_stopping; i++)
        begin(r, &asked[i]);
    return !is_stopping;
}

/* What c-ares waits for on its i-th socket. Its own macros shift a one into the sign bit of an int. */
static short wanted(unsigned bits, unsigned i)
{
    return (short)((bits >> i & 1 ? POLLIN : 0) | (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
}

static void wait_for_answers(struct resolver *r)
{
    ares_socket_t socks[ARES_GETSOCK_MAXNUM];
    unsigned bits = (unsigned)ares_getsock(r->channel, socks, ARES_GETSOCK_MAXNUM);
    int timeout = -1;
    struct pollfd pfd[ARES_GETSOCK_MAXNUM + 1] = {{.fd = r->bell, .events = POLLIN}};
    struct timeval tv, *next;
    unsigned n = 1;
    uint64_t rung;

    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++)
        if (wanted(bits, i))
            pfd[n++] = (struct pollfd){.fd = socks[i], .events = wanted(bits, i)};
    next = ares_timeout(r->channel, NULL, &tv);
    if (next)
        timeout = (int)(next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
    poll(pfd, n, timeout);
    if (pfd[0].revents && read(r->bell, &rung, sizeof(rung)) < 0)
        return; /* someone else's wake-up; nothing to do with it */
    for (unsigned i = 1; i < n; i++)
        if (pfd[i].revents)
            ares_process_fd(r->channel, pfd[i].revents & ~POLLOUT ? pfd[i].fd : ARES_SOCKET_BAD,
                            pfd[i].revents & POLLOUT ? pfd[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* timeouts */
}

static void *run(void *arg)
{
    struct resolver *r = arg;

    while (take_asked(r))
        wait_for_answers(r);
    return NULL;
}

static int open_channel(struct resolver *r, const char *servers, char err[256])
{
    struct ares_options o = {.timeout = TRY_MS, .tries = TRIES};
    int rc = ares_library_init(ARES_LIB_INIT_ALL);

    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&r->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (rc != ARES_SUCCESS) {
        snprintf(err, 256, "the resolver cannot start: %s", ares_strerror(rc));
        return -1;
    }
    rc = *servers ? ares_set_servers_ports_csv(r->channel, servers) : ARES_SUCCESS;
    if (rc == ARES_SUCCESS)
        return 0;
    snprintf(err, 256, "DNS_SERVERS=%.80s: must be a comma list of addresses, each perhaps with :port", servers);
    ares_destroy(r->channel);
    return -1;
}

struct resolver *resolver_start(const char *servers, const cpu_set_t *cpus, void (*on_answer)(void *user, struct xresolved *a),
                                void *user, char err[256])
{
    struct resolver *r = calloc(1, sizeof(*r));
    pthread_attr_t attr;
    bool is_running;

    if (!r || (r->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) {
        snprintf(err, 256, "no memory or descriptor for the resolver");
        free(r);
        return NULL;
    }
    r->on_answer = on_answer;
    r->user = user;
    pthread_mutex_init(&r->lock, NULL);
    if (open_channel(r, servers, err)) {
        close(r->bell);
        free(r);
        return NULL;
    }
    pthread_attr_init(&attr);
    if (cpus)
        pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
    is_running = pthread_create(&r->thread, &attr, run, r) == 0;
    pthread_attr_destroy(&attr);
    if (is_running)
        return r;
    snprintf(err, 256, "the resolver's thread could not be started");
    ares_destroy(r->channel);
    close(r->bell);
    free(r);
    return NULL;
}

static void ring(struct resolver *r)
{
    uint64_t one = 1;

    if (write(r->bell, &one, sizeof(one)) < 0)
        return; /* full: it rings already */
}

void resolver_ask(struct resolver *r, unsigned index, const struct multiaddr *addr)
{
    pthread_mutex_lock(&r->lock);
    if (r->nasked < RESOLVER_ASKED)
        r->asked[r->nasked++] = (struct asked){index, *addr};
    pthread_mutex_unlock(&r->lock);
    ring(r);
}

void resolver_stop(struct resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->is_stopping = true;
    pthread_mutex_unlock(&r->lock);
    ring(r);
    pthread_join(r->thread, NULL);
    ares_destroy(r->channel); /* ends what is under way: answers without addresses */
    close(r->bell);
    pthread_mutex_destroy(&r->lock);
    ares_library_cleanup();
    free(r);
}
