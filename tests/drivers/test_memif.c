/* Two memif ports in one process: everything that passes between two processes, but the scheduling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "drivers/memif_pvt.h"
#include "frames.h"

static const uint8_t ip_a[4] = {10, 9, 0, 1}, ip_b[4] = {10, 9, 0, 2};
static uint8_t bytes[65536];
static char dir[64], path[96];

static struct pktio *open_end(bool is_server, struct memif_config cfg)
{
    char err[256] = "";
    struct pktio *io;

    cfg.socket = path;
    cfg.is_server = is_server;
    cfg.mac[5] = is_server ? 1 : 2;
    io = memif_open(&cfg, err);
    if (!io)
        fail_msg("%s", err);
    return io;
}

/* Turns of both until both carry. */
static void join(struct pktio *a, struct pktio *b)
{
    struct pktio_frame f[4];

    for (unsigned i = 0; i < 20000; i++) {
        struct pktio *io = i % 2 ? a : b;

        pktio_recv(io, f, 4);
        pktio_recv_done(io);
        if (memif_of(a)->is_up && memif_of(b)->is_up)
            break;
        usleep(100);
    }
    for (unsigned i = 0; i < 2; i++) {
        pktio_refresh(a);
        pktio_refresh(b);
    }
    assert_true(a->link.is_up);
    assert_true(b->link.is_up);
}

struct pair {
    struct pktio *server, *client;
};

static struct pair open_pair(struct memif_config cfg)
{
    struct pair p = {open_end(true, cfg), NULL};

    p.client = open_end(false, cfg);
    join(p.server, p.client);
    return p;
}

static void close_pair(struct pair *p)
{
    pktio_close(p->client);
    pktio_close(p->server);
    assert_int_equal(access(path, F_OK), -1); /* nothing is left behind */
}

static void make(struct pktio_seg *s, const struct pktio *from, const struct pktio *to, uint32_t len, uint16_t gso)
{
    frame_make(s, from->link.mac, to->link.mac, ip_a, ip_b, 7070, bytes, len, gso);
}

/* The payload of a received frame, wherever it lies. */
static void check_payload(const struct pktio_frame *f, const uint8_t *want, uint32_t len)
{
    assert_int_equal(f->len + f->rest_len, FRAME_HEAD + len);
    if (f->rest) {
        assert_int_equal(f->len, FRAME_HEAD);
        assert_memory_equal(f->rest, want, len);
    } else {
        assert_memory_equal(f->data + FRAME_HEAD, want, len);
    }
}

static void test_memif_carries_every_length_both_ways(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct pktio_frame f[4];
    struct pktio_counters c;
    struct pktio_seg s;

    for (uint32_t len = 0; len <= 1460; len++)
        for (unsigned way = 0; way < 2; way++) {
            struct pktio *from = way ? p.server : p.client, *to = way ? p.client : p.server;

            make(&s, from, to, len, 0);
            assert_int_equal(pktio_send(from, &s, 1), 1);
            pktio_wait_fd(from, false);
            assert_int_equal(pktio_recv(to, f, 4), 1);
            assert_true(f[0].is_csum_ok);
            assert_memory_equal(f[0].data, s.head, s.head_len);
            check_payload(&f[0], bytes, len);
            assert_int_equal(f[0].rest != NULL, len >= 256);
            pktio_recv_done(to);
        }
    pktio_counters_get(p.server, &c);
    assert_int_equal(c.rx_frames, 1461);
    assert_int_equal(c.tx_segs, 1461);
    assert_int_equal(c.lost + c.resets + c.tx_dropped + c.rx_truncated, 0);
    close_pair(&p);
}

