/* config.h - the config file: settings as the words of a command line. */
#ifndef QA_CMD_CONFIG_H
#define QA_CMD_CONFIG_H

#include "engine/base/err.h"

struct config_sink {
    void *ctx;
    bool (*is_known)(void *ctx, const char *key); /* others are for other commands */
    void (*add)(void *ctx, const char *word);     /* "--key=value", or "--key" for true */
};

/* The JSON object in the file at `path`.  Values are texts, numbers, true, and false or
 * null for what is not set.  QA_E_FORMAT: not such a file; then some words may have been
 * added. */
enum status config_read(const char *path, const struct config_sink *to, struct err *e) MUST_USE;

#endif
