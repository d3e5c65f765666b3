#include "gateway/gw_lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"
#include "http/http_loop.h"

#define UNDER_WAY_MAX 16384u
#define UNDER_WAY_MIN 256u
#define OUT_MAX       (4u << 20)
#define OUT_KEPT      (256u << 10) /* of an empty buffer */
#define READ_BYTES    16384
#define BATCH         32
#define OPEN_NS       3000000000ull  /* to connect and be let in */
#define RETRY_NS      1000000000ull
#define RETRY_MAX_NS  60000000000ull

enum lane_state { LANE_CLOSED, LANE_OPENING, LANE_OPEN, LANE_CLOSING };

struct gw_lane {
    struct gw_lanes *all;
    unsigned index; /* of its thread */

    /* the node's lock */
    enum lane_state state;
    uint64_t since_ns, wait_ns; /* when its state changed; before it is tried again */
    uint32_t max_payload;
    uint32_t first, next; /* numbers: unanswered from first on */
    struct gw_publish **ring; /* by number; NULL: nobody waits for it any more */
    uint32_t ring_size;

    /* its thread */
    struct http_watch *watch; /* NULL: no connection */
    int fd;
    bool is_ready; /* the node has let it in; written under the lock */
    bool is_dirty;
    struct gw_lane *next_dirty;
    struct {
        uint8_t *p;
        size_t len, cap;
    } out;
    uint8_t rest[LANE_ANSWER_MAX]; /* the beginning of a frame */
    size_t n_rest;
};

struct gw_lanes {
    struct gw_link *link;
    struct gw_lane *lanes; /* one a thread; NULL: none yet */
    unsigned n;
    bool is_offered;
    struct gw_lane_offer offer;
};

static _Thread_local struct gw_lane *dirty;

static struct gateway *gateway_of(const struct gw_lanes *all)
{
    return all->link->node->pool->gw;
}

/* ---- what is under way, under the lock ---- */

static struct gw_publish **slot(const struct gw_lane *l, uint32_t number)
{
    return &l->ring[number & (l->ring_size - 1)];
}

static bool grow_ring(struct gw_lane *l)
{
    uint32_t size = l->ring_size ? l->ring_size * 2 : UNDER_WAY_MIN;
    struct gw_publish **ring = size <= UNDER_WAY_MAX ? calloc(size, sizeof(struct gw_publish *)) : NULL;

    if (!ring)
        return false;
    for (uint32_t i = l->first; i != l->next; i++)
        ring[i & (size - 1)] = *slot(l, i);
    free(l->ring);
    l->ring = ring;
    l->ring_size = size;
    return true;
}

void gw_lane_forget(struct gw_publish *p)
{
    *slot(p->lane, p->lane_number) = NULL;
    p->lane = NULL;
}

/* Whose answer this is. *p NULL: nobody's any more. False: there is no such publish. */
static bool take_number(struct gw_lane *l, uint32_t number, struct gw_publish **p)
{
    if (l->first == l->next || number != l->first)
        return false;
    *p = *slot(l, number);
    l->first++;
    return true;
}

/* ---- out ---- */

static bool make_room(struct gw_lane *l, size_t bytes)
{
    size_t cap = l->out.cap ? l->out.cap : 16384;
    uint8_t *p;

    if (l->out.len + bytes > OUT_MAX)
        return false;
    while (cap < l->out.len + bytes)
        cap *= 2;
    if (cap == l->out.cap)
        return true;
    p = realloc(l->out.p, cap);
    if (!p)
        return false;
    l->out.p = p;
    l->out.cap = cap;
    return true;
}

/* The secret may be in it. */
static void drop_out(struct gw_lane *l)
{
    if (l->out.p && !l->is_ready)
        explicit_bzero(l->out.p, l->out.cap);
    free(l->out.p);
    memset(&l->out, 0, sizeof(l->out));
}

static void put(struct gw_lane *l, const struct lane_frame *f)
{
    struct wr w = wr_of(l->out.p, l->out.cap);

    w.len = l->out.len;
    lane_frame_write(&w, f);
    l->out.len = w.len;
}

