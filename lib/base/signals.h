/* signals.h: the signals that a program waits for, instead of being interrupted
 * Owner:   main, before the first thread: all threads inherit it, and only main's sigwait sees them
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <signal.h>

/* TERM and INT (the end), HUP (read again), USR1 and USR2 (log_on_signal); a broken pipe is an error of write. */
static inline void signals_block(sigset_t *set)
{
    static const int waited_for[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

    sigemptyset(set);
    for (unsigned i = 0; i < sizeof(waited_for) / sizeof(waited_for[0]); i++)
        sigaddset(set, waited_for[i]);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

#endif
