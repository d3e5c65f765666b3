/* Two sessions and every way of cutting what is between them; then a lot of data through a random schedule. */
#include "session_tools.h"

/* ---- each split point ---- */

/* A wire that cuts the bytes at one place: a chunk never crosses it. */
static struct link l;

struct outcome {
    uint64_t hash;
    size_t a2b, b2a;
};

static void converse(struct link *k)
{
    static const char *const protos[] = {"/none/1", "/test/echo/1.0.0"};

    k->b.is_echo = true;
    uint32_t one = open_one(k, &k->a, "/test/echo/1.0.0");
    session_stream_copy(k->a.s, one, SLICE_LIT("first words"));
    session_stream_close(k->a.s, one);
    int64_t two = session_open_stream(k->a.s, protos, 2, NULL, k->now);
    session_stream_copy(k->a.s, (uint32_t)two, SLICE_LIT("second"));
    session_stream_close(k->a.s, (uint32_t)two);
    open_one(k, &k->a, "/none/2");
    uint32_t four = open_one(k, &k->b, "/test/sink/1.0.0");
    session_stream_copy(k->b.s, four, SLICE_LIT("from the listener"));
}

/* Moves all of `from` to `to`, cut at byte `cut` of its whole life. */
static bool move_cut(struct side *from, struct side *to, size_t cut, uint64_t now)
{
    size_t first = from->out.total - wire_left(&from->out), n = wire_left(&from->out);
    uint8_t *p = n ? from->out.p + from->out.at : NULL;

    if (!n)
        return false;
    from->out.at = from->out.len;
    size_t k = cut > first && cut < first + n ? cut - first : n;
    uint8_t *head = malloc(k), *tail = malloc(n - k + 1);
    memcpy(head, p, k);
    memcpy(tail, p + k, n - k);
    if (!to->closed)
        side_input(to, slice_of(head, k), now);
    if (!to->closed && n > k)
        side_input(to, slice_of(tail, n - k), now);
    free(head);
    free(tail);
    return true;
}

static void run_cut(struct link *k, size_t cut_ab, size_t cut_ba)
{
    bool is_busy = true;

    while (is_busy) {
        side_output(&k->a, 65536, k->now);
        side_output(&k->b, 65536, k->now);
        is_busy = move_cut(&k->a, &k->b, cut_ab, k->now);
        is_busy |= move_cut(&k->b, &k->a, cut_ba, k->now);
    }
}

static uint64_t hash_side(uint64_t h, struct side *d)
{
    h = hash_more(h, (uint8_t *)d->agent, strlen(d->agent));
    h = hash_more(h, (uint8_t *)d->protocols, strlen(d->protocols));
    for (uint32_t id = 1; id < 12; id++) {
        struct heard *s = heard_of(d, id);
        uint8_t facts[] = {s->opened, s->ready, s->refused, s->eof, s->reset, (uint8_t)s->protocol, (uint8_t)s->nkept};
        h = hash_more(h, facts, sizeof(facts));
        h = hash_more(h, s->kept, s->nkept);
    }
    uint8_t end[] = {d->up, d->identified, d->closed, (uint8_t)d->err};
    return hash_more(h, end, sizeof(end));
}

static struct outcome play(bool is_early, size_t cut_ab, size_t cut_ba)
{
    struct outcome o;

    link_init(&l, 5);
    l.a.cfg.has_no_early_muxer = !is_early;
    link_start(&l);
    run_cut(&l, cut_ab, cut_ba);
    assert_true(l.a.up && l.b.up);
    converse(&l);
    run_cut(&l, cut_ab, cut_ba);
    session_goaway(l.a.s);
    run_cut(&l, cut_ab, cut_ba);
    assert_true(l.b.closed && session_is_done(l.a.s));
    o.hash = hash_side(hash_side(HASH_INIT, &l.a), &l.b);
    o.a2b = l.a.out.total;
    o.b2a = l.b.out.total;
    link_fini(&l);
    return o;
}

static void every_cut(bool is_early)
{
    struct outcome want = play(is_early, 0, 0);

    assert_true(want.a2b > 700 && want.b2a > 700);
    for (size_t cut = 1; cut < want.a2b || cut < want.b2a; cut++) {
        struct outcome got = play(is_early, cut, cut);
        if (got.hash != want.hash)
            fail_msg("cut at %zu: another outcome", cut);
    }
}

static void test_every_split_point_with_early_muxer(void **state)
{
    every_cut(true);
}

static void test_every_split_point_with_multistream_muxer(void **state)
{
    every_cut(false);
}

