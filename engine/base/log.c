/* log.c - one line to stderr at a time. */
#include "engine/base/log.h"

#include "engine/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum log_level level = LOG_NOTICE;

void log_set_level(enum log_level l)
{
    level = l;
}

static void line(const char *fmt, va_list ap) PRINTF(1, 0);
static void line(const char *fmt, va_list ap)
{
    char text[512] = "qagent: ";
    int n = vsnprintf(text + 8, sizeof text - 9, fmt, ap);
    if (n < 0) return;
    str_make_inert(text);
    size_t len = QA_MIN(strlen(text), sizeof text - 2);
    text[len++] = '\n';
    if (write(STDERR_FILENO, text, len) < 0) return; /* nowhere left to say it */
}

void log_notice(const char *fmt, ...)
{
    if (level < LOG_NOTICE) return;
    va_list ap;
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    if (level < LOG_DEBUG) return;
    va_list ap;
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
}
