/* pkt_cmd.c: what the lines of a packet script do */
#include "pkt.h"
#include "testing.h"

#include <ctype.h>

/* One line being done. */
struct pkt_do {
    struct pkt *p;
    char **words; /* after the command's name */
    unsigned n, flow;
    uint64_t at_ns, tolerance_ns;
};

static const char *arg(struct pkt_do *d, unsigned i)
{
    if (i >= d->n)
        pkt_fail(d->p, "something is missing at the end");
    return d->words[i];
}

static struct tcp_conn *conn(struct pkt_do *d)
{
    struct tcp_conn *c = d->p->flow[d->flow].conn;

    if (!c)
        pkt_fail(d->p, "there is no connection");
    return c;
}

/* ---- segments ---- */

static void refuse_leftover(struct pkt *p)
{
    char came[512];

    if (p->head == p->tail)
        return;
    pkt_segment_text(p, &p->queue[p->head % PKT_QUEUE], came, sizeof(came));
    pkt_fail(p, "nobody asked for this segment (first of %u)\n    came: %s", p->tail - p->head, came);
}

/* "<" or "~<": all that left was asked for before. */
static void do_in(struct pkt_do *d)
{
    struct pkt_seg s = {.flow = d->flow};

    refuse_leftover(d->p);
    d->p->is_burst = false;
    if (strcmp(arg(d, 0), "icmp") == 0) { /* icmp KIND SEQ [MTU] */
        pkt_input_icmp(d->p, d->flow, arg(d, 1), d->n > 3 ? (uint32_t)pkt_number(d->p, d->words[3]) : 0,
                       pkt_number(d->p, arg(d, 2)));
        return;
    }
    pkt_segment_parse(d->p, d->words, d->n, &s);
    pkt_input(d->p, &s);
}

static void do_in_first(struct pkt_do *d)
{
    struct pkt_seg s = {.flow = d->flow};

    refuse_leftover(d->p);
    pkt_segment_parse(d->p, d->words, d->n, &s);
    d->p->is_burst = true;
    pkt_input(d->p, &s);
}

static const char *difference(const struct pkt_do *d, const struct pkt_seg *want, const struct pkt_seg *got)
{
    const struct tcp_options *w = &want->opt, *g = &got->opt;
    uint8_t mask = want->flags & TCP_PSH ? 0xff : (uint8_t)~TCP_PSH;

    if (want->flow != got->flow)
        return "flow";
    if (want->flags != (got->flags & mask))
        return "flags";
    if (want->seq != got->seq)
        return "sequence number";
    if (want->len != got->len)
        return "length";
    if (want->has_ack && (!(got->flags & TCP_ACK) || want->ack != got->ack))
        return "acknowledgement";
    if (want->has_win && want->win != got->win)
        return "window";
    if (want->packet && want->packet != got->packet)
        return "packet size";
    uint64_t most = d->tolerance_ns + PKT_TOLERANCE_NS;
    if (d->at_ns != PKT_WHEN_ANY && (got->at_ns + most < d->at_ns || got->at_ns > d->at_ns + most))
        return "time";
    if (!want->has_block)
        return NULL;
    if (w->has_mss != g->has_mss || w->mss != g->mss || w->has_sack_ok != g->has_sack_ok ||
        w->has_wscale != g->has_wscale || w->wscale != g->wscale || w->has_ts != g->has_ts)
        return "options";
    if (w->has_ts && ((!want->is_ts_val_free && want->ts_val != got->ts_val) ||
                      (!want->is_ts_ecr_free && want->ts_ecr != got->ts_ecr)))
        return "timestamps";
    if (w->sack_count != g->sack_count || memcmp(w->sack, g->sack, w->sack_count * sizeof(*w->sack)) != 0)
        return "SACK blocks";
    return NULL;
}

static void do_out(struct pkt_do *d)
{
    struct pkt *p = d->p;
    struct pkt_seg want = {.flow = d->flow};
    char came[512];

    pkt_segment_parse(p, d->words, d->n, &want);
    pkt_drain(p);
    if (p->head == p->tail && d->at_ns != PKT_WHEN_ANY)
        pkt_advance(p, d->at_ns + d->tolerance_ns, true);
    if (p->head == p->tail)
        pkt_fail(p, "no segment came");
    const struct pkt_seg *got = &p->queue[p->head++ % PKT_QUEUE];
    const char *what = difference(d, &want, got);
    if (what) {
        pkt_segment_text(p, got, came, sizeof(came));
        pkt_fail(p, "another segment came: its %s\n    came: %s", what, came);
    }
}

