#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum log_level threshold = LOG_INFO_L;
static enum log_format line_format = LOG_LOGFMT;
static char cluster_name[128];

void log_init(enum log_level level, enum log_format format, const char *cluster)
{
    uint64_t secret = 0;

    if (getrandom(&secret, sizeof(secret), 0) == sizeof(secret))
        log_record_init(secret);
    threshold = level;
    line_format = format;
    snprintf(cluster_name, sizeof(cluster_name), "%s", cluster ? cluster : "");
}

void log_set_level(enum log_level level)
{
    __atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
    return __atomic_load_n(&threshold, __ATOMIC_RELAXED);
}

bool log_is_on(enum log_level level)
{
    return level >= log_get_level();
}

void log_on_signal(int sig, enum log_level configured)
{
    if (sig != SIGUSR1 && sig != SIGUSR2)
        return;
    log_set_level(sig == SIGUSR1 ? LOG_DEBUG_L : configured);
    log_line(log_get_level(), "\"log level changed\" level_now=%s", names[log_get_level()]);
}

int log_level_parse(const char *s)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    return -1;
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

void log_packed(enum log_level level, const char *record)
{
    struct log_head head = {.level = names[level], .cluster = cluster_name};
    char line[LOG_LINE_MAX];
    struct timespec ts;
    size_t len;

    if (!log_is_on(level))
        return;
    clock_gettime(CLOCK_REALTIME, &ts);
    head.when_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
    len = log_render(line, line_format, &head, record);
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say so */
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char record[LOG_RECORD_MAX];
    va_list ap;

    if (!log_is_on(level))
        return;
    va_start(ap, fmt);
    log_pack(record, sizeof(record), fmt, ap);
    va_end(ap);
    log_packed(level, record);
}
