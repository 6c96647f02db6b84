/* test_stream.c - thinking, text and calls out of a model's output, at every split. */
#include "agent/stream.h"
#include "engine/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum choice { TAKE, TRIM, OWN };
struct policy {
    const char *id;
    enum choice choice;
    const char *why, *calls, *content, *reasoning; /* of OWN */
};
#include "tests/agent/toolcall_tables.h"

static const char TOOLS[] =
    "[{\"name\": \"run\", \"parameters\": {\"properties\": {\"code\": {\"type\": \"string\"},"
    " \"timeout\": {\"type\": \"integer\"}}}}]";

/* What came out, and what the sink was given. */
struct result {
    json_t *calls;
    struct str_buf think, text, code;
};

static void collect(void *ctx, enum stream_part part, struct str more)
{
    struct result *r = ctx;
    assert_true(more.n > 0);
    str_buf_add(part == STREAM_THINK  ? &r->think
                : part == STREAM_TEXT ? &r->text
                                      : &r->code,
                more);
}

/* Feed `in` in pieces that end at the given offsets; the sink must tell what is kept. */
static void run(struct result *r,
                struct str in,
                bool thinking,
                const json_t *tools,
                size_t a,
                size_t b)
{
    struct stream s;
    struct err e = {0};
    *r = (struct result){.calls = json_array()};
    str_buf_init(&r->think, 1 << 20);
    str_buf_init(&r->text, 1 << 20);
    str_buf_init(&r->code, 1 << 20);
    stream_init(&s, thinking, tools);
    s.sink = collect;
    s.sink_ctx = r;
    stream_feed(&s, str_cut(in, 0, a));
    stream_feed(&s, str_cut(in, a, b));
    stream_feed(&s, str_cut(in, b, in.n));
    assert_int_equal(stream_finish(&s, &e), QA_OK);
    for (size_t i = 0; i < s.calls.n; i++) {
        json_t *call = json_object();
        const struct toolcall *c = &s.calls.call[i];
        json_object_set_new(call, "name", json_stringn(c->name.p, c->name.n));
        json_object_set(call, "arguments", c->arguments);
        json_array_append_new(r->calls, call);
    }
    assert_true(str_eq(str_buf_str(&s.think), str_buf_str(&r->think)));
    assert_true(str_eq(str_buf_str(&s.text), str_buf_str(&r->text)));
    stream_release(&s);
}

static void release(struct result *r)
{
    json_decref(r->calls);
    str_buf_release(&r->think);
    str_buf_release(&r->text);
    str_buf_release(&r->code);
}

static bool is_same(struct str got, const char *want, enum choice how)
{
    struct str w = str_of(want);
    return how == TRIM ? str_eq(str_trim(got), str_trim(w)) : str_eq(got, w);
}

static void expect(const char *id,
                   const struct result *r,
                   const json_t *calls,
                   const char *content,
                   const char *reasoning,
                   enum choice how)
{
    char *got = json_dumps(r->calls, 0);
    char *want = json_dumps(calls, 0);
    if (!got || !want || strcmp(got, want) != 0)
        fail_msg("%s: calls %s, not %s", id, got, want);
    if (!is_same(str_buf_str(&r->text), content, how)) {
        fail_msg("%s: text '%s', not '%s'", id, r->text.p, content);
    }
    if (!is_same(str_buf_str(&r->think), reasoning, how)) {
        fail_msg("%s: thinking '%s', not '%s'", id, r->think.p, reasoning);
    }
    free(got);
    free(want);
}