static void test_memif_cuts_segments_into_packets(void **state)
{
    static const struct {
        uint32_t len;
        uint16_t gso;
        bool is_ip6;
    } cases[] = {{1, 1448, false}, {1448, 1448, false}, {1449, 1448, false}, {20000, 1448, false}, {31416, 1428, true}, {8000, 500, true}};
    struct pair p = open_pair((struct memif_config){0});
    struct pktio_frame f[PKTIO_BURST];
    struct pktio_seg s;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t done = 0, gso = cases[i].gso, len = cases[i].len, ip = cases[i].is_ip6 ? 40 : 20;

        make(&s, p.server, p.client, len, cases[i].gso);
        if (cases[i].is_ip6) { /* the same TCP header behind another IP header */
            memmove(s.head + 54, s.head + 34, 20);
            memset(s.head + 14, 0, 40);
            put16(s.head + 12, 0x86dd);
            s.head[14] = 0x60;
            s.head[20] = 6;
            s.head_len = 74;
            s.csum_start = 54;
            s.is_ip6 = true;
        } else {
            put16(s.head + 18, 0xfffe); /* an id that turns over */
            put16(s.head + 24, 0);
            put16(s.head + 24, ~sum16(0, s.head + 14, 20) & 0xffff);
        }
        s.head[14 + ip + 13] = 0x99; /* CWR, ACK, PSH, FIN */
        memset(s.head + 14 + ip + 4, 0xff, 4); /* a sequence number that turns over, too */
        s.npieces = 2; /* a seam inside a packet */
        s.pieces[0].len = len / 3;
        s.pieces[1] = (struct pktio_piece){bytes + len / 3, len - len / 3, NULL};
        assert_int_equal(pktio_send(p.server, &s, 1), 1);
        pktio_wait_fd(p.server, false);
        for (uint32_t k = 0; done < len;) {
            unsigned n = pktio_recv(p.client, f, PKTIO_BURST);

            assert_true(n > 0);
            for (unsigned at = 0; at < n; at++, k++) {
                const uint8_t *h = f[at].data, *tcp = h + 14 + ip;
                uint32_t part = len - done < gso ? len - done : gso;

                assert_int_equal(f[at].len + f[at].rest_len, 14 + ip + 20 + part);
                assert_memory_equal(f[at].rest ? f[at].rest : tcp + 20, bytes + done, part);
                if (cases[i].is_ip6) {
                    assert_int_equal(h[18] << 8 | h[19], 20 + part);
                } else {
                    assert_int_equal(h[16] << 8 | h[17], 40 + part);
                    assert_int_equal(h[18] << 8 | h[19], (0xfffe + k) & 0xffff);
                    assert_int_equal(sum16(0, h + 14, 20), 0xffff);
                }
                assert_int_equal((uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7], done - 1);
                done += part;
                assert_int_equal(tcp[13], 0x10 | (k == 0 ? 0x80 : 0) | (done == len ? 0x09 : 0));
            }
            pktio_recv_done(p.client);
        }
    }
    close_pair(&p);
}

static unsigned drain(struct pktio *io)
{
    struct pktio_frame f[PKTIO_BURST];
    unsigned sum = 0;

    for (unsigned n; (n = pktio_recv(io, f, PKTIO_BURST)) > 0; sum += n)
        pktio_recv_done(io);
    pktio_recv_done(io);
    return sum;
}

static void test_memif_full_ring_takes_no_more(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct pktio_counters c;
    struct pktio_seg s;

    for (unsigned way = 0; way < 2; way++) {
        struct pktio *from = way ? p.server : p.client, *to = way ? p.client : p.server;

        for (unsigned round = 0; round < 3; round++) {
            unsigned sent = 0;

            make(&s, from, to, 100, 0);
            while (pktio_send(from, &s, 1) == 1)
                assert_true(++sent <= 64);
            assert_int_equal(sent, 64);
            make(&s, from, to, 14480, 1448); /* whole or not at all */
            assert_int_equal(pktio_send(from, &s, 1), 0);
            pktio_wait_fd(from, false);
            assert_int_equal(drain(to), 64);
            assert_int_equal(pktio_send(from, &s, 1), 1);
            pktio_wait_fd(from, false);
            assert_int_equal(drain(to), 10);
        }
        pktio_counters_get(from, &c);
        assert_int_equal(c.tx_full, 6);
        assert_int_equal(c.tx_dropped, 0);
    }
    make(&s, p.server, p.client, 64000, 900); /* 72 packets: what no ring of this length holds at once ends short */
    assert_int_equal(pktio_send(p.server, &s, 1), 1);
    pktio_wait_fd(p.server, false);
    assert_int_equal(drain(p.client), 64);
    close_pair(&p);
}

