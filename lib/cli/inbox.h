/* inbox.h: where the links' threads put what happens, and where the program waits
 * Shape:   events in from any thread; one thread waits for them, for a signal, for a descriptor or for a time
 * Owner:   an event is the link's until pushed, then the inbox's, then the waiter's (cli_event_free)
 * Limits:  above CLI_INBOX_BYTES of messages a link is told to stop reading, and told again when there is room
 */
#ifndef CLI_INBOX_H
#define CLI_INBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "cli/fault.h"

#define CLI_INBOX_BYTES (64u << 20)

enum cli_event_kind {
    CLI_PUBLISHED, /* tag's publish was answered: err, is_duplicate, id */
    CLI_MESSAGE,   /* topic, payload, id, source, at_ns */
    CLI_LOST,      /* the server dropped `lost` messages: we read too slowly */
    CLI_DOWN,      /* the subscription's connection ended: err, text. Nothing more comes from it */
};

struct cli_event {
    struct list node;
    enum cli_event_kind kind;
    uint64_t tag, at_ns, lost;
    int err; /* enum cli_err, 0: well */
    bool is_duplicate;
    bool is_passing; /* an error that may pass: nobody was there, or not just now */
    char id[72];     /* hex */
    char source[72]; /* peer id of the node that published; may be empty */
    char text[256];  /* why, when err */
    struct slice topic, payload; /* in data; a NUL is behind the topic */
    uint8_t data[];
};

/* Room for both; the payload is to be filled in by the caller (cli_event_payload). NULL: no memory. */
struct cli_event *cli_event_new(enum cli_event_kind kind, struct slice topic, size_t payload_bytes);
uint8_t *cli_event_payload(struct cli_event *e);
void cli_event_free(struct cli_event *e);

struct cli_inbox {
    pthread_mutex_t lock;
    pthread_cond_t room; /* fewer bytes than the limit, or closing */
    struct list events;
    uint64_t bytes;
    bool is_closing;
    int wake_fd, signal_fd; /* signal_fd -1: signals are not ours */
    int signal;             /* the one that ended the wait; 0: none came */
    void (*on_room)(void *user); /* a link that was told "full" may go on; under no lock */
    void *room_user;
    bool is_full;
};

enum cli_wake { CLI_WAKE_EVENT, CLI_WAKE_TIME, CLI_WAKE_FD, CLI_WAKE_SIGNAL };

/* Blocks SIGINT, SIGTERM and SIGHUP in this thread (and those it starts later): they come by cli_inbox_wait. */
int cli_inbox_init(struct cli_inbox *b, struct cli_fault *f);
/* After every link is gone. */
void cli_inbox_fini(struct cli_inbox *b);

/* Any thread. True: there is room for more; false: stop reading until on_room or cli_inbox_wait_room. */
bool cli_inbox_push(struct cli_inbox *b, struct cli_event *e);
/* For links with a thread of their own: blocks until there is room; false: the inbox closes. */
bool cli_inbox_wait_room(struct cli_inbox *b);
/* Wakes those who wait for room, for good: before links are freed. */
void cli_inbox_close(struct cli_inbox *b);

/* Events first; then a signal, then fd (-1: none) when it can be read, then the time (ns; UINT64_MAX: no end). */
enum cli_wake cli_inbox_wait(struct cli_inbox *b, int fd, uint64_t timeout_ns, struct cli_event **e);

/* All of s to fd, a blocking one: a pipe that nobody reads is waited for no longer than until a signal comes.
 * 0; the signal; -errno. */
int cli_inbox_write(struct cli_inbox *b, int fd, struct slice s);

/* One that ends the program is blocked in this thread and has come. */
bool cli_signal_is_pending(void);
/* The signal that came, also one that nobody has waited for yet; 0: none. */
int cli_inbox_signal(struct cli_inbox *b);

uint64_t cli_now_ns(void); /* monotonic */

#endif
