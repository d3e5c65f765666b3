/* http_loop.h: a server thread's event loop, for what else lives in it
 * Shape:   descriptors that the thread looks after beside its clients, and calls into it from other threads
 * Owner:   a watch and its callbacks: the server thread that made it
 * Memory:  http_watch_new takes the descriptor, http_watch_free closes it; both on the thread, free also from its callbacks
 * Errors:  NULL: no memory, and the descriptor stays the caller's
 */
#ifndef HTTP_HTTP_LOOP_H
#define HTTP_HTTP_LOOP_H

#include <stdbool.h>

struct http_server;
struct http_watch;

/* Which of the server's threads this is; -1: none. */
int http_loop_index(const struct http_server *s);
/* run(user) on thread i, soon. False: no memory, or the thread has ended: it will not run. */
bool http_loop_run(struct http_server *s, unsigned i, void (*run)(void *user), void *user);

struct http_watch_ops {
    void (*on_ready)(void *user);    /* there is something to read, or the end of it: again and again until it has been read */
    void (*on_writable)(void *user); /* once for each http_watch_want_write */
    void (*on_end)(void *user);      /* the thread ends: the watch must be freed now */
};

/* On a server thread. fd does not block. */
struct http_watch *http_watch_new(int fd, const struct http_watch_ops *ops, void *user);
void http_watch_want_write(struct http_watch *w);
void http_watch_free(struct http_watch *w); /* NULL is allowed */

#endif