static void test_memif_vlan_tags_and_strips(void **state)
{
    struct pair p = open_pair((struct memif_config){.vlan = 0x123});
    struct memif *m = memif_of(p.client);
    struct pktio_frame f[4];
    struct pktio_counters c;
    struct pktio_seg s;

    for (uint32_t len = 0; len < 1460; len += 73) {
        struct memif_slot slot;

        make(&s, p.server, p.client, len, 0);
        assert_int_equal(pktio_send(p.server, &s, 1), 1);
        pktio_wait_fd(p.server, false);
        assert_int_equal(memif_ring_look(&m->link.shm.recv), 1);
        assert_int_equal(memif_ring_slot(&m->link.shm.recv, 0, &slot), 0);
        assert_int_equal(slot.len, FRAME_HEAD + 4 + len);
        assert_memory_equal(slot.p + 12, "\x81\x00\x01\x23\x08\x00", 6);
        assert_int_equal(pktio_recv(p.client, f, 4), 1);
        assert_memory_equal(f[0].data, s.head, s.head_len);
        check_payload(&f[0], bytes, len);
        pktio_recv_done(p.client);
        for (unsigned at = 12; at < 16; at++) { /* of another VLAN, or of none */
            assert_int_equal(pktio_send(p.server, &s, 1), 1);
            pktio_wait_fd(p.server, false);
            memif_ring_look(&m->link.shm.recv);
            memif_ring_slot(&m->link.shm.recv, 0, &slot);
            slot.p[at] ^= at == 14 ? 0x10 : 0x01;
            assert_int_equal(pktio_recv(p.client, f, 4), at == 14); /* priority does not matter */
            pktio_recv_done(p.client);
        }
    }
    pktio_counters_get(p.client, &c);
    assert_int_equal(c.rx_foreign, 3 * 20);
    close_pair(&p);
}

static bool is_woken(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, ms) == 1;
}

static void test_memif_wakes_a_sleeper(void **state)
{
    struct pair p = open_pair((struct memif_config){0});
    struct pktio_seg s;

    drain(p.server);
    drain(p.client);
    for (unsigned i = 0; i < 10; i++) {
        struct pktio *from = i % 2 ? p.server : p.client, *to = i % 2 ? p.client : p.server;
        int fd = pktio_wait_fd(to, false);

        drain(to); /* what an earlier bell left behind */
        fd = pktio_wait_fd(to, false);
        assert_false(is_woken(fd, 0));
        make(&s, from, to, 1000, 0);
        assert_int_equal(pktio_send(from, &s, 1), 1);
        pktio_wait_fd(from, false);
        assert_true(is_woken(fd, 1000));
        assert_int_equal(drain(to), 1);
        assert_int_equal(pktio_send(from, &s, 1), 1); /* awake, it is not rung for */
        drain(from);
        fd = pktio_wait_fd(to, false); /* but told of what came before it asked */
        assert_true(is_woken(fd, 0));
        assert_int_equal(drain(to), 1);
    }
    close_pair(&p);
}

/* ---- trouble ---- */

/* The other end has the bell too: it takes O_NONBLOCK off and fills the counter, after which a write waits for ever. */
static void test_memif_bell_does_not_wait(void **state)
{
    struct memif_ringer reads, writes = {.fd = -1};
    int bell = eventfd(0, EFD_CLOEXEC), epfd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    uint64_t n = 0, most = UINT64_MAX - 1;

    assert_true(memif_bell_open(&reads));
    assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, bell, &ev), 0);
    for (unsigned i = 0; i < 1000; i++) { /* more than there is room for results */
        memif_bell_ring(i % 2 ? &reads : &writes, bell);
        assert_int_equal(epoll_wait(epfd, &ev, 1, 1000), 1);
    }
    assert_int_equal(read(bell, &n, sizeof(n)), sizeof(n));
    assert_int_equal(n, 1000);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(fcntl(bell, F_SETFL, 0), 0);
        if (i == 0)
            assert_int_equal(write(bell, &most, sizeof(most)), sizeof(most));
        epoll_wait(epfd, &ev, 1, 0);
        memif_bell_ring(&reads, bell);
        assert_int_equal(epoll_wait(epfd, &ev, 1, 1000), 1); /* heard all the same */
        memif_bell_ring(&writes, bell); /* not heard, but back */
    }
    memif_bell_close(&reads);
    close(epfd);
    close(bell);
}

