/* chat.c - conversations to the exact bytes and ids of the official templates. */
#include "agent/chat.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* Template, its sha256, and what only it contains: that is how the nearest one to a
 * changed text is found. */
static const struct {
    enum chat_template tmpl;
    const char *name, *sha256, *mark;
} TEMPLATES[] = {
  // clang-format off
    {CHAT_QWEN36, "Qwen3.6",
     "e84f32a23fdda27689f868aa4a1a5621f41133e51a48d7f3efcbea2839574259", "preserve_thinking"},
    {CHAT_QWEN35_SMALL, "Qwen3.5-0.8B",
     "273d8e0e683b885071fb17e08d71e5f2a5ddfb5309756181681de4f5a1822d80", "enable_thinking is true"},
    {CHAT_QWEN35, "Qwen3.5-4B",
     "a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715", "enable_thinking"},
  // clang-format on
};

/* Control tokens that the templates write. */
static const struct str SPECIALS[] = {
    STR("<|im_start|>"),    STR("<|im_end|>"),       STR("<think>"),
    STR("</think>"),        STR("<tool_call>"),      STR("</tool_call>"),
    STR("<tool_response>"), STR("</tool_response>"), STR("<|vision_start|>"),
    STR("<|vision_end|>"),  STR("<|image_pad|>"),    STR("<|video_pad|>"),
};

static const char TOOL_INTRO[] =
    "# Tools\n\nYou have access to the following functions:\n\n<tools>";
static const char TOOL_RULES[] =
    "\n</tools>\n\n"
    "If you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\n"
    "value_1\n</parameter>\n<parameter=example_parameter_2>\n"
    "This is the value for the second parameter\nthat can span\nmultiple lines\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> "
    "block must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE "
    "the function call, but NOT after\n"
    "- If there is no function call available, answer the question like normal with your "
    "current knowledge and do not tell the user about function calls\n</IMPORTANT>";

const char *chat_template_name(enum chat_template t)
{
    for (size_t i = 0; i < COUNT(TEMPLATES); i++) {
        if (TEMPLATES[i].tmpl == t) return TEMPLATES[i].name;
    }
    return "?";
}

bool chat_template_of(struct str text, enum chat_template *t)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    *t = CHAT_QWEN36;
    if (!text.n) return true;
    SHA256((const unsigned char *)text.p, text.n, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    for (size_t i = 0; i < COUNT(TEMPLATES); i++) {
        if (strcmp(hex, TEMPLATES[i].sha256) != 0) continue;
        *t = TEMPLATES[i].tmpl;
        return true;
    }
    for (size_t i = 0; i < COUNT(TEMPLATES); i++) {
        if (str_find(text, str_of(TEMPLATES[i].mark)) == SIZE_MAX) continue;
        *t = TEMPLATES[i].tmpl;
        break;
    }
    return false;
}

/* ---- text with control tokens ---- */

void chat_text_init(struct chat_text *t)
{
    *t = (struct chat_text){0};
    str_buf_init(&t->bytes, CHAT_MAX_BYTES);
}

void chat_text_release(struct chat_text *t)
{
    str_buf_release(&t->bytes);
    free(t->spans);
    *t = (struct chat_text){0};
}

void chat_text_reset(struct chat_text *t)
{
    str_buf_reset(&t->bytes);
    t->n_spans = 0;
}

static void add_span(struct chat_text *t, struct str special)
{
    if (t->n_spans == t->cap_spans) {
        const size_t cap = t->cap_spans ? 2 * t->cap_spans : 16;
        size_t *p = realloc(t->spans, 2 * cap * sizeof *p);
        if (!p) {
            t->bytes.bad = QA_E_NOMEM; /* remembered like a failure of the bytes */
            return;
        }
        t->spans = p;
        t->cap_spans = cap;
    }
    t->spans[2 * t->n_spans] = t->bytes.n;
    t->spans[2 * t->n_spans + 1] = t->bytes.n + special.n;
    t->n_spans++;
    str_buf_add(&t->bytes, special);
}

