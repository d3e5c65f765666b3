/* rights.c: giving up root (rights.h) */
#include "base/rights.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* A decimal number at *s, which moves behind it. */
static bool number(const char **s, uint32_t *out)
{
    char *end;
    unsigned long v;

    if (!isdigit((unsigned char)**s))
        return false;
    errno = 0;
    v = strtoul(*s, &end, 10);
    if (errno || v >= UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    *s = end;
    return true;
}

static void take(struct rights_user *u, const struct passwd *pw)
{
    snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
    u->uid = pw->pw_uid;
    u->gid = pw->pw_gid;
}

static bool find_numbers(struct rights_user *u, const char *text)
{
    const struct passwd *pw;
    uint32_t uid, gid;

    if (!number(&text, &uid))
        return false;
    u->uid = u->gid = uid;
    if (!*text) {
        pw = getpwuid(uid);
        if (pw)
            take(u, pw);
        return true;
    }
    if (*text++ != ':' || !number(&text, &gid) || *text)
        return false;
    u->gid = gid;
    return true;
}

int rights_find(struct rights_user *u, const char *text, char err[256])
{
    const struct passwd *pw = NULL;

    memset(u, 0, sizeof(*u));
    if (!isdigit((unsigned char)*text))
        pw = getpwnam(text);
    if (pw)
        take(u, pw);
    else if (!find_numbers(u, text)) {
        snprintf(err, 256, "there is no user \"%.60s\"; a name, UID or UID:GID is wanted", text);
        return -1;
    }
    if (u->uid == 0) {
        snprintf(err, 256, "\"%.60s\" is root: a user without rights is wanted", text);
        return -1;
    }
    return 0;
}

void rights_seal(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static bool may_change_user(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    uint32_t need = 1u << CAP_SETUID | 1u << CAP_SETGID;

    return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & need) == need;
}

/* glibc makes these calls in every thread. */
static const char *become(const struct rights_user *u)
{
    if (*u->name ? initgroups(u->name, u->gid) : setgroups(0, NULL))
        return "groups";
    if (setresgid(u->gid, u->gid, u->gid))
        return "group";
    if (setresuid(u->uid, u->uid, u->uid))
        return "user";
    return NULL;
}

int rights_give_up(const struct rights_user *u, char err[256])
{
    const char *failed;

    if (geteuid() != 0)
        return RIGHTS_NOT_ROOT;
    if (!may_change_user())
        return RIGHTS_NOT_ALLOWED;
    failed = become(u);
    if (failed) {
        snprintf(err, 256, "cannot take the %s of uid %u: %s", failed, (unsigned)u->uid, strerror(errno));
        return -1;
    }
    if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0) { /* as with a secure bit that keeps capabilities */
        snprintf(err, 256, "uid %u could become root again", (unsigned)u->uid);
        return -1;
    }
    return RIGHTS_GIVEN_UP;
}

void rights_log(int result, const struct rights_user *u)
{
    if (result == RIGHTS_GIVEN_UP)
        log_info("\"root is given up\" user=%s uid=%u gid=%u capabilities=none", *u->name ? u->name : "-", (unsigned)u->uid,
                 (unsigned)u->gid);
    else if (result == RIGHTS_NOT_ROOT)
        log_debug("\"RUN_AS_USER has no effect: not started as root\" uid=%u", (unsigned)geteuid());
    else if (result == RIGHTS_NOT_ALLOWED)
        log_warn("\"stays root: without the capabilities SETUID and SETGID it cannot become another user\" wanted=%u",
                 (unsigned)u->uid);
}
