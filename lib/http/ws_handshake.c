/* ws_handshake.c: the opening handshake's rules */
#include "http/ws_handshake.h"

#include <openssl/sha.h>

#include "base/text.h"

#define KEY_LEN 24 /* base64 of 16 bytes */

static bool has_token(struct slice list, const char *token)
{
    size_t len = strlen(token);

    for (size_t i = 0; i < list.len;) {
        size_t end = i;

        while (end < list.len && list.p[end] != ',')
            end++;
        while (i < end && (list.p[i] == ' ' || list.p[i] == '\t'))
            i++;
        if (end - i >= len && strncasecmp((const char *)list.p + i, token, len) == 0 &&
            (end - i == len || list.p[i + len] == ' ' || list.p[i + len] == '\t'))
            return true;
        i = end + 1;
    }
    return false;
}

int ws_handshake_check(const struct ws_handshake *h, const char **error)
{
    uint8_t raw[16];

    if (!h->is_get || !h->is_http11 || !has_token(h->upgrade, "websocket")) {
        *error = "WebSocket handshake expected";
        return 426;
    }
    if (!slice_is_equal(h->version, SLICE_LIT("13"))) {
        *error = "WebSocket version not supported: use 13";
        return 426;
    }
    if (h->key.len != KEY_LEN || base64_decode(raw, sizeof(raw), h->key) != 16) {
        *error = "bad Sec-WebSocket-Key";
        return 400;
    }
    return 0;
}

void ws_handshake_accept(char out[WS_ACCEPT_LEN + 1], struct slice key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_LEN + sizeof(guid) - 1], digest[20];

    memcpy(text, key.p, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
    SHA1(text, sizeof(text), digest);
    base64_encode(out, slice_of(digest, sizeof(digest)));
}