void chat_add_frame(struct chat_text *t, struct str s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        const struct str rest = {s.p + i, s.n - i};
        size_t k = s.p[i] == '<' ? 0 : COUNT(SPECIALS);
        while (k < COUNT(SPECIALS) && !str_starts(rest, SPECIALS[k])) {
            k++;
        }
        if (k == COUNT(SPECIALS)) {
            i++;
            continue;
        }
        str_buf_add(&t->bytes, str_cut(s, from, i));
        add_span(t, SPECIALS[k]);
        i += SPECIALS[k].n;
        from = i;
    }
    str_buf_add(&t->bytes, str_cut(s, from, s.n));
}

void chat_add_text(struct chat_text *t, struct str s)
{
    str_buf_add(&t->bytes, s);
}

enum status chat_encode(const struct engine *g,
                        const struct chat_text *t,
                        struct ids *out,
                        struct err *e)
{
    const struct str all = str_buf_str(&t->bytes);
    char name[32];
    size_t from = 0;
    enum status st = str_buf_check(&t->bytes, "the conversation", e);
    for (size_t i = 0; i < t->n_spans && !st; i++) {
        const struct str span = str_cut(all, t->spans[2 * i], t->spans[2 * i + 1]);
        const struct str text = str_cut(all, from, t->spans[2 * i]);
        snprintf(name, sizeof name, "%.*s", (int)span.n, span.p);
        const int32_t id = engine_special(g, name);
        if (id < 0) {
            return err_set(e, QA_E_FORMAT, "the model's vocabulary has no token '%s'", name);
        }
        if (text.n) st = engine_encode(g, text, SPECIAL_NONE, out, e);
        if (!st) st = ids_add(out, &id, 1, e);
        from = t->spans[2 * i + 1];
    }
    if (!st && from < all.n) {
        st = engine_encode(g, str_cut(all, from, all.n), SPECIAL_NONE, out, e);
    }
    return st;
}

/* ---- Python's strip ---- */

/* Bytes of the white-space character at the start of s, or 0. */
static size_t space_at(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (!s.n) return 0;
    if ((p[0] >= 0x09 && p[0] <= 0x0D) || (p[0] >= 0x1C && p[0] <= 0x20)) return 1;
    if (s.n >= 2 && p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0)) return 2;
    if (s.n < 3) return 0;
    const unsigned cp = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    if ((p[0] & 0xF0) != 0xE0) return 0;
    const bool is_space = cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
                          cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
    return is_space ? 3 : 0;
}

struct str chat_trim(struct str s)
{
    for (size_t n; (n = space_at(s)) > 0;) {
        s = str_cut(s, n, s.n);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t n = 1; n <= 3 && n <= s.n && !more; n++) {
            if (space_at(str_cut(s, s.n - n, s.n)) != n) continue;
            s.n -= n;
            more = true;
        }
    }
    return s;
}

static struct str trim_newlines(struct str s, bool is_left)
{
    while (s.n && is_left && s.p[0] == '\n') {
        s = str_cut(s, 1, s.n);
    }
    while (s.n && !is_left && s.p[s.n - 1] == '\n') {
        s.n--;
    }
    return s;
}

/* ---- whole conversations ---- */

struct renderer {
    struct chat_text *t;
    const json_t *messages;
    const struct chat_opts *o;
    struct chat_text content; /* of the message at hand; spans are its pictures */
    int n_pictures, n_videos;
    size_t last_query;
};

static const char *role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role ? role : "";
}

static bool is_role(const json_t *message, const char *role)
{
    return message && strcmp(role_of(message), role) == 0;
}

static struct str json_str(const json_t *x)
{
    return (struct str){json_string_value(x), json_string_length(x)};
}

enum content_use { CONTENT_SYSTEM, CONTENT_SCAN, CONTENT_SHOW };

