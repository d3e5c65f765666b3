/* keyfile_json.h: as much JSON as p2p.key needs
 * Shape:   text -> the two strings
 * Source:  RFC 8259; one object whose members are scalars, Key and ID strings, others passed over
 * Errors:  0, or -1: anything else. Nested values are refused: no such file has them
 */
#ifndef LIBP2P_KEYFILE_JSON_H
#define LIBP2P_KEYFILE_JSON_H

#include "base/slice.h"

#define KEYFILE_TEXT_MAX 3600 /* of Key; ID is far shorter */

/* Unescaped, ASCII. len -1: no such member. */
struct keyfile_text {
    int len;
    char p[KEYFILE_TEXT_MAX];
};

struct keyfile_json {
    struct keyfile_text key, id;
};

int keyfile_json_parse(struct keyfile_json *j, struct slice text);

#endif
