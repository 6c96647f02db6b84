/* extract.c - from what a model says to what is put behind the prompt. */
#include "humaneval/humaneval.h"
#include "humaneval/pylines.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ANSWER = 64 << 20, MAX_BLOCKS = 4096 };

static const char *const HOW_NAMES[] = {
    [EXTRACT_NONE] = "none", [EXTRACT_FUNCTION] = "function", [EXTRACT_BLOCK] = "block",
    [EXTRACT_BODY] = "body", [EXTRACT_SPAN] = "span",         [EXTRACT_RAW] = "raw",
};

const char *extract_how_name(enum extract_how how)
{
    return HOW_NAMES[how];
}

void extraction_release(struct extraction *x)
{
    free(x->completion);
    *x = (struct extraction){0};
}

/* ---- 1. the visible part of the answer ---- */

static size_t find_last(struct str s, struct str needle)
{
    size_t last = SIZE_MAX;
    for (size_t at = 0; at <= s.n;) {
        const size_t k = str_find(str_cut(s, at, s.n), needle);
        if (k == SIZE_MAX) break;
        last = at + k;
        at = last + needle.n;
    }
    return last;
}

/* Everything behind the thinking; nothing at all when it was never closed. */
static struct str drop_thinking(struct str s)
{
    const struct str close = STR("</think>");
    const size_t end = find_last(s, close);
    if (end != SIZE_MAX) return str_cut(s, end + close.n, s.n);
    const size_t open = str_find(s, STR("<think>"));
    return open == SIZE_MAX ? s : str_cut(s, 0, 0);
}

/* Line ends as "\n", no byte-order mark. */
static void add_normal(struct str_buf *out, struct str s)
{
    if (str_starts(s, STR("\xEF\xBB\xBF"))) s = str_cut(s, 3, s.n);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\r') {
            str_buf_add_char(out, s.p[i]);
        } else if (i + 1 == s.n || s.p[i + 1] != '\n') {
            str_buf_add_char(out, '\n');
        }
    }
}

/* ---- 2. fenced blocks ---- */

struct fence {
    char mark; /* '`' or '~' */
    size_t n_marks;
    size_t indent;
    struct str info; /* trimmed */
};

static bool fence_of(struct str line, struct fence *f)
{
    size_t indent = 0;
    while (indent < line.n && (line.p[indent] == ' ' || line.p[indent] == '\t')) {
        indent++;
    }
    size_t end = indent;
    while (end < line.n && line.p[end] == line.p[indent] &&
           (line.p[end] == '`' || line.p[end] == '~')) {
        end++;
    }
    if (end - indent < 3) return false;
    *f = (struct fence){line.p[indent], end - indent, indent,
                        str_trim(str_cut(line, end, line.n))};
    return true;
}

struct block {
    struct str body; /* lines between the fences, borrowed; owned text when is_inline */
    size_t indent;   /* of the opening fence: as many blanks go from each line        */
    bool is_python;  /* tagged so, or not tagged                                      */
    bool is_console; /* an interactive session                                        */
};
struct blocks {
    struct block *p;
    size_t n;
    size_t first_fence; /* offset of the first fence line; SIZE_MAX: none            */
    bool is_first_bare; /* and it has no language                                    */
};

static bool is_word(struct str a, const char *word)
{
    return a.n == strlen(word) && strncasecmp(a.p, word, a.n) == 0;
}

/* The language: first word of the info string, "{.python}" included. */
static void set_language(struct block *b, struct str info)
{
    static const char *const PYTHON[] = {"", "python", "py", "python3", "py3", "python2"};
    static const char *const CONSOLE[] = {"pycon", "python-repl", "doctest", "ipython"};
    while (info.n && (info.p[0] == '{' || info.p[0] == '.')) {
        info = str_cut(info, 1, info.n);
    }
    size_t n = 0;
    while (n < info.n && !strchr(" \t,;:{}", info.p[n])) {
        n++;
    }
    info = str_cut(info, 0, n);
    for (size_t i = 0; i < COUNT(PYTHON); i++) {
        b->is_python |= is_word(info, PYTHON[i]);
    }
    for (size_t i = 0; i < COUNT(CONSOLE); i++) {
        b->is_console |= is_word(info, CONSOLE[i]);
    }
    b->is_python |= b->is_console;
}