static void do_nothing(struct pkt_do *d)
{
    pkt_drain(d->p);
    refuse_leftover(d->p);
}

/* discard: whatever left is of no interest. */
static void do_discard(struct pkt_do *d)
{
    pkt_drain(d->p);
    d->p->head = d->p->tail;
}

/* ---- the user ---- */

static const char *event_name(enum tcp_event_type t)
{
    static const char *names[] = {"none",     "connected",   "accepted", "readable",
                                  "writable", "peer-closed", "closed",   "neigh-wanted"};

    return names[t];
}

static void note_event(struct pkt *p, const struct tcp_event *ev)
{
    struct tcp_conn_info info;

    tcp_conn_info(ev->conn, &info);
    for (unsigned i = 0; i < PKT_FLOWS; i++)
        if (p->flow[i].peer_port == info.remote.port) {
            if (ev->type == TCP_EV_ACCEPTED)
                p->flow[i].conn = ev->conn;
            if (ev->type == TCP_EV_CLOSED)
                p->flow[i].conn = NULL;
        }
}

/* event NAME [REASON]: the next one; those of reading and writing are passed over unless asked for. */
static void do_event(struct pkt_do *d)
{
    const char *want = arg(d, 0);
    bool wants_io = strcmp(want, "readable") == 0 || strcmp(want, "writable") == 0;
    struct tcp_event ev;

    do {
        if (!tcp_stack_next_event(d->p->s, &ev))
            pkt_fail(d->p, "no event came");
        note_event(d->p, &ev);
    } while (!wants_io && (ev.type == TCP_EV_READABLE || ev.type == TCP_EV_WRITABLE));
    if (strcmp(want, event_name(ev.type)) != 0)
        pkt_fail(d->p, "another event came: %s", event_name(ev.type));
    if (d->n > 1 && strcmp(d->words[1], tcp_reason_name(ev.reason)) != 0)
        pkt_fail(d->p, "another reason: %s", tcp_reason_name(ev.reason));
}

static void do_no_event(struct pkt_do *d)
{
    struct tcp_event ev;

    while (tcp_stack_next_event(d->p->s, &ev)) {
        note_event(d->p, &ev);
        if (ev.type != TCP_EV_READABLE && ev.type != TCP_EV_WRITABLE)
            pkt_fail(d->p, "an event came: %s", event_name(ev.type));
    }
}

/* connect [ERROR] */
static void do_connect(struct pkt_do *d)
{
    struct pkt_flow *f = &d->p->flow[d->flow];
    struct ip_endpoint to = {pkt_peer_ip(d->p), f->peer_port};
    const char *want = d->n ? d->words[0] : "ok";
    int r = tcp_connect(d->p->s, &to, f->our_port, NULL, &f->conn, d->p->now);

    if (strcmp(want, tcp_err_name(r)) != 0)
        pkt_fail(d->p, "connect said %s", tcp_err_name(r));
    pkt_drain(d->p);
}

/* listen [BACKLOG]: on the flow's port */
static void do_listen(struct pkt_do *d)
{
    uint32_t backlog = d->n ? (uint32_t)pkt_number(d->p, d->words[0]) : 4;

    for (unsigned i = 0; i < PKT_FLOWS; i++)
        if (!d->p->flow[i].our_port)
            d->p->flow[i].our_port = 7070;
    if (tcp_listen(d->p->s, d->p->flow[d->flow].our_port, backlog))
        pkt_fail(d->p, "listen failed");
}

static void do_unlisten(struct pkt_do *d)
{
    tcp_unlisten(d->p->s, d->p->flow[d->flow].our_port);
    pkt_drain(d->p);
}

