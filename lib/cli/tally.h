/* tally.h: a bench's books: what was sent, what came, how often and how late
 * Shape:   numbered sends, answers and arrivals with times -> counts and percentiles
 * Format:  a payload begins with 8 bytes of magic and run, 8 of its number, both big endian; random bytes follow
 * Memory:  16 bytes a message sent
 */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include "base/slice.h"
#include "cli/stats.h"

#define CLI_TALLY_HEAD 16

struct cli_tally_entry {
    uint64_t sent_ns : 63;
    uint64_t is_refused : 1;
    uint64_t arrivals;
};

struct cli_tally {
    uint64_t run; /* tells our messages from those of other runs */
    struct cli_tally_entry *entry;
    uint64_t sent, cap;
    uint64_t answered, refused, arrived, duplicates, strange; /* strange: of no or another run */
    uint64_t first_sent_ns, last_sent_ns, last_arrival_ns;
    struct cli_stats delivery, answer; /* ns */
};

void cli_tally_init(struct cli_tally *t, uint64_t run);
void cli_tally_fini(struct cli_tally *t);
/* Writes the head of message number n. */
void cli_tally_head(uint8_t out[CLI_TALLY_HEAD], uint64_t run, uint64_t n);
/* The next number is sent: its number, or UINT64_MAX: no memory. */
uint64_t cli_tally_send(struct cli_tally *t, uint64_t now_ns);
void cli_tally_answer(struct cli_tally *t, uint64_t n, bool is_refused, uint64_t now_ns);
/* True: a message of this run, counted. */
bool cli_tally_arrive(struct cli_tally *t, struct slice payload, uint64_t now_ns);
/* Accepted and not arrived. */
uint64_t cli_tally_missing(const struct cli_tally *t);

#endif
