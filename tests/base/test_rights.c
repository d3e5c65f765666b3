#include "testing.h"

#include <dirent.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rights.h"

#define NOBODY 65534

static void test_user_is_found_by_name_and_numbers(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uid_t uid;
        gid_t gid;
    } cases[] = {
        {"nobody", 0, NOBODY, NOBODY}, {"65534", 0, NOBODY, NOBODY}, {"4242", 0, 4242, 4242}, {"4242:17", 0, 4242, 17},
        {"no-such-user", -1, 0, 0},    {"root", -1, 0, 0},           {"0", -1, 0, 0},         {"0:5", -1, 0, 0},
        {"", -1, 0, 0},                {"12:", -1, 0, 0},            {"12:x", -1, 0, 0},      {"12x", -1, 0, 0},
        {"4294967295", -1, 0, 0},      {"99999999999999999999", -1, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rights_user u;
        char err[256] = "";

        assert_int_equal(rights_find(&u, cases[i].text, err), cases[i].rc);
        assert_int_equal(*err != 0, cases[i].rc != 0);
        if (cases[i].rc == 0) {
            assert_int_equal(u.uid, cases[i].uid);
            assert_int_equal(u.gid, cases[i].gid);
        }
    }
}

static int child_failed(const char *what)
{
    fprintf(stderr, "child: %s\n", what);
    return 1;
}

static int ends[2];

static void *wait_for_end(void *arg)
{
    char c;

    (void)!read(ends[0], &c, 1);
    return arg;
}

/* Every thread's file in /proc has this line. */
static bool all_threads_say(const char *line)
{
    DIR *d = opendir("/proc/self/task");
    struct dirent *e;
    unsigned seen = 0, good = 0;

    while (d && (e = readdir(d))) {
        char path[300], text[256];
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        seen++;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        f = fopen(path, "r");
        while (f && fgets(text, sizeof(text), f))
            if (strncmp(text, line, strlen(line)) == 0)
                good++;
        if (f)
            fclose(f);
    }
    closedir(d);
    return seen >= 3 && good == seen;
}

static int give_up_with_threads(void)
{
    struct rights_user u;
    pthread_t t[2];
    char err[256];
    bool is_ok;

    rights_seal();
    if (pipe(ends) || pthread_create(&t[0], NULL, wait_for_end, NULL) || pthread_create(&t[1], NULL, wait_for_end, NULL))
        return child_failed("threads");
    if (rights_find(&u, "4242:17", err) || rights_give_up(&u, err) != RIGHTS_GIVEN_UP)
        return child_failed(err);
    is_ok = all_threads_say("Uid:\t4242\t4242\t4242\t4242\n") && all_threads_say("Gid:\t17\t17\t17\t17\n") &&
            all_threads_say("CapPrm:\t0000000000000000\n") && all_threads_say("CapEff:\t0000000000000000\n") &&
            all_threads_say("Groups:\t \n") && all_threads_say("NoNewPrivs:\t1\n");
    if (!is_ok)
        return child_failed("a thread kept something");
    if (setuid(0) == 0 || seteuid(0) == 0)
        return child_failed("root again");
    close(ends[1]);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    return rights_give_up(&u, err) == RIGHTS_NOT_ROOT ? 0 : child_failed("not root any more, and not told so");
}

/* Root of a container with cap_drop: ALL. */
static int stay_without_capabilities(void)
{
    prctl(PR_CAPBSET_DROP, CAP_SETUID, 0, 0, 0); /* in force from the next exec on */
    execl("/proc/self/exe", "test_rights", "--without-setuid", NULL);
    return child_failed("exec");
}

static int run_child(int (*body)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(body());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_giving_up_reaches_every_thread_and_is_final(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(run_child(give_up_with_threads), 0);
}

static void test_root_that_may_not_change_is_told_so(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(run_child(stay_without_capabilities), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_is_found_by_name_and_numbers),
        cmocka_unit_test(test_giving_up_reaches_every_thread_and_is_final),
        cmocka_unit_test(test_root_that_may_not_change_is_told_so),
    };

    if (argc > 1) { /* the child of stay_without_capabilities */
        struct rights_user u = {.uid = 4242, .gid = 4242};
        char err[256];

        return rights_give_up(&u, err) == RIGHTS_NOT_ALLOWED && geteuid() == 0 ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
