/* fuzz_http.c: query strings, JSON quoting, WebSocket handshake headers */
#include <stdlib.h>

#include "http/http_flat.h"
#include "http/http_json.h"
#include "http/http_query.h"
#include "http/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_query(struct slice in)
{
    struct slice raw;
    char *out;

    if (!http_query_find(in, "topic", &raw))
        return;
    out = malloc(raw.len + 1);
    if (http_form_decode(out, raw) > (ssize_t)raw.len)
        abort();
    free(out);
}

static void fuzz_quote(struct slice in)
{
    char *out = malloc(HTTP_JSON_STR_MAX(in.len));
    size_t n = http_json_quote(out, in);
    json_t *v = json_loadb(out, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (!v || (http_utf8_is_valid(in) && json_string_length(v) != in.len))
        abort();
    json_decref(v);
    free(out);
}

static void fuzz_flat(struct slice in)
{
    static const char *const names[] = {"topic", "message"};
    struct flat_value v[2];
    uint8_t *out;

    if (http_flat_find(in, names, 2, v) < 0)
        return;
    out = malloc(in.len + 1);
    if (http_flat_text(out, &v[0]) > (ssize_t)v[0].raw.len)
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct ws_handshake h = {true, true, in, SLICE_LIT("13"), in};
    const char *error;
    char err[200];

    fuzz_query(in);
    fuzz_quote(in);
    fuzz_flat(in);
    json_decref(http_json_parse(in, err, sizeof(err)));
    ws_handshake_check(&h, &error);
    h.upgrade = SLICE_LIT("websocket");
    ws_handshake_check(&h, &error);
    return 0;
}
