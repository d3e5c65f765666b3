/* capture.c: ports with a file that hears them (capture.h) */
#include "drivers/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "drivers/pcapng.h"

#define RING_DEFAULT (8u << 20)
#define RING_MIN     4096u
#define FILE_BUFFER  (256u << 10)
#define NAP_NS       5000000 /* between two looks at empty rings */

/* In the ring: this, then the bytes, then padding to 8. kept_bytes SKIP: the rest up to the ring's end is empty. */
struct record {
    struct pcapng_packet packet;
};
#define SKIP UINT32_MAX

struct tap {
    struct pktio io;
    struct pktio *behind;
    struct capture *capture;
    uint8_t *ring;
    uint32_t size, snap;
    /* The lcore's. */
    uint64_t head, room_to; /* bytes ever written; up to where there was room when last looked */
    uint64_t seen, dropped; /* read by the thread */
    /* Between the two. */
    uint64_t written; /* by the lcore: head as the thread may see it */
    uint64_t emptied; /* by the thread */
};

struct capture {
    FILE *file;
    char *buffer;
    char path[256];
    uint32_t snap, ring_bytes;
    pthread_t thread;
    bool has_thread, has_failed; /* has_failed: the thread's */
    uint64_t lost;               /* in rings when the file had failed; the thread's */
    int stop;
    unsigned ntaps; /* published after the tap */
    struct tap *taps[CAPTURE_PORTS_MAX];
};

static uint64_t wall_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the lcore's side of a ring ---- */

static uint32_t record_bytes(uint32_t kept)
{
    return (uint32_t)sizeof(struct record) + ((kept + 7) & ~7u);
}

static bool has_room(struct tap *t, uint64_t bytes)
{
    if (t->head + bytes <= t->room_to)
        return true;
    t->room_to = __atomic_load_n(&t->emptied, __ATOMIC_ACQUIRE) + t->size;
    return t->head + bytes <= t->room_to;
}

static void count(uint64_t *n)
{
    __atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

/* Room for one record in one run, NULL: there is none, which is counted. Its bytes follow it. */
static struct record *reserve(struct tap *t, uint32_t len, uint64_t ns, bool is_sent)
{
    uint32_t kept = len < t->snap ? len : t->snap, need = record_bytes(kept);
    uint32_t at = (uint32_t)t->head & (t->size - 1), to_end = t->size - at;
    uint32_t skipped = need > to_end ? to_end : 0;

    count(&t->seen);
    if (!has_room(t, (uint64_t)need + skipped)) {
        count(&t->dropped);
        return NULL;
    }
    if (skipped) {
        /* to_end is a multiple of 8 and may be too short for a whole record: the thread knows that */
        if (skipped >= sizeof(struct record))
            ((struct record *)(void *)(t->ring + at))->packet.kept_bytes = SKIP;
        t->head += skipped;
        at = 0;
    }
    struct record *r = (struct record *)(void *)(t->ring + at);
    r->packet = (struct pcapng_packet){ns, len, kept, is_sent};
    t->head += need;
    return r;
}

static void publish(struct tap *t)
{
    __atomic_store_n(&t->written, t->head, __ATOMIC_RELEASE);
}

/* ---- the port in front ---- */

static struct tap *self(struct pktio *io)
{
    return CONTAINER_OF(io, struct tap, io);
}

static uint32_t copy_part(uint8_t *to, uint32_t at, uint32_t cap, const uint8_t *p, uint32_t len)
{
    if (len > cap - at)
        len = cap - at;
    if (len > 0)
        memcpy(to + at, p, len);
    return at + len;
}

static void record_frame(struct tap *t, const struct pktio_frame *f, uint64_t ns)
{
    struct record *r = reserve(t, f->len + f->rest_len, ns, false);
    uint8_t *to = (uint8_t *)(r + 1);

    if (r)
        copy_part(to, copy_part(to, 0, r->packet.kept_bytes, f->data, f->len), r->packet.kept_bytes, f->rest, f->rest_len);
}

static unsigned tap_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct tap *t = self(io);
    unsigned n = pktio_recv(t->behind, frames, cap);
    uint64_t ns = n ? wall_ns() : 0;

    for (unsigned i = 0; i < n; i++)
        record_frame(t, &frames[i], ns);
    if (n)
        publish(t);
    return n;
}

