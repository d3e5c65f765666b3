/* test_ws_handshake.c: the opening handshake's rules */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/ws_handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void test_accept_is_the_rfc_example(void **state)
{
    char out[WS_ACCEPT_LEN + 1];

    ws_handshake_accept(out, slice_str(KEY));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_check_table(void **state)
{
    static const struct {
        bool get, http11;
        const char *upgrade, *version, *key;
        int want;
    } t[] = {{true, true, "websocket", "13", KEY, 0},
             {true, true, "WebSocket", "13", KEY, 0},
             {true, true, "h2c, websocket", "13", KEY, 0},
             {true, true, "websockets", "13", KEY, 426},
             {true, true, "", "13", KEY, 426},
             {false, true, "websocket", "13", KEY, 426},
             {true, false, "websocket", "13", KEY, 426},
             {true, true, "websocket", "8", KEY, 426},
             {true, true, "websocket", "", KEY, 426},
             {true, true, "websocket", "13", "", 400},
             {true, true, "websocket", "13", "dGhlIHNhbXBsZSBub25jZ", 400},
             {true, true, "websocket", "13", "AAAAAAAAAAAAAAAAAAAAAAAA", 400}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct ws_handshake h = {t[i].get, t[i].http11, slice_str(t[i].upgrade), slice_str(t[i].version),
                                 slice_str(t[i].key)};
        const char *error = NULL;

        assert_int_equal(ws_handshake_check(&h, &error), t[i].want);
        assert_int_equal(error != NULL, t[i].want != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accept_is_the_rfc_example),
                                       cmocka_unit_test(test_check_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