static void test_memif_wakes_a_sleeper_whose_bell_is_full(void **state)
{
    struct pair p = open_pair((struct memif_config){0});
    uint64_t most = UINT64_MAX - 1, n;
    struct pktio_seg s;

    drain(p.server);
    drain(p.client);
    for (unsigned i = 0; i < 10; i++) {
        struct pktio *from = i % 2 ? p.server : p.client, *to = i % 2 ? p.client : p.server;
        int bell = memif_of(to)->link.shm.recv.bell;

        assert_int_equal(fcntl(bell, F_SETFL, O_NONBLOCK), 0);
        (void)!read(bell, &n, sizeof(n));
        assert_int_equal(write(bell, &most, sizeof(most)), sizeof(most));
        assert_int_equal(fcntl(bell, F_SETFL, 0), 0);
        pktio_wait_fd(to, false);
        drain(to);
        assert_false(is_woken(pktio_wait_fd(to, false), 0));
        make(&s, from, to, 1000, 0);
        assert_int_equal(pktio_send(from, &s, 1), 1);
        pktio_wait_fd(from, false);
        assert_true(is_woken(memif_of(to)->epfd, 1000));
        assert_int_equal(drain(to), 1);
        assert_int_equal(pktio_send(from, &s, 1), 1); /* and by itself */
        drain(from);
        assert_true(is_woken(pktio_wait_fd(to, false), 0));
        assert_int_equal(drain(to), 1);
    }
    close_pair(&p);
}

/* A frame whose end does not come keeps nobody awake. */
static void test_memif_sleeps_on_half_a_frame(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct memif_ring *r = &memif_of(p.client)->link.shm.send;
    struct memif_slot slot;

    drain(p.server);
    for (unsigned i = 0; i < 3; i++) {
        bool is_last = i == 2;

        assert_true(memif_ring_look(r) > 0);
        assert_int_equal(memif_ring_slot(r, 0, &slot), 0);
        memset(slot.p, 0, 100);
        memif_ring_fill(r, 0, 100, !is_last);
        memif_ring_pass(r, 1);
        memif_ring_tell(r);
        assert_true(is_woken(pktio_wait_fd(p.server, false), 0)); /* a slot that it has not looked at */
        assert_int_equal(drain(p.server), is_last);
        pktio_wait_fd(p.server, false);
        drain(p.server); /* what an earlier bell left behind */
        assert_false(is_woken(pktio_wait_fd(p.server, false), 0));
    }
    close_pair(&p);
}

/* What a hostile client would have mapped. */
static void test_memif_takes_only_sealed_memory_and_eventfds(void **state)
{
    struct memif_ctl c, bad;
    struct memif_shm mine, theirs;
    char name[128];
    int fd;

    memif_ctl_init(&c, false, 0);
    assert_int_equal(memif_shm_make(&mine, &c, 6, 1536), 0);
    bad = c;
    assert_int_equal(memif_shm_take(&theirs, &bad), 0);
    munmap(theirs.regions[0].p, theirs.regions[0].size);

    fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* too short */
    assert_int_equal(ftruncate(fd, 4096), 0);
    bad = c;
    bad.regions[0].fd = fd;
    assert_int_equal(memif_shm_take(&theirs, &bad), -MEMIF_EFD);
    assert_true(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK); /* sealed before it was measured */
    close(fd);
    fd = memfd_create("x", MFD_CLOEXEC); /* may not be sealed */
    assert_int_equal(ftruncate(fd, (off_t)c.regions[0].size), 0);
    bad.regions[0].fd = fd;
    assert_int_equal(memif_shm_take(&theirs, &bad), -MEMIF_EFD);
    close(fd);
    snprintf(name, sizeof(name), "%s/[eventfd]", dir);
    fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    bad = c;
    bad.rings[0].fd = fd;
    assert_int_equal(memif_shm_take(&theirs, &bad), -MEMIF_EFD);
    munmap(theirs.regions[0].p, theirs.regions[0].size);
    close(fd);
    unlink(name);
    memif_shm_drop(&mine, &c);
}

struct flipper {
    int fd;
    off_t size;
    bool is_done;
    unsigned rounds;
};

static void *flip(void *arg)
{
    struct flipper *f = arg;

    for (; !__atomic_load_n(&f->is_done, __ATOMIC_RELAXED); __atomic_add_fetch(&f->rounds, 1, __ATOMIC_RELAXED))
        if (ftruncate(f->fd, 0) == 0 && !(fcntl(f->fd, F_GET_SEALS) & F_SEAL_SHRINK)) /* sealed at nothing, it stays so */
            (void)!ftruncate(f->fd, f->size);
    return NULL;
}