/* send N [TAKEN | ERROR] */
static void do_send(struct pkt_do *d)
{
    uint32_t n = (uint32_t)pkt_number(d->p, arg(d, 0));
    struct buf *b = buf_new(n);
    char said[32];

    assert_non_null(b);
    memset(b->data, 'x', n);
    b->len = n;
    int r = tcp_send_buf(conn(d), b, 0, n);
    buf_unref(b);
    snprintf(said, sizeof(said), "%d", r);
    const char *want = d->n > 1 ? d->words[1] : d->words[0];
    if (strcmp(want, r < 0 ? tcp_err_name(r) : said) != 0)
        pkt_fail(d->p, "send said %s", r < 0 ? tcp_err_name(r) : said);
    pkt_drain(d->p);
}

/* read N | read all */
static void do_read(struct pkt_do *d)
{
    uint32_t unread = tcp_recv_unread(conn(d));
    uint32_t n = strcmp(arg(d, 0), "all") == 0 ? unread : (uint32_t)pkt_number(d->p, d->words[0]);

    if (n > unread)
        pkt_fail(d->p, "only %u bytes are unread", unread);
    tcp_recv_consume(conn(d), n);
    pkt_drain(d->p);
}

static void do_close(struct pkt_do *d)
{
    tcp_close(conn(d));
    pkt_drain(d->p);
}

static void do_abort(struct pkt_do *d)
{
    tcp_abort(conn(d));
    d->p->flow[d->flow].conn = NULL;
    pkt_drain(d->p);
}

static void do_mtu(struct pkt_do *d)
{
    tcp_stack_set_mtu(d->p->s, (uint32_t)pkt_number(d->p, arg(d, 0)) + (d->p->is_v6 ? PKT_V6_MORE : 0));
    pkt_drain(d->p);
}

/* ---- looking ---- */

static void compare(struct pkt_do *d, const char *name, double value, unsigned i)
{
    const char *op = arg(d, i);
    bool has_op = strchr("<>=!", op[0]) != NULL;
    char *end;
    double want = strtod(arg(d, i + has_op), &end);
    bool ok = value == want;

    if (*end)
        pkt_fail(d->p, "'%s' is no number", d->words[i + has_op]);
    if (has_op)
        ok = op[0] == '!'   ? value != want
             : op[0] == '>' ? (op[1] ? value >= want : value > want)
             : op[0] == '<' ? (op[1] ? value <= want : value < want)
                            : ok;
    if (!ok)
        pkt_fail(d->p, "%s is %.10g", name, value);
}

static void do_state(struct pkt_do *d)
{
    struct tcp_conn_info info = {.state = TCP_ST_CLOSED};

    if (d->p->flow[d->flow].conn)
        tcp_conn_info(conn(d), &info);
    if (strcmp(arg(d, 0), tcp_state_name(info.state)) != 0)
        pkt_fail(d->p, "its state is %s", tcp_state_name(info.state));
}

/* check NAME [< | <= | > | >= | !=] NUMBER: bytes, counts, ms */
static void do_check(struct pkt_do *d)
{
    struct tcp_conn_info i;
    const char *name = arg(d, 0);

    tcp_conn_info(conn(d), &i);
    const struct {
        const char *name;
        double value;
    } known[] = {{"cwnd", (double)i.cwnd_bytes},       {"ssthresh", (double)i.ssthresh_bytes},
                 {"mss", i.mss_bytes},                 {"flight", i.in_flight_bytes},
                 {"snd_wnd", i.snd_wnd_bytes},         {"rcv_wnd", i.rcv_wnd_bytes},
                 {"queued", i.send_queued_bytes},      {"unread", i.unread_bytes},
                 {"received", (double)i.received_bytes}, {"acked", (double)i.acked_bytes},
                 {"rto", (double)i.rto_ns / 1e6},      {"srtt", (double)i.srtt_ns / 1e6},
                 {"rttvar", (double)i.rttvar_ns / 1e6}, {"rtx", (double)i.rtx_segments},
                 {"rtos", (double)i.rto_count},        {"recoveries", (double)i.recovery_count},
                 {"sack", i.sack},                     {"ts", i.timestamps},
                 {"ws", i.window_scale},               {"room", tcp_send_room(conn(d))}};
    for (unsigned k = 0; k < sizeof(known) / sizeof(*known); k++)
        if (strcmp(name, known[k].name) == 0) {
            compare(d, name, known[k].value, 1);
            return;
        }
    pkt_fail(d->p, "'%s' is nothing to check", name);
}

