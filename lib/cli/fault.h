/* fault.h: why a command failed, in words for a person, and the exit code that goes with it
 * Memory:  the caller's, by value
 * Errors:  the numbers are the program's exit codes; functions return them negative
 */
#ifndef CLI_FAULT_H
#define CLI_FAULT_H

#include <stdio.h>

enum cli_err {
    CLI_EFAILED = 1, /* refused, lost, not healthy */
    CLI_EUSAGE = 2,  /* wrong arguments */
    CLI_EREACH = 3,  /* nobody answers there */
    CLI_ETIME = 4,   /* --timeout was over first */
    CLI_EDENIED = 5, /* no token, or one that is not enough */
};

struct cli_fault {
    int err; /* enum cli_err; 0: none */
    char what[512];
    char hint[384]; /* what to try; may be empty */
};

/* "CLI_EREACH" for CLI_EREACH or -CLI_EREACH. */
const char *cli_err_name(int err);

/* Returns -err, so that a failure is one line at its place. Clears the hint. A server's words in it cannot move the cursor. */
int cli_fail(struct cli_fault *f, enum cli_err err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void cli_hint(struct cli_fault *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "codecast publish: WHAT", and below it the hint. */
void cli_fault_print(FILE *out, const char *command, const struct cli_fault *f);

#endif
