#include "testing.h"

#include "cli/frame.h"

static const char metrics_before[] = "codecast_up{cluster_id=\"n1\"} 1\ncodecast_uptime_seconds 100\n"
                                     "optimum_p2p_messages_published_total 10\noptimum_mump2p_delivered_messages_count 0\n"
                                     "optimum_bandwidth_total_bytes{direction=\"in\"} 0\n";
static const char metrics_now[] = "codecast_up{cluster_id=\"n1\"} 1\ncodecast_uptime_seconds 102\n"
                                  "optimum_p2p_messages_published_total 30\noptimum_mump2p_delivered_messages_count 8\n"
                                  "optimum_bandwidth_total_bytes{direction=\"in\"} 4096\ncodecast_shards_forged_total 3\n";
static const char gateway_before[] = "nodes_active_total{cluster_id=\"gw1\"} 1\noptimum_p2p_messages_published_total 0\n"
                                     "codecast_gateway_delay_seconds_bucket{le=\"0.001\"} 0\ncodecast_gateway_delay_seconds_bucket{le=\"+Inf\"} 0\n";
static const char gateway_now[] = "nodes_active_total{cluster_id=\"gw1\"} 1\noptimum_p2p_messages_published_total 200\n"
                                  "codecast_gateway_node_up{node=\"n1:33212\"} 1\ncodecast_gateway_node_up{node=\"n2:33212\"} 0\n"
                                  "codecast_gateway_delay_seconds_bucket{le=\"0.001\"} 10\ncodecast_gateway_delay_seconds_bucket{le=\"+Inf\"} 10\n";

static json_t *peers_json(unsigned topics, unsigned peers)
{
    json_t *t = json_array(), *p = json_array();

    for (unsigned i = 0; i < topics; i++)
        json_array_append_new(t, json_pack("{s:s,s:b,s:i,s:i}", "topic", i ? "other" : "evil\033[2J", "subscribed", 1, "peers", 3, "mesh", 2));
    for (unsigned i = 0; i < peers; i++)
        json_array_append_new(p, json_pack("{s:s,s:s,s:s,s:[s],s:f,s:f,s:i}", "peer_id", "12D3KooWabcdefgh", "address",
                                           "/ip4/192.0.2.1/tcp/7070", "direction", "inbound", "mesh", "t", "score", 1.5, "rtt_ms",
                                           0.5, "queue_bytes", 0));
    return json_pack("{s:s,s:i,s:o,s:o}", "peer_id", "12D3KooWself", "total_peers", (int)peers, "peers", p, "topics", t);
}

static void make_node(struct cli_view *v, unsigned topics, unsigned peers)
{
    json_t *health = json_pack("{s:s,s:s,s:s,s:s}", "status", "ok", "mode", "optimum", "cpu_used", "2.15", "memory_used", "70.00");
    json_t *detail = peers_json(topics, peers);

    cli_view_make(v, &(struct cli_view_input){.is_node = true, .url = "http://n1:9090", .health = health, .detail = detail,
                                              .metrics = metrics_now, .before = metrics_before, .seconds = 2});
    json_decref(health);
    json_decref(detail);
}

static char *frame(const struct cli_view *v, const struct cli_history *h, const struct cli_frame_style *s)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    cli_frame_print(f, v, h, s);
    fclose(f);
    return text;
}

static void expect(const char *text, const char *want)
{
    if (!strstr(text, want))
        fail_msg("no '%s' in:\n%s", want, text);
}

/* Lines and the widest of them, escapes not counted; that no other control character is in it. */
static void measure(const char *text, unsigned *lines, unsigned *width)
{
    unsigned column = 0;

    *lines = *width = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '\033') {
            assert_int_equal(p[1], '[');
            p += strcspn(p, "m");
        } else if (*p == '\n') {
            ++*lines;
            column = 0;
        } else {
            assert_true((unsigned char)*p >= 0x20);
            column += ((unsigned char)*p & 0xc0) != 0x80;
            *width = column > *width ? column : *width;
        }
    }
    assert_int_equal(column, 0);
}

static void test_node_frame_says_all_of_it(void **state)
{
    struct cli_view v;
    char *text;

    make_node(&v, 2, 2);
    text = frame(&v, NULL, &(struct cli_frame_style){.clock = "12:00:01"});
    expect(text, "node n1  http://n1:9090  ok  12:00:01\n");
    expect(text, "12D3KooWself\n");
    expect(text, "optimum  up 1 m 42 s  peers 2  topics 2  clients 0  cpu 2 %  memory 70 %\n");
    expect(text, "published 10/s       from peers 4/s");
    expect(text, "in 2 KiB/s");
    expect(text, "trouble    forged 3\n");
    expect(text, "evil?[2J  yes             3     2\n");
    expect(text, "PEER        ADDRESS                  DIR     RTT  SCORE  QUEUE  MESHES\n"
                 "..abcdefgh  /ip4/192.0.2.1/tcp/7070  in   500 us    1.5    0 B       1\n");
    assert_null(strchr(text, '\033'));
    assert_true(v.per_second == 14);
    free(text);
    cli_view_fini(&v);
}