bool gw_lanes_publish(struct gw_lanes *all, struct gw_publish *p)
{
    struct lane_frame f = {.type = LANE_PUBLISH, .topic = p->topic, .payload = rpc_msg_slice(p->payload)};
    int i = all->is_offered && all->lanes ? http_loop_index(gateway_of(all)->http) : -1;
    struct gw_lane *l = i >= 0 ? &all->lanes[i] : NULL;

    if (!l || l->state != LANE_OPEN || f.payload.len != rpc_msg_len(p->payload) || f.payload.len > l->max_payload)
        return false;
    if (l->next - l->first == l->ring_size && !grow_ring(l))
        return false;
    if (!make_room(l, lane_publish_bytes(f.topic.len, f.payload.len)))
        return false;
    f.number = l->next++;
    put(l, &f);
    *slot(l, f.number) = p;
    p->lane = l;
    p->lane_number = f.number;
    all->link->node->info.lane_published++;
    if (!l->is_dirty) {
        l->is_dirty = true;
        l->next_dirty = dirty;
        dirty = l;
    }
    return true;
}

/* ---- the connection, on its thread ---- */

static void clean(struct gw_lane *l)
{
    struct gw_lane **at = &dirty;

    while (*at && *at != l)
        at = &(*at)->next_dirty;
    if (*at)
        *at = l->next_dirty;
    l->is_dirty = false;
}

/* Whatever it was, it is closed now; what it had under way goes to any node. */
static void shut(struct gw_lane *l, const char *why)
{
    struct gw_lanes *all = l->all;
    struct gw_node *n = all->link->node;
    struct list orphans;

    http_watch_free(l->watch);
    l->watch = NULL;
    l->n_rest = 0;
    drop_out(l);
    clean(l);
    list_init(&orphans);
    gw_node_lock(n);
    for (; l->first != l->next; l->first++)
        if (*slot(l, l->first))
            gw_pool_take_back(*slot(l, l->first), &orphans);
    n->info.lanes_failed += why != NULL;
    n->info.lanes -= l->is_ready;
    l->is_ready = false;
    l->state = LANE_CLOSED;
    l->since_ns = gw_now_ns();
    gw_node_unlock(n);
    if (why)
        log_debug("\"lane lost\" node=%s thread=%u reason=\"%s\"", all->link->target, l->index, why);
    gw_pool_resend(n->pool, &orphans);
}

/* False: it has been shut. */
static bool flush(struct gw_lane *l)
{
    size_t at = 0;

    while (at < l->out.len) {
        ssize_t n = send(l->fd, l->out.p + at, l->out.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
            shut(l, strerror(errno));
            return false;
        }
        if (n < 0)
            break;
        at += (size_t)n;
    }
    l->out.len -= at;
    if (l->out.len) {
        memmove(l->out.p, l->out.p + at, l->out.len);
        http_watch_want_write(l->watch);
    } else if (l->out.cap > OUT_KEPT || !l->is_ready) {
        drop_out(l);
    }
    return true;
}

void gw_lanes_turn(void)
{
    while (dirty) {
        struct gw_lane *l = dirty;

        dirty = l->next_dirty;
        l->is_dirty = false;
        flush(l);
    }
}

static void on_writable(void *user)
{
    flush(user);
}

/* ---- answers ---- */

struct batch {
    struct gw_lane_answer a[BATCH];
    unsigned n;
};

/* False: this is no answer to anything. */
static bool read_answer(struct gw_lane *l, const struct lane_frame *f, struct batch *b)
{
    struct gw_lane_answer *a = &b->a[b->n];

    if (!take_number(l, f->number, &a->p))
        return false;
    if (!a->p)
        return true;
    a->outcome = (struct gw_outcome){.is_duplicate = f->outcome == LANE_DEDUPLICATED};
    if (f->outcome == LANE_REFUSED) {
        memcpy(a->text, f->text.p, f->text.len);
        a->text[f->text.len] = 0;
        a->outcome = gw_outcome_refused(f->http, a->text);
    }
    b->n++;
    return true;
}

