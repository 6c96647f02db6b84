/* chat_json.c - JSON values as Python's json.dumps(ensure_ascii=False) writes them
 * (in chat.h).  jansson's own writer differs in floats and escapes. */
#include "agent/chat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_string(struct str_buf *b, const char *p, size_t n)
{
    str_buf_add_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        switch (c) {
        case '"': str_buf_add_z(b, "\\\""); break;
        case '\\': str_buf_add_z(b, "\\\\"); break;
        case '\n': str_buf_add_z(b, "\\n"); break;
        case '\r': str_buf_add_z(b, "\\r"); break;
        case '\t': str_buf_add_z(b, "\\t"); break;
        case '\b': str_buf_add_z(b, "\\b"); break;
        case '\f': str_buf_add_z(b, "\\f"); break;
        default:
            if (c < 0x20) {
                str_buf_addf(b, "\\u%04x", c);
            } else {
                str_buf_add_char(b, (char)c);
            }
        }
    }
    str_buf_add_char(b, '"');
}

/* Python's repr of a float: the shortest digits that read back as the same number;
 * positional for exponents from -4 to 15. */
static void add_real(struct str_buf *b, double v)
{
    char text[40];
    if (!isfinite(v)) { /* json.dumps writes these words; JSON input cannot hold them */
        str_buf_add_z(b, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, v);
        if (strtod(text, NULL) == v) break;
    }
    char *e = strchr(text, 'e');
    const int exponent = (int)strtol(e + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        *e = 0;
        str_buf_addf(b, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    const int n_digits = (int)(e - text) - (text[0] == '-') - (strchr(text, '.') ? 1 : 0);
    const int n_decimals = QA_MAX(n_digits - 1 - exponent, 1);
    str_buf_addf(b, "%.*f", n_decimals, v);
}

void chat_add_json(struct str_buf *b, const json_t *x)
{
    const char *key;
    json_t *value;
    size_t i;
    switch (json_typeof(x)) {
    case JSON_OBJECT:
        str_buf_add_char(b, '{');
        const char *comma = "";
        json_object_foreach((json_t *)x, key, value)
        {
            str_buf_add_z(b, comma);
            add_string(b, key, strlen(key));
            str_buf_add_z(b, ": ");
            chat_add_json(b, value);
            comma = ", ";
        }
        str_buf_add_char(b, '}');
        break;
    case JSON_ARRAY:
        str_buf_add_char(b, '[');
        json_array_foreach(x, i, value)
        {
            if (i) str_buf_add_z(b, ", ");
            chat_add_json(b, value);
        }
        str_buf_add_char(b, ']');
        break;
    case JSON_STRING: add_string(b, json_string_value(x), json_string_length(x)); break;
    case JSON_INTEGER: str_buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(x)); break;
    case JSON_REAL: add_real(b, json_real_value(x)); break;
    case JSON_TRUE: str_buf_add_z(b, "true"); break;
    case JSON_FALSE: str_buf_add_z(b, "false"); break;
    case JSON_NULL: str_buf_add_z(b, "null"); break;
    }
}
