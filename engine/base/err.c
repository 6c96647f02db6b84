/* err.c - how an error gets its one line of text. */
#include "engine/base/err.h"

#include "engine/base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "qagent: internal error: %s at %s:%d\n", expr, file, line);
    abort();
}

enum status err_set(struct err *e, enum status code, const char *fmt, ...)
{
    if (!e) return code;
    char text[sizeof e->text]; /* e's own text may be among the arguments */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    memcpy(e->text, text, strlen(text) + 1);
    str_make_inert(e->text);
    e->code = code;
    return code;
}

enum status err_wrap(struct err *e, enum status code, const char *fmt, ...)
{
    if (!e) return code;
    char inner[sizeof e->text];
    memcpy(inner, e->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    if ((size_t)n + 3 < sizeof e->text) {
        const size_t room = sizeof e->text - (size_t)n - 3;
        const size_t len = QA_MIN(strlen(inner), room);
        memcpy(e->text + n, ": ", 2);
        memcpy(e->text + n + 2, inner, len);
        e->text[(size_t)n + 2 + len] = 0;
    }
    str_make_inert(e->text);
    e->code = code;
    return code;
}

enum status err_errno(struct err *e, enum status code, int errnum, const char *fmt, ...)
{
    if (!e) return code;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    if ((size_t)n + 3 < sizeof e->text) {
        char *reason = e->text + n + 2;
        snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(errnum));
        reason[0] = (char)tolower((unsigned char)reason[0]);
    }
    str_make_inert(e->text);
    e->code = code;
    return code;
}