/* A file that grows and shrinks while it is taken: refused, or there to its end. */
static void test_memif_takes_no_memory_that_shrinks(void **state)
{
    struct memif_ctl c, bad;
    struct memif_shm mine, theirs;
    pthread_t thread;

    memif_ctl_init(&c, false, 0);
    assert_int_equal(memif_shm_make(&mine, &c, 6, 1536), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct flipper f = {memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), (off_t)c.regions[0].size, false, 0};

        bad = c;
        bad.regions[0].fd = f.fd;
        assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
        while (__atomic_load_n(&f.rounds, __ATOMIC_RELAXED) < 2 + i % 8)
            sched_yield();
        assert_true(memif_shm_take(&theirs, &bad) < 0); /* no ring is in it */
        __atomic_store_n(&f.is_done, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        if (theirs.nregions) {
            ((volatile uint8_t *)theirs.regions[0].p)[theirs.regions[0].size - 1] = 1;
            munmap(theirs.regions[0].p, theirs.regions[0].size);
        }
        close(f.fd);
    }
    memif_shm_drop(&mine, &c);
}

/* Whoever comes and goes is let in once a second. */
static void test_memif_lets_in_once_a_second(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct memif *server = memif_of(p.server);

    pktio_close(p.client);
    drain(p.server);
    pktio_refresh(p.server);
    server->next_call_ns = UINT64_MAX / 2; /* that second is long */
    p.client = open_end(false, (struct memif_config){.log2 = 6});
    for (unsigned i = 0; i < 20; i++) {
        memif_of(p.client)->next_call_ns = memif_of(p.client)->next_look_ns = server->next_look_ns = 0;
        pktio_refresh(p.client);
        pktio_refresh(p.server);
        assert_false(server->is_up);
    }
    server->next_call_ns = 0; /* it is over */
    join(p.server, p.client);
    assert_true(server->next_call_ns > 0); /* and the next begins */
    assert_int_equal(server->counters.resets, 0);
    close_pair(&p);
}

/* What one who has done nothing for so long is told. */
static void wait_long(struct memif *m)
{
    m->link.begun_ns = m->moved_ns = 1;
    pktio_refresh(&m->io);
}

static void let_another_in(struct pktio *server)
{
    struct pktio *client;

    memif_of(server)->next_call_ns = 0; /* a second later */
    client = open_end(false, (struct memif_config){.log2 = 6});
    join(server, client);
    pktio_close(client);
}

/* Who says whom it wants and no more has the place for 2 s. */
static void test_memif_frees_the_seat_of_who_never_completes(void **state)
{
    struct pktio *server = open_end(true, (struct memif_config){0});
    uint8_t msg[MEMIF_MSG_BYTES] = {MEMIF_MSG_INIT, 0, 0, 2}; /* version 2.0, id 0 */
    int caller = memif_sock_call(path);

    assert_int_equal(memif_sock_send(caller, msg, -1), 0);
    for (unsigned i = 0; i < 100 && memif_of(server)->link.fd < 0; i++)
        pktio_refresh(server);
    assert_true(memif_of(server)->link.fd >= 0);
    pktio_refresh(server);
    assert_int_equal(memif_of(server)->counters.resets, 0);
    wait_long(memif_of(server));
    assert_int_equal(memif_of(server)->link.fd, -1);
    assert_int_equal(memif_of(server)->counters.resets, 1);
    let_another_in(server);
    close(caller);
    pktio_close(server);
}