/* "```python x = 1```" on one line. */
static bool inline_block(const struct fence *f, struct block *b)
{
    struct str code = f->info;
    if (f->mark != '`' || code.n <= f->n_marks || !str_ends(code, STR("```"))) return false;
    while (code.n && code.p[code.n - 1] == '`') {
        code.n--;
    }
    static const char *const TAGS[] = {"python3 ", "python ", "py "};
    for (size_t i = 0; i < COUNT(TAGS); i++) {
        if (!str_starts(code, str_of(TAGS[i]))) continue;
        code = str_trim(str_cut(code, strlen(TAGS[i]), code.n));
        break;
    }
    *b = (struct block){.body = code, .is_python = true};
    return code.n > 0;
}

/* A fence inside a docstring does not close the block, if the string is closed later. */
static bool is_in_docstring(const struct pyscan *scan, struct str rest)
{
    const char close[] = {scan->quote, scan->quote, scan->quote};
    return scan->quote && str_find(rest, (struct str){close, 3}) != SIZE_MAX;
}

/* Length of the block's body, which begins at text.p[at]; *next is behind its closer. */
static size_t body_length(struct str text, size_t at, const struct fence *open, size_t *next)
{
    struct pyscan scan = {0};
    size_t line_at = at;
    while (line_at < text.n) {
        const struct str rest = str_cut(text, line_at, text.n);
        const struct str line = str_cut(rest, 0, str_find(rest, STR("\n")));
        struct fence f;
        const size_t after = QA_MIN(line_at + line.n + 1, text.n);
        if (fence_of(line, &f) && f.mark == open->mark && f.n_marks >= open->n_marks &&
            !f.info.n && !is_in_docstring(&scan, str_cut(text, after, text.n))) {
            *next = after;
            return line_at - at;
        }
        pyscan_line(&scan, line);
        line_at = after;
    }
    *next = text.n;
    return text.n - at;
}

static enum status find_blocks(struct str text, struct blocks *out, struct err *e)
{
    struct blocks v = {.first_fence = SIZE_MAX};
    size_t cap = 0;
    for (size_t at = 0; at < text.n && v.n < MAX_BLOCKS;) {
        const struct str rest = str_cut(text, at, text.n);
        const struct str line = str_cut(rest, 0, str_find(rest, STR("\n")));
        size_t next = QA_MIN(at + line.n + 1, text.n);
        struct fence f;
        struct block b = {0};
        if (!fence_of(line, &f)) {
            at = next;
            continue;
        }
        if (v.first_fence == SIZE_MAX) {
            v.first_fence = at;
            v.is_first_bare = !f.info.n;
        }
        if (!inline_block(&f, &b)) {
            b = (struct block){.indent = f.indent};
            set_language(&b, f.info);
            const size_t start = next;
            b.body = str_cut(text, start, start + body_length(text, start, &f, &next));
        }
        at = next;
        if (v.n == cap) {
            cap = cap ? cap * 2 : 8;
            struct block *grown = realloc(v.p, cap * sizeof *grown);
            if (!grown) {
                free(v.p);
                return err_set(e, QA_E_NOMEM, "out of memory");
            }
            v.p = grown;
        }
        v.p[v.n++] = b;
    }
    *out = v;
    return QA_OK;
}

/* ---- 3. one piece of code ---- */

/* Text that may be the code, and what is known about it. */
struct piece {
    struct str_buf text; /* normal form: dedented when it defines the entry point      */
    struct pylines lines;
    bool has_entry;  /* at the outer level                                             */
    bool has_method; /* deeper                                                         */
    bool is_body;
};

