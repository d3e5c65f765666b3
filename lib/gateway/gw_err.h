/* gw_err.h: what a publish or a request can come to, as clients are told
 * Errors:  gw_err_text() is the sentence for clients (the acceptance suite looks for some of its words); gw_err_http() and
 *          gw_err_rpc() the status that goes with it
 */
#ifndef GATEWAY_GW_ERR_H
#define GATEWAY_GW_ERR_H

enum gw_err {
    GW_OK,
    GW_E_JSON = 1,
    GW_E_TOPIC,
    GW_E_TOPIC_LONG,
    GW_E_TOPIC_TYPE, /* JSON of another type than text */
    GW_E_TOPICS_TYPE,
    GW_E_TOPIC_TEXT, /* control characters, or not UTF-8 */
    GW_E_CLIENT,
    GW_E_CLIENT_LONG,
    GW_E_CLIENT_TYPE,
    GW_E_CLIENT_TEXT,
    GW_E_MESSAGE,
    GW_E_MESSAGE_TYPE,
    GW_E_EMPTY, /* in gRPC, where an empty message is none */
    GW_E_LENGTH,
    GW_E_LENGTH_TYPE,
    GW_E_BASE64,
    GW_E_ENCODING,
    GW_E_THRESHOLD,
    GW_E_THRESHOLD_TYPE,
    GW_E_AMOUNT,
    GW_E_ID_LONG, /* of a frame */
    GW_E_UNASSIGNED, /* nobody subscribed to the topic */
    GW_E_TOO_LARGE,
    GW_E_NO_NODE,
    GW_E_BUSY,
    GW_E_UNCONFIRMED,
    GW_E_REFUSED, /* the node said no */
    GW_E_FULL,    /* too many clients or subscriptions */
    GW_E_TOPICS,  /* the nodes take no further topic */
    GW_E_CLIENT_TOPICS, /* one client, or token, has as many as it may have */
    GW_E_STOPPING,
    GW_E_NOMEM,
    GW_E_TYPE, /* a frame of unknown type */
    GW_E_LIMIT_SECOND,
    GW_E_LIMIT_HOUR,
    GW_E_LIMIT_DAY,
    GW_E_LIMIT_SIZE,
    GW_E_COUNT
};

const char *gw_err_text(int err);
int gw_err_http(int err);
int gw_err_rpc(int err);

#endif
