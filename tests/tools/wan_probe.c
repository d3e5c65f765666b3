/* wan_probe: UDP from one namespace to another, both ends in one process and so on one clock: one-way delays, losses, rate
 *     wan_probe FROM_NS TO_NS TO_IP [--count 1000] [--interval US] [--size 64]
 * Sends count packets, one each interval (0: as fast as the socket takes them), then waits until none has come for 1.5 s. The time
 * of arrival is the kernel's, so our own scheduling is not in it. Prints one line of JSON: sent, received, late (out of order),
 * delay_us of the packets (least, p50, p99, most), seconds between first and last arrival, and MB_s of UDP payload in them.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT     9077
#define SIZE_MAX_BYTES 1472
#define QUIET_MS 1500

struct stamp {
    uint64_t number, sent_ns;
};

struct probe {
    int out, in;
    uint64_t count, sent, received, late, next_number;
    uint64_t first_ns, last_ns;
    double *delay_us;
    uint32_t size;
};

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int socket_in(const char *ns)
{
    int one = 1, big = 64 << 20, fd, netns;
    char path[256];

    snprintf(path, sizeof(path), "/run/netns/%s", ns);
    netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET))
        die(ns);
    close(netns);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)))
        die("socket");
    return fd;
}

static void send_one(struct probe *p)
{
    static uint8_t bytes[SIZE_MAX_BYTES];
    struct stamp s = {p->sent, clock_ns(CLOCK_REALTIME)};

    memcpy(bytes, &s, sizeof(s));
    if (send(p->out, bytes, p->size, 0) == (ssize_t)p->size)
        p->sent++;
}

static bool receive_one(struct probe *p)
{
    uint8_t bytes[SIZE_MAX_BYTES], control[256];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct timespec at = {0};
    struct stamp s;

    if (recvmsg(p->in, &m, 0) < (ssize_t)sizeof(s))
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
            memcpy(&at, CMSG_DATA(c), sizeof(at));
    memcpy(&s, bytes, sizeof(s));
    p->last_ns = (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
    if (!p->received)
        p->first_ns = p->last_ns;
    p->late += s.number < p->next_number;
    if (s.number >= p->next_number)
        p->next_number = s.number + 1;
    if (p->received < p->count)
        p->delay_us[p->received++] = ((double)p->last_ns - (double)s.sent_ns) / 1e3;
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void run(struct probe *p, uint64_t interval_ns)
{
    uint64_t begun = clock_ns(CLOCK_MONOTONIC), last = begun, now;
    struct pollfd pfd = {.fd = p->in, .events = POLLIN};

    for (now = begun; p->sent < p->count || now - last < QUIET_MS * 1000000ull; now = clock_ns(CLOCK_MONOTONIC)) {
        uint64_t due = begun + p->sent * interval_ns;
        struct timespec ts = {0, 100000000};

        if (p->sent < p->count && now >= due) {
            send_one(p);
            last = now;
        }
        while (receive_one(p))
            last = clock_ns(CLOCK_MONOTONIC);
        if (p->received == p->count)
            return;
        if (p->sent < p->count) {
            now = clock_ns(CLOCK_MONOTONIC);
            due = begun + p->sent * interval_ns;
            ts.tv_nsec = due > now ? (long)(due - now < 100000000 ? due - now : 100000000) : 0;
        }
        ppoll(&pfd, 1, &ts, NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'}, {"interval", 1, NULL, 'i'}, {"size", 1, NULL, 's'}, {0}};
    struct probe p = {.count = 1000, .size = 64};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    uint64_t interval_ns = 1000000;
    double s;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'c': p.count = strtoull(optarg, NULL, 10); break;
        case 'i': interval_ns = (uint64_t)(atof(optarg) * 1e3); break;
        case 's': p.size = (uint32_t)atoi(optarg); break;
        default: return 2;
        }
    }
    if (argc - optind != 3 || p.size < sizeof(struct stamp) || p.size > SIZE_MAX_BYTES || p.count == 0 ||
        inet_pton(AF_INET, argv[optind + 2], &to.sin_addr) != 1) {
        fprintf(stderr, "wan_probe FROM_NS TO_NS TO_IP [--count N] [--interval US] [--size BYTES]\n");
        return 2;
    }
    p.delay_us = calloc(p.count, sizeof(double));
    p.in = socket_in(argv[optind + 1]);
    if (!p.delay_us || bind(p.in, (struct sockaddr *)&to, sizeof(to)))
        die("bind");
    p.out = socket_in(argv[optind]);
    if (connect(p.out, (struct sockaddr *)&to, sizeof(to)))
        die("connect");
    run(&p, interval_ns);
    s = (double)(p.last_ns - p.first_ns) / 1e9;
    printf("{\"sent\": %lu, \"received\": %lu, \"late\": %lu", (unsigned long)p.sent, (unsigned long)p.received, (unsigned long)p.late);
    qsort(p.delay_us, p.received, sizeof(double), compare);
    if (p.received > 1)
        printf(", \"delay_us\": {\"least\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"most\": %.1f}, \"seconds\": %.4f, \"MB_s\": %.3f",
               p.delay_us[0], p.delay_us[p.received / 2], p.delay_us[p.received * 99 / 100], p.delay_us[p.received - 1], s,
               (double)(p.received - 1) * p.size / s / 1e6);
    printf("}\n");
    free(p.delay_us);
    return 0;
}