static void piece_release(struct piece *p)
{
    pylines_release(&p->lines);
    str_buf_release(&p->text);
}

static struct str without_indent(struct str line, size_t n)
{
    size_t i = 0;
    while (i < n && i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) {
        i++;
    }
    return str_cut(line, i, line.n);
}

/* Lines without the fence's indentation; of an interactive session only what was
 * typed: ">>> x" and "... x". */
static void add_body(struct str_buf *out, struct str body, size_t indent, bool is_console)
{
    const struct str first = str_trim(body);
    is_console |= str_starts(first, STR(">>>"));
    while (body.n) {
        struct str line = str_cut(body, 0, str_find(body, STR("\n")));
        body = str_cut(body, line.n + 1, body.n);
        line = without_indent(line, indent);
        if (is_console) {
            const struct str typed = without_indent(line, line.n);
            if (!str_starts(typed, STR(">>>")) && !str_starts(typed, STR("..."))) continue;
            line = str_cut(typed, typed.n > 3 && typed.p[3] == ' ' ? 4 : 3, typed.n);
        }
        str_buf_add(out, line);
        str_buf_add_char(out, '\n');
    }
}

static size_t least_indent(const struct pylines *v, size_t from)
{
    size_t least = SIZE_MAX;
    for (size_t i = from; i < v->n; i++) {
        if (pyline_is_statement(&v->p[i])) least = QA_MIN(least, v->p[i].indent);
    }
    return least == SIZE_MAX ? 0 : least;
}

/* A `return` or `yield` that no def of the text encloses: the text is a body. */
static bool has_loose_return(const struct pylines *v)
{
    enum { MAX_LEVELS = 100 };
    size_t defs[MAX_LEVELS];
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct pyline *l = &v->p[i];
        if (!pyline_is_statement(l)) continue;
        while (n && defs[n - 1] >= l->indent) {
            n--;
        }
        const bool is_def = pyline_has_word(l, "def") || pyline_has_word(l, "async");
        if (is_def && n < MAX_LEVELS) defs[n++] = l->indent;
        if (!n && (pyline_has_word(l, "return") || pyline_has_word(l, "yield"))) return true;
    }
    return false;
}

static const struct pyline *first_statement(const struct pylines *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (pyline_is_statement(&v->p[i])) return &v->p[i];
    }
    return NULL;
}

static void look_at(struct piece *p, struct str entry_point)
{
    const size_t outer = least_indent(&p->lines, 0);
    for (size_t i = 0; i < p->lines.n; i++) {
        const struct pyline *l = &p->lines.p[i];
        if (!pyline_defines(l, entry_point)) continue;
        p->has_entry |= l->indent == outer;
        p->has_method |= l->indent > outer && pyline_has_word(l, "def");
    }
    const struct pyline *first = first_statement(&p->lines);
    p->is_body = !p->has_entry && first &&
                 (has_loose_return(&p->lines) || (first->indent && !p->has_method));
}

static enum status piece_init(struct piece *p,
                              const struct block *b,
                              struct str entry_point,
                              struct err *e)
{
    *p = (struct piece){0};
    str_buf_init(&p->text, 2 * MAX_ANSWER);
    add_body(&p->text, b->body, b->indent, b->is_console);
    enum status st = str_buf_check(&p->text, "the answer", e);
    if (!st) st = pylines_split(&p->lines, str_buf_str(&p->text), e);
    if (!st) look_at(p, entry_point);
    return st;
}

/* ---- 4. the completion ---- */

static bool is_future_import(const struct pyline *l)
{
    if (!pyline_is_statement(l) || !pyline_has_word(l, "from")) return false;
    const struct str rest = str_trim(str_cut(l->text, l->indent + 4, l->text.n));
    return str_starts(rest, STR("__future__"));
}