/* The answers at the front of s, as many as a batch holds. Bytes; 0: there is no whole one; -1: it sends something else. */
static ssize_t take_answers(struct gw_lane *l, struct slice s)
{
    struct gw_node *n = l->all->link->node;
    struct lane_frame f;
    struct batch b;
    size_t at = 0;
    ssize_t len = 0;
    uint64_t now = gw_now_ns();

    b.n = 0;
    gw_node_lock(n);
    while (b.n < BATCH && (len = lane_frame_read(&f, slice_of(s.p + at, s.len - at))) > 0) {
        if (f.type != LANE_ANSWER || !read_answer(l, &f, &b)) {
            len = -1;
            break;
        }
        at += (size_t)len;
    }
    gw_pool_answers_taken(n, b.a, b.n, now);
    gw_node_unlock(n);
    gw_pool_answers_tell(n, b.a, b.n, now);
    return len < 0 ? -1 : (ssize_t)at;
}

static ssize_t take_ready(struct gw_lane *l, struct slice s)
{
    struct gw_node *n = l->all->link->node;
    struct lane_frame f;
    ssize_t len = lane_frame_read(&f, s);

    if (len > 0 && f.type != LANE_READY)
        return -1;
    if (len <= 0)
        return len;
    gw_node_lock(n);
    if (l->state == LANE_OPENING) {
        l->state = LANE_OPEN;
        l->since_ns = gw_now_ns();
        l->wait_ns = RETRY_NS;
        l->max_payload = f.max_payload < LANE_PAYLOAD_MAX ? f.max_payload : LANE_PAYLOAD_MAX;
    }
    l->is_ready = true;
    n->info.lanes++;
    gw_node_unlock(n);
    log_debug("\"lane open\" node=%s thread=%u", l->all->link->target, l->index);
    return len;
}

/* False: it has been shut. */
static bool take(struct gw_lane *l, struct slice s)
{
    ssize_t n;

    while ((n = l->is_ready ? take_answers(l, s) : take_ready(l, s)) > 0)
        s = slice_of(s.p + n, s.len - (size_t)n);
    if (n < 0 || s.len >= sizeof(l->rest)) {
        gw_node_bad(l->all->link->node);
        shut(l, "it sent something else");
        return false;
    }
    memmove(l->rest, s.p, s.len);
    l->n_rest = s.len;
    return true;
}

static void on_ready(void *user)
{
    struct gw_lane *l = user;
    uint8_t buf[sizeof(l->rest) + READ_BYTES];
    ssize_t n;

    do {
        memcpy(buf, l->rest, l->n_rest);
        n = recv(l->fd, buf + l->n_rest, READ_BYTES, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            shut(l, n ? strerror(errno) : "closed by the node");
            return;
        }
    } while (n > 0 && take(l, slice_of(buf, l->n_rest + (size_t)n)) && n == READ_BYTES);
}

static void on_end(void *user)
{
    shut(user, NULL);
}

/* ---- opening and closing ---- */

static const struct http_watch_ops watch_ops = {.on_ready = on_ready, .on_writable = on_writable, .on_end = on_end};