static void tap_recv_done(struct pktio *io)
{
    pktio_recv_done(self(io)->behind);
}

static void record_segment(struct tap *t, const struct pktio_seg *seg, uint64_t ns)
{
    uint32_t len = seg->head_len, at;
    struct record *r;

    for (unsigned i = 0; i < seg->npieces; i++)
        len += seg->pieces[i].len;
    r = reserve(t, len, ns, true);
    if (!r)
        return;
    at = copy_part((uint8_t *)(r + 1), 0, r->packet.kept_bytes, seg->head, seg->head_len);
    for (unsigned i = 0; i < seg->npieces; i++)
        at = copy_part((uint8_t *)(r + 1), at, r->packet.kept_bytes, seg->pieces[i].data, seg->pieces[i].len);
}

static unsigned tap_send(struct pktio *io, const struct pktio_seg *segs, unsigned nsegs)
{
    struct tap *t = self(io);
    uint64_t ns = wall_ns();
    unsigned n = pktio_send(t->behind, segs, nsegs);

    for (unsigned i = 0; i < n; i++)
        record_segment(t, &segs[i], ns);
    if (n)
        publish(t);
    return n;
}

static int tap_wait_fd(struct pktio *io, bool wants_tx)
{
    return pktio_wait_fd(self(io)->behind, wants_tx);
}

static void tap_refresh(struct pktio *io)
{
    struct tap *t = self(io);

    pktio_refresh(t->behind);
    t->io.link = t->behind->link;
}

static void tap_counters(struct pktio *io, struct pktio_counters *out)
{
    struct tap *t = self(io);

    pktio_counters_get(t->behind, out);
    out->captured = t->seen;
    out->capture_dropped = t->dropped;
}

/* What is in the ring is still to be written: the tap itself lives as long as the capture. */
static void tap_close(struct pktio *io)
{
    struct tap *t = self(io);

    pktio_close(t->behind);
    t->behind = NULL;
}

static unsigned tap_flow_queue(const struct pktio *io, const struct pktio_flow *flow)
{
    return pktio_flow_queue(CONTAINER_OF((struct pktio *)(uintptr_t)io, struct tap, io)->behind, flow);
}

static const struct pktio_ops tap_ops = {tap_recv,    tap_recv_done, tap_send,  tap_wait_fd,
                                         tap_refresh, tap_counters,  tap_close, tap_flow_queue, NULL};

static void tap_free(struct tap *t)
{
    if (t)
        free(t->ring);
    free(t);
}

struct pktio *capture_port(struct capture *c, struct pktio *behind, char err[256])
{
    struct tap *t = calloc(1, sizeof(*t));

    if (t)
        t->ring = malloc(c->ring_bytes);
    if (!t || !t->ring || c->ntaps == CAPTURE_PORTS_MAX) {
        snprintf(err, 256, "capture: no memory for %.80s", behind->text);
        tap_free(t);
        return NULL;
    }
    t->io.ops = &tap_ops;
    t->io.link = behind->link;
    memcpy(t->io.text, behind->text, sizeof(t->io.text));
    t->behind = behind;
    t->capture = c;
    t->size = c->ring_bytes;
    t->snap = c->snap;
    t->room_to = t->size;
    c->taps[c->ntaps] = t;
    __atomic_store_n(&c->ntaps, c->ntaps + 1, __ATOMIC_RELEASE);
    return &t->io;
}

/* ---- the thread ---- */

static void check_file(struct capture *c)
{
    if (c->has_failed || !ferror(c->file))
        return;
    c->has_failed = true;
    log_error("\"the capture ends: its file takes no more\" file=\"%s\" reason=\"%s\"", c->path, strerror(errno));
}