static void test_gateway_frame_has_delays_and_nodes(void **state)
{
    json_t *health = json_pack("{s:s,s:i,s:i,s:s,s:s}", "status", "degraded", "nodes", 2, "healthy_nodes", 1, "cpu_used", "1.00", "memory_used", "2.00");
    json_t *detail = json_pack("{s:[s]}", "topics", "news");
    struct cli_view v;
    char *text;

    cli_view_make(&v, &(struct cli_view_input){.url = "http://gw1:8080", .health = health, .detail = detail,
                                               .metrics = gateway_now, .before = gateway_before, .seconds = 1});
    text = frame(&v, NULL, &(struct cli_frame_style){.has_colour = true});
    expect(text, "gateway gw1");
    expect(text, "\033[31mdegraded\033[0m");
    expect(text, "nodes 1 of 2");
    expect(text, "200/s");
    expect(text, "p50 500 us");
    expect(text, "n2:33212  NO");
    expect(text, "news\n");
    free(text);
    cli_view_fini(&v);
    json_decref(health);
    json_decref(detail);
}

static void test_frame_fits_every_terminal(void **state)
{
    struct cli_history h = {0};
    struct cli_view v;
    unsigned lines, width;

    for (unsigned i = 0; i < 100; i++)
        cli_history_add(&h, i);
    make_node(&v, 40, 60);
    for (unsigned rows = 10; rows <= 60; rows++)
        for (unsigned columns = 20; columns <= 120; columns += 20) {
            char *text = frame(&v, &h, &(struct cli_frame_style){.width = columns, .height = rows, .clock = "12:00:01", .footer = "q ends", .has_colour = rows % 2, .is_utf8 = true});

            measure(text, &lines, &width);
            assert_true(lines <= rows && width <= columns);
            expect(text, "q ends");
            free(text);
        }
    cli_view_fini(&v);
}

static void test_frame_of_80x24_shows_topics_and_peers(void **state)
{
    struct cli_view v;
    char *text;

    make_node(&v, 40, 60);
    text = frame(&v, NULL, &(struct cli_frame_style){.width = 80, .height = 24, .footer = "q ends"});
    expect(text, "TOPIC");
    expect(text, "topics more");
    expect(text, "PEER ");
    expect(text, "peers more");
    free(text);
    text = frame(&v, NULL, &(struct cli_frame_style){.problem = "does not answer"});
    expect(text, "does not answer");
    assert_null(strstr(text, " more\n")); /* without a height all of it */
    free(text);
    cli_view_fini(&v);
}

static void test_view_bears_any_answer(void **state)
{
    static const char *const answers[] = {"{}", "{\"peers\":5,\"topics\":{}}", "{\"peers\":[5,null,{}],\"topics\":[[],{\"topic\":1}]}", "[]"};

    for (unsigned i = 0; i < 2 * sizeof(answers) / sizeof(answers[0]); i++) {
        json_t *j = json_loads(answers[i / 2], 0, NULL);
        struct cli_view v;
        char *text;

        cli_view_make(&v, &(struct cli_view_input){.is_node = i % 2, .url = "x", .health = j, .detail = j, .metrics = "\n{\nnonsense"});
        text = frame(&v, NULL, &(struct cli_frame_style){.width = 80, .height = 24});
        assert_true(strlen(text) > 10);
        free(text);
        cli_view_fini(&v);
        json_decref(j);
    }
}

static void test_curve_is_scaled_to_its_largest(void **state)
{
    struct cli_history h = {0};
    char out[CLI_CURVE_TEXT];

    assert_string_equal(cli_history_curve(out, &h, 10, false), "");
    for (unsigned i = 0; i < 8; i++)
        cli_history_add(&h, i);
    assert_string_equal(cli_history_curve(out, &h, 60, false), "_.:-=+*#");
    assert_string_equal(cli_history_curve(out, &h, 2, true), "\xe2\x96\x87\xe2\x96\x88");
    for (unsigned i = 0; i < 100; i++)
        cli_history_add(&h, 0);
    assert_int_equal(strlen(cli_history_curve(out, &h, CLI_HISTORY_MAX, true)), CLI_CURVE_TEXT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_frame_says_all_of_it),          cmocka_unit_test(test_gateway_frame_has_delays_and_nodes),
        cmocka_unit_test(test_frame_fits_every_terminal),          cmocka_unit_test(test_frame_of_80x24_shows_topics_and_peers),
        cmocka_unit_test(test_view_bears_any_answer), cmocka_unit_test(test_curve_is_scaled_to_its_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
