/* rpc_reflect.c: grpc.reflection.v1.ServerReflection and v1alpha, which are one on the wire
 * Owner:   immutable; any thread
 */
#include <stdlib.h>
#include <string.h>

#include "base/pb.h"
#include "rpc/rpc_descriptors.h"
#include "rpc/rpc_server_impl.h"

struct rpc_reflect {
    struct rpc_descriptors *descriptors;
    const struct rpc_server *server;
};

/* Field numbers of ServerReflectionRequest and ServerReflectionResponse. */
enum { REQ_HOST = 1, REQ_FILE = 3, REQ_SYMBOL = 4, REQ_EXTENSION = 5, REQ_EXTENSIONS_OF = 6, REQ_LIST = 7 };
enum { RESP_HOST = 1, RESP_ORIGINAL = 2, RESP_FILES = 4, RESP_NUMBERS = 5, RESP_LIST = 6, RESP_ERROR = 7 };

struct request {
    struct slice whole, host, arg;
    uint32_t kind; /* REQ_..., 0: none */
};

struct rpc_reflect *rpc_reflect_new(struct slice set, const struct rpc_server *s)
{
    struct rpc_reflect *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->server = s;
    r->descriptors = rpc_descriptors_new(set);
    if (!r->descriptors) {
        free(r);
        return NULL;
    }
    return r;
}

void rpc_reflect_free(struct rpc_reflect *r)
{
    if (!r)
        return;
    rpc_descriptors_free(r->descriptors);
    free(r);
}

static bool read_request(struct rpc_msg *m, struct request *q)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    int got;

    *q = (struct request){.whole = rpc_msg_slice(m)};
    while ((got = pb_next(&r, &f)) == 1) {
        if (pb_is(&f, REQ_HOST, PB_BYTES)) {
            q->host = f.bytes;
        } else if (f.type == PB_BYTES && f.number >= REQ_FILE && f.number <= REQ_LIST) {
            q->kind = f.number; /* a oneof: the last one counts */
            q->arg = f.bytes;
        }
    }
    return got == 0;
}

/* The head, and a body whose length an earlier counting pass found. */
static void put_head(struct wr *w, const struct request *q)
{
    pb_put_bytes(w, RESP_HOST, q->host);
    pb_put_bytes(w, RESP_ORIGINAL, q->whole);
}

static void body_list(struct wr *w, const struct rpc_reflect *r)
{
    const char *names[RPC_MAX_SERVICES];
    unsigned n = rpc_server_services(r->server, names, RPC_MAX_SERVICES);

    for (unsigned i = 0; i < n; i++) {
        struct slice name = slice_str(names[i]);

        pb_put_head(w, 1, 1 + uvarint_size(name.len) + name.len);
        pb_put_bytes(w, 1, name);
    }
}

static void body_files(struct wr *w, const struct rpc_reflect *r, int file)
{
    struct slice files[RPC_MAX_FILES];
    unsigned n = rpc_descriptors_with_imports(r->descriptors, file, files);

    for (unsigned i = 0; i < n; i++)
        pb_put_bytes(w, 1, files[i]);
}

static void body_error(struct wr *w, int code, const char *text)
{
    pb_put_varint(w, 1, (uint64_t)code);
    pb_put_bytes(w, 2, slice_str(text));
}

/* Writes what the request asks for; returns the response's field number. */
static uint32_t put_body(struct wr *w, const struct rpc_reflect *r, const struct request *q)
{
    int file = -1;

    switch (q->kind) {
    case REQ_LIST: body_list(w, r); return RESP_LIST;
    case REQ_EXTENSIONS_OF:
        if (!rpc_descriptors_has_message(r->descriptors, q->arg))
            break;
        pb_put_bytes(w, 1, q->arg);
        return RESP_NUMBERS;
    case REQ_FILE: file = rpc_descriptors_by_name(r->descriptors, q->arg); break;
    case REQ_SYMBOL: file = rpc_descriptors_by_symbol(r->descriptors, q->arg); break;
    case REQ_EXTENSION: break; /* there are none */
    default: body_error(w, RPC_CODE_INVALID_ARGUMENT, "the request asks for nothing"); return RESP_ERROR;
    }
    if (file >= 0) {
        body_files(w, r, file);
        return RESP_FILES;
    }
    body_error(w, RPC_CODE_NOT_FOUND, "not found");
    return RESP_ERROR;
}

static struct rpc_msg *answer(const struct rpc_reflect *r, const struct request *q)
{
    struct wr count = wr_counter(), head = wr_counter(), w;
    uint32_t number = put_body(&count, r, q);
    struct rpc_msg *m;

    put_head(&head, q);
    pb_put_head(&head, number, count.len);
    m = rpc_msg_new(head.len + count.len);
    if (!m)
        return NULL;
    w = wr_of(rpc_msg_bytes(m), head.len + count.len);
    put_head(&w, q);
    pb_put_head(&w, number, count.len);
    put_body(&w, r, q);
    return m;
}

static void asked(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct request q;
    struct rpc_msg *reply;

    if (!read_request(m, &q)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "the request does not decode");
        return;
    }
    reply = answer(user, &q);
    /* answers are far larger than questions: who does not read them is not asked what else he wants */
    if (!reply || rpc_call_send(c, reply, RPC_MUST) == -RPC_EFULL)
        rpc_call_finish(c, RPC_CODE_RESOURCE_EXHAUSTED, "answers are not being read");
    rpc_msg_unref(reply);
}

static void asked_all(struct rpc_call *c, void *user)
{
    rpc_call_finish(c, RPC_CODE_OK, NULL);
}

static const struct rpc_method methods[] = {
    {.name = "ServerReflectionInfo",
     .kind = RPC_BIDI,
     .on = {.on_message = asked, .on_half_close = asked_all},
     .queue = {.max_messages = 256, .max_bytes = 1 << 20}},
};

const struct rpc_service rpc_reflect_service_v1 = {"grpc.reflection.v1.ServerReflection", methods, 1};
const struct rpc_service rpc_reflect_service_v1alpha = {"grpc.reflection.v1alpha.ServerReflection", methods, 1};
