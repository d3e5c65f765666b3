/* conn.h: one connection, inside
 * Shape:   segments, user calls and deadlines -> state; conn_output asks it for the next segment
 * Files:   conn.c life, events, windows; conn_in.c segments; conn_ack.c acknowledgement; conn_loss.c
 *          loss and recovery; conn_out.c sending; conn_timer.c deadlines; conn_api.c the user's calls (tcp.h)
 * Owner:   the stack
 * Note:    nothing here may free a connection but conn_free and conn_finish; both say when
 */
#ifndef TCP_CONN_H
#define TCP_CONN_H

#include "base/list.h"
#include "base/timerq.h"
#include "tcp/cc.h"
#include "tcp/neigh.h"
#include "tcp/pace.h"
#include "tcp/prr.h"
#include "tcp/recvq.h"
#include "tcp/rcvtune.h"
#include "tcp/rtt.h"
#include "tcp/scoreboard.h"
#include "tcp/segment.h"
#include "tcp/sendq.h"
#include "tcp/syncookie.h"
#include "tcp/table.h"
#include "tcp/tcp.h"

/* A connection has one timer in the stack's queue and these deadlines (conn_timer.c). */
enum conn_deadline {
    CONN_RTX,     /* something is in flight and unanswered */
    CONN_TLP,     /* the same, sooner: a probe may bring the ACK that tells of a loss */
    CONN_REORDER, /* something is overdue, unless it was overtaken */
    CONN_PACE,    /* the next burst may leave */
    CONN_PERSIST, /* nothing is in flight and the peer's window holds us */
    CONN_DELACK,  /* an acknowledgement is owed */
    CONN_KEEP,    /* silence */
    CONN_LIFE,    /* handshake, or FIN_WAIT_2 */
    CONN_DEADLINES,
};
#define CONN_TIMER_KIND 2

/* As enum cc_recovery. */
enum conn_recovery { CONN_OPEN = CC_OPEN, CONN_RECOVERY = CC_RECOVERY, CONN_LOSS = CC_LOSS };

enum conn_event {
    CONN_EV_CONNECTED = 1,
    CONN_EV_ACCEPTED = 2,
    CONN_EV_READABLE = 4,
    CONN_EV_WRITABLE = 8,
    CONN_EV_PEER_CLOSED = 16,
    CONN_EV_CLOSED = 32,
};

struct listener {
    uint16_t port; /* 0: free slot */
    uint32_t backlog, half_open;
    struct list half; /* its half-open connections, oldest first */
};

struct tcp_conn {
    struct flow flow;
    struct tcp_stack *stack;
    enum tcp_state state;
    void *user;

    /* where it stands among the stack's lists */
    struct list tx_link; /* has something to send, or waits for its neighbour, or closed but unread */
    struct list event_link;
    struct list half_link;     /* half-open: on its listener's list, not yet shown to the user */
    struct list starved_link;  /* waits for the stack's send memory */
    struct listener *listener; /* half-open: whose; NULL otherwise */
    uint32_t events;           /* enum conn_event, not yet told */
    enum tcp_reason reason;
    bool in_table;
    struct neigh *neigh;
    uint32_t neigh_gen;

    /* sending */
    struct scoreboard sb; /* una and nxt; SYN and FIN are records of one */
    struct sendq sq;
    uint32_t iss;
    uint32_t snd_wnd, max_snd_wnd; /* bytes, scaled */
    uint32_t snd_wl1, snd_wl2;
    uint8_t snd_wscale;
    uint16_t ip_id;
    uint32_t mtu_bytes;                  /* of the path as far as we know */
    uint32_t mtu_before_hole;            /* smaller sizes are being tried since timeouts began; 0: not */
    uint64_t mtu_raise_ns;               /* when larger packets are tried again */
    uint8_t mtu_raise_shift;
    bool must_cut;
    uint32_t peer_mss;                   /* as announced */
    uint32_t mss;                        /* payload of a full packet: less than both, options counted */
    bool fin_queued, fin_sent, is_short; /* is_short: the user waits for WRITABLE */
    bool is_cwnd_limited;  /* the window held us back within the last round trip */
    uint32_t limited_seq;  /* nxt when it did so last */
    bool probe_now;   /* send an empty segment below the window: the peer must answer */
    bool unreachable; /* the network said so, softly */
    struct cc cc;
    struct rtt rtt;
    struct rack rack;
    struct prr prr;
    struct pace pace;
    enum conn_recovery recovery;
    uint32_t recover;         /* recovery ends when this is acknowledged */
    uint32_t timeout_una;     /* una at the last timeout: still there, then it is a repeated one */
    uint32_t dupacks;         /* without SACK */
    uint32_t rtx_ts, rtx_seq; /* timestamp and place of the first retransmission of this recovery */
    bool undo_armed, rtx_ts_set;
    bool is_first_timeout;   /* F-RTO may still find it spurious */
    bool undo_by_dsack;      /* if all that was sent again since undo_una turns out a duplicate */
    uint32_t undo_una, undo_rtx_bytes;
    bool ecn_asked, ecn_ok;
    bool ecn_echo;                  /* tell the peer of marks until it slows down */
    bool ecn_tell, has_ecn_recover; /* tell the peer that we have; once a window */
    uint32_t ecn_recover;
    bool probe_due;          /* send a probe now */
    uint32_t probe_count;    /* probes since something was delivered */
    bool probe_out, probe_is_rtx;
    uint32_t probe_end;      /* nxt when the probe left */
    uint32_t syn_timeouts, probes, persist_count;
    uint64_t stuck_since_ns; /* first transmission or probe since the last sign of progress; 0: none */
    uint64_t last_sent_ns;   /* data */
    uint64_t turn_ns, turn_delivered_bytes; /* by the ACKs of this turn of the loop */
    uint64_t moved_ns;       /* tcp_close, or data acknowledged since */