/* count NAME [OP] NUMBER: since the case began */
static void do_count(struct pkt_do *d)
{
    const struct tcp_counters *now = tcp_stack_counters(d->p->s), *then = &d->p->before;
    const char *name = arg(d, 0);

#define LOOK(field)                                                                                          \
    if (strcmp(name, #field) == 0) {                                                                         \
        compare(d, name, (double)(now->field - then->field), 1);                                             \
        return;                                                                                              \
    }
    TCP_COUNTERS(LOOK)
#undef LOOK
    pkt_fail(d->p, "'%s' is no counter", name);
}

static void do_conns(struct pkt_do *d)
{
    compare(d, "the number of connections", tcp_stack_conn_count(d->p->s), 0);
}

/* ---- before the start ---- */

/* set NAME NUMBER: of the configuration; times in ms */
static void do_set(struct pkt_do *d)
{
    struct tcp_config *c = &d->p->cfg;
    int64_t v = pkt_number(d->p, arg(d, 1));
    const char *name = arg(d, 0);

    if (d->p->s)
        pkt_fail(d->p, "the stack is running");
    const struct {
        const char *name;
        uint32_t *at;
    } numbers[] = {{"mtu", &c->mtu_bytes},           {"gso", &c->gso_max_bytes},
                   {"send_buf", &c->send_buf_bytes}, {"recv_buf", &c->recv_buf_bytes},
                   {"recv_first", &c->recv_buf_first_bytes}, {"quick_acks", &c->quick_acks},
                   {"max_conns", &c->max_conns},     {"max_half_open", &c->max_half_open},
                   {"max_time_wait", &c->max_time_wait}, {"keepalive_probes", &c->keepalive_probes}};
    const struct {
        const char *name;
        uint64_t *at;
        uint64_t unit;
    } longs[] = {{"rx_pool", &c->rx_pool_bytes, 1},
                 {"tx_pool", &c->tx_pool_bytes, 1},
                 {"rto_min", &c->rto_min_ns, PKT_MS},
                 {"rto_max", &c->rto_max_ns, PKT_MS},
                 {"syn_timeout", &c->syn_timeout_ns, PKT_MS},
                 {"user_timeout", &c->user_timeout_ns, PKT_MS},
                 {"fin_wait", &c->fin_wait_ns, PKT_MS},
                 {"time_wait", &c->time_wait_ns, PKT_MS},
                 {"delayed_ack", &c->delayed_ack_ns, PKT_MS},
                 {"keepalive_idle", &c->keepalive_idle_ns, PKT_MS},
                 {"keepalive_interval", &c->keepalive_interval_ns, PKT_MS}};

    if (strcmp(name, "ecn") == 0) {
        c->ecn = (enum tcp_ecn)v;
        return;
    }
    if (strcmp(name, "syn_cookies") == 0) {
        c->syn_cookies = v;
        return;
    }
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].at = (uint32_t)v;
            if (numbers[i].at == &c->gso_max_bytes)
                c->csum_tx = v != 0;
            return;
        }
    for (unsigned i = 0; i < sizeof(longs) / sizeof(*longs); i++)
        if (strcmp(name, longs[i].name) == 0) {
            *longs[i].at = (uint64_t)v * longs[i].unit;
            return;
        }
    pkt_fail(d->p, "'%s' is no setting", name);
}

/* peer [nots] [nosack] [nows] [ws N] [mss N] [win N] [iss N] */
static void do_peer(struct pkt_do *d)
{
    struct pkt_peer *peer = &d->p->peer;

    for (unsigned i = 0; i < d->n; i++) {
        const char *w = d->words[i];
        if (strcmp(w, "nots") == 0)
            peer->ts = false;
        else if (strcmp(w, "nosack") == 0)
            peer->sack = false;
        else if (strcmp(w, "nows") == 0)
            peer->ws = -1;
        else {
            int64_t v = pkt_number(d->p, arg(d, ++i));
            if (strcmp(w, "ws") == 0)
                peer->ws = (int)v;
            else if (strcmp(w, "mss") == 0)
                peer->mss = (uint16_t)v;
            else if (strcmp(w, "win") == 0)
                peer->win = (uint32_t)v;
            else if (strcmp(w, "iss") == 0)
                d->p->flow[d->flow].peer_iss = (uint32_t)v;
            else
                pkt_fail(d->p, "'%s' is nothing a peer has", w);
        }
    }
}

