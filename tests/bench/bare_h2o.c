/* bare_h2o.c: the least that answers a POST with h2o: what the gateway's publish is measured beside
 * Usage: bare_h2o ADDRESS PORT; one thread, one event loop, until it is killed
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <h2o.h>

#define ANSWER                                                                                                                   \
    "{\"status\":\"published\",\"topic\":\"bench\",\"message_id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}"

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t acceptor;

static int on_req(h2o_handler_t *h, h2o_req_t *req)
{
    if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST")))
        return -1;
    req->res.status = 200;
    req->res.reason = "OK";
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
    h2o_send_inline(req, H2O_STRLIT(ANSWER));
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    h2o_socket_t *s;

    for (int i = 0; !err && i < 16 && (s = h2o_evloop_socket_accept(listener)); i++)
        h2o_accept(&acceptor, s);
}

static int listen_on(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, SOMAXCONN)) {
        perror("bare_h2o");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    h2o_hostconf_t *host;
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: bare_h2o ADDRESS PORT\n");
        return 2;
    }
    fd = listen_on(argv[1], atoi(argv[2]));
    h2o_config_init(&config);
    host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_req;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    acceptor = (h2o_accept_ctx_t){.ctx = &context, .hosts = config.hosts};
    h2o_socket_read_start(h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ), on_accept);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0)
        ;
    return 1;
}
