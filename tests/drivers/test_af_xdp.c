/* An af_xdp port and an af_packet port on the ends of a veth, in a network namespace of this process's own. Needs root: exit 77 without. */
#include "testing.h"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drivers/af_packet.h"
#include "drivers/af_xdp.h"
#include "frames.h"

static const uint8_t ip_a[4] = {10, 9, 0, 1}, ip_b[4] = {10, 9, 0, 2};
static struct pktio *a, *x; /* a: af_packet on va; x: af_xdp on vb */
static uint8_t bytes[65536];

static void run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

static struct pktio *open_x(char err[256])
{
    struct af_xdp_config cx = {.iface = "vb", .ip4 = {10, 9, 0, 2}, .ip6 = {0xfd, 9, [15] = 2}, .listen_port = 7070, .dial_first = 20000, .dial_count = 16, .frames = 512};

    return af_xdp_open(&cx, err);
}

static int set_up(void **state)
{
    struct af_packet_config ca = {.iface = "va", .ip4 = {10, 9, 0, 1}, .listen_port = 7070, .small_slots = 1024, .big_slots = 30};
    char err[256] = "";

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    a = af_packet_open(&ca, err);
    x = a ? open_x(err) : NULL;
    if (!x)
        fprintf(stderr, "%s\n", err);
    return x ? 0 : -1;
}

static int tear_down(void **state)
{
    pktio_close(a);
    pktio_close(x);
    return 0;
}

static bool send_to_x(uint16_t port, uint32_t len, uint16_t gso)
{
    struct pktio_seg s;

    frame_make(&s, a->link.mac, x->link.mac, ip_a, ip_b, port, bytes, len, gso);
    return pktio_send(a, &s, 1) == 1;
}

/* Whole, as our stack makes it for a port that finishes nothing. */
static void frame_whole(struct pktio_seg *s, uint16_t port, uint32_t len)
{
    uint32_t sum;

    frame_make(s, x->link.mac, a->link.mac, ip_b, ip_a, port, bytes, len, 0);
    sum = sum16(sum16(0, s->head + 34, 20), bytes, len);
    put16(s->head + 50, ~sum & 0xffff);
    s->csum_start = 0;
}

static bool waits(struct pktio *io, int ms)
{
    struct pollfd p = {pktio_wait_fd(io, false), POLLIN, 0};

    return poll(&p, 1, ms) == 1;
}

/* Takes `count` frames within some seconds; their number, with the last in *last (len and check alone). */
static unsigned take(struct pktio *io, unsigned count, struct pktio_frame *last)
{
    time_t until = time(NULL) + 10;
    unsigned got = 0;

    while (got < count && time(NULL) < until) {
        struct pktio_frame f[16];
        unsigned n;

        if (!waits(io, 200))
            continue;
        n = pktio_recv(io, f, 16);
        if (n)
            *last = f[n - 1];
        got += n;
        pktio_recv_done(io);
    }
    return got;
}

static void test_af_xdp_facts(void **state)
{
    assert_int_equal(x->link.mtu, 1500);
    assert_true(x->link.is_up && x->link.is_shared && x->link.keep_max > 0);
    assert_false(x->link.has_tx_csum);
    assert_int_equal(x->link.gso_max_bytes, 0);
    assert_non_null(strstr(x->text, "af_xdp vb mtu 1500 native copy"));
}

static void test_af_xdp_receives_what_is_steered(void **state)
{
    static const uint16_t ports[] = {7070, 20000, 20015};
    struct pktio_frame f;

    for (unsigned i = 0; i < 3; i++) {
        assert_true(send_to_x(ports[i], 1000, 0));
        assert_int_equal(take(x, 1, &f), 1);
        assert_int_equal(f.len, FRAME_HEAD + 1000);
        assert_true(f.is_csum_ok); /* the sender left it to a device that is not there */
    }
    assert_true(send_to_x(7071, 1000, 0));
    assert_true(send_to_x(20016, 1000, 0));
    assert_true(send_to_x(19999, 1000, 0));
    assert_true(send_to_x(7070, 7, 0)); /* those before it went by */
    assert_int_equal(take(x, 1, &f), 1);
    assert_int_equal(f.len, FRAME_HEAD + 7);
}