/* only 4 | only 6: of IP */
static void do_only(struct pkt_do *d)
{
    d->p->is_skipped |= (pkt_number(d->p, arg(d, 0)) == 6) != d->p->is_v6;
}

/* ---- whole handshakes ---- */

static void run(struct pkt *p, const char *text)
{
    char line[128];

    snprintf(line, sizeof(line), "%s", text);
    pkt_run_line(p, line);
}

/* open [passive]: established a tenth of a second from now, which is the round trip both sides have seen */
static void do_open(struct pkt_do *d)
{
    struct pkt *p = d->p;

    p->this_flow = d->flow;
    if (d->n && strcmp(d->words[0], "passive") == 0) {
        run(p, "listen");
        run(p, "< S 0");
        run(p, "> SA 0 ack 1");
        run(p, "+0.1 < A 1 ack 1");
        run(p, "event accepted");
    } else {
        run(p, "connect");
        run(p, "> S 0");
        run(p, "+0.1 < SA 0 ack 1");
        run(p, "> A 1 ack 1");
        run(p, "event connected");
    }
    p->this_flow = 0;
}

/* ---- lines ---- */

static const struct {
    const char *name;
    void (*run)(struct pkt_do *d);
    bool is_early; /* before the stack is there */
} commands[] = {
    {"only", do_only, true},         {"set", do_set, true},          {"peer", do_peer, true},         {"<", do_in, false},
    {"<<", do_in_first, false},
    {">", do_out, false},           {"nothing", do_nothing, false},  {"discard", do_discard, false},
    {"event", do_event, false},     {"noevent", do_no_event, false}, {"connect", do_connect, false},
    {"listen", do_listen, false},   {"unlisten", do_unlisten, false}, {"send", do_send, false},
    {"read", do_read, false},       {"close", do_close, false},      {"abort", do_abort, false},
    {"mtu", do_mtu, false},         {"state", do_state, false},      {"check", do_check, false},
    {"count", do_count, false},     {"conns", do_conns, false},      {"open", do_open, false},
};

/* T, +T, either with ~TOLERANCE behind. True: there was one. */
static bool parse_when(struct pkt_do *d, char *word)
{
    struct pkt *p = d->p;

    if (!isdigit((unsigned char)word[0]) && word[0] != '+')
        return false;
    char *tilde = strchr(word, '~');
    if (tilde) {
        *tilde = 0;
        d->tolerance_ns = pkt_time(p, tilde + 1);
    }
    d->at_ns = word[0] == '+' ? p->now + pkt_time(p, word + 1) : p->start_ns + pkt_time(p, word);
    if (d->at_ns + d->tolerance_ns < p->now)
        pkt_fail(p, "that time is over");
    return true;
}

void pkt_run_line(struct pkt *p, char *text)
{
    char *words[PKT_WORDS];
    unsigned n = pkt_words(text, words), i = 0;
    struct pkt_do d = {.p = p, .at_ns = p->now, .flow = p->this_flow};

    if (n == 0)
        return;
    if (parse_when(&d, words[0]))
        i++;
    if (i < n && words[i][0] == '@') {
        d.flow = (unsigned)pkt_number(p, words[i++] + 1);
        if (d.flow >= PKT_FLOWS)
            pkt_fail(p, "flows are numbered up to %u", PKT_FLOWS - 1);
    }
    if (i == n)
        pkt_fail(p, "nothing to do");
    for (unsigned k = 0; k < sizeof(commands) / sizeof(*commands); k++) {
        if (strcmp(words[i], commands[k].name) != 0)
            continue;
        d.words = words + i + 1;
        d.n = n - i - 1;
        if (!commands[k].is_early) {
            pkt_start(p);
            if (commands[k].run != do_out)
                pkt_advance(p, d.at_ns, false);
        }
        commands[k].run(&d);
        return;
    }
    pkt_fail(p, "'%s' is no command", words[i]);
}

void pkt_end(struct pkt *p)
{
    if (!p->s)
        pkt_fail(p, "the case is empty");
    pkt_drain(p);
    refuse_leftover(p);
}