static int connect_to(const struct gw_lane_offer *o)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(o->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(o->port)};
    bool is_v4 = inet_pton(AF_INET, o->address, &in.sin_addr) == 1;
    int fd, rc, on = 1;

    if (!is_v4 && inet_pton(AF_INET6, o->address, &in6.sin6_addr) != 1)
        return -1;
    fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    rc = is_v4 ? connect(fd, (struct sockaddr *)&in, sizeof(in)) : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
    if (rc == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

static void run_open(void *user)
{
    struct gw_lane *l = user;
    struct gw_lane_offer offer;
    struct lane_frame hello = {.type = LANE_HELLO, .secret = slice_of(offer.secret, sizeof(offer.secret))};
    bool goes_on;

    gw_node_lock(l->all->link->node);
    goes_on = l->state == LANE_OPENING;
    offer = l->all->offer;
    gw_node_unlock(l->all->link->node);
    l->fd = goes_on ? connect_to(&offer) : -1;
    if (l->fd >= 0)
        l->watch = http_watch_new(l->fd, &watch_ops, l);
    if (l->fd >= 0 && !l->watch)
        close(l->fd);
    if (!l->watch || !make_room(l, 64)) {
        shut(l, goes_on ? "cannot connect" : NULL);
        return;
    }
    put(l, &hello);
    explicit_bzero(&offer, sizeof(offer));
    http_watch_want_write(l->watch);
}

static void run_close(void *user)
{
    struct gw_lane *l = user;
    bool is_wanted;

    gw_node_lock(l->all->link->node);
    is_wanted = l->state == LANE_CLOSING; /* else it came twice, and what is there now is another one */
    gw_node_unlock(l->all->link->node);
    if (is_wanted)
        shut(l, NULL);
}

/* Under the lock. */
static void post(struct gw_lane *l, enum lane_state state, void (*run)(void *), uint64_t now)
{
    l->state = state;
    l->since_ns = now;
    if (!http_loop_run(gateway_of(l->all)->http, l->index, run, l) && state == LANE_OPENING)
        l->state = LANE_CLOSED;
}

static void give_up(struct gw_lane *l, uint64_t now)
{
    if (l->state == LANE_OPENING || l->state == LANE_OPEN)
        post(l, LANE_CLOSING, run_close, now);
}

void gw_lanes_offer(struct gw_lanes *all, const struct gw_lane_offer *offer)
{
    all->offer = *offer;
    all->is_offered = true;
    for (unsigned i = 0; i < all->n; i++)
        all->lanes[i].wait_ns = 0;
}

void gw_lanes_end(struct gw_lanes *all)
{
    uint64_t now = gw_now_ns();

    all->is_offered = false;
    explicit_bzero(&all->offer, sizeof(all->offer));
    for (unsigned i = 0; i < all->n; i++)
        give_up(&all->lanes[i], now);
}

static void make_lanes(struct gw_lanes *all)
{
    unsigned n = http_server_threads(gateway_of(all)->http);

    all->lanes = calloc(n, sizeof(*all->lanes));
    for (unsigned i = 0; all->lanes && i < n; i++) {
        all->lanes[i].all = all;
        all->lanes[i].index = i;
    }
    all->n = all->lanes ? n : 0;
}

static void tick_one(struct gw_lane *l, uint64_t now)
{
    if (l->state == LANE_CLOSED && l->all->is_offered && gw_since(now, l->since_ns) >= l->wait_ns) {
        l->wait_ns = l->wait_ns * 2 < RETRY_NS ? RETRY_NS : l->wait_ns * 2 > RETRY_MAX_NS ? RETRY_MAX_NS : l->wait_ns * 2;
        post(l, LANE_OPENING, run_open, now);
    } else if (l->state == LANE_OPENING && gw_since(now, l->since_ns) >= OPEN_NS) {
        l->all->link->node->info.lanes_failed++;
        give_up(l, now);
    } else if (l->state == LANE_CLOSING && gw_since(now, l->since_ns) >= OPEN_NS) { /* there was no memory to say so */
        post(l, LANE_CLOSING, run_close, now);
    }
}

void gw_lanes_tick(struct gw_lanes *all, uint64_t now)
{
    if (!all->lanes && all->is_offered)
        make_lanes(all);
    for (unsigned i = 0; i < all->n; i++)
        tick_one(&all->lanes[i], now);
}

void gw_lane_late(struct gw_publish *p, uint64_t now)
{
    if (p->lane->state == LANE_OPEN)
        p->lane->all->link->node->info.lanes_failed++;
    give_up(p->lane, now);
}

struct gw_lanes *gw_lanes_new(struct gw_link *link)
{
    struct gw_lanes *all = calloc(1, sizeof(*all));

    if (all)
        all->link = link;
    return all;
}

void gw_lanes_free(struct gw_lanes *all)
{
    for (unsigned i = 0; all && i < all->n; i++)
        free(all->lanes[i].ring);
    if (all) {
        free(all->lanes);
        explicit_bzero(&all->offer, sizeof(all->offer));
    }
    free(all);
}
