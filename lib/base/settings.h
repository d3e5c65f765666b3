/* settings.h: typed settings from the environment, by a table
 * Shape:   a table of {name, kind, default, range, rule, help} and a look-up -> a filled struct and a report of lines
 * Errors:  every broken rule is one fatal line that names the variable, the value and the rule; all are collected, so a
 *          user mends them in one go
 * Memory:  strings point at the looked-up values or the table's defaults: both must outlive the struct
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_kind {
    SETTING_TEXT,   /* const char * */
    SETTING_U32,    /* uint32_t in [min, max] */
    SETTING_REAL,   /* double in [min, max] */
    SETTING_PORT,   /* uint16_t, 1..65535 */
    SETTING_LISTEN, /* struct setting_listen: "port", ":port" or "host:port" */
    SETTING_CHOICE, /* int: index in choices */
    SETTING_BOOL,   /* bool: true/false/1/0/yes/no */
};

struct setting_listen {
    char host[64]; /* "" : any */
    uint16_t port;
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset;
    const char *def;    /* NULL: required */
    double min, max;    /* U32, REAL */
    bool is_min_open;   /* REAL: min itself is not allowed */
    const char *const *choices; /* CHOICE, NULL-terminated */
    const char *rule;   /* in words, for the error line; NULL: made from kind and range */
    const char *help;
};

/* Rows that every program has, for a table: at is the field's offset. */
extern const char *const setting_log_levels[]; /* order of enum log_level */
#define SETTING_CLUSTER_ID(at)                                                                                                 \
    {"CLUSTER_ID", SETTING_TEXT, at, NULL, 0, 0, false, NULL, "must be set: a name of letters, digits, '-', '_' and '.'",       \
     "name of this program's place, in every log line and metric"}
extern const char *const setting_log_formats[]; /* order of enum log_format */
#define SETTING_LOG_LEVEL(at)                                                                                                  \
    {"LOG_LEVEL", SETTING_CHOICE, at, "info", 0, 0, false, setting_log_levels, NULL, "what is logged; SIGUSR1: debug, SIGUSR2: this again"}
#define SETTING_LOG_FORMAT(at)                                                                                                 \
    {"LOG_FORMAT", SETTING_CHOICE, at, "logfmt", 0, 0, false, setting_log_formats, NULL, "how a log line is written"}
#define SETTING_COUNTRY(at, at_iso)                                                                                            \
    {"COUNTRY", SETTING_TEXT, at, "", 0, 0, false, NULL, NULL, "where this program runs, as health and gateways show it"},         \
        {"COUNTRY_ISO", SETTING_TEXT, at_iso, "", 0, 0, false, NULL, NULL, "the same as two letters, as in AT"}
#define SETTING_RUN_AS_USER(at)                                                                                                \
    {"RUN_AS_USER", SETTING_TEXT, at, "", 0, 0, false, NULL, NULL,                                                             \
     "user to become, when started as root, once ports and files are open: NAME, UID or UID:GID"}

#define SETTINGS_MAX_LINES 48

struct settings_report {
    unsigned fatal, warnings, count;
    bool is_fatal[SETTINGS_MAX_LINES];
    char lines[SETTINGS_MAX_LINES][560];
};

typedef const char *(*settings_lookup)(void *ctx, const char *name);

/* getenv as a settings_lookup. */
const char *settings_env(void *ctx, const char *name);

/* Fills `out`; an empty value counts as not set. Returns the number of fatal lines added. */
unsigned settings_load(const struct setting *table, size_t count, void *out, settings_lookup get, void *ctx,
                       struct settings_report *rep);
/* Is the variable set to something? */
bool settings_is_set(settings_lookup get, void *ctx, const char *name);

void settings_fatal(struct settings_report *rep, const char *name, const char *value, const char *rule, ...)
    __attribute__((format(printf, 4, 5)));
void settings_warn(struct settings_report *rep, const char *name, const char *value, const char *rule, ...)
    __attribute__((format(printf, 4, 5)));

struct rights_user;
/* The user that a variable names; nothing to do when it is "". */
void settings_check_user(struct rights_user *u, const char *name, const char *value, struct settings_report *rep);
/* A name: letters, digits, '-', '_' and '.', at most 100. NULL: said already. */
void settings_check_name(struct settings_report *rep, const char *name, const char *value);
/* COUNTRY and COUNTRY_ISO: others show them in JSON, and keep so many bytes. */
#define SETTING_COUNTRY_MAX 60
void settings_check_country(struct settings_report *rep, const char *country, const char *iso);
/* 32 or 128: an IP address of so many bits; 0: none. */
unsigned settings_ip_bits(const char *s);

/* The table as help text: name, default, meaning and rule, a line each. */
void settings_print_help(FILE *f, const struct setting *table, size_t count);

#endif