/* Lines [0, n) with `cut` bytes of indentation less and `add` blanks more.  The inside
 * of strings moves too where it can: a docstring does not mind, and dedent does so. */
static void add_lines(struct str_buf *out,
                      const struct pylines *v,
                      size_t cut,
                      size_t add,
                      bool *has_future)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct pyline *l = &v->p[i];
        if (is_future_import(l)) {
            *has_future = true;
            continue;
        }
        const struct str line = without_indent(l->text, cut);
        for (size_t k = 0; k < add && line.n; k++) {
            str_buf_add_char(out, ' ');
        }
        str_buf_add(out, line);
        str_buf_add_char(out, '\n');
    }
}

/* The body of a function, its statements at four blanks.  Trimming an answer eats the
 * indentation of the first line alone: then the others tell where it was. */
static void add_function_body(struct str_buf *out, struct pylines *v, bool *has_future)
{
    size_t first = 0;
    while (first < v->n && !pyline_is_statement(&v->p[first])) {
        first++;
    }
    if (first == v->n) return;
    struct pyline *l = &v->p[first];
    const size_t others = least_indent(v, first + 1);
    if (!l->indent && others && !pylines_is_consistent(v, first, v->n, 0) &&
        pylines_is_consistent(v, first, v->n, others)) {
        for (size_t k = 0; k < 4; k++) {
            str_buf_add_char(out, ' ');
        }
        str_buf_add(out, l->text);
        str_buf_add_char(out, '\n');
        struct pylines rest = {v->p + first + 1, v->n - first - 1};
        add_lines(out, &rest, others, 4, has_future);
        return;
    }
    add_lines(out, v, least_indent(v, 0), 4, has_future);
}

static void add_piece(struct str_buf *out, struct piece *p, struct extraction *x)
{
    if (p->is_body) {
        x->how = EXTRACT_BODY;
        add_function_body(out, &p->lines, &x->has_future_import);
        return;
    }
    x->how = p->has_entry ? EXTRACT_FUNCTION : EXTRACT_BLOCK;
    x->is_method = !p->has_entry && p->has_method;
    str_buf_add_char(out, '\n');
    add_lines(out, &p->lines, least_indent(&p->lines, 0), 0, &x->has_future_import);
}

/* ---- 5. which piece ---- */

/* The last block that defines the entry point; else the last Python block that has any
 * code; else the last block. */
static enum status choose_block(const struct blocks *v,
                                struct str entry_point,
                                struct piece *out,
                                bool *has_one,
                                struct err *e)
{
    static const enum { ENTRY, PYTHON, ANY } PASSES[] = {ENTRY, PYTHON, ANY};
    *has_one = false;
    for (size_t pass = 0; pass < COUNT(PASSES); pass++) {
        for (size_t i = v->n; i-- > 0;) {
            if (PASSES[pass] == PYTHON && !v->p[i].is_python) continue;
            struct piece p;
            const enum status st = piece_init(&p, &v->p[i], entry_point, e);
            const bool is_fit =
                !st &&
                (PASSES[pass] == ENTRY ? p.has_entry : first_statement(&p.lines) != NULL);
            if (is_fit) {
                *out = p;
                *has_one = true;
                return QA_OK;
            }
            piece_release(&p);
            if (st) return st;
        }
    }
    return QA_OK;
}

