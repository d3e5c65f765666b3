/* rights.h: giving up root once ports and keys are open
 * Shape:   RUN_AS_USER -> a user's numbers; a process of root -> a process of that user, in all its threads
 * Source:  credentials(7), capabilities(7): when the last user id that is 0 goes, the kernel empties the capability sets
 * Owner:   the main thread
 * Errors:  -1 and a sentence in err
 *
 * Nothing is kept: every driver needs its rights (CAP_NET_RAW, CAP_NET_ADMIN, ..) to open its port and none to use or close
 * it, so what runs while strangers talk to us has no capability at all.
 */
#ifndef BASE_RIGHTS_H
#define BASE_RIGHTS_H

#include <sys/types.h>

struct rights_user {
    char name[64]; /* "" when only numbers were given */
    uid_t uid;
    gid_t gid;
};

enum rights_result {
    RIGHTS_GIVEN_UP,
    RIGHTS_NOT_ROOT,    /* there was nothing to give up: another user started us */
    RIGHTS_NOT_ALLOWED, /* root without CAP_SETUID and CAP_SETGID: stays the root that it is */
};

/* "codecast", "7070" or "7070:7070". The user of a lone number has the group of that number if passwd does not know it. */
int rights_find(struct rights_user *u, const char *text, char err[256]);
/* Before any thread starts: nothing that this process runs can gain rights. */
void rights_seal(void);
/* Becomes the user in every thread, for good. Returns an enum rights_result, or -1: then the process must end, for it may be
 * half way. */
int rights_give_up(const struct rights_user *u, char err[256]);
/* One line of what came of it; nothing for an error, which the caller tells. */
void rights_log(int result, const struct rights_user *u);

#endif
