/* link_sidecar.c: a node's sidecar by gRPC: one CommandStream for publishing and subscribing
 * Note:    answers to publishes come in any order and name the payload's SHA-256: by that they find their tag. A refusal may
 *          come before the node has hashed it, and names nothing: then it is the largest one's, for size is the reason
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/pb.h"
#include "base/text.h"
#include "cli/channel.h"
#include "cli/link.h"
#include "crypto/sha256.h"

enum { VERB_PUBLISH = 1, VERB_SUBSCRIBE = 2 }; /* Request.command */

struct waiting {
    struct list node;
    uint64_t tag;
    size_t bytes;
    char id[2 * SHA256_BYTES + 1];
};

struct sidecar_link {
    struct cli_link link;
    struct cli_channel channel;
    struct rpc_call *stream;
    pthread_mutex_t lock;
    struct list waiting; /* publishes without an answer; under the lock */
    bool is_subscribed;
    atomic_bool is_ending; /* we end it: nobody is told */
};

static struct sidecar_link *of(struct cli_link *l)
{
    return CONTAINER_OF(l, struct sidecar_link, link);
}

/* ---- what the node says ---- */

/* The oldest publish of this id, or (NULL) the largest of all, taken off; NULL: none. */
static struct waiting *take(struct sidecar_link *s, const char *id)
{
    struct waiting *found = NULL;

    pthread_mutex_lock(&s->lock);
    LIST_EACH(n, &s->waiting)
    {
        struct waiting *w = CONTAINER_OF(n, struct waiting, node);

        if (id ? !found && strcmp(w->id, id) == 0 : !found || w->bytes > found->bytes)
            found = w;
    }
    if (found)
        list_del(&found->node);
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Status codes of HTTP, as the sidecar uses them in "code". */
static enum cli_err err_of_code(json_int_t code)
{
    return code == 401 || code == 403 ? CLI_EDENIED : CLI_EFAILED;
}

static void push_answer(struct sidecar_link *s, struct waiting *w, json_t *j)
{
    const char *status = json_string_value(json_object_get(j, "status"));
    const char *why = json_string_value(json_object_get(j, "error"));
    json_int_t code = json_integer_value(json_object_get(j, "code"));
    struct cli_event *e = cli_event_new(CLI_PUBLISHED, (struct slice){0}, 0);
    struct cli_fault f = {0};

    if (e) {
        e->tag = w->tag;
        e->at_ns = cli_now_ns();
        snprintf(e->id, sizeof(e->id), "%s", w->id);
        e->is_duplicate = status && strcmp(status, "deduplicated") == 0;
        if (why)
            cli_fail(&f, err_of_code(code), "refused (%lld): %s", (long long)code, why);
        e->err = f.err;
        snprintf(e->text, sizeof(e->text), "%.255s", f.what);
        cli_inbox_push(s->link.inbox, e);
    }
    free(w);
}

static void on_word(struct sidecar_link *s, struct slice text)
{
    json_t *j = json_loadb((const char *)text.p, text.len, 0, NULL);
    const char *id = json_string_value(json_object_get(j, "message_id"));
    const char *status = json_string_value(json_object_get(j, "status"));
    json_int_t lost = json_integer_value(json_object_get(j, "messages"));
    struct waiting *w = id && *id ? take(s, id) : NULL;
    struct cli_event *e;

    if (!w && status && strcmp(status, "error") == 0)
        w = take(s, NULL);
    if (w) {
        push_answer(s, w, j);
    } else if (status && strcmp(status, "dropped") == 0 && (e = cli_event_new(CLI_LOST, (struct slice){0}, 0)) != NULL) {
        e->lost = lost > 0 ? (uint64_t)lost : 1;
        cli_inbox_push(s->link.inbox, e);
    }
    json_decref(j);
}

/* Response {command 1, data 2} */
static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct sidecar_link *s = user;
    struct rd r = rd_of(rpc_msg_slice(m));
    struct slice data = {0};
    uint64_t type = 0;
    struct pb_field f;
    struct cli_event *e;

    while (pb_next(&r, &f) > 0) {
        if (pb_is(&f, 1, PB_VARINT))
            type = f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            data = f.bytes;
    }
    if (type == 0) {
        on_word(s, data);
    } else if (type == 1 && s->is_subscribed) {
        e = cli_event_of_json(data, cli_now_ns());
        if (e && !cli_inbox_push(s->link.inbox, e))
            rpc_call_pause(c);
    }
}

static void on_room(void *user)
{
    struct sidecar_link *s = user;

    rpc_call_resume(s->stream);
}

static void push(struct sidecar_link *s, struct cli_event *e, const struct cli_fault *f)
{
    if (!e)
        return;
    e->err = f->err;
    snprintf(e->text, sizeof(e->text), "%.255s", f->what);
    cli_inbox_push(s->link.inbox, e);
}