static bool is_code_line(const struct pyline *l, struct str entry_point)
{
    static const char *const WORDS[] = {"def", "class",  "import", "async", "return", "yield",
                                        "try", "assert", "raise",  "pass",  "global", "else"};
    if (l->is_inside || l->is_blank || l->indent) return true;
    if (pyline_defines(l, entry_point) || l->text.p[0] == '@') return true;
    for (size_t i = 0; i < COUNT(WORDS); i++) {
        if (pyline_has_word(l, WORDS[i])) return true;
    }
    /* "from here on" is prose, "from math import sqrt" is not; likewise for the others. */
    const struct str text = str_trim(l->text);
    if (pyline_has_word(l, "from")) return str_find(text, STR(" import ")) != SIZE_MAX;
    static const char *const OPENERS[] = {"if", "for", "while", "with", "elif", "except"};
    for (size_t i = 0; i < COUNT(OPENERS); i++) {
        if (pyline_has_word(l, OPENERS[i])) return str_ends(text, STR(":"));
    }
    size_t n = 0;
    while (n < text.n &&
           (text.p[n] == '_' || text.p[n] == '.' || (text.p[n] >= '0' && text.p[n] <= '9') ||
            (text.p[n] >= 'A' && text.p[n] <= 'Z') || (text.p[n] >= 'a' && text.p[n] <= 'z'))) {
        n++;
    }
    const struct str rest = str_trim(str_cut(text, n, text.n));
    return n && rest.n &&
           ((rest.p[0] == '=' && n < text.n) || (text.p[n] == '(' && str_ends(text, STR(")"))));
}

/* A statement that code begins with rather than prose. */
static bool begins_code(const struct pyline *l, struct str entry_point)
{
    if (!pyline_is_statement(l) || l->indent) return false;
    if (pyline_defines(l, entry_point) || l->text.p[0] == '@') return true;
    const struct str text = str_trim(l->text);
    const bool is_opener =
        pyline_has_word(l, "def") || pyline_has_word(l, "class") || pyline_has_word(l, "async");
    if (is_opener) return str_find(text, STR(":")) != SIZE_MAX || str_ends(text, STR("("));
    if (pyline_has_word(l, "import"))
        return str_find(text, STR(" ")) != SIZE_MAX && !str_ends(text, STR("."));
    return pyline_has_word(l, "from") && str_find(text, STR(" import ")) != SIZE_MAX;
}

struct span {
    size_t at, n; /* bytes of the text */
    size_t n_lines;
    bool has_entry;
};

/* The span of code lines that starts at text.p[at]. */
static struct span measure(struct str text, size_t at, struct str entry_point)
{
    struct str rest = str_cut(text, at, text.n);
    struct pyscan scan = {0};
    struct pyline l;
    struct fence f;
    struct span s = {.at = at};
    for (size_t i = 1; pyline_next(&scan, &rest, &l); i++) {
        if (!is_code_line(&l, entry_point) || fence_of(l.text, &f)) break;
        if (l.indent == l.text.n) continue; /* counted with what follows it */
        s.n_lines = i;
        s.n = (size_t)(l.text.p - (text.p + at)) + l.text.n;
        s.has_entry |= !l.indent && pyline_defines(&l, entry_point);
    }
    return s;
}

/* Without a block: the last span that defines the entry point, else the longest. */
static enum status choose_span(struct str text,
                               struct str entry_point,
                               struct piece *out,
                               bool *has_one,
                               struct err *e)
{
    struct span best = {0};
    struct str rest = text;
    struct pyline l;
    while (pyline_next(&(struct pyscan){0}, &rest, &l)) { /* a fresh scan: prose has quotes */
        if (!begins_code(&l, entry_point)) continue;
        const struct span s = measure(text, (size_t)(l.text.p - text.p), entry_point);
        const bool is_better = s.has_entry != best.has_entry
                                   ? s.has_entry
                                   : s.has_entry || s.n_lines > best.n_lines;
        if (s.n_lines && is_better) best = s;
        if (s.n_lines) rest = str_cut(text, s.at + s.n + 1, text.n);
    }
    *has_one = best.n_lines > 0;
    if (!*has_one) return QA_OK;
    const struct block b = {.body = str_cut(text, best.at, best.at + best.n)};
    return piece_init(out, &b, entry_point, e);
}

/* A prompt that opened the fence itself is continued with code, up to the first closing
 * fence: the text in front of that is the code when it begins like code. */