/* An IPv6 packet to that address: TCP to port, or with another next header. */
static bool send6_to_x(uint8_t last, uint8_t next, uint16_t port, uint32_t len)
{
    struct pktio_seg s = {.head_len = 74, .npieces = 1, .pieces = {{bytes, len, NULL}}, .is_ip6 = true};
    uint8_t *ip = s.head + 14, *tcp = ip + 40;

    memcpy(s.head, x->link.mac, 6);
    memcpy(s.head + 6, a->link.mac, 6);
    put16(s.head + 12, 0x86dd);
    ip[0] = 0x60;
    put16(ip + 4, 20 + len);
    ip[6] = next;
    ip[7] = 64;
    memcpy(ip + 8, (uint8_t[16]){0xfd, 9, [15] = 1}, 16);
    memcpy(ip + 24, (uint8_t[16]){0xfd, 9, [15] = last}, 16);
    put16(tcp, 40000);
    put16(tcp + 2, port);
    tcp[12] = 0x50;
    return pktio_send(a, &s, 1) == 1;
}

static void test_af_xdp_receives_ipv6(void **state)
{
    struct pktio_frame f;

    assert_true(send6_to_x(2, 6, 7070, 900));
    assert_true(send6_to_x(2, 6, 20015, 900));
    assert_int_equal(take(x, 2, &f), 2);
    assert_int_equal(f.len, 74 + 900);
    assert_true(send6_to_x(3, 6, 7070, 900));  /* another address */
    assert_true(send6_to_x(2, 6, 7071, 900));  /* another port */
    assert_true(send6_to_x(2, 17, 7070, 900)); /* not TCP */
    assert_true(send6_to_x(2, 60, 7070, 900)); /* extension headers: the kernel's, which is silent */
    assert_true(send6_to_x(2, 6, 7070, 5));
    assert_int_equal(take(x, 1, &f), 1);
    assert_int_equal(f.len, 74 + 5);
}

static void test_af_xdp_gets_segments_as_packets(void **state)
{
    struct pktio_frame f;

    assert_true(send_to_x(7070, 10 * 1460, 1460));
    assert_int_equal(take(x, 10, &f), 10);
    assert_int_equal(f.len, FRAME_HEAD + 1460);
    assert_true(f.is_csum_ok);
}

static void test_af_xdp_sends(void **state)
{
    struct pktio_frame f;
    struct pktio_seg s;
    unsigned sent = 0, got = 0;

    for (unsigned round = 0; round < 100; round++) { /* more than there are frames */
        for (unsigned i = 0; i < 8; i++) {
            frame_whole(&s, 7070, 1 + (sent * 13) % 1460);
            sent += pktio_send(x, &s, 1);
        }
        pktio_wait_fd(x, false); /* a turn's end */
        got += take(a, sent - got, &f);
    }
    assert_int_equal(got, sent);
    assert_int_equal(sent, 800);
    assert_int_equal(f.len, FRAME_HEAD + 1 + (799 * 13) % 1460);
}

static void test_af_xdp_lets_frames_be_kept(void **state)
{
    struct buf *kept[512];
    unsigned n = 0, unkept = 0;
    struct pktio_frame f[16], last;

    while (unkept < 20) {
        unsigned got;

        assert_true(send_to_x(7070, 100 + n + unkept, 0));
        assert_true(waits(x, 5000));
        got = pktio_recv(x, f, 16);
        for (unsigned i = 0; i < got; i++)
            if (f[i].buf)
                kept[n++] = buf_ref(f[i].buf);
            else
                unkept++;
        pktio_recv_done(x);
        assert_true(n <= x->link.keep_max);
    }
    assert_true(n + 1 >= x->link.keep_max); /* those lent at the moment count too */
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(kept[i]->len, FRAME_HEAD + 100 + i);
        assert_memory_equal(kept[i]->data + FRAME_HEAD, bytes, 100 + i);
        buf_unref(kept[i]);
    }
    for (unsigned i = 0; i < 1000; i++) { /* all of them came back */
        assert_true(send_to_x(7070, 64, 0));
        assert_int_equal(take(x, 1, &last), 1);
    }
}

