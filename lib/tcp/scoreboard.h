/* scoreboard.h: what we sent and what became of it
 * Shape:   sent, acknowledged, SACKed -> bytes in flight, bytes lost, what to send again
 * Source:  RFC 8985 (loss by time, see rack.h), RFC 6675 (pipe, NextSeg's first rule), RFC 2018, RFC 6582 for peers
 *          without SACK; delivery rate: draft-cheng-iccrg-delivery-rate-estimation
 * Owner:   the connection
 * Memory:  one record a packet in a ring that doubles on the heap; none of it moves with the stream
 * Errors:  reserve: 0 or -1 without memory. The rest cannot fail; SACKs beyond the range bound are ignored
 * Limits:  each record changes state a bounded number of times: no walk over the window for an ACK
 */
#ifndef TCP_SCOREBOARD_H
#define TCP_SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/rack.h"
#include "tcp/rate_sample.h"
#include "tcp/seqset.h"

#define SB_DUP_THRESH  3 /* without SACK */
#define SB_MAX_RANGES  8192
#define SB_MAX_RECORDS 65536
#define SB_MAX_CUT     (4 * SB_MAX_RECORDS) /* of those that were cut to smaller packets: not to cut them would stop the connection */

enum sb_flag {
    SB_SACKED = 1,   /* the peer has it */
    SB_LOST = 2,     /* we believe its last transmission lost, unless SB_RTX */
    SB_RTX = 4,      /* sent again since it was marked lost: counts as in flight */
    SB_EVER_RTX = 8, /* gives no round-trip sample (Karn) */
    SB_IDLE = 16,    /* sent while the application gave less than the path takes */
};

struct sb_record {
    uint64_t sent_ns; /* last transmission; no two segments have the same: those of one turn are 1 ns apart */
    uint32_t seq;
    uint16_t len; /* SYN and FIN count one */
    uint8_t flags;
    /* how things stood at that transmission (rate_sample.h) */
    uint32_t delivered;                       /* low half of the total */
    uint32_t since_delivered, since_first;    /* in SB_TICK_NS, before sent_ns */
};

#define SB_TICK_NS 64

struct sb_mark {
    uint32_t index; /* absolute */
    uint32_t stamp; /* low half of its sent_ns: another one, and it was sent again since */
};

struct sb_queue {
    struct sb_mark *m;
    uint32_t cap, head, tail;
};

struct scoreboard {
    uint32_t una, nxt;      /* first unacknowledged, next new */
    uint64_t stamp_ns;      /* the latest sent_ns */
    struct sb_record *ring; /* [head, tail), indexes absolute, masked by cap - 1 */
    uint32_t cap, head, tail;
    struct seqset sacked;
    uint32_t sacked_bytes;           /* of whole records */
    uint32_t sacked_count;           /* records */
    uint32_t highest;                /* end of the highest record delivered */
    uint32_t lost_bytes;             /* lost, not SACKed, not sent again */
    uint32_t judged;                 /* records below were looked at by the loss rule */
    uint32_t cursor;                 /* no record below needs sending again but those in `again` */
    struct sb_queue in_flight_again; /* retransmissions in their order of sending */
    struct sb_queue again;           /* those found lost a second time */
    struct rate_meter rate;
};

/* What one ACK brought. */
struct sb_news {
    uint32_t acked_bytes;     /* cumulative, SYN and FIN included */
    uint32_t delivered_bytes; /* acknowledged or SACKed for the first time */
    uint32_t sacked_bytes;    /* of these: SACKed */
    uint32_t lost_bytes;      /* newly believed lost */
    uint32_t lost_again;      /* records */
    uint32_t late_bytes;      /* of the delivered: believed lost, never sent again */
    bool is_reordered;        /* something sent once arrived after what was sent later */
    /* The delivered records sent last: of those sent once, and of those sent again (which transmission arrived is not
     * known). NULL: none. Valid until the next sb_reserve or sb_sent. */
    const struct sb_record *once, *again;
};

void sb_init(struct scoreboard *sb, uint32_t seq);
void sb_fini(struct scoreboard *sb);

/* Room for n more records. */
int sb_reserve(struct scoreboard *sb, uint32_t n);
/* len new bytes of sequence space left in packets of mss. Room must be reserved. */
void sb_sent(struct scoreboard *sb, uint32_t len, uint32_t mss, uint64_t now);

/* ack in (una, nxt]. Adds to *news. */
void sb_ack(struct scoreboard *sb, uint32_t ack, struct sb_news *news);
/* One SACK block, any numbers. Adds to *news. */
void sb_sack(struct scoreboard *sb, uint32_t lo, uint32_t hi, struct sb_news *news);
/* After those: what was sent before the latest known arrival and is missing for longer than wait_ns (RACK's round trip and
 * reordering window) is lost. Adds to *news. Returns when to look again, 0: no need. */
uint64_t sb_detect(struct scoreboard *sb, const struct rack *rack, uint64_t wait_ns, struct sb_news *news, uint64_t now);
/* After sb_ack and sb_sack of one ACK: counts what was delivered and measures its rate. */
void sb_sample(struct scoreboard *sb, const struct sb_news *news, struct rate_sample *out, uint64_t now);
/* The application has no more to send although there is room: until all of this has arrived, samples say so. */
void sb_note_idle(struct scoreboard *sb);

/* Without SACK: the first record is lost (again). */
void sb_mark_head_lost(struct scoreboard *sb);
/* The last record is to be sent again (a probe), if nothing else is. False: it has arrived already. */
bool sb_mark_tail_lost(struct scoreboard *sb);
/* Timeout: everything not SACKed is lost; if the head is SACKed the peer reneged and all SACKs are forgotten: true. */
bool sb_mark_all_lost(struct scoreboard *sb);
/* It was all a mistake: what is marked lost and not sent again is in flight after all. */
void sb_unmark_lost(struct scoreboard *sb);
/* [seq, seq + len), transmitted last of all, never left: new bytes are new again, others lost. */
void sb_unsent(struct scoreboard *sb, uint32_t seq, uint32_t len);
/* The packet size shrank: records are cut to mss. Allocates; -1 without memory, nothing changed. */
int sb_resegment(struct scoreboard *sb, uint32_t mss);

/* The next run to send again, at most max_bytes but at least one record, records of exactly mss but the last:
 * its bytes, 0 when there is none. */
uint32_t sb_next_rtx(struct scoreboard *sb, uint32_t mss, uint32_t max_bytes, uint32_t *seq);
void sb_retransmitted(struct scoreboard *sb, uint32_t seq, uint32_t len, uint64_t now);

/* Bytes of the oldest packet in flight; 0: none. */
static inline uint32_t sb_head_len(const struct scoreboard *sb)
{
    return sb->head == sb->tail ? 0 : sb->ring[sb->head & (sb->cap - 1)].len;
}

static inline uint32_t sb_flight(const struct scoreboard *sb)
{
    return sb->nxt - sb->una;
}

/* Something may be missing: sb_detect has something to look for. */
static inline bool sb_has_doubt(const struct scoreboard *sb, const struct rack *rack)
{
    if (sb->head == sb->tail)
        return false;
    const struct sb_record *r = &sb->ring[sb->head & (sb->cap - 1)];
    return sb->sacked.count || sb->in_flight_again.head != sb->in_flight_again.tail ||
           rack_is_after(rack, r->sent_ns, r->seq + r->len);
}

/* Bytes believed to be in the network. */
static inline uint32_t sb_pipe(const struct scoreboard *sb)
{
    return sb->nxt - sb->una - sb->sacked_bytes - sb->lost_bytes;
}

#endif