static bool empty(struct capture *c, unsigned i)
{
    struct tap *t = c->taps[i];
    uint64_t to = __atomic_load_n(&t->written, __ATOMIC_ACQUIRE), at = t->emptied;

    if (at == to)
        return false;
    while (at < to) {
        uint32_t off = (uint32_t)at & (t->size - 1), to_end = t->size - off;
        const struct record *r = (const struct record *)(const void *)(t->ring + off);

        if (to_end < sizeof(*r) || r->packet.kept_bytes == SKIP) {
            at += to_end;
        } else {
            if (!c->has_failed)
                pcapng_write_packet(c->file, i, &r->packet, (const uint8_t *)(r + 1));
            c->lost += c->has_failed;
            at += record_bytes(r->packet.kept_bytes);
        }
        __atomic_store_n(&t->emptied, at, __ATOMIC_RELEASE);
    }
    check_file(c);
    return true;
}

/* Names of new ports, then their packets. Returns whether there was anything to do. */
static bool write_all(struct capture *c, unsigned *nnamed)
{
    unsigned n = __atomic_load_n(&c->ntaps, __ATOMIC_ACQUIRE);
    bool did = false;

    for (; *nnamed < n; (*nnamed)++)
        pcapng_write_interface(c->file, c->taps[*nnamed]->io.text, c->snap);
    for (unsigned i = 0; i < n; i++)
        did |= empty(c, i);
    return did;
}

static void *run(void *arg)
{
    const struct timespec nap = {0, NAP_NS};
    struct capture *c = arg;
    unsigned nnamed = 0;
    bool is_flushed = false;

    for (;;) {
        bool is_last = __atomic_load_n(&c->stop, __ATOMIC_ACQUIRE);

        if (write_all(c, &nnamed)) {
            is_flushed = false;
            continue;
        }
        if (!is_flushed) { /* for those who read along */
            fflush(c->file);
            check_file(c);
            is_flushed = true;
        }
        if (is_last)
            return NULL;
        nanosleep(&nap, NULL);
    }
}

/* ---- opening and closing ---- */

static int open_file(struct capture *c)
{
    int fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return -1;
    c->file = fdopen(fd, "w");
    if (!c->file) {
        close(fd);
        return -1;
    }
    c->buffer = malloc(FILE_BUFFER);
    if (c->buffer)
        setvbuf(c->file, c->buffer, _IOFBF, FILE_BUFFER);
    return 0;
}

struct capture *capture_open(const struct capture_config *cfg, char err[256])
{
    struct capture *c = calloc(1, sizeof(*c));

    if (!c) {
        snprintf(err, 256, "capture: no memory");
        return NULL;
    }
    snprintf(c->path, sizeof(c->path), "%s", cfg->path);
    c->snap = cfg->snap_bytes ? cfg->snap_bytes : CAPTURE_SNAP_DEFAULT;
    c->ring_bytes = cfg->ring_bytes ? cfg->ring_bytes : RING_DEFAULT;
    if (c->ring_bytes < RING_MIN || (c->ring_bytes & (c->ring_bytes - 1)) || strlen(cfg->path) >= sizeof(c->path))
        errno = EINVAL;
    else if (open_file(c) == 0) {
        pcapng_write_head(c->file, "codecast " CODECAST_VERSION);
        errno = pthread_create(&c->thread, NULL, run, c);
        c->has_thread = errno == 0;
    }
    if (c->has_thread)
        return c;
    snprintf(err, 256, "capture to %.150s: %s", cfg->path, strerror(errno));
    capture_close(c);
    return NULL;
}

/* Whoever captures wants to know whether it is all there. */
static void finish(struct capture *c)
{
    uint64_t seen = 0, dropped = c->lost, ns = wall_ns();

    for (unsigned i = 0; i < c->ntaps; i++) {
        pcapng_write_counts(c->file, i, ns, c->taps[i]->seen, c->taps[i]->dropped);
        seen += c->taps[i]->seen;
        dropped += c->taps[i]->dropped;
    }
    fflush(c->file);
    check_file(c);
    log_info("\"capture closed\" file=\"%s\" packets=%lu dropped=%lu", c->path, (unsigned long)seen, (unsigned long)dropped);
}

void capture_close(struct capture *c)
{
    if (!c)
        return;
    if (c->has_thread) {
        __atomic_store_n(&c->stop, 1, __ATOMIC_RELEASE);
        pthread_join(c->thread, NULL);
        finish(c);
    }
    if (c->file)
        fclose(c->file);
    for (unsigned i = 0; i < c->ntaps; i++)
        tap_free(c->taps[i]);
    free(c->buffer);
    free(c);
}
