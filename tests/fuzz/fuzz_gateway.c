/* fuzz_gateway.c: what nodes and clients send a gateway as JSON: deliveries, and orders to publish or subscribe */
#include <stdlib.h>

#include "gateway/gw_delivery.h"
#include "gateway/gw_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_topic(void *user, struct slice topic)
{
    if (topic.len == 0 || topic.len > GW_NAME_MAX)
        abort();
    return 0;
}

static void fuzz_delivery(struct slice in)
{
    struct gw_delivery d;

    if (gw_delivery_parse(&d, in) < 0)
        return;
    gw_delivery_ws(&d);
    gw_delivery_grpc(&d);
    gw_delivery_fini(&d);
}

/* message_length is left alone: it asks the gateway for its limits. */
static void fuzz_order(struct slice in)
{
    struct gw_order o;
    double threshold = 0.5;

    if (gw_order_read(&o, in) == 0) {
        gw_order_topics(&o, take_topic, NULL);
        gw_order_threshold(&o, &threshold);
        if (!(threshold > 0 && threshold <= 1))
            abort();
        if (o.v[O_LENGTH].type == FLAT_ABSENT)
            gw_order_payload(&o, NULL);
    }
    gw_order_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_delivery(slice_of(data, size));
    fuzz_order(slice_of(data, size));
    return 0;
}
