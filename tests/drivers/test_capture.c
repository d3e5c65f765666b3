#include "testing.h"

#include <sys/stat.h>
#include <unistd.h>

#include "drivers/capture.h"
#include "drivers/mempair.h"
#include "frames.h"

#define FILE_MAX (8u << 20)

static char path[64];
static uint8_t bytes[65000];

/* ---- reading the file back, by the format's draft alone ---- */

struct packet {
    uint32_t interface, kept, len, flags;
    uint64_t ns;
    const uint8_t *bytes;
};

struct file {
    uint8_t *bytes;
    size_t len, at;
    unsigned ninterfaces, nsections;
    uint32_t snap;
    uint64_t seen, dropped;
};

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static void file_read(struct file *f)
{
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    *f = (struct file){.bytes = malloc(FILE_MAX)};
    assert_non_null(f->bytes);
    f->len = fread(f->bytes, 1, FILE_MAX, in);
    fclose(in);
}

/* The value of an option in [p, end), NULL: it is not there. */
static const uint8_t *option(const uint8_t *p, const uint8_t *end, unsigned code)
{
    while (end - p >= 4) {
        uint16_t c, len;

        memcpy(&c, p, 2);
        memcpy(&len, p + 2, 2);
        if (c == code)
            return p + 4;
        if (c == 0)
            break;
        p += 4 + ((len + 3u) & ~3u);
    }
    return NULL;
}

static void read_counts(struct file *f, const uint8_t *p, const uint8_t *end)
{
    uint64_t n[2];

    assert_non_null(option(p + 20, end, 4));
    memcpy(&n[0], option(p + 20, end, 4), 8);
    memcpy(&n[1], option(p + 20, end, 5), 8);
    f->seen += n[0];
    f->dropped += n[1];
}

/* The next packet; false at the end. Every block's frame is checked on the way. */
static bool next_packet(struct file *f, struct packet *out)
{
    while (f->at < f->len) {
        const uint8_t *p = f->bytes + f->at, *end;
        uint32_t type = u32(p), total = u32(p + 4);

        assert_true(total >= 12 && total % 4 == 0 && f->at + total <= f->len);
        assert_int_equal(u32(p + total - 4), total);
        end = p + total - 4;
        f->at += total;
        if (type == 0x0a0d0d0a) {
            assert_int_equal(u32(p + 8), 0x1a2b3c4d);
            f->nsections++;
        } else if (type == 1) {
            assert_int_equal(p[8], 1); /* Ethernet */
            f->snap = u32(p + 12);
            assert_int_equal(*option(p + 16, end, 9), 9); /* ns */
            f->ninterfaces++;
        } else if (type == 5) {
            read_counts(f, p, end);
        } else {
            assert_int_equal(type, 6);
            *out = (struct packet){.interface = u32(p + 8),
                                   .ns = (uint64_t)u32(p + 12) << 32 | u32(p + 16),
                                   .kept = u32(p + 20),
                                   .len = u32(p + 24),
                                   .bytes = p + 28};
            out->flags = u32(option(p + 28 + ((out->kept + 3) & ~3u), end, 2));
            return true;
        }
    }
    return false;
}

/* ---- two ports on a cable, the first with a capture in front ---- */

struct fixture {
    struct mempair *cable;
    struct capture *capture;
    struct pktio *a, *b;
};

static void set_up(struct fixture *x, const struct capture_config *cfg)
{
    char err[256] = "";

    x->cable = mempair_new(&(struct mempair_config){.gso_max_bytes = 65535, .has_csum = true});
    assert_non_null(x->cable);
    x->capture = capture_open(cfg, err);
    assert_non_null(x->capture);
    x->a = capture_port(x->capture, mempair_port(x->cable, 0), err);
    assert_non_null(x->a);
    x->b = mempair_port(x->cable, 1);
    assert_memory_equal(&x->a->link, &mempair_port(x->cable, 0)->link, sizeof(x->a->link));
}

