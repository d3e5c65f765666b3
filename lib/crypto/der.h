/* der.h: as much DER as public keys need
 * Shape:   bytes -> elements, one level at a time
 * Source:  X.690 (DER): definite lengths in their shortest form, INTEGERs in their fewest bytes; single-byte tags
 * Memory:  contents point into the input
 * Errors:  false: another element, or none, or not DER; the cursor is then anywhere
 */
#ifndef CRYPTO_DER_H
#define CRYPTO_DER_H

#include "base/rd.h"

enum der_tag { DER_INTEGER = 0x02, DER_BIT_STRING = 0x03, DER_SEQUENCE = 0x30 };

/* Takes the next element, which must bear this tag. */
bool der_take(struct rd *r, enum der_tag tag, struct slice *content);
/* Takes an INTEGER above 0: its bytes, big-endian, the first not 0. */
bool der_take_positive(struct rd *r, struct slice *number);
/* Takes a BIT STRING of whole bytes. */
bool der_take_bits(struct rd *r, struct slice *bytes);

#endif