static void test_byte_by_byte(void **state)
{
    for (int early = 0; early < 2; early++) {
        link_init(&l, 6);
        l.b.cfg.has_no_early_muxer = early;
        l.max_chunk = 1;
        link_start(&l);
        link_run(&l);
        converse(&l);
        link_run(&l);
        assert_true(l.a.identified && l.b.identified);
        struct heard *h = heard_of(&l.a, 3);
        assert_int_equal(h->nkept, 11);
        assert_memory_equal(h->kept, "first words", 11);
        assert_true(h->eof);
        assert_int_equal(heard_of(&l.a, 5)->nkept, 6);
        assert_true(heard_of(&l.a, 7)->refused);
        assert_int_equal(heard_of(&l.a, 4)->nkept, 17);
        link_fini(&l);
    }
}

/* ---- a lot ---- */

#define FLOWS 64

struct flow {
    struct side *from;
    uint32_t id;
    size_t size, sent;
    struct rng bytes;
    uint64_t hash;
    bool is_done;
};

static struct flow flows[FLOWS];

static struct flow *flow_of(struct side *d, uint32_t id)
{
    for (int i = 0; i < FLOWS; i++)
        if (flows[i].from == d && flows[i].id == id)
            return &flows[i];
    return NULL;
}

/* Writes until FULL, in pieces of odd sizes; closes at the end. */
static void pump(struct flow *f, struct rng *schedule)
{
    while (!f->is_done) {
        size_t left = f->size - f->sent;
        if (!left) {
            assert_int_equal(session_stream_close(f->from->s, f->id), 0);
            f->is_done = true;
            return;
        }
        size_t n = 1 + rng_below(schedule, rng_below(schedule, 4) ? 100000 : 300);
        n = n < left ? n : left;
        if (session_stream_room_bytes(f->from->s, f->id) < n) {
            struct buf *b = buf_new((uint32_t)n);
            b->len = (uint32_t)n;
            assert_int_equal(session_stream_send(f->from->s, f->id, b, 0, b->len), -SESSION_EFULL);
            buf_unref(b);
            return; /* WRITABLE goes on */
        }
        struct buf *b = buf_new((uint32_t)n + 3);
        b->len = (uint32_t)n + 3;
        rng_fill(&f->bytes, b->data + 3, n);
        f->hash = hash_more(f->hash, b->data + 3, n);
        f->sent += n;
        if (n <= 100)
            assert_int_equal(session_stream_copy(f->from->s, f->id, slice_of(b->data + 3, n)), 0);
        else
            assert_int_equal(session_stream_send(f->from->s, f->id, buf_ref(b), 3, (uint32_t)n), 0);
        buf_unref(b);
    }
}

static void pump_event(struct side *d, const struct session_event *ev, uint64_t now)
{
    if (ev->type == SESSION_STREAM_WRITABLE || ev->type == SESSION_STREAM_READY) {
        struct flow *f = flow_of(d, ev->stream);
        if (f)
            pump(f, d->ctx);
    }
    if (ev->type == SESSION_STREAM_EOF)
        session_stream_close(d->s, ev->stream);
}

static void flow_start(struct flow *f, struct side *d, size_t size, uint64_t seed)
{
    static const char *const protos[] = {"/test/sink/1.0.0", "/test/echo/1.0.0"};
    int64_t id = session_open_stream(d->s, protos, 1 + seed % 2, f, l.now);

    assert_true(id > 0);
    *f = (struct flow){.from = d, .id = (uint32_t)id, .size = size, .hash = HASH_INIT};
    rng_init_seeded(&f->bytes, seed);
    pump(f, d->ctx);
}

static void flow_check(struct flow *f)
{
    struct side *to = f->from == &l.a ? &l.b : &l.a;
    struct heard *h = heard_of(to, f->id);

    assert_true(f->is_done && h->eof && h->opened);
    assert_int_equal(h->bytes, f->size);
    assert_true(h->hash == f->hash);
    assert_false(h->reset);
}

