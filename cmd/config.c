/* config.c - the config file: settings as the words of a command line. */
#include "cmd/config.h"

#include "engine/base/str.h"

#include <jansson.h>

enum { WORD_MAX = 8192 };

static enum status add_value(const struct config_sink *to,
                             const char *key,
                             const json_t *v,
                             struct err *e)
{
    struct str_buf b;
    if (json_is_false(v) || json_is_null(v)) return QA_OK;
    str_buf_init(&b, WORD_MAX);
    str_buf_addf(&b, "--%s", key);
    if (json_is_string(v)) str_buf_addf(&b, "=%s", json_string_value(v));
    if (json_is_integer(v)) str_buf_addf(&b, "=%lld", json_integer_value(v));
    if (json_is_real(v)) str_buf_addf(&b, "=%.9g", json_real_value(v));
    enum status st = str_buf_check(&b, key, e);
    if (json_is_array(v) || json_is_object(v)) {
        st = err_set(e, QA_E_FORMAT, "'%s' is no text, number, true or false", key);
    }
    if (!st) to->add(to->ctx, b.p);
    str_buf_release(&b);
    return st;
}

enum status config_read(const char *path, const struct config_sink *to, struct err *e)
{
    json_error_t why;
    const char *key;
    json_t *value;
    enum status st = QA_OK;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!root) st = err_set(e, QA_E_FORMAT, "line %d: %s", why.line, why.text);
    if (root && !json_is_object(root)) st = err_set(e, QA_E_FORMAT, "not a JSON object");
    json_object_foreach(root, key, value)
    {
        if (!st && to->is_known(to->ctx, key)) st = add_value(to, key, value, e);
    }
    json_decref(root);
    return st ? err_wrap(e, st, "cannot read '%s'", path) : QA_OK;
}