static enum status add_item(struct renderer *r,
                            const json_t *item,
                            enum content_use use,
                            struct err *e)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    if (!type) type = "";
    const bool is_image = json_object_get(item, "image") ||
                          json_object_get(item, "image_url") || strcmp(type, "image") == 0;
    const bool is_video =
        !is_image && (json_object_get(item, "video") || strcmp(type, "video") == 0);
    if (is_image || is_video) {
        if (use == CONTENT_SYSTEM) {
            return err_set(e, QA_E_FORMAT, "System message cannot contain %s.",
                           is_image ? "images" : "videos");
        }
        int *count = is_image ? &r->n_pictures : &r->n_videos;
        if (use == CONTENT_SHOW) ++*count;
        if (r->o->number_pictures) {
            str_buf_addf(&r->content.bytes, "%s %d: ", is_image ? "Picture" : "Video", *count);
        }
        chat_add_frame(&r->content, is_image
                                        ? STR("<|vision_start|><|image_pad|><|vision_end|>")
                                        : STR("<|vision_start|><|video_pad|><|vision_end|>"));
        return QA_OK;
    }
    const json_t *text = json_object_get(item, "text");
    if (!text) return err_set(e, QA_E_FORMAT, "Unexpected item type in content.");
    if (json_is_string(text)) chat_add_text(&r->content, json_str(text));
    return QA_OK;
}

/* The content of a message, trimmed, into *out; valid until the next call. */
static enum status read_content(struct renderer *r,
                                const json_t *message,
                                enum content_use use,
                                struct str *out,
                                struct err *e)
{
    const json_t *content = json_object_get(message, "content");
    size_t i;
    json_t *item;
    chat_text_reset(&r->content);
    if (json_is_string(content)) {
        chat_add_text(&r->content, json_str(content));
    } else if (json_is_array(content)) {
        json_array_foreach(content, i, item)
        {
            const enum status st = add_item(r, item, use, e);
            if (st) return st;
        }
    } else if (content && !json_is_null(content)) {
        return err_set(e, QA_E_FORMAT, "Unexpected content type.");
    }
    *out = chat_trim(str_buf_str(&r->content.bytes));
    return str_buf_check(&r->content.bytes, "a message", e);
}

/* Add c, a slice of the message at hand, with the pictures in it as control tokens. */
static void add_content(struct renderer *r, struct str c)
{
    const struct chat_text *t = &r->content;
    const struct str all = str_buf_str(&t->bytes);
    size_t from = (size_t)(c.p - all.p);
    const size_t end = from + c.n;
    for (size_t i = 0; i < t->n_spans; i++) {
        if (t->spans[2 * i] < from || t->spans[2 * i + 1] > end) continue;
        chat_add_text(r->t, str_cut(all, from, t->spans[2 * i]));
        chat_add_frame(r->t, str_cut(all, t->spans[2 * i], t->spans[2 * i + 1]));
        from = t->spans[2 * i + 1];
    }
    chat_add_text(r->t, str_cut(all, from, end));
}

void chat_add_system(struct chat_text *t, struct str tools_json, struct str system)
{
    chat_add_frame(t, STR("<|im_start|>system\n"));
    if (tools_json.n) {
        chat_add_frame(t, str_of(TOOL_INTRO));
        chat_add_text(t, STR("\n"));
        chat_add_text(t, tools_json);
        chat_add_frame(t, str_of(TOOL_RULES));
        if (system.n) chat_add_text(t, STR("\n\n"));
    }
    chat_add_text(t, system);
    chat_add_frame(t, STR("<|im_end|>\n"));
}