static json_t *next_line(struct str *rest)
{
    size_t end = str_find(*rest, STR("\n"));
    if (end == SIZE_MAX) end = rest->n;
    json_t *r = json_loadb(rest->p, end, JSON_ALLOW_NUL, NULL);
    /* One published case holds an integer of 30 digits. */
    if (!r) r = json_loadb(rest->p, end, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(r);
    *rest = str_cut(*rest, end + 1, rest->n);
    return r;
}

static void read_all(struct str_buf *b, const char *path)
{
    struct err e = {0};
    str_buf_init(b, 16 << 20);
    if (file_read(b, path, &e)) fail_msg("%s", e.text);
}

static struct str str_field(const json_t *r, const char *key)
{
    const json_t *x = json_object_get(r, key);
    return (struct str){json_string_value(x) ? json_string_value(x) : "",
                        json_string_length(x)};
}

static void every_case_gives_the_same_result_at_every_split(void **fixture)
{
    struct str_buf file;
    json_t *tools = json_loads(TOOLS, 0, NULL);
    read_all(&file, "tests/fixtures/toolcall.jsonl");
    struct str rest = str_buf_str(&file);
    size_t n = 0;
    for (; rest.n; n++) {
        json_t *c = next_line(&rest);
        const struct str in = str_field(c, "input");
        for (size_t a = 0; a <= in.n; a++) {
            for (size_t b = a; b <= in.n; b += 1 + (in.n - a) / 8) {
                struct result r;
                run(&r, in, json_is_true(json_object_get(c, "thinking")), tools, a, b);
                expect(str_field(c, "id").p, &r, json_object_get(c, "calls"),
                       str_field(c, "content").p, str_field(c, "reasoning").p, TAKE);
                release(&r);
            }
        }
        json_decref(c);
    }
    assert_int_equal(n, 10);
    json_decref(tools);
    str_buf_release(&file);
}

static const struct policy *find_policy(const char *id)
{
    for (size_t i = 0; i < COUNT(POLICY); i++) {
        if (strcmp(POLICY[i].id, id) == 0) return &POLICY[i];
    }
    fail_msg("case %s is not in the table", id);
    return NULL;
}

/* The events of a stream case as whole results. */
static void join_events(const json_t *c,
                        json_t *calls,
                        struct str_buf *content,
                        struct str_buf *reasoning)
{
    struct str_buf args;
    const char *name = NULL;
    size_t i;
    json_t *ev;
    str_buf_init(&args, 4096);
    json_array_foreach(json_object_get(c, "expected_events"), i, ev)
    {
        const char *type = json_string_value(json_array_get(ev, 0));
        const json_t *x = json_array_get(ev, 1);
        if (!type) continue;
        if (strcmp(type, "content") == 0) str_buf_add_z(content, json_string_value(x));
        if (strcmp(type, "reasoning") == 0) str_buf_add_z(reasoning, json_string_value(x));
        if (strcmp(type, "name") == 0) name = json_string_value(json_array_get(ev, 2));
        if (strcmp(type, "args") == 0)
            str_buf_add_z(&args, json_string_value(json_array_get(ev, 2)));
        if (strcmp(type, "call") == 0) {
            json_array_append_new(
                calls, json_pack("{s:O, s:O}", "name", x, "arguments", json_array_get(ev, 2)));
        }
    }
    if (name && args.n) {
        json_array_append_new(calls, json_pack("{s:s, s:o}", "name", name, "arguments",
                                               json_loads(args.p, 0, NULL)));
    }
    str_buf_release(&args);
}

static void check_published(const json_t *c)
{
    const char *id = str_field(c, "id").p;
    const struct policy *p = find_policy(id);
    const bool is_stream = strcmp(str_field(c, "mode").p, "stream") == 0;
    struct str_buf in, content, reasoning;
    struct result r;
    json_t *calls =
        is_stream ? json_array() : json_incref(json_object_get(c, "expected_calls"));
    str_buf_init(&in, 1 << 20);
    str_buf_init(&content, 1 << 20);
    str_buf_init(&reasoning, 1 << 20);
    if (is_stream) {
        size_t i;
        json_t *chunk;
        join_events(c, calls, &content, &reasoning);
        json_array_foreach(json_object_get(c, "chunks"), i, chunk)
        {
            str_buf_add_z(&in, json_string_value(chunk));
        }
    } else {
        str_buf_add(&in, str_field(c, "input"));
        str_buf_add(&content, str_field(c, "expected_content"));
        str_buf_add(&reasoning, str_field(c, "expected_reasoning"));
    }
    run(&r, str_buf_str(&in), json_is_true(json_object_get(c, "thinking")),
        json_object_get(c, "tools"), in.n / 3, in.n / 2);
    if (p->choice == OWN) {
        json_decref(calls);
        calls = json_loads(p->calls, 0, NULL);
        expect(id, &r, calls, p->content, p->reasoning, TAKE);
        assert_non_null(p->why);
    } else {
        expect(id, &r, calls, str_buf_str(&content).p, str_buf_str(&reasoning).p, p->choice);
    }
    release(&r);
    json_decref(calls);
    str_buf_release(&in);
    str_buf_release(&content);
    str_buf_release(&reasoning);
}

static void every_published_case_is_taken_or_refused_with_a_reason(void **fixture)
{
    const char *shared = getenv("QAGENT_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/data/chat/toolcall-cases.jsonl", shared ? shared : "");
    FILE *f = shared ? fopen(path, "r") : NULL;
    if (!f) {
        fprintf(stderr, "SKIPPED: QAGENT_SHARED does not name a folder with data/chat\n");
        skip();
    }
    fclose(f);
    struct str_buf file;
    size_t n = 0;
    read_all(&file, path);
    for (struct str rest = str_buf_str(&file); rest.n; n++) {
        json_t *c = next_line(&rest);
        check_published(c);
        json_decref(c);
    }
    assert_int_equal(n, COUNT(POLICY));
    str_buf_release(&file);
}

static void code_is_shown_while_it_is_written(void **fixture)
{
    static const char text[] =
        "ok\n</think>\n\n<tool_call>\n<function=code_execution>\n"
        "<parameter=code>\nprint(1)\n</par = 3\n</parameter>\n</function>\n"
        "</tool_call>";
    const struct str in = {text, sizeof text - 1};
    for (size_t cut = 0; cut <= in.n; cut++) {
        struct result r;
        run(&r, in, true, NULL, cut, cut);
        assert_string_equal(r.code.p, "print(1)\n</par = 3");
        assert_string_equal(r.think.p, "ok");
        release(&r);
    }
}

static void a_malformed_call_is_explained(void **fixture)
{
    static const struct {
        const char *text, *word; /* NULL: nothing to explain */
    } cases[] = {
        {"just text",                                                                 NULL              },
        {"Use the <tool_call> tag for that.",                                         NULL              },
        {"<tool_call>\n{\"name\": \"code_execution\"}\n</tool_call>",                 "JSON"            },
        {"<function=code_execution>\n<parameter=code>\n1\n</parameter>\n</function>",
         "between"                                                                                      },
        {"<tool_call>\n<function=code_execution>\n<parameter=code>\nfor",             "</parameter>"    },
        {"<tool_call>\n<function={{x}}>\n</function>\n</tool_call>",                  "<parameter=code>"},
        {"<tool_call>\n<function=a b>\n<parameter=code>\n1\n</parameter>\n",          "order"           },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *fault = toolcall_fault(str_of(cases[i].text));
        if (!cases[i].word) {
            assert_null(fault);
        } else if (!fault || !strstr(fault, cases[i].word)) {
            fail_msg("case %zu: %s", i, fault ? fault : "(nothing)");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gives_the_same_result_at_every_split),
        cmocka_unit_test(every_published_case_is_taken_or_refused_with_a_reason),
        cmocka_unit_test(code_is_shown_while_it_is_written),
        cmocka_unit_test(a_malformed_call_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