/* Who is connected and takes nothing has it for 5 s after half of the ring is full; who has nothing to take, or takes a little, keeps it. */
static void test_memif_frees_the_seat_of_who_never_reads(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct memif *server = memif_of(p.server);
    struct pktio_frame f[8];
    struct pktio_seg s;

    wait_long(server); /* nothing was sent */
    assert_true(server->is_up);
    make(&s, p.server, p.client, 100, 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(pktio_send(p.server, &s, 1), 1);
    pktio_refresh(p.server);
    wait_long(server); /* a third of the ring: it may be one that gives back many at a time */
    assert_true(server->is_up);
    while (pktio_send(p.server, &s, 1) == 1)
        ;
    for (unsigned i = 0; i < 5; i++) { /* slow */
        pktio_wait_fd(p.server, false);
        assert_int_equal(pktio_recv(p.client, f, 8), 8);
        pktio_recv_done(p.client);
        wait_long(server);
        assert_true(server->is_up);
    }
    while (pktio_send(p.server, &s, 1) == 1)
        ;
    pktio_refresh(p.server);
    assert_int_equal(pktio_send(p.server, &s, 1), 0);
    pktio_refresh(p.server);
    assert_true(server->is_up); /* not for long enough */
    assert_int_equal(server->counters.resets, 0);
    wait_long(server);
    assert_false(server->is_up);
    assert_int_equal(server->counters.resets, 1);
    assert_int_equal(server->counters.lost, 1);
    memif_of(p.client)->next_call_ns = UINT64_MAX;
    drain(p.client);
    pktio_close(p.client);
    let_another_in(p.server);
    pktio_close(p.server);
}

static void test_memif_leaves_other_files_alone(void **state)
{
    char err[256] = "";
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
    assert_null(memif_listener_new(path, err));
    assert_non_null(strstr(err, "no socket"));
    assert_int_equal(unlink(path), 0); /* still there */
}

static void test_memif_lost_and_found(void **state)
{
    struct pair p = open_pair((struct memif_config){0});
    struct pktio_counters c;
    struct pktio_seg s;

    for (unsigned i = 0; i < 3; i++) {
        pktio_close(p.client);
        make(&s, p.server, p.server, 10, 0);
        assert_true(is_woken(pktio_wait_fd(p.server, false), 1000));
        assert_int_equal(drain(p.server), 0);
        pktio_refresh(p.server);
        assert_false(p.server->link.is_up);
        assert_int_equal(pktio_send(p.server, &s, 1), 1); /* like a cable that is out */
        memif_of(p.server)->next_call_ns = 0; /* a second after the last was let in */
        p.client = open_end(false, (struct memif_config){0});
        join(p.server, p.client);
        make(&s, p.server, p.client, 10, 0);
        assert_int_equal(pktio_send(p.server, &s, 1), 1);
        pktio_wait_fd(p.server, false);
        assert_int_equal(drain(p.client), 1);
        pktio_counters_get(p.server, &c);
        assert_int_equal(c.lost, i + 1);
        assert_int_equal(c.found, i + 1);
        assert_int_equal(c.tx_dropped, i + 1);
        assert_int_equal(c.resets, 0);
    }
    pktio_close(p.server); /* and the other way round */
    assert_true(is_woken(pktio_wait_fd(p.client, false), 1000));
    drain(p.client);
    pktio_refresh(p.client);
    assert_false(p.client->link.is_up);
    p.server = open_end(true, (struct memif_config){0});
    join(p.server, p.client);
    pktio_counters_get(p.client, &c);
    assert_int_equal(c.lost, 1);
    assert_int_equal(c.found, 1);
    close_pair(&p);
}

/* A client that sends and receives as fast as it can. */
static _Noreturn void run_child(void)
{
    struct memif_config cfg = {.socket = path, .mac = {2, 0, 0, 0, 0, 9}, .log2 = 6};
    char err[256];
    struct pktio *io = memif_open(&cfg, err);
    struct pktio_seg s;

    if (!io)
        _exit(1);
    for (unsigned i = 0;; i++) {
        make(&s, io, io, i % 1460, 0);
        pktio_send(io, &s, 1);
        drain(io);
    }
}

static void test_memif_outlives_a_killed_end(void **state)
{
    struct pktio *io = open_end(true, (struct memif_config){0});
    struct pktio_counters c;
    struct pktio_seg s;
    struct rng rng;

    rng_init_seeded(&rng, 1);
    for (unsigned i = 0; i < 6; i++) {
        pid_t pid = fork();
        uint64_t got = 0, until = 1 + rng_below(&rng, 1000);

        if (pid == 0)
            run_child();
        memif_of(io)->next_call_ns = 0;
        for (unsigned turns = 0; got < until && turns < 20000000; turns++) {
            make(&s, io, io, 14480, 1448);
            pktio_send(io, &s, 1);
            got += drain(io);
        }
        assert_true(got >= until);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        drain(io);
        for (unsigned turns = 0; memif_of(io)->is_up && turns < 1000; turns++) {
            pktio_send(io, &s, 1);
            drain(io);
            pktio_refresh(io);
        }
        assert_false(memif_of(io)->is_up);
    }
    pktio_counters_get(io, &c);
    assert_int_equal(c.lost, 6);
    assert_int_equal(c.found, 5);
    assert_int_equal(c.resets, 0);
    pktio_close(io);
}

/* What one end writes into the rings, and what becomes of the other. */
static void spoil(struct memif *m, struct rng *rng)
{
    struct memif_ring *r = rng_below(rng, 2) ? &m->link.shm.send : &m->link.shm.recv;
    uint8_t *p = (uint8_t *)r->mem;
    size_t bytes_of_ring = memif_ring_bytes(6);

    switch (rng_below(rng, 4)) {
    case 0: r->mem->head = (uint16_t)rng_u64(rng); break;
    case 1: r->mem->tail = (uint16_t)rng_u64(rng); break;
    case 2: p[sizeof(struct memif_ring_mem) + rng_below(rng, bytes_of_ring - sizeof(struct memif_ring_mem))] = (uint8_t)rng_u64(rng); break;
    default: r->mem->desc[rng_below(rng, 64)] = (struct memif_desc){(uint16_t)rng_below(rng, 2), (uint16_t)rng_below(rng, 2), (uint32_t)rng_u64(rng) >> rng_below(rng, 32), (uint32_t)rng_u64(rng) >> rng_below(rng, 32), 0};
    }
}

static void test_memif_survives_spoilt_rings(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct pktio_counters c;
    struct pktio_seg s;
    uint64_t resets = 0;
    struct rng rng;

    rng_init_seeded(&rng, 7);
    for (unsigned round = 0; round < 20000; round++) {
        struct pktio *bad = round & 1024 ? p.server : p.client, *good = round & 1024 ? p.client : p.server;

        for (unsigned i = 0; i < 3; i++) {
            make(&s, good, bad, (uint32_t)rng_below(&rng, 9000), 1448);
            pktio_send(good, &s, 1);
            make(&s, bad, good, (uint32_t)rng_below(&rng, 9000), 1448);
            pktio_send(bad, &s, 1);
            drain(bad);
            if (memif_of(bad)->is_up && memif_of(good)->is_up)
                spoil(memif_of(bad), &rng);
            drain(good);
        }
        pktio_wait_fd(good, false);
        if (!memif_of(bad)->is_up || !memif_of(good)->is_up) {
            memif_of(bad)->next_call_ns = memif_of(good)->next_call_ns = 0; /* the penance is another test's */
            memif_of(bad)->next_look_ns = memif_of(good)->next_look_ns = 0;
            pktio_refresh(p.server);
            pktio_refresh(p.client);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        pktio_counters_get(i ? p.server : p.client, &c);
        resets += c.resets;
        assert_true(c.lost >= c.resets);
    }
    assert_true(resets > 100);
    memif_of(p.server)->next_call_ns = memif_of(p.client)->next_call_ns = 0;
    join(p.server, p.client);
    close_pair(&p);
}

static void test_memif_who_breaks_a_rule_waits(void **state)
{
    struct pair p = open_pair((struct memif_config){.log2 = 6});
    struct memif *client = memif_of(p.client), *server = memif_of(p.server);

    client->link.shm.send.mem->head = 1000;
    assert_int_equal(drain(p.server), 0);
    assert_false(server->is_up);
    assert_int_equal(server->counters.resets, 1);
    drain(p.client);
    for (unsigned i = 0; i < 20; i++) {
        client->next_call_ns = client->next_look_ns = server->next_look_ns = 0;
        pktio_refresh(p.client);
        pktio_refresh(p.server);
        pktio_refresh(p.client);
        assert_false(client->is_up);
    }
    assert_true(server->next_call_ns > 0);
    server->next_call_ns = 0; /* a second later */
    join(p.server, p.client);
    close_pair(&p);
}

static void test_memif_garbage_callers_do_no_harm(void **state)
{
    struct pktio *server = open_end(true, (struct memif_config){0}), *client;
    uint8_t msg[MEMIF_MSG_BYTES] = {0}, in[MEMIF_MSG_BYTES + 1];
    int callers[40], attached;
    struct rng rng;

    rng_init_seeded(&rng, 3);
    for (unsigned round = 0; round < 300; round++) {
        unsigned n = round % 40;

        if (round >= 40)
            close(callers[n]);
        callers[n] = memif_sock_call(path);
        for (unsigned k = 0; callers[n] >= 0 && k < 4; k++) {
            rng_fill(&rng, msg, sizeof(msg));
            msg[0] = (uint8_t)rng_below(&rng, 10);
            msg[1] = 0;
            if (msg[0] == MEMIF_MSG_INIT && k == 0) {
                memset(msg + 2, 0, sizeof(msg) - 2);
                msg[3] = 2;
            }
            if (memif_sock_send(callers[n], msg, rng_below(&rng, 2) ? 0 : -1) < 0)
                break;
            memif_of(server)->next_look_ns = 0;
            drain(server);
            pktio_refresh(server);
        }
        while (callers[n] >= 0 && memif_sock_recv(callers[n], in, &attached) > 0)
            if (attached >= 0)
                close(attached);
    }
    assert_false(memif_of(server)->is_up);
    for (unsigned i = 0; i < 40; i++)
        close(callers[i]);
    memif_of(server)->next_call_ns = 0;
    client = open_end(false, (struct memif_config){0});
    for (unsigned i = 0; i < 100 && !memif_of(client)->is_up; i++) {
        memif_of(server)->next_call_ns = memif_of(client)->next_call_ns = 0;
        usleep(1000);
        drain(server);
        drain(client);
    }
    join(server, client);
    pktio_close(client);
    pktio_close(server);
}

static void test_memif_one_socket_has_many_ids(void **state)
{
    struct pktio *server[3], *client[3];
    struct memif_listener *l;
    char err[256] = "";
    struct pktio_seg s;

    l = memif_listener_new(path, err);
    assert_non_null(l);
    assert_null(memif_listener_new(path, err));
    assert_non_null(strstr(err, "another server"));
    for (unsigned i = 0; i < 3; i++)
        server[i] = open_end(true, (struct memif_config){.listener = l, .id = i * 1000});
    assert_null(memif_open(&(struct memif_config){.socket = path, .listener = l, .id = 1000, .is_server = true}, err));
    assert_non_null(strstr(err, "1000"));
    for (unsigned i = 0; i < 3; i++) {
        client[i] = open_end(false, (struct memif_config){.id = i * 1000});
        join(server[i], client[i]);
        make(&s, client[i], server[i], 10, 0);
        assert_int_equal(pktio_send(client[i], &s, 1), 1);
        pktio_wait_fd(client[i], false);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(drain(server[i]), 1);
        pktio_close(client[i]);
        pktio_close(server[i]);
    }
    memif_listener_free(l);
    assert_int_equal(access(path, F_OK), -1);
}

/* A second client of an id is told to go; the first does not notice. */
static void test_memif_takes_one_client(void **state)
{
    struct pair p = open_pair((struct memif_config){0});
    struct pktio *other = open_end(false, (struct memif_config){0});

    for (unsigned i = 0; i < 10; i++) {
        memif_of(other)->next_call_ns = 0;
        pktio_refresh(other);
        pktio_refresh(p.server);
        pktio_refresh(p.client);
        assert_false(memif_of(other)->is_up);
        assert_true(memif_of(p.client)->is_up);
        assert_true(memif_of(p.server)->is_up);
    }
    pktio_close(other);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memif_carries_every_length_both_ways),
        cmocka_unit_test(test_memif_cuts_segments_into_packets),
        cmocka_unit_test(test_memif_full_ring_takes_no_more),
        cmocka_unit_test(test_memif_vlan_tags_and_strips),
        cmocka_unit_test(test_memif_wakes_a_sleeper),
        cmocka_unit_test(test_memif_bell_does_not_wait),
        cmocka_unit_test(test_memif_wakes_a_sleeper_whose_bell_is_full),
        cmocka_unit_test(test_memif_sleeps_on_half_a_frame),
        cmocka_unit_test(test_memif_takes_only_sealed_memory_and_eventfds),
        cmocka_unit_test(test_memif_takes_no_memory_that_shrinks),
        cmocka_unit_test(test_memif_lets_in_once_a_second),
        cmocka_unit_test(test_memif_frees_the_seat_of_who_never_completes),
        cmocka_unit_test(test_memif_frees_the_seat_of_who_never_reads),
        cmocka_unit_test(test_memif_leaves_other_files_alone),
        cmocka_unit_test(test_memif_lost_and_found),
        cmocka_unit_test(test_memif_outlives_a_killed_end),
        cmocka_unit_test(test_memif_survives_spoilt_rings),
        cmocka_unit_test(test_memif_who_breaks_a_rule_waits),
        cmocka_unit_test(test_memif_garbage_callers_do_no_harm),
        cmocka_unit_test(test_memif_one_socket_has_many_ids),
        cmocka_unit_test(test_memif_takes_one_client),
    };
    int rc;

    snprintf(dir, sizeof(dir), "/tmp/test_memif.XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof(path), "%s/m.sock", dir);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return rc;
}
