/* text.h: hex and base64
 * Shape:   bytes <-> text in the caller's memory
 * Source:  RFC 4648: base64 padded (section 4), base64url without padding (section 5)
 * Errors:  decoders return the number of bytes, -1 for a wrong character, length or padding, or output that does not fit
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/slice.h"

/* Writes 2*len characters and a NUL. */
void hex_encode(char *out, struct slice in);
ssize_t hex_decode(uint8_t *out, size_t cap, struct slice in);

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
/* Writes BASE64_SIZE(in.len) bytes, the NUL included; returns the text's length. */
size_t base64_encode(char *out, struct slice in);
ssize_t base64_decode(uint8_t *out, size_t cap, struct slice in);

/* Writes the text and a NUL; returns the text's length, -1 when cap is too small. */
ssize_t base64url_encode(char *out, size_t cap, struct slice in);
ssize_t base64url_decode(uint8_t *out, size_t cap, struct slice in);
/* Whether base64url_decode takes it, room given. The empty text is valid. */
bool base64url_is_valid(struct slice in);

#endif
