/* fuzz_cli.c: what servers say to the command line client. First byte: which decoder */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/link.h"
#include "cli/prom.h"
#include "cli/view.h"
#include "cli/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_metrics(struct slice in)
{
    char *text = malloc(in.len + 1), value[16];
    struct cli_prom_sample s;
    const char *at = text;

    if (!text)
        return;
    memcpy(text, in.p, in.len);
    text[in.len] = 0;
    while (cli_prom_next(&at, &s)) {
        cli_prom_label(&s, "node", value, sizeof(value));
        cli_prom_label(&s, "le", value, sizeof(value));
    }
    cli_prom_quantile(text, text, "codecast_gateway_delay_seconds", 0.5);
    cli_prom_quantile(NULL, text, "codecast_gateway_delay_seconds", 0.99);
    free(text);
}

static void read_view(struct slice in)
{
    json_t *j = json_loadb((const char *)in.p, in.len, 0, NULL);
    struct cli_view v;

    for (int is_node = 0; is_node < 2 && j; is_node++) {
        cli_view_make(&v, &(struct cli_view_input){.is_node = is_node, .url = "x", .health = j, .detail = j, .metrics = "codecast_up 1\n"});
        cli_view_fini(&v);
    }
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = size ? slice_of(data + 1, size - 1) : slice_of("", 0);
    char out[64];

    switch (size ? data[0] % 4 : 0) {
    case 0:
        cli_event_free(cli_event_of_json(in, 0));
        cli_event_free(cli_notice_of_json(in));
        break;
    case 1: read_metrics(in); break;
    case 2: read_view(in); break;
    default:
        cli_clean(out, sizeof(out), in);
        if (!cli_is_plain(slice_str(out)))
            abort();
        cli_is_utf8(in);
    }
    return 0;
}
