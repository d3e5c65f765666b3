/* pcapng.h: writes packets into a file that Wireshark and tcpdump read
 * Source:  draft-ietf-opsawg-pcapng: section, interface, enhanced packet and interface statistics blocks; times in ns
 * Owner:   whoever owns the FILE
 * Errors:  none here: ferror of the file tells
 */
#ifndef DRIVERS_PCAPNG_H
#define DRIVERS_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pcapng_packet {
    uint64_t ns;         /* since 1970 */
    uint32_t len;        /* on the wire */
    uint32_t kept_bytes; /* of them in the file */
    bool is_sent;        /* else received */
};

/* Once, first. */
void pcapng_write_head(FILE *f, const char *program);
/* An Ethernet interface; the first is number 0. */
void pcapng_write_interface(FILE *f, const char *name, uint32_t snap_bytes);
void pcapng_write_packet(FILE *f, uint32_t interface, const struct pcapng_packet *p, const uint8_t *bytes);
/* At the end: how many packets there were and how many of them are not in the file. */
void pcapng_write_counts(FILE *f, uint32_t interface, uint64_t ns, uint64_t seen, uint64_t dropped);

#endif
