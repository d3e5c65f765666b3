/* words.h: strangers' bytes as text that a terminal may show
 * Source:  RFC 3629; C0 and C1 controls, DEL and the Unicode marks that turn the writing direction are not let through
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <stdbool.h>

#include "base/slice.h"

bool cli_is_utf8(struct slice s);
/* UTF-8 of which a terminal makes nothing but text; line ends and tabs are. */
bool cli_is_plain(struct slice s);
/* Into cap bytes with the NUL: what is not plain becomes '?', line ends and tabs become spaces; never half a character.
 * Returns out. */
char *cli_clean(char *out, size_t cap, struct slice s);
/* Characters (code points) of UTF-8: columns, but for wide ones. */
size_t cli_columns(const char *s);

#endif
