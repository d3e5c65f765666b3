/* pcapng.c: blocks of a pcapng file (pcapng.h) */
#include "drivers/pcapng.h"

#include <string.h>

enum { BLOCK_INTERFACE = 1, BLOCK_COUNTS = 5, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a };
enum { OPT_END = 0, OPT_PROGRAM = 4, OPT_NAME = 2, OPT_TIME_UNIT = 9, OPT_FLAGS = 2, OPT_SEEN = 4, OPT_DROPPED = 5 };
enum { LINK_ETHERNET = 1, FLAG_RECEIVED = 1, FLAG_SENT = 2, NANOSECONDS = 9 };

#define FRAME_BYTES   12u /* of a block: type, and its length twice */
#define OPTIONS_BYTES 128u

struct options {
    uint8_t bytes[OPTIONS_BYTES];
    uint32_t len;
};

static uint32_t padded(uint32_t n)
{
    return (n + 3) & ~3u;
}

static void add_option(struct options *o, uint16_t code, const void *value, uint16_t len)
{
    if (o->len + 4 + padded(len) > sizeof(o->bytes))
        return;
    memcpy(o->bytes + o->len, &code, 2);
    memcpy(o->bytes + o->len + 2, &len, 2);
    memset(o->bytes + o->len + 4, 0, padded(len));
    if (len)
        memcpy(o->bytes + o->len + 4, value, len);
    o->len += 4 + padded(len);
}

static void write_block(FILE *f, uint32_t type, const void *fixed, uint32_t fixed_len, const uint8_t *bytes, uint32_t len,
                        const struct options *o)
{
    static const uint8_t zeros[4];
    uint32_t total = FRAME_BYTES + fixed_len + padded(len) + o->len;

    fwrite(&type, 4, 1, f);
    fwrite(&total, 4, 1, f);
    fwrite(fixed, 1, fixed_len, f);
    if (len) {
        fwrite(bytes, 1, len, f);
        fwrite(zeros, 1, padded(len) - len, f);
    }
    fwrite(o->bytes, 1, o->len, f);
    fwrite(&total, 4, 1, f);
}

void pcapng_write_head(FILE *f, const char *program)
{
    const struct {
        uint32_t magic;
        uint16_t major, minor;
        int64_t section_len;
    } __attribute__((packed)) fixed = {0x1a2b3c4d, 1, 0, -1};
    struct options o = {.len = 0};

    add_option(&o, OPT_PROGRAM, program, (uint16_t)strnlen(program, 64));
    add_option(&o, OPT_END, NULL, 0);
    write_block(f, BLOCK_SECTION, &fixed, sizeof(fixed), NULL, 0, &o);
}

void pcapng_write_interface(FILE *f, const char *name, uint32_t snap_bytes)
{
    const struct {
        uint16_t link, reserved;
        uint32_t snap;
    } fixed = {LINK_ETHERNET, 0, snap_bytes};
    const uint8_t unit = NANOSECONDS;
    struct options o = {.len = 0};

    add_option(&o, OPT_NAME, name, (uint16_t)strnlen(name, 64));
    add_option(&o, OPT_TIME_UNIT, &unit, 1);
    add_option(&o, OPT_END, NULL, 0);
    write_block(f, BLOCK_INTERFACE, &fixed, sizeof(fixed), NULL, 0, &o);
}

void pcapng_write_packet(FILE *f, uint32_t interface, const struct pcapng_packet *p, const uint8_t *bytes)
{
    const uint32_t fixed[5] = {interface, (uint32_t)(p->ns >> 32), (uint32_t)p->ns, p->kept_bytes, p->len};
    const uint32_t flags = p->is_sent ? FLAG_SENT : FLAG_RECEIVED;
    struct options o = {.len = 0};

    add_option(&o, OPT_FLAGS, &flags, 4);
    add_option(&o, OPT_END, NULL, 0);
    write_block(f, BLOCK_PACKET, fixed, sizeof(fixed), bytes, p->kept_bytes, &o);
}

void pcapng_write_counts(FILE *f, uint32_t interface, uint64_t ns, uint64_t seen, uint64_t dropped)
{
    const uint32_t fixed[3] = {interface, (uint32_t)(ns >> 32), (uint32_t)ns};
    struct options o = {.len = 0};

    add_option(&o, OPT_SEEN, &seen, 8);
    add_option(&o, OPT_DROPPED, &dropped, 8);
    add_option(&o, OPT_END, NULL, 0);
    write_block(f, BLOCK_COUNTS, fixed, sizeof(fixed), NULL, 0, &o);
}