static void tear_down(struct fixture *x)
{
    pktio_close(x->a);
    pktio_close(x->b);
    capture_close(x->capture);
    mempair_free(x->cable);
}

static void send_one(struct pktio *from, struct pktio *to, uint32_t len)
{
    static const uint8_t ip_a[4] = {10, 0, 0, 1}, ip_b[4] = {10, 0, 0, 2};
    struct pktio_seg s;

    frame_make(&s, from->link.mac, to->link.mac, ip_a, ip_b, 7070, bytes, len, len > 1460 ? 1460 : 0);
    assert_int_equal(pktio_send(from, &s, 1), 1);
}

static unsigned drain(struct pktio *io)
{
    struct pktio_frame f[PKTIO_BURST];
    unsigned n, all = 0;

    while ((n = pktio_recv(io, f, PKTIO_BURST)) > 0) {
        all += n;
        pktio_recv_done(io);
    }
    pktio_recv_done(io);
    return all;
}

static void test_capture_keeps_both_ways_and_big_segments_whole(void **state)
{
    const struct capture_config cfg = {.path = path};
    struct fixture x;
    struct file f;
    struct packet p;
    struct stat st;
    struct pktio_counters c;

    set_up(&x, &cfg);
    send_one(x.a, x.b, 64000);
    send_one(x.a, x.b, 10);
    send_one(x.b, x.a, 1460);
    assert_int_equal(drain(x.b), 2);
    assert_int_equal(drain(x.a), 1);
    pktio_counters_get(x.a, &c);
    assert_int_equal(c.captured, 3);
    assert_int_equal(c.capture_dropped, 0);
    tear_down(&x);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    file_read(&f);
    assert_true(next_packet(&f, &p));
    assert_int_equal(p.len, FRAME_HEAD + 64000);
    assert_int_equal(p.kept, p.len);
    assert_int_equal(p.flags & 3, 2); /* sent */
    assert_memory_equal(p.bytes + FRAME_HEAD, bytes, 64000);
    assert_true(p.ns > 1700000000000000000ull);
    uint64_t before = p.ns;
    assert_true(next_packet(&f, &p));
    assert_int_equal(p.kept, FRAME_HEAD + 10);
    assert_true(p.ns >= before);
    assert_true(next_packet(&f, &p));
    assert_int_equal(p.kept, FRAME_HEAD + 1460);
    assert_int_equal(p.flags & 3, 1); /* received */
    assert_false(next_packet(&f, &p));
    assert_int_equal(f.nsections, 1);
    assert_int_equal(f.ninterfaces, 1);
    assert_int_equal(f.snap, CAPTURE_SNAP_DEFAULT);
    assert_int_equal(f.seen, 3);
    assert_int_equal(f.dropped, 0);
    free(f.bytes);
}

static void test_capture_cuts_to_the_snap_length(void **state)
{
    const struct capture_config cfg = {.path = path, .snap_bytes = 100};
    struct fixture x;
    struct file f;
    struct packet p;

    set_up(&x, &cfg);
    for (uint32_t len = 0; len < 200; len++) {
        send_one(x.a, x.b, len);
        send_one(x.b, x.a, len);
        assert_int_equal(drain(x.a), 1);
    }
    tear_down(&x);
    file_read(&f);
    for (uint32_t len = 0; len < 200; len++) {
        for (unsigned way = 0; way < 2; way++) {
            uint32_t whole = FRAME_HEAD + len;

            assert_true(next_packet(&f, &p));
            assert_int_equal(p.len, whole);
            assert_int_equal(p.kept, whole < 100 ? whole : 100);
            assert_memory_equal(p.bytes + FRAME_HEAD, bytes, p.kept - FRAME_HEAD);
        }
    }
    assert_false(next_packet(&f, &p));
    free(f.bytes);
}

