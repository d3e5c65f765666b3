/* base64.h: the whole groups of a base64 text in bulk (text.c alone uses it; it does the ends and the errors)
 * Shape:   as many groups of 3 bytes <-> 4 characters as the instruction set likes at once -> how many bytes of input were used
 * Source:  RFC 4648; Mula, Lemire: Faster Base64 Encoding and Decoding Using AVX2 Instructions
 * Limits:  reads and writes nothing outside [in, in+len) and what the used input comes to
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/* Returns bytes of in encoded, a multiple of 3; writes 4/3 of that. May be 0. */
size_t base64_bulk_encode(char *out, struct slice in);
/* Returns characters of in decoded, a multiple of 4; writes 3/4 of that, at most cap. Stops before the first group with a
 * character that is none of the 64 (padding too). May be 0. */
size_t base64_bulk_decode(uint8_t *out, size_t cap, struct slice in);

#endif
