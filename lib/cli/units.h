/* units.h: quantities as people write and read them
 * Shape:   number <-> text in the caller's memory
 * Units:   bytes in powers of 1024 (KiB), durations in ns
 */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_UNIT_TEXT 24

/* Each writes at most CLI_UNIT_TEXT bytes with the NUL and returns out, so that it may stand in a printf. */
char *cli_bytes_text(char out[CLI_UNIT_TEXT], double bytes);       /* "512 B", "1.5 KiB", "12 MiB" */
char *cli_byte_rate_text(char out[CLI_UNIT_TEXT], double bytes);   /* "1.5 KiB/s" */
char *cli_count_text(char out[CLI_UNIT_TEXT], double n);           /* "950", "12.3 k", "4.5 M" */
char *cli_rate_text(char out[CLI_UNIT_TEXT], double per_s);        /* "0.5/s", "12/s", "12.3 k/s" */
char *cli_duration_text(char out[CLI_UNIT_TEXT], uint64_t ns);     /* "850 us", "1.24 ms", "3.1 s", "2 m 05 s", "3 h 12 m", "2 d 03 h" */

/* "64", "64K", "64KiB", "1.5M", "2g": bytes. False: not such a text, or beyond 2^53. */
bool cli_bytes_parse(const char *text, uint64_t *bytes);
/* "10", "1.5s", "200ms", "50us", "2m", "1h": ns; without a unit seconds. */
bool cli_duration_parse(const char *text, uint64_t *ns);
/* "100", "100/s", "2.5/s", "30/m", "2k": per second, above 0. */
bool cli_rate_parse(const char *text, double *per_s);

#endif
