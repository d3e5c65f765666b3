/* echo_server.c: test.Echo for clients that are not ours. Prints "port N"; ends, with its counters, when stdin does. */
#include "echo_service.h"

int main(int argc, char **argv)
{
    struct rpc_server_config cfg = {.bind = argc > 1 ? argv[1] : "127.0.0.1:0", .max_recv_bytes = (16 << 20) + 1024};
    struct rpc_server_stats st;
    struct rpc_server *s;
    char byte;

    if (rpc_server_new(&s, &cfg) < 0)
        return 1;
    if (rpc_server_add(s, &echo_service, NULL) < 0 || rpc_server_start(s) < 0) {
        rpc_server_free(s);
        return 2;
    }
    printf("port %d\n", rpc_server_port(s));
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        rpc_server_set_serving(s, "test.Echo", byte == '+');
    rpc_server_stop(s, 300);
    rpc_server_get_stats(s, &st);
    printf("calls %lu ok %lu failed %lu cancelled %lu open %u\n", (unsigned long)st.calls, (unsigned long)st.ok,
           (unsigned long)st.failed, (unsigned long)st.cancelled, st.open);
    rpc_server_free(s);
    return 0;
}
