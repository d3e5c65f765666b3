/* mactable.h: which port of a switch a station is at
 * Shape:   learn (address, port, now), look up -> port
 * Owner:   the switch's loop
 * Memory:  fixed: MACTABLE_SETS sets of four; a newcomer takes the place of the one that was silent longest
 * Units:   ns monotonic
 * Limits:  a station that invents addresses can make the switch forget others of the same set, and so flood; it is hashed with a seed
 */
#ifndef DRIVERS_MACTABLE_H
#define DRIVERS_MACTABLE_H

#include <stdint.h>

#define MACTABLE_SETS   1024
#define MACTABLE_WAYS   4
#define MACTABLE_AGE_NS 300000000000ull
#define MACTABLE_NONE   UINT16_MAX

struct mactable_entry {
    uint8_t mac[6];
    uint16_t port;
    uint64_t seen_ns; /* 0: free */
};

struct mactable {
    uint64_t seed[2];
    struct mactable_entry sets[MACTABLE_SETS][MACTABLE_WAYS];
};

void mactable_init(struct mactable *t, const uint64_t seed[2]);
/* Group addresses are not learnt: nobody sends from them. now > 0. */
void mactable_learn(struct mactable *t, const uint8_t mac[6], uint16_t port, uint64_t now);
/* MACTABLE_NONE: not known, or silent for MACTABLE_AGE_NS. */
uint16_t mactable_find(const struct mactable *t, const uint8_t mac[6], uint64_t now);
/* The port's other end is gone. */
void mactable_forget_port(struct mactable *t, uint16_t port);

#endif