/* The question stays the kernel's to answer; the port hears it beside. */
static void test_af_xdp_hears_arp_beside_the_kernel(void **state)
{
    struct pktio_seg s = {.head_len = 42};
    struct pktio_frame f[4];
    uint8_t *arp = s.head + 14;

    memset(s.head, 0xff, 6);
    memcpy(s.head + 6, a->link.mac, 6);
    put16(s.head + 12, 0x0806);
    put16(arp, 1);
    put16(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    put16(arp + 6, 1);
    memcpy(arp + 8, a->link.mac, 6);
    memcpy(arp + 14, ip_a, 4);
    memcpy(arp + 24, ip_b, 4);
    assert_int_equal(pktio_send(a, &s, 1), 1);
    assert_true(waits(x, 5000));
    assert_int_equal(pktio_recv(x, f, 4), 1);
    assert_memory_equal(f[0].data, s.head, 42);
    pktio_recv_done(x);
}

/* The facts follow the interface; what its frames cannot hold they do not promise. */
static void test_af_xdp_follows_mac_and_mtu(void **state)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0x99, 0xb};
    uint8_t old[6];

    memcpy(old, x->link.mac, 6);
    run("ip link set vb address 02:00:00:00:99:0b && ip link set vb mtu 1300");
    pktio_refresh(x);
    assert_memory_equal(x->link.mac, mac, 6);
    assert_int_equal(x->link.mtu, 1300);
    run("ip link set vb mtu 3000");
    pktio_refresh(x);
    assert_int_equal(x->link.mtu, 2048 - 256 - 14);
    run("ip link set vb mtu 1500");
    pktio_refresh(x);
    assert_int_equal(x->link.mtu, 1500);
}

static void test_af_xdp_link_goes_and_comes(void **state)
{
    struct pktio_frame f;

    run("ip link set vb down");
    pktio_refresh(x);
    assert_false(x->link.is_up);
    assert_false(waits(x, 20)); /* or we would spin */
    run("ip link set vb up");
    for (unsigned i = 0; i < 500 && !x->link.is_up; i++) {
        usleep(10000);
        pktio_refresh(x);
    }
    assert_true(x->link.is_up);
    assert_true(send_to_x(7070, 77, 0));
    assert_int_equal(take(x, 1, &f), 1);
    assert_int_equal(f.len, FRAME_HEAD + 77);
}

/* More than the rings hold while nobody takes them: counted, and what comes after is there. */
static void test_af_xdp_counts_what_a_full_ring_drops(void **state)
{
    struct pktio_counters c = {0};
    struct pktio_frame f;
    unsigned sent, got = 0;

    for (sent = 0; sent < 2000; sent++)
        assert_true(send_to_x(7070, 200, 0));
    for (unsigned i = 0; i < 4000 && waits(x, got + c.rx_dropped < sent ? 500 : 0); i++) {
        got += take(x, 1, &f);
        pktio_counters_get(x, &c);
    }
    assert_true(got < sent && c.rx_dropped > 0);
    assert_true(send_to_x(7070, 78, 0));
    assert_int_equal(take(x, 1, &f), 1);
    assert_int_equal(f.len, FRAME_HEAD + 78);
}

static void wire(unsigned queues)
{
    char command[400];

    snprintf(command, sizeof(command), "ip link del va 2>/dev/null; ip link add va numtxqueues %u numrxqueues %u type veth peer name vb numtxqueues %u numrxqueues %u "
             "&& ip addr add 10.9.0.1/24 dev va && ip addr add 10.9.0.2/24 dev vb && ip link set va up && ip link set vb up", queues, queues, queues, queues);
    run(command);
}

static bool refreshed_up(struct pktio *io)
{
    for (unsigned i = 0; i < 500; i++) {
        pktio_refresh(io);
        if (io->link.is_up)
            return true;
        usleep(10000);
    }
    return false;
}

/* From so many source ports: the sender's end spreads them over the queues, and all come. */
static void check_flows_come(unsigned flows)
{
    struct pktio_frame f;
    struct pktio_seg s;

    for (unsigned i = 0; i < flows; i++) {
        frame_make(&s, a->link.mac, x->link.mac, ip_a, ip_b, 7070, bytes, 300, 0);
        put16(s.head + 34, 30000 + i);
        assert_int_equal(pktio_send(a, &s, 1), 1);
    }
    pktio_wait_fd(a, false);
    assert_int_equal(take(x, flows, &f), flows);
    assert_int_equal(f.len, FRAME_HEAD + 300);
}