static enum status choose_continued(struct str text,
                                    const struct blocks *v,
                                    struct str entry_point,
                                    struct piece *out,
                                    bool *has_one,
                                    struct err *e)
{
    *has_one = false;
    if (v->first_fence == SIZE_MAX || !v->is_first_bare) return QA_OK;
    const struct block b = {.body = str_cut(text, 0, v->first_fence)};
    struct piece p;
    const enum status st = piece_init(&p, &b, entry_point, e);
    const struct pyline *first = st ? NULL : first_statement(&p.lines);
    bool is_code = first != NULL;
    for (size_t i = 0; is_code && i < p.lines.n; i++) {
        is_code = is_code_line(&p.lines.p[i], entry_point);
    }
    if (!st && is_code && (p.has_entry || p.is_body)) {
        *out = p;
        *has_one = true;
        return QA_OK;
    }
    piece_release(&p);
    return st;
}

/* A text without any fence or def that may still be the body of the function. */
static enum status choose_body(struct str text,
                               struct str entry_point,
                               struct piece *out,
                               bool *has_one,
                               struct err *e)
{
    const struct block b = {.body = text};
    struct piece p;
    const enum status st = piece_init(&p, &b, entry_point, e);
    *has_one = !st && p.is_body;
    for (size_t i = 0; *has_one && i < p.lines.n; i++) {
        *has_one = is_code_line(&p.lines.p[i], entry_point);
    }
    if (*has_one) {
        *out = p;
        return QA_OK;
    }
    piece_release(&p);
    return st;
}

static enum status choose(struct str text,
                          struct str entry_point,
                          struct piece *out,
                          struct extraction *x,
                          bool *has_one,
                          struct err *e)
{
    struct blocks v = {0};
    enum status st = find_blocks(text, &v, e);
    if (st) return st;
    x->n_blocks = (int)v.n;
    st = choose_continued(text, &v, entry_point, out, has_one, e);
    if (!st && !*has_one) st = choose_block(&v, entry_point, out, has_one, e);
    free(v.p);
    if (st || *has_one) return st;
    st = choose_body(text, entry_point, out, has_one, e);
    if (st || *has_one) return st;
    st = choose_span(text, entry_point, out, has_one, e);
    if (!st && *has_one) x->how = EXTRACT_SPAN;
    return st;
}

static void trim_end(struct str_buf *b)
{
    while (b->n && strchr(" \t\n\f\v", b->p[b->n - 1])) {
        b->n--;
    }
    if (b->p) b->p[b->n] = 0;
    if (b->n) str_buf_add_char(b, '\n');
}

enum status extract_completion(struct str answer,
                               struct str entry_point,
                               struct extraction *out,
                               struct err *e)
{
    struct extraction x = {.how = EXTRACT_NONE};
    struct str_buf text;
    struct str_buf code;
    struct piece piece = {0};
    bool has_one = false;
    str_buf_init(&text, MAX_ANSWER);
    str_buf_init(&code, 2 * MAX_ANSWER);
    add_normal(&text, drop_thinking(answer));
    enum status st = str_buf_check(&text, "the answer", e);
    if (st) goto out;
    if (str_trim(str_buf_str(&text)).n) {
        st = choose(str_buf_str(&text), entry_point, &piece, &x, &has_one, e);
        if (st) goto out;
        const bool is_span = x.how == EXTRACT_SPAN;
        if (has_one) {
            add_piece(&code, &piece, &x);
            trim_end(&code);
        } else {
            x.how = EXTRACT_RAW;
            str_buf_add(&code, str_buf_str(&text));
        }
        if (is_span && x.how == EXTRACT_BLOCK) x.how = EXTRACT_SPAN;
    }
    x.n = code.n;
    st = str_buf_check(&code, "the completion", e);
    if (st) goto out;
    x.completion = str_buf_take(&code);
    if (!x.completion) {
        st = err_set(e, QA_E_NOMEM, "out of memory");
        goto out;
    }
    *out = x;
out:
    piece_release(&piece);
    str_buf_release(&text);
    str_buf_release(&code);
    return st;
}
