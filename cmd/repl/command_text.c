/* command_text.c - commands that hand out what was said: files, clipboard, code. */
#include "cmd/repl/command.h"
#include "cmd/repl/diff.h"
#include "cmd/repl/editor.h"
#include "cmd/repl/repl.h"
#include "engine/base/file.h"

#include <stdlib.h>
#include <string.h>

void do_save(struct repl *r, const char *arg)
{
    const char *path = talk_info(work_talk(r->work)).path;
    struct str_buf b;
    struct err e = {0};
    if (!path) {
        repl_say(r, STYLE_DIM, "nothing to save yet: each message is saved as it is sent");
        return;
    }
    if (!*arg) {
        repl_say(r, STYLE_PLAIN, "saved in %s", path);
        return;
    }
    str_buf_init(&b, 1 << 30);
    enum status st = file_read(&b, path, &e);
    if (!st) st = file_write(arg, str_buf_str(&b), &e);
    str_buf_release(&b);
    repl_say(r, st ? STYLE_BAD : STYLE_PLAIN, "%s%s", st ? "" : "saved in ", st ? e.text : arg);
}

/* The ending of the file name decides: JSON or Markdown. */
void do_export(struct repl *r, const char *arg)
{
    struct str_buf b;
    struct err e = {0};
    const struct talk *t = work_talk(r->work);
    if (!*arg) {
        command_usage(r, "/export FILE.md or FILE.json");
        return;
    }
    if (!talk_info(t).n_messages) {
        repl_say(r, STYLE_BAD, "nothing was said yet");
        return;
    }
    str_buf_init(&b, 1 << 30);
    enum status st;
    if (str_ends(str_of(arg), STR(".json"))) {
        st = talk_export_json(t, &b, &e);
    } else {
        talk_export(t, &b);
        st = str_buf_check(&b, "the Markdown", &e);
    }
    if (!st) st = file_write(arg, str_buf_str(&b), &e);
    repl_say(r, st ? STYLE_BAD : STYLE_PLAIN, "%s%s", st ? "" : "written: ", st ? e.text : arg);
    str_buf_release(&b);
}

static void add_base64(struct str_buf *b, struct str s)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned x = 0;
        for (size_t k = 0; k < 3; k++) {
            x = x << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            str_buf_add_char(b, i + k <= s.n ? digits[x >> (18 - 6 * k) & 63] : '=');
        }
    }
}

/* The code, or the text, of the nth last answer; n = 0: there is none. */
static struct str answer(struct repl *r, int64_t nth, bool *is_code)
{
    const struct talk *t = work_talk(r->work);
    const size_t n = talk_info(t).n_messages;
    if (nth < 1 || (size_t)nth > n) return STR("");
    const struct talk_message m = talk_get(t, n - (size_t)nth);
    *is_code = m.code.n > 0;
    return *is_code ? m.code : m.answer;
}

/* The terminal itself puts it into the clipboard (OSC 52), also over ssh. */
void do_copy(struct repl *r, const char *arg)
{
    int64_t nth = 1;
    bool is_code = false;
    struct str_buf b;
    if (*arg && !str_to_i64(str_of(arg), 1, 1 << 20, &nth)) {
        command_usage(r, "/copy [N], 1 the last answer");
        return;
    }
    if (!r->out.is_live) {
        repl_say(r, STYLE_BAD, "/copy needs a terminal");
        return;
    }
    const struct str s = answer(r, nth, &is_code);
    if (!s.n) {
        repl_say(r, STYLE_BAD, "there is no answer to copy");
        return;
    }
    str_buf_init(&b, 64 << 20);
    str_buf_add_z(&b, "\033]52;c;");
    add_base64(&b, s);
    str_buf_add_z(&b, "\a");
    screen_hide(&r->out);
    fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    str_buf_release(&b);
    repl_say(r, STYLE_PLAIN, "copied: %s of %zu bytes", is_code ? "code" : "text", s.n);
}

/* The nth last message that has code, from `from` on; its index, or SIZE_MAX. */
static size_t last_code(const struct talk *t, size_t before)
{
    for (size_t i = before; i-- > 0;) {
        if (talk_get(t, i).code.n) return i;
    }
    return SIZE_MAX;
}

void do_run(struct repl *r, const char *arg)
{
    const struct talk *t = work_talk(r->work);
    const size_t i = last_code(t, talk_info(t).n_messages);
    (void)arg;
    if (i == SIZE_MAX) {
        repl_say(r, STYLE_DIM, "no answer has code yet");
        return;
    }
    char *code = strndup(talk_get(t, i).code.p, talk_get(t, i).code.n);
    if (r->out.is_live) repl_say(r, STYLE_CODE, "┌ run");
    if (code) repl_start(r, JOB_RUN, code);
    free(code);
}

void do_diff(struct repl *r, const char *arg)
{
    const struct talk *t = work_talk(r->work);
    const size_t b = last_code(t, talk_info(t).n_messages);
    const size_t a = b == SIZE_MAX ? b : last_code(t, b);
    struct str_buf text;
    (void)arg;
    if (a == SIZE_MAX) {
        repl_say(r, STYLE_DIM, "there are no two answers with code");
        return;
    }
    str_buf_init(&text, 16 << 20);
    diff_lines(&text, talk_get(t, a).code, talk_get(t, b).code);
    struct str rest = str_buf_str(&text);
    if (!rest.n) repl_say(r, STYLE_DIM, "the last two programs are the same");
    while (rest.n) {
        const size_t end = QA_MIN(str_find(rest, STR("\n")), rest.n);
        const enum screen_style style = rest.p[0] == '+'   ? STYLE_GOOD
                                        : rest.p[0] == '-' ? STYLE_BAD
                                                           : STYLE_PLAIN;
        show_text(&r->show, style, str_cut(rest, 0, QA_MIN(end + 1, rest.n)));
        rest = str_cut(rest, QA_MIN(end + 1, rest.n), rest.n);
    }
    str_buf_release(&text);
}

void do_edit(struct repl *r, const char *arg)
{
    (void)arg;
    if (!r->line) {
        repl_say(r, STYLE_BAD, "/edit needs a terminal");
        return;
    }
    line_set(r->line, r->sent ? r->sent : "");
    repl_edit(r);
}