struct str chat_prompt(const struct chat_opts *o)
{
    const bool is_on = o->tmpl == CHAT_QWEN35_SMALL ? o->has_think && o->want_think
                                                    : !o->has_think || o->want_think;
    return is_on ? STR("<|im_start|>assistant\n<think>\n")
                 : STR("<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

static enum status render_head(struct renderer *r, const json_t *tools, struct err *e)
{
    const json_t *first = json_array_get(r->messages, 0);
    const bool has_system = is_role(first, "system");
    struct str system = STR("");
    enum status st = QA_OK;
    if (has_system) st = read_content(r, first, CONTENT_SYSTEM, &system, e);
    if (st) return st;
    if (!json_array_size(tools)) {
        if (has_system) chat_add_system(r->t, STR(""), system);
        return QA_OK;
    }
    struct str_buf text;
    size_t i;
    json_t *tool;
    str_buf_init(&text, CHAT_MAX_BYTES);
    json_array_foreach(tools, i, tool)
    {
        if (i) str_buf_add_char(&text, '\n');
        chat_add_json(&text, tool);
    }
    st = str_buf_check(&text, "the tools", e);
    if (!st) chat_add_system(r->t, str_buf_str(&text), system);
    str_buf_release(&text);
    return st;
}

/* Thinking of turns before the last real question is dropped: find that question. */
static enum status find_last_query(struct renderer *r, struct err *e)
{
    for (size_t i = json_array_size(r->messages); i-- > 0;) {
        const json_t *m = json_array_get(r->messages, i);
        struct str c;
        if (!is_role(m, "user")) continue;
        const enum status st = read_content(r, m, CONTENT_SCAN, &c, e);
        if (st) return st;
        if (str_starts(c, STR("<tool_response>")) && str_ends(c, STR("</tool_response>"))) {
            continue;
        }
        r->last_query = i;
        return QA_OK;
    }
    return err_set(e, QA_E_FORMAT, "No user query found in messages.");
}

/* VALUE of an argument: Qwen3.6 writes JSON, Qwen3.5 Python's str() for scalars. */
static void add_value(struct renderer *r, const json_t *x)
{
    struct str_buf b;
    if (json_is_string(x)) {
        chat_add_text(r->t, json_str(x));
        return;
    }
    if (r->o->tmpl != CHAT_QWEN36 && (json_is_boolean(x) || json_is_null(x))) {
        const char *word = json_is_null(x) ? "None" : json_is_true(x) ? "True" : "False";
        chat_add_text(r->t, str_of(word));
        return;
    }
    str_buf_init(&b, CHAT_MAX_BYTES);
    chat_add_json(&b, x); /* numbers: the same text in both */
    if (b.bad) r->t->bytes.bad = b.bad;
    chat_add_text(r->t, str_buf_str(&b));
    str_buf_release(&b);
}

static enum status render_call(struct renderer *r, const json_t *call, struct err *e)
{
    const json_t *function = json_object_get(call, "function");
    if (function) call = function;
    json_t *arguments = json_incref(json_object_get(call, "arguments"));
    if (json_is_string(arguments) && r->o->parse_arguments) {
        json_t *opened = json_loadb(json_string_value(arguments), json_string_length(arguments),
                                    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (opened) {
            json_decref(arguments);
            arguments = opened;
        }
    }
    if (arguments && !json_is_object(arguments)) {
        json_decref(arguments);
        return err_set(e, QA_E_FORMAT, "Can only get item pairs from a mapping.");
    }
    chat_add_frame(r->t, STR("<tool_call>\n<function="));
    chat_add_text(r->t, json_str(json_object_get(call, "name")));
    chat_add_frame(r->t, STR(">\n"));
    const char *key;
    json_t *value;
    json_object_foreach(arguments, key, value)
    {
        chat_add_frame(r->t, STR("<parameter="));
        chat_add_text(r->t, str_of(key));
        chat_add_frame(r->t, STR(">\n"));
        add_value(r, value);
        chat_add_frame(r->t, STR("\n</parameter>\n"));
    }
    chat_add_frame(r->t, STR("</function>\n</tool_call>"));
    json_decref(arguments);
    return QA_OK;
}

/* Thinking written into the content as tags: *think and the rest of *c. */
static void split_think(struct str *c, struct str *think)
{
    static const struct str open = STR("<think>");
    static const struct str close = STR("</think>");
    const size_t at = str_find(*c, close);
    if (at == SIZE_MAX) return;
    struct str head = trim_newlines(str_cut(*c, 0, at), false);
    for (size_t i; (i = str_find(head, open)) != SIZE_MAX;) {
        head = str_cut(head, i + open.n, head.n);
    }
    *think = chat_trim(trim_newlines(head, true));
    for (size_t i; (i = str_find(*c, close)) != SIZE_MAX;) {
        *c = str_cut(*c, i + close.n, c->n);
    }
    *c = trim_newlines(*c, true);
}

static enum status render_assistant(struct renderer *r,
                                    const json_t *m,
                                    size_t i,
                                    struct str c,
                                    struct err *e)
{
    const json_t *reasoning = json_object_get(m, "reasoning_content");
    struct str think = STR("");
    if (json_is_string(reasoning)) {
        think = chat_trim(json_str(reasoning));
    } else {
        split_think(&c, &think);
    }
    chat_add_frame(r->t, STR("<|im_start|>assistant\n"));
    if (i > r->last_query || (r->o->tmpl == CHAT_QWEN36 && r->o->keep_think)) {
        chat_add_frame(r->t, STR("<think>\n"));
        chat_add_text(r->t, think);
        chat_add_frame(r->t, STR("\n</think>\n\n"));
    }
    add_content(r, c);
    const json_t *calls = json_object_get(m, "tool_calls");
    size_t k;
    json_t *call;
    json_array_foreach(calls, k, call)
    {
        if (k || chat_trim(c).n) chat_add_text(r->t, k ? STR("\n") : STR("\n\n"));
        const enum status st = render_call(r, call, e);
        if (st) return st;
    }
    chat_add_frame(r->t, STR("<|im_end|>\n"));
    return QA_OK;
}

static void render_tool(struct renderer *r, size_t i, struct str c)
{
    const json_t *before = i ? json_array_get(r->messages, i - 1) : NULL;
    const json_t *after = json_array_get(r->messages, i + 1);
    if (before && !is_role(before, "tool")) chat_add_frame(r->t, STR("<|im_start|>user"));
    chat_add_frame(r->t, STR("\n<tool_response>\n"));
    add_content(r, c);
    chat_add_frame(r->t, STR("\n</tool_response>"));
    if (!is_role(after, "tool")) chat_add_frame(r->t, STR("<|im_end|>\n"));
}

static enum status render_message(struct renderer *r, size_t i, struct err *e)
{
    const json_t *m = json_array_get(r->messages, i);
    const bool is_system = is_role(m, "system");
    struct str c;
    const enum status st = read_content(r, m, is_system ? CONTENT_SYSTEM : CONTENT_SHOW, &c, e);
    if (st) return st;
    if (is_system) {
        if (i) return err_set(e, QA_E_FORMAT, "System message must be at the beginning.");
    } else if (is_role(m, "user")) {
        chat_add_frame(r->t, STR("<|im_start|>user\n"));
        add_content(r, c);
        chat_add_frame(r->t, STR("<|im_end|>\n"));
    } else if (is_role(m, "assistant")) {
        return render_assistant(r, m, i, c, e);
    } else if (is_role(m, "tool")) {
        render_tool(r, i, c);
    } else {
        return err_set(e, QA_E_FORMAT, "Unexpected message role.");
    }
    return QA_OK;
}

enum status chat_render(struct chat_text *t,
                        const json_t *messages,
                        const json_t *tools,
                        const struct chat_opts *o,
                        struct err *e)
{
    struct renderer r = {.t = t, .messages = messages, .o = o};
    const size_t n = json_array_size(messages);
    if (!n) return err_set(e, QA_E_FORMAT, "No messages provided.");
    chat_text_init(&r.content);
    enum status st = render_head(&r, tools, e);
    if (!st) st = find_last_query(&r, e);
    for (size_t i = 0; i < n && !st; i++) {
        st = render_message(&r, i, e);
    }
    if (!st && o->want_prompt) chat_add_frame(t, chat_prompt(o));
    if (!st) st = str_buf_check(&t->bytes, "the conversation", e);
    chat_text_release(&r.content);
    return st;
}
