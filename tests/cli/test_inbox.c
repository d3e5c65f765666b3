#include "testing.h"

#include <signal.h>
#include <unistd.h>

#include "cli/inbox.h"

#define MANY 20000

static void *push_many(void *user)
{
    for (uint64_t i = 0; i < MANY; i++) {
        struct cli_event *e = cli_event_new(CLI_MESSAGE, SLICE_LIT("t"), 8192);

        assert_non_null(e);
        e->tag = i;
        if (!cli_inbox_push(user, e) && !cli_inbox_wait_room(user))
            break;
    }
    return NULL;
}

static void test_inbox_keeps_order_and_bound(void **state)
{
    struct cli_inbox b;
    struct cli_fault f;
    struct cli_event *e;
    pthread_t thread;

    assert_int_equal(cli_inbox_init(&b, &f), 0);
    assert_int_equal(pthread_create(&thread, NULL, push_many, &b), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(cli_inbox_wait(&b, -1, UINT64_MAX, &e), CLI_WAKE_EVENT);
        assert_int_equal(e->tag, i);
        cli_event_free(e);
    }
    pthread_join(thread, NULL);
    cli_inbox_fini(&b);
}

static void test_inbox_close_lets_a_full_link_go(void **state)
{
    struct cli_inbox b;
    struct cli_fault f;
    pthread_t thread;

    assert_int_equal(cli_inbox_init(&b, &f), 0);
    assert_int_equal(pthread_create(&thread, NULL, push_many, &b), 0);
    cli_inbox_close(&b);
    pthread_join(thread, NULL); /* would not end */
    cli_inbox_fini(&b);
}

static void test_inbox_tells_signals_descriptors_and_time(void **state)
{
    struct cli_inbox b;
    struct cli_fault f;
    struct cli_event *e;
    int fd[2];

    assert_int_equal(cli_inbox_init(&b, &f), 0);
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(cli_inbox_wait(&b, fd[0], 1000, &e), CLI_WAKE_TIME);
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(cli_inbox_wait(&b, fd[0], UINT64_MAX, &e), CLI_WAKE_FD);
    kill(getpid(), SIGTERM);
    assert_int_equal(cli_inbox_wait(&b, fd[0], UINT64_MAX, &e), CLI_WAKE_SIGNAL);
    assert_int_equal(b.signal, SIGTERM);
    close(fd[0]);
    close(fd[1]);
    cli_inbox_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_inbox_keeps_order_and_bound),
                                       cmocka_unit_test(test_inbox_close_lets_a_full_link_go),
                                       cmocka_unit_test(test_inbox_tells_signals_descriptors_and_time)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