/* Whatever waits is told; the subscription is over. */
static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct sidecar_link *s = user;
    bool is_told = !atomic_load(&s->is_ending);
    struct cli_fault f = {0};
    struct cli_event *e;
    struct waiting *w;

    (void)c;
    if (cli_channel_fault(s->link.target, st, &f) == 0)
        cli_fail(&f, CLI_EREACH, "the node ended the stream");
    while ((w = take(s, NULL)) != NULL) {
        e = is_told ? cli_event_new(CLI_PUBLISHED, (struct slice){0}, 0) : NULL;
        if (e)
            e->tag = w->tag;
        push(s, e, &f);
        free(w);
    }
    if (is_told && s->is_subscribed)
        push(s, cli_event_new(CLI_DOWN, (struct slice){0}, 0), &f);
}

/* ---- what we say ---- */

/* Request {command 1, data 2, topic 3, jwt_token 4} */
static void put_request(struct wr *w, unsigned verb, const char *topic, struct slice data, const char *token)
{
    pb_put_varint(w, 1, verb);
    if (data.len)
        pb_put_bytes(w, 2, data);
    pb_put_bytes(w, 3, slice_str(topic));
    if (token)
        pb_put_bytes(w, 4, slice_str(token));
}

static int request(struct sidecar_link *s, unsigned verb, const char *topic, struct slice data, struct cli_fault *f)
{
    const char *token = s->link.target->token;
    struct wr size = wr_counter(), w;
    struct rpc_msg *m;
    int rc;

    put_request(&size, verb, topic, data, token);
    m = rpc_msg_new(size.len);
    if (!m)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    w = wr_of(rpc_msg_bytes(m), size.len);
    put_request(&w, verb, topic, data, token);
    rc = rpc_call_send(s->stream, m, RPC_MUST);
    rpc_msg_unref(m);
    return rc ? cli_fail(f, CLI_EREACH, "the node's stream is closed") : 0;
}

/* False: the stream's end came first, and has told of it. */
static bool take_back(struct sidecar_link *s, struct waiting *w)
{
    bool is_there = false;

    pthread_mutex_lock(&s->lock);
    LIST_EACH(n, &s->waiting)
    {
        if (n == &w->node) {
            list_del(n);
            is_there = true;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (is_there)
        free(w);
    return is_there;
}

static int publish(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f)
{
    struct sidecar_link *s = of(l);
    struct waiting *w = calloc(1, sizeof(*w));
    uint8_t sum[SHA256_BYTES];
    int rc;

    if (!w)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    sha256_of(payload, sum);
    hex_encode(w->id, slice_of(sum, sizeof(sum)));
    w->tag = tag;
    w->bytes = payload.len;
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->waiting, &w->node);
    pthread_mutex_unlock(&s->lock);
    rc = request(s, VERB_PUBLISH, topic, payload, f);
    return rc && take_back(s, w) ? rc : 0;
}

static int subscribe(struct cli_link *l, const struct cli_subscription *sub, struct cli_fault *f)
{
    struct sidecar_link *s = of(l);
    int rc = 0;

    if (sub->threshold > 0)
        return cli_fail(f, CLI_EUSAGE, "--threshold is a gateway's: a sidecar hands over what its node has");
    s->is_subscribed = true;
    l->inbox->on_room = on_room;
    l->inbox->room_user = s;
    for (unsigned i = 0; !rc && i < sub->n_topics; i++)
        rc = request(s, VERB_SUBSCRIBE, sub->topics[i], (struct slice){0}, f);
    return rc;
}

/* ---- the link ---- */

static void sidecar_link_free(struct cli_link *l)
{
    struct sidecar_link *s = of(l);
    struct waiting *w;

    if (l->inbox->room_user == s)
        l->inbox->on_room = NULL;
    atomic_store(&s->is_ending, true);
    cli_channel_fini(&s->channel); /* ends the stream; on_close empties the list */
    if (s->stream)
        rpc_call_unref(s->stream);
    while ((w = take(s, NULL)) != NULL)
        free(w);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int open_stream(struct sidecar_link *s, struct cli_fault *f)
{
    static const struct rpc_handlers on = {.on_message = on_message, .on_close = on_close};
    struct rpc_call_options opt = {.queue = {.max_messages = 1u << 20, .max_bytes = 1ull << 32}};
    int rc;

    s->channel.headers[s->channel.header_count++] = (struct rpc_header){"codecast-errors", SLICE_LIT("answer")};
    s->channel.headers[s->channel.header_count++] = (struct rpc_header){"codecast-traces", SLICE_LIT("off")};
    opt.headers = s->channel.headers;
    opt.header_count = s->channel.header_count;
    rc = rpc_client_open(s->channel.client, "/proto.CommandStream/ListenCommands", &on, s, &opt, &s->stream);
    return rc ? cli_fail(f, CLI_EFAILED, "the stream does not open: %s", rpc_err_name(rc)) : 0;
}

int cli_link_sidecar_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f)
{
    static const struct cli_link_ops ops = {.subscribe = subscribe, .publish = publish, .free = sidecar_link_free};
    struct sidecar_link *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    s->link = (struct cli_link){.ops = &ops, .target = t, .inbox = b};
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->waiting);
    rc = cli_channel_init(&s->channel, t, f);
    if (!rc)
        rc = cli_channel_call(&s->channel, "/proto.CommandStream/Health", rpc_msg_copy((struct slice){0}), NULL, f);
    if (!rc)
        rc = open_stream(s, f);
    if (rc)
        sidecar_link_free(&s->link);
    else
        *out = &s->link;
    return rc;
}
