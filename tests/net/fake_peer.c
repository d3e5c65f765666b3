#include "fake_peer.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const accepts[] = {"/meshsub/1.2.0", "/meshsub/1.1.0"};

static void on_event(struct fake_peer *p, const struct session_event *ev)
{
    switch (ev->type) {
    case SESSION_UP: p->is_up = true; break;
    case SESSION_STREAM_OPENED:
        p->opened++;
        p->their_stream = ev->stream;
        break;
    case SESSION_STREAM_READY: p->ready++; break;
    case SESSION_STREAM_REFUSED: p->refused++; break;
    case SESSION_STREAM_DATA:
        if (ev->stream == p->their_stream)
            p->bytes_on_theirs += ev->data.len;
        else
            p->bytes_on_ours += ev->data.len;
        break;
    case SESSION_STREAM_EOF: p->ends_of_ours += ev->stream != p->their_stream; break;
    case SESSION_STREAM_RESET: p->resets_of_ours += ev->stream != p->their_stream; break;
    case SESSION_CLOSED: p->is_closed = true; break;
    default: break;
    }
}

static void drain(struct fake_peer *p)
{
    struct session_event ev;

    while (session_next_event(p->session, &ev))
        on_event(p, &ev);
}

static void receive(struct fake_peer *p)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    struct slice in = slice_of(bytes, n > 0 ? (size_t)n : 0);

    if (n == 0)
        p->is_closed = true;
    while (in.len > 0) {
        int err = session_input(p->session, &in, p->world->now);

        drain(p);
        if (err < 0) {
            p->is_closed = true;
            return;
        }
    }
}

void fake_peer_step(struct fake_peer *p)
{
    static uint8_t out[SESSION_OUTPUT_MIN * 2];

    world_step(p->world);
    if (p->is_closed)
        return;
    if (!p->is_deaf)
        receive(p);
    if (p->world->now >= session_next_deadline(p->session))
        session_on_deadline(p->session, p->world->now);
    drain(p);
    while (session_has_output(p->session)) {
        size_t n = session_output(p->session, out, sizeof(out), p->world->now);

        for (size_t off = 0; off < n;) {
            ssize_t k = send(p->fd, out + off, n - off, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (k > 0) {
                off += (size_t)k;
            } else if (errno == EAGAIN) {
                world_step(p->world);
            } else {
                p->is_closed = true;
                return;
            }
        }
    }
    drain(p);
}

void fake_peer_dial(struct fake_peer *p, struct world *w)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    struct multiaddr_target t;
    uint8_t seed[32] = {200};
    struct session_config cfg = {.is_dialer = true,
                                 .accepts = accepts,
                                 .naccepts = 2,
                                 .limits = {.keepalive_ns = 3600000000000ull}};

    memset(p, 0, sizeof(*p));
    p->world = w;
    rng_init_system(&p->rng);
    key_pair_from_seed(&p->key, seed);
    noise_identity_init(&p->noise, &p->key, &p->rng);
    p->local = (struct session_local){.version = 1, .agent = "fake", .protocols = accepts, .nprotocols = 2};
    cfg.identity = &p->noise;
    cfg.local = &p->local;
    cfg.rng = &p->rng;
    p->session = session_new(&cfg, w->now);
    assert_int_equal(multiaddr_target(multiaddr_slice(&w->nodes[0].addr), &t), 0);
    memcpy(&sa.sin_addr, t.ip, 4);
    sa.sin_port = htons(t.port);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    FAKE_PEER_WAIT(p, p->is_up && w->nodes[0].nconns == 1);
}

void fake_peer_fini(struct fake_peer *p)
{
    close(p->fd);
    session_free(p->session);
    noise_identity_fini(&p->noise);
    key_pair_fini(&p->key);
}

uint32_t fake_peer_open(struct fake_peer *p)
{
    unsigned ready = p->ready;
    int64_t s = session_open_stream(p->session, accepts, 2, NULL, p->world->now);

    assert_true(s > 0);
    FAKE_PEER_WAIT(p, p->ready == ready + 1);
    return (uint32_t)s;
}

void fake_peer_write(struct fake_peer *p, uint32_t stream, const void *bytes, size_t len)
{
    struct buf *b = buf_copy(slice_of(bytes, len));

    assert_int_equal(session_stream_send(p->session, stream, b, 0, (uint32_t)len), 0);
}
