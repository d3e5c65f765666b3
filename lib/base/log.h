/* log.h: one line per event, logfmt or JSON, to stderr
 * Shape:   ts=... level=info cluster=... msg="..." key=value ..., or the same as a JSON object; see log_record.h for the quoting
 * Owner:   any thread; each line is one write(2)
 * Note:    sans-IO cores do not log: they return events, counters and reasons
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/log_record.h"

enum log_level { LOG_DEBUG_L, LOG_INFO_L, LOG_WARN_L, LOG_ERROR_L };

/* cluster: shown in every line, copied. Call before threads start. */
void log_init(enum log_level level, enum log_format format, const char *cluster);
/* At any time, from any thread. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_is_on(enum log_level level);
/* SIGUSR1: debug; SIGUSR2: what was configured; any other: nothing. */
void log_on_signal(int sig, enum log_level configured);
/* "debug", "info", "warn", "error" -> level; -1 otherwise. */
int log_level_parse(const char *s);
const char *log_level_name(enum log_level level);

/* fmt begins with the message in quotes and goes on with key=value pairs: log_info("\"peer up\" peer=%s", id). */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What log_pack made elsewhere. */
void log_packed(enum log_level level, const char *record);

#define log_debug(...) (log_is_on(LOG_DEBUG_L) ? log_line(LOG_DEBUG_L, __VA_ARGS__) : (void)0)
#define log_info(...) log_line(LOG_INFO_L, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN_L, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR_L, __VA_ARGS__)

#endif