    /* receiving */
    struct recvq rq;
    uint32_t irs;
    uint32_t rcv_adv; /* right edge of the window we announced */
    uint32_t last_ack_sent;
    uint8_t rcv_wscale;
    uint32_t rcv_mss;       /* the largest payload seen, as a guess of the peer's packet */
    uint32_t unacked_bytes; /* received in order since our last ACK */
    uint32_t recv_buf_bytes; /* the window we would give when nothing is unread; grows to the configuration's */
    struct rcvtune tune;
    uint32_t quick_acks; /* segments still to be acknowledged at once */
    bool is_answering;   /* our data follow theirs at once and carry the ACK */
    uint32_t acks_owed;     /* ACKs to send now */
    bool has_peer_fin, peer_fin_done;
    uint32_t peer_fin_seq;
    uint64_t last_heard_ns, last_data_ns; /* any segment; payload or FIN */
    uint32_t bad_answers;                 /* answers to bad segments in this period */
    uint64_t bad_period_ns;

    /* options */
    bool sack_ok, ts_ok, wscale_ok;
    uint32_t ts_offset, ts_recent;
    uint64_t ts_recent_ns;

    struct timer timer;
    uint64_t deadline[CONN_DEADLINES];

    uint64_t sent_bytes, acked_bytes, received_bytes, rtx_segments, rtx_bytes, rto_count, recovery_count;
};

/* ---- conn.c ---- */
/* NULL: table full. Not yet in the demultiplexer. */
struct tcp_conn *conn_new(struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port,
                          uint64_t now);
/* Forgets it at once, without events. */
void conn_free(struct tcp_conn *c);
/* The connection is over: out of the demultiplexer, no timers, nothing more to send. CLOSED follows; a half-open
 * one is freed instead. The caller must not touch c afterwards. */
void conn_finish(struct tcp_conn *c, enum tcp_reason reason);
void conn_event(struct tcp_conn *c, enum conn_event ev);
/* The peer's options of SYN or SYN-ACK. */
void conn_set_options(struct tcp_conn *c, const struct tcp_in *in, uint64_t now);
/* What our SYNs say. */
uint16_t conn_our_mss(const struct tcp_config *cfg, const struct ip_addr *remote);
/* What a peer means that names no size. */
uint16_t conn_mss_default(const struct ip_addr *remote);
uint16_t conn_first_window(const struct tcp_config *cfg);
uint8_t conn_window_scale(const struct tcp_config *cfg);
/* Both sides know of each other. */
void conn_established(struct tcp_conn *c, uint64_t now);
/* Has something to send: put it in line. */
void conn_kick(struct tcp_conn *c);
void conn_ack_soon(struct tcp_conn *c, uint64_t now);
void conn_ack_now(struct tcp_conn *c);
uint32_t conn_ts_now(const struct tcp_conn *c, uint64_t now);
/* The window to put in the next header, unscaled in a SYN; moves the announced edge. */
uint16_t conn_window(struct tcp_conn *c, bool is_syn);
/* Bytes by which the announced edge could move up. */
uint32_t conn_window_gain(const struct tcp_conn *c);
static inline uint32_t conn_fin_seq(const struct tcp_conn *c)
{
    return c->sq.end;
}
/* Its neighbour's MAC is known now. */
static inline bool conn_knows_mac(const struct tcp_conn *c)
{
    return c->neigh && c->neigh->gen == c->neigh_gen && c->neigh->state == NEIGH_KNOWN;
}
/* Something is missing, or was sent again. */
static inline bool conn_is_repairing(const struct tcp_conn *c)
{
    return c->recovery != CONN_OPEN || c->sb.sacked_bytes;
}
static inline bool conn_is_handshake(const struct tcp_conn *c)
{
    return c->state == TCP_ST_SYN_SENT || c->state == TCP_ST_SYN_RECEIVED;
}

