/* multibase.h: the text alphabets that ids and addresses use
 * Shape:   bytes <-> text without the multibase prefix
 * Source:  multibase table: base58btc (z), base36 lower (k), base32 lower without padding (b), base64url without
 *          padding (u: base/text.h has it)
 * Errors:  lengths, or -1: a character outside the alphabet, text that no encoder makes, or cap too small
 * Limits:  base58 and base36 are quadratic, so at most MULTIBASE_BIG_MAX bytes or characters go in
 */
#ifndef LIBP2P_MULTIBASE_H
#define LIBP2P_MULTIBASE_H

#include <sys/types.h>

#include "base/slice.h"

#define MULTIBASE_BIG_MAX 256

/* Encoders write a NUL behind the text and return its length. */
ssize_t base58_encode(char *out, size_t cap, struct slice in);
ssize_t base58_decode(uint8_t *out, size_t cap, struct slice text);
ssize_t base36_encode(char *out, size_t cap, struct slice in);
ssize_t base36_decode(uint8_t *out, size_t cap, struct slice text);
ssize_t base32_encode(char *out, size_t cap, struct slice in);
ssize_t base32_decode(uint8_t *out, size_t cap, struct slice text);

#endif