static void many_streams(uint64_t seed, bool is_early, size_t max_chunk, size_t total)
{
    struct session_counters c;

    print_message("seed %llu, %s muxer, chunks up to %zu, %zu bytes\n", (unsigned long long)seed,
                  is_early ? "early" : "multistream", max_chunk, total);
    link_init(&l, seed);
    l.a.cfg.has_no_early_muxer = !is_early;
    l.a.cfg.limits.stream_queue_bytes = l.b.cfg.limits.stream_queue_bytes = 1 << 19;
    l.max_chunk = max_chunk;
    l.a.ctx = l.b.ctx = &l.rng;
    l.a.on_event = l.b.on_event = pump_event;
    link_start(&l);
    link_run(&l);
    for (int i = 0; i < FLOWS; i++)
        flow_start(&flows[i], i % 2 ? &l.a : &l.b, i == 7 ? 0 : rng_below(&l.rng, 2 * total / FLOWS), seed * 1000 + (uint64_t)i);
    link_run(&l);
    assert_false(l.a.closed || l.b.closed);
    for (int i = 0; i < FLOWS; i++)
        flow_check(&flows[i]);
    session_counters_get(l.a.s, &c);
    assert_int_equal(c.streams_now, 0);
    assert_int_equal(c.resets_in + c.resets_out + c.bytes_unknown_stream, 0);
    assert_int_equal(session_queued_bytes(l.a.s) + session_queued_bytes(l.b.s), 0);
    link_fini(&l);
}

static void test_64_streams_20_mb_hash_equal(void **state)
{
    many_streams(1, true, 150000, 20000000);
    many_streams(2, false, 1460, 4000000);
    for (uint64_t seed = 3; seed < 9; seed++)
        many_streams(seed, seed % 2, seed * seed * 100, 600000);
}

/* ---- one stream beyond every window ---- */

static void test_window_runs_out_and_grows(void **state)
{
    static uint8_t block[1 << 20];
    struct session_counters c;
    uint64_t sent = 0, wrote;
    uint32_t id;
    struct buf *b;

    link_init(&l, 9);
    link_start(&l);
    link_run(&l);
    id = open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    b = buf_copy(slice_of(block, sizeof(block)));
    for (int i = 0; i < 4; i++)
        assert_int_equal(session_stream_send(l.a.s, id, buf_ref(b), 0, b->len), 0);
    wrote = side_output(&l.a, 65536, l.now); /* nobody reads: the initial window and no more */
    assert_true(wrote > 256 * 1024 && wrote < 256 * 1024 + 1024);
    assert_int_equal(session_stream_queued_bytes(l.a.s, id), 4 * sizeof(block) - 256 * 1024);
    for (sent = 4; sent < 64; sent++) {
        link_run(&l);
        assert_int_equal(session_stream_send(l.a.s, id, buf_ref(b), 0, b->len), 0);
    }
    link_run(&l);
    assert_int_equal(heard_of(&l.b, id)->bytes, 64 * sizeof(block));
    for (int i = 0; i < 4; i++) /* by now the window has grown past 4 MiB: all goes out unread */
        assert_int_equal(session_stream_send(l.a.s, id, buf_ref(b), 0, b->len), 0);
    wrote = side_output(&l.a, 65536, l.now);
    assert_true(wrote > 4 * sizeof(block));
    assert_int_equal(session_stream_queued_bytes(l.a.s, id), 0);
    session_counters_get(l.a.s, &c);
    assert_true(c.noise_frames_out < 68 * 17 + 100);
    link_fini(&l);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
}

/* Resets of either side at random moments: nothing leaks, the others arrive whole. */
static void test_resets_in_the_middle(void **state)
{
    for (uint64_t seed = 20; seed < 24; seed++) {
        link_init(&l, seed);
        l.max_chunk = 3000;
        l.a.ctx = l.b.ctx = &l.rng;
        l.a.on_event = l.b.on_event = pump_event;
        link_start(&l);
        link_run(&l);
        for (int i = 0; i < FLOWS; i++)
            flow_start(&flows[i], i % 2 ? &l.a : &l.b, 20000, seed + (uint64_t)i);
        for (int i = 0; i < FLOWS; i += 3) {
            for (uint64_t turns = rng_below(&l.rng, 10); turns; turns--)
                link_turn(&l);
            struct side *d = rng_below(&l.rng, 2) ? &l.a : &l.b;
            session_stream_reset(d->s, flows[i].id); /* theirs or ours; it may have ended */
        }
        link_run(&l);
        for (int i = 0; i < FLOWS; i++)
            if (i % 3)
                flow_check(&flows[i]);
        assert_false(l.a.closed || l.b.closed);
        struct session_counters c;
        session_counters_get(l.a.s, &c);
        assert_int_equal(c.streams_now, 0);
        session_counters_get(l.b.s, &c);
        assert_int_equal(c.streams_now, 0);
        link_fini(&l);
    }
}

/* ---- bytes that go to their place ---- */

#define PLACED_BYTES 1500000u

static struct {
    uint8_t want[PLACED_BYTES], got[PLACED_BYTES];
    uint32_t at, placed, stream;
    struct rng *rng;
} placed;

static void offer(struct side *d)
{
    uint32_t left = PLACED_BYTES - placed.at, n = rng_below(placed.rng, 3) ? left : (uint32_t)rng_below(placed.rng, 100000);

    session_stream_place(d->s, placed.stream, placed.got + placed.at, n < left ? n : left);
}

