#include "cli/fault.h"

#include <stdarg.h>

#include "cli/words.h"

const char *cli_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "CLI_OK";
    case CLI_EFAILED: return "CLI_EFAILED";
    case CLI_EUSAGE: return "CLI_EUSAGE";
    case CLI_EREACH: return "CLI_EREACH";
    case CLI_ETIME: return "CLI_ETIME";
    case CLI_EDENIED: return "CLI_EDENIED";
    default: return "CLI_E?";
    }
}

int cli_fail(struct cli_fault *f, enum cli_err err, const char *fmt, ...)
{
    char text[sizeof(f->what)];
    va_list ap;

    f->err = err;
    f->hint[0] = 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cli_clean(f->what, sizeof(f->what), slice_str(text));
    return -(int)err;
}

void cli_hint(struct cli_fault *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->hint, sizeof(f->hint), fmt, ap);
    va_end(ap);
}

void cli_fault_print(FILE *out, const char *command, const struct cli_fault *f)
{
    fprintf(out, "codecast%s%s: %s\n", command ? " " : "", command ? command : "", f->what);
    if (f->hint[0])
        fprintf(out, "  %s\n", f->hint);
}