static void test_af_xdp_serves_all_queues_of_an_interface(void **state)
{
    char err[256] = "";

    tear_down(state);
    wire(4);
    assert_int_equal(set_up(state), 0);
    assert_non_null(strstr(x->text, " 4 queues"));
    check_flows_come(64);
    pktio_close(x);
    wire(17);
    x = open_x(err);
    assert_null(x);
    assert_non_null(strstr(err, "17 receive queues, this driver serves 16"));
    pktio_close(a);
    wire(1);
    assert_int_equal(set_up(state), 0);
}

/* With the rights or without: what program and sockets need was made at the opening. */
static void test_af_xdp_survives_a_new_interface(void **state)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2], none[2];
    struct pktio_counters c;

    assert_int_equal(syscall(SYS_capget, &head, all), 0);
    memcpy(none, all, sizeof(none));
    none[0].effective = none[1].effective = 0; /* of this thread; what it runs is root all the same */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(syscall(SYS_capset, &head, i == 0 ? all : none), 0);
        run("ip link del va");
        pktio_refresh(a);
        pktio_refresh(x);
        assert_false(x->link.is_up);
        assert_false(waits(x, 0)); /* nothing wakes us while it is gone */
        wire(i == 2 ? 4 : 1); /* it may even be another one */
        assert_true(refreshed_up(a));
        assert_true(refreshed_up(x));
        check_flows_come(16);
        pktio_counters_get(x, &c);
        assert_int_equal(c.lost, i + 1);
        assert_int_equal(c.found, i + 1);
        assert_int_equal(c.unopened, 0);
    }
    wire(17); /* which cannot be served: said, and seldom tried */
    for (unsigned i = 0; i < 20; i++)
        pktio_refresh(x);
    pktio_counters_get(x, &c);
    assert_false(x->link.is_up);
    assert_true(c.unopened >= 1 && c.unopened <= 6);
    run("ip link del va");
    pktio_refresh(x);
    wire(1);
    assert_true(refreshed_up(x) && refreshed_up(a));
    check_flows_come(16);
    assert_int_equal(syscall(SYS_capset, &head, all), 0);
}

/* Killed without a chance to close: the program leaves with the descriptors, and another node can take its place. */
static void test_af_xdp_leaves_nothing_on_the_interface(void **state)
{
    char err[256] = "";
    int status;
    pid_t pid;

    assert_null(open_x(err)); /* one program an interface */
    assert_non_null(strstr(err, "vb"));
    pktio_close(x);
    pid = fork();
    if (pid == 0) {
        if (!open_x(err))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    run("! ip link show vb | grep -q xdp");
    x = open_x(err);
    assert_non_null(x);
    run("ip link show vb | grep -q xdp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_af_xdp_facts),
        cmocka_unit_test(test_af_xdp_receives_what_is_steered),
        cmocka_unit_test(test_af_xdp_receives_ipv6),
        cmocka_unit_test(test_af_xdp_gets_segments_as_packets),
        cmocka_unit_test(test_af_xdp_sends),
        cmocka_unit_test(test_af_xdp_lets_frames_be_kept),
        cmocka_unit_test(test_af_xdp_hears_arp_beside_the_kernel),
        cmocka_unit_test(test_af_xdp_follows_mac_and_mtu),
        cmocka_unit_test(test_af_xdp_link_goes_and_comes),
        cmocka_unit_test(test_af_xdp_counts_what_a_full_ring_drops),
        cmocka_unit_test(test_af_xdp_serves_all_queues_of_an_interface),
        cmocka_unit_test(test_af_xdp_survives_a_new_interface),
        cmocka_unit_test(test_af_xdp_leaves_nothing_on_the_interface),
    };

    if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
        return 77;
    run("mount --make-rprivate / && mount -t sysfs sysfs /sys"); /* of this network namespace */
    run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null; true");
    run("ip link add va numrxqueues 1 type veth peer name vb numrxqueues 1 && ip addr add 10.9.0.1/24 dev va && ip addr add 10.9.0.2/24 dev vb "
        "&& ip link set va up && ip link set vb up");
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