static void place_event(struct side *d, const struct session_event *ev, uint64_t now)
{
    if (ev->stream != placed.stream || (ev->type != SESSION_STREAM_DATA && ev->type != SESSION_STREAM_OPENED))
        return;
    if (ev->type == SESSION_STREAM_DATA) {
        assert_true(ev->data.len <= PLACED_BYTES - placed.at);
        if (ev->data.p == placed.got + placed.at)
            placed.placed += (uint32_t)ev->data.len;
        else
            memcpy(placed.got + placed.at, ev->data.p, ev->data.len);
        placed.at += (uint32_t)ev->data.len;
    }
    offer(d);
}

/* Sends it in writes of up to write_max, beside another stream or alone; the offer is also renewed and taken back in the middle of frames. */
static uint32_t place_all(uint64_t seed, size_t max_chunk, uint32_t write_max, bool is_alone)
{
    uint32_t sent = 0, other;
    struct buf *b;

    link_init(&l, seed);
    l.max_chunk = max_chunk;
    l.b.on_event = place_event;
    placed.at = placed.placed = 0;
    placed.rng = &l.rng;
    rng_fill(&l.rng, placed.want, PLACED_BYTES);
    memset(placed.got, 0, PLACED_BYTES);
    link_start(&l);
    link_run(&l);
    other = open_one(&l, &l.a, "/test/sink/1.0.0");
    placed.stream = open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    b = buf_copy(slice_of(placed.want, PLACED_BYTES));
    for (uint32_t n; sent < PLACED_BYTES; sent += n) {
        n = 1 + (uint32_t)rng_below(&l.rng, write_max);
        n = n < PLACED_BYTES - sent ? n : PLACED_BYTES - sent;
        assert_int_equal(session_stream_send(l.a.s, placed.stream, buf_ref(b), sent, n), 0);
        if (!is_alone)
            session_stream_copy(l.a.s, other, slice_of(placed.want, rng_below(&l.rng, 3000)));
        if (rng_below(&l.rng, 4) == 0) {
            for (int i = 0; i < 5; i++)
                link_turn(&l);
            if (rng_below(&l.rng, 2))
                offer(&l.b);
            else if (rng_below(&l.rng, 2))
                session_stream_place(l.b.s, 0, NULL, 0);
        }
    }
    link_run(&l);
    assert_int_equal(placed.at, PLACED_BYTES);
    assert_memory_equal(placed.got, placed.want, PLACED_BYTES);
    assert_false(l.a.closed || l.b.closed);
    link_fini(&l);
    buf_unref(b);
    return placed.placed;
}

static void test_bytes_go_to_their_place(void **state)
{
    static const size_t chunks[] = {7, 1460, 16384, 65537, 300000};

    for (unsigned i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        place_all(40 + i, chunks[i], 3000, true);
        place_all(50 + i, chunks[i], 200000, false);
        assert_true(place_all(60 + i, chunks[i], PLACED_BYTES, true) > PLACED_BYTES / 3);
    }
}

/* A forged frame leaves nothing behind in the place, and no event. */
static void test_forged_bytes_do_not_stay_in_their_place(void **state)
{
    static const uint8_t zero[60000];
    struct buf *b = buf_copy(slice_of(placed.want, 60000));

    link_init(&l, 70);
    link_start(&l);
    link_run(&l);
    uint32_t id = open_one(&l, &l.a, "/test/sink/1.0.0");
    link_run(&l);
    session_stream_place(l.b.s, id, placed.got, 60000);
    assert_int_equal(session_stream_send(l.a.s, id, b, 0, 60000), 0);
    side_output(&l.a, 65536, l.now);
    l.a.out.p[l.a.out.len - 1] ^= 1;
    memset(placed.got, 1, 60000);
    uint64_t before = heard_of(&l.b, id)->bytes;
    link_move(&l, &l.a, &l.b);
    assert_true(l.b.closed);
    assert_int_equal(l.b.err, -SESSION_ENOISE);
    assert_int_equal(heard_of(&l.b, id)->bytes, before);
    assert_memory_equal(placed.got + 100, zero, 50000);
    link_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_point_with_early_muxer),
        cmocka_unit_test(test_every_split_point_with_multistream_muxer),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_64_streams_20_mb_hash_equal),
        cmocka_unit_test(test_window_runs_out_and_grows),
        cmocka_unit_test(test_resets_in_the_middle),
        cmocka_unit_test(test_bytes_go_to_their_place),
        cmocka_unit_test(test_forged_bytes_do_not_stay_in_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
