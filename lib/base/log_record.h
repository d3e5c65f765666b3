/* log_record.h: one event of the log, from a printf format to a line of logfmt or JSON
 * Shape:   log_pack: a format that is "the message in quotes" and key=value pairs, and its arguments -> packed text, in which a
 *          mark that nobody can guess stands between the fields; log_render: packed text -> one line with its newline.
 *          So a stranger's quote, space or newline stays inside its value, whatever the format says
 * Owner:   pure; an lcore may pack and a control thread render
 * Limits:  LOG_RECORD_MAX bytes packed, LOG_LINE_MAX a line: what is longer is cut inside a value, the line stays whole
 */
#ifndef BASE_LOG_RECORD_H
#define BASE_LOG_RECORD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_RECORD_MAX 1536
#define LOG_LINE_MAX   2048

enum log_format { LOG_LOGFMT, LOG_JSON };

/* The mark between fields: 8 random bytes of the process, the same for packing and rendering. */
void log_record_init(uint64_t secret);

/* Writes a NUL-terminated record of fewer than cap bytes. */
void log_pack(char *out, size_t cap, const char *fmt, va_list ap);

/* What is the same for all lines of a moment; when_ns is Unix time. */
struct log_head {
    uint64_t when_ns;
    const char *level, *cluster; /* cluster "": none */
};

/* Returns the length of the line, newline included. out holds LOG_LINE_MAX bytes. */
size_t log_render(char *out, enum log_format format, const struct log_head *head, const char *record);

#endif