/* ---- conn_mtu.c ---- */
/* mtu or options changed: the packet size follows. */
void conn_set_mss(struct tcp_conn *c, bool is_initial);
/* The path takes only this much. */
void conn_path_mtu(struct tcp_conn *c, uint32_t mtu_bytes);
/* Packets in flight are no larger than mss. False: no memory to cut them; nothing may be sent again until then. */
bool conn_cut(struct tcp_conn *c);
/* A router says so, about something in flight; 0: it names no size. */
void conn_mtu_told(struct tcp_conn *c, uint32_t mtu_bytes, uint64_t now);
/* A timeout has passed. */
void conn_mtu_timeout(struct tcp_conn *c, uint64_t now);
/* Something new was acknowledged after timeouts. */
void conn_mtu_progress(struct tcp_conn *c);
/* mtu_raise_ns has come. */
void conn_mtu_raise(struct tcp_conn *c);

/* ---- conn_in.c ---- */
void conn_input(struct tcp_conn *c, struct tcp_in *in, struct buf *lent, uint64_t now);
/* A SYN that we no longer remember has made c: its ACK, yet to be given to conn_input, brought back what it said. */
void conn_accept_cookie(struct tcp_conn *c, const struct tcp_in *in, const struct syncookie_facts *f, uint64_t now);
/* A first SYN for a listener has made c. */
void conn_accept_syn(struct tcp_conn *c, const struct tcp_in *in, uint64_t now);

/* ---- conn_ack.c ---- */
/* in->ack lies in [una, nxt] or is an older duplicate. */
void conn_ack(struct tcp_conn *c, const struct tcp_in *in, uint64_t now);
/* The send window of a header that is newer than what we know. */
void conn_learn_window(struct tcp_conn *c, const struct tcp_in *in);

/* ---- conn_loss.c; those that take an sb_news run once an ACK, in this order ---- */
void conn_detect_loss(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack, struct sb_news *news,
                      uint64_t now);
void conn_probe_acked(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack,
                      const struct sb_news *news, uint64_t now);
void conn_detect_spurious(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack,
                          struct sb_news *news, uint64_t now);
void conn_recover(struct tcp_conn *c, const struct sb_news *news, bool is_dup, uint64_t now);
/* Something left, or was delivered. */
void conn_probe_arm(struct tcp_conn *c, uint64_t now);
/* The deadlines TLP, REORDER and RTX. */
void conn_on_probe(struct tcp_conn *c, uint64_t now);
void conn_on_reorder(struct tcp_conn *c, uint64_t now);
void conn_timeout(struct tcp_conn *c, uint64_t now);

/* ---- conn_ecn.c ---- */
/* A first SYN asks for it, and we are willing. */
bool conn_ecn_is_asked(const struct tcp_config *cfg, const struct tcp_in *syn);
void conn_ecn_negotiate(struct tcp_conn *c, const struct tcp_in *in);
uint8_t conn_ecn_syn_flags(struct tcp_conn *c, bool is_answer);
/* With ecn_ok, for each acceptable segment; then after its acknowledgement. */
void conn_ecn_received(struct tcp_conn *c, const struct tcp_in *in);
void conn_ecn_acked(struct tcp_conn *c, const struct tcp_in *in, uint64_t now);
/* The window was reduced, for whatever reason. */
void conn_ecn_reduced(struct tcp_conn *c);

/* ---- conn_api.c ---- */
/* Bytes that may be queued and unacknowledged. */
uint32_t conn_send_limit(const struct tcp_conn *c);

/* ---- conn_out.c ---- */
/* Fills seg: true. False: nothing to send now. c survives. */
bool conn_output(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now);
/* The congestion window, not the application or the peer, held us back lately. */
bool conn_is_cwnd_limited(const struct tcp_conn *c);
/* Header fields common to all its segments. */
void conn_header(struct tcp_conn *c, struct tcp_out *o, uint64_t now);

/* ---- conn_timer.c ---- */
void conn_timer_set(struct tcp_conn *c, enum conn_deadline d, uint64_t at);
void conn_timer_clear(struct tcp_conn *c, enum conn_deadline d);
/* Sets PERSIST, later each time until the window opens. */
void conn_persist(struct tcp_conn *c, uint64_t now);
/* Something of ours was missing, memory or a neighbour: looks again soon. */
void conn_retry(struct tcp_conn *c, uint64_t now);
/* c may be gone afterwards. */
void conn_on_timer(struct tcp_conn *c, uint64_t now);

#endif