/* The ring goes round many times, with records of all lengths at its end; none is lost while the thread keeps up. */
static void test_capture_ring_wraps(void **state)
{
    const struct capture_config cfg = {.path = path, .ring_bytes = 4096};
    struct fixture x;
    struct file f;
    struct packet p;
    struct pktio_counters c;
    unsigned kept = 0;

    set_up(&x, &cfg);
    for (uint32_t i = 0; i < 400; i++) {
        send_one(x.a, x.b, i % 97);
        drain(x.b);
        if (i % 16 == 15)
            usleep(1000); /* not needed: what is dropped is counted */
    }
    pktio_counters_get(x.a, &c);
    tear_down(&x);
    file_read(&f);
    for (; next_packet(&f, &p); kept++)
        assert_memory_equal(p.bytes + FRAME_HEAD, bytes, p.kept - FRAME_HEAD);
    assert_int_equal(kept + c.capture_dropped, 400);
    assert_int_equal(f.dropped, c.capture_dropped);
    assert_true(kept > 30);
    free(f.bytes);
}

static void test_capture_full_ring_counts_and_never_waits(void **state)
{
    const struct capture_config cfg = {.path = path, .ring_bytes = 4096};
    struct fixture x;
    struct file f;
    struct packet p;
    struct pktio_counters c;
    unsigned kept = 0;

    set_up(&x, &cfg);
    for (unsigned i = 0; i < 300; i++)
        send_one(x.a, x.b, 5000); /* larger than the ring */
    send_one(x.a, x.b, 1);
    assert_int_equal(drain(x.b), 301);
    pktio_counters_get(x.a, &c);
    assert_int_equal(c.captured, 301);
    assert_int_equal(c.capture_dropped, 300);
    tear_down(&x);
    file_read(&f);
    while (next_packet(&f, &p))
        kept++;
    assert_int_equal(kept, 1);
    assert_int_equal(f.seen, 301);
    assert_int_equal(f.dropped, 300);
    free(f.bytes);
}

static void test_capture_full_disk_leaves_the_port_alone(void **state)
{
    const struct capture_config cfg = {.path = "/dev/full"};
    struct fixture x;

    set_up(&x, &cfg);
    for (unsigned i = 0; i < 100; i++) {
        send_one(x.a, x.b, 60000);
        send_one(x.b, x.a, 100);
        assert_int_equal(drain(x.a), 1);
    }
    assert_int_equal(drain(x.b), 100);
    tear_down(&x);
}

static void test_capture_names_what_fails(void **state)
{
    char err[256] = "";

    assert_null(capture_open(&(struct capture_config){.path = "/nosuch/folder/x.pcap"}, err));
    assert_non_null(strstr(err, "/nosuch/folder/x.pcap"));
    assert_null(capture_open(&(struct capture_config){.path = path, .ring_bytes = 5000}, err));
}

static void test_capture_tcpdump_reads_it(void **state)
{
    const struct capture_config cfg = {.path = path};
    struct fixture x;
    char command[256], line[512] = "";
    unsigned n = 0;
    FILE *out;

    if (system("tcpdump --version >/dev/null 2>&1") != 0)
        skip();
    set_up(&x, &cfg);
    send_one(x.a, x.b, 64000);
    send_one(x.b, x.a, 100);
    drain(x.a);
    tear_down(&x);
    snprintf(command, sizeof(command), "tcpdump -ttnr %s 2>&1 | grep 'IP 10.0.0.1'", path);
    out = popen(command, "r");
    assert_non_null(out);
    while (fgets(line, sizeof(line), out)) {
        assert_non_null(strstr(line, n ? "length 100" : "length 64000"));
        n++;
    }
    pclose(out);
    assert_int_equal(n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capture_keeps_both_ways_and_big_segments_whole),
        cmocka_unit_test(test_capture_cuts_to_the_snap_length),
        cmocka_unit_test(test_capture_ring_wraps),
        cmocka_unit_test(test_capture_full_ring_counts_and_never_waits),
        cmocka_unit_test(test_capture_full_disk_leaves_the_port_alone),
        cmocka_unit_test(test_capture_names_what_fails),
        cmocka_unit_test(test_capture_tcpdump_reads_it),
    };
    int fd, rc;

    snprintf(path, sizeof(path), "/tmp/codecast-capture-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
