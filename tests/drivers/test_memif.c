/* Two memif ports in one process: everything that passes between two processes, but the scheduling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memif_carries_every_length_both_ways),
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
