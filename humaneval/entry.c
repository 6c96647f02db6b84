/* entry.c - a finished sample as rows, and the sums over samples. */
#include "humaneval/entry.h"

#include "humaneval/pyjson.h"

#include <stdlib.h>
#include <string.h>

void entry_release(struct entry *r)
{
    attempt_release(&r->attempt);
    extraction_release(&r->code);
}

/* ---- rows ---- */

/* jansson takes UTF-8 alone: what else a model wrote becomes U+FFFD. */
static char *clean_utf8(struct str s, size_t *n)
{
    struct str_buf text;
    str_buf_init(&text, (size_t)1 << 30);
    if (str_is_utf8(s)) {
        str_buf_add(&text, s);
    } else {
        for (size_t i = 0; i < s.n;) {
            size_t len = 1;
            while (len <= 4 && i + len <= s.n && !str_is_utf8(str_cut(s, i, i + len))) {
                len++;
            }
            const bool is_whole = len <= 4 && i + len <= s.n;
            str_buf_add(&text, is_whole ? str_cut(s, i, i + len) : STR("\xEF\xBF\xBD"));
            i += is_whole ? len : 1;
        }
    }
    *n = text.n;
    return str_buf_take(&text);
}

static json_t *text_value(struct str s)
{
    return s.p ? json_stringn(s.p, s.n) : json_null();
}

json_t *entry_to_json(const struct entry *rec, struct str task_id, int i_sample)
{
    const struct attempt *a = &rec->attempt;
    json_t *o = json_object();
    json_object_set_new(o, "task_id", text_value(task_id));
    json_object_set_new(o, "sample", json_integer(i_sample));
    json_object_set_new(o, "end", json_string(attempt_end_name(a->end)));
    json_object_set_new(o, "reason", json_string(a->reason));
    json_object_set_new(o, "code_is", json_string(extract_how_name(rec->code.how)));
    json_object_set_new(o, "is_completion", json_boolean(a->is_completion));
    json_object_set_new(o, "iterations", json_integer(a->n_iterations));
    json_object_set_new(o, "tool_calls", json_integer(a->n_tool_calls));
    json_object_set_new(o, "prompt_tokens", json_integer(a->n_prompt_tokens));
    json_object_set_new(o, "reused_tokens", json_integer(a->n_reused_tokens));
    json_object_set_new(o, "generated_tokens", json_integer(a->n_generated_tokens));
    json_object_set_new(o, "drafted", json_integer((json_int_t)a->n_drafted));
    json_object_set_new(o, "accepted", json_integer((json_int_t)a->n_accepted));
    json_object_set_new(o, "total_s", json_real(a->total_s));
    json_object_set_new(o, "prefill_s", json_real(a->prefill_s));
    json_object_set_new(o, "decode_s", json_real(a->decode_s));
    json_object_set_new(o, "tool_s", json_real(a->tool_s));
    json_object_set_new(o, "wall_s", json_real(rec->wall_s));
    json_object_set_new(o, "completion",
                        text_value((struct str){rec->code.completion, rec->code.n}));
    json_object_set_new(o, "answer", text_value((struct str){a->answer, a->n_answer}));
    return o;
}

static int64_t int_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static double real_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static bool copy_text(const json_t *o, const char *key, char **p, size_t *n)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_string(v)) return false;
    *n = json_string_length(v);
    *p = malloc(*n + 1);
    if (*p) memcpy(*p, json_string_value(v), *n + 1);
    return *p != NULL;
}

/* Counts come out of a file and are summed: none is negative, none so large that a sum
 * over all rows could overflow. */
static bool has_possible_counts(const json_t *o)
{
    static const struct {
        const char *key;
        int64_t most;
    } ROWS[] = {
        {"iterations",       1 << 20         },
        {"tool_calls",       1 << 20         },
        {"prompt_tokens",    (int64_t)1 << 40},
        {"reused_tokens",    (int64_t)1 << 40},
        {"generated_tokens", (int64_t)1 << 40},
        {"drafted",          (int64_t)1 << 40},
        {"accepted",         (int64_t)1 << 40},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const int64_t n = int_of(o, ROWS[i].key);
        if (n < 0 || n > ROWS[i].most) return false;
    }
    return true;
}

bool entry_of_json(struct entry *out, const json_t *o)
{
    struct entry r = {0};
    struct attempt *a = &r.attempt;
    const char *end = json_string_value(json_object_get(o, "end"));
    const char *how = json_string_value(json_object_get(o, "code_is"));
    const char *reason = json_string_value(json_object_get(o, "reason"));
    bool is_good = end && how && has_possible_counts(o) &&
                   copy_text(o, "completion", &r.code.completion, &r.code.n);
    while (is_good && strcmp(end, attempt_end_name(a->end)) != 0) {
        if (a->end == ATTEMPT_FAILED) is_good = false;
        a->end++;
    }
    while (is_good && strcmp(how, extract_how_name(r.code.how)) != 0) {
        if (r.code.how == EXTRACT_RAW) is_good = false;
        r.code.how++;
    }
    if (!is_good) {
        entry_release(&r);
        return false;
    }
    copy_text(o, "answer", &a->answer, &a->n_answer); /* may be null */
    snprintf(a->reason, sizeof a->reason, "%s", reason ? reason : "");
    a->is_completion = json_is_true(json_object_get(o, "is_completion"));
    a->n_iterations = (int)int_of(o, "iterations");
    a->n_tool_calls = (int)int_of(o, "tool_calls");
    a->n_prompt_tokens = int_of(o, "prompt_tokens");
    a->n_reused_tokens = int_of(o, "reused_tokens");
    a->n_generated_tokens = int_of(o, "generated_tokens");
    a->n_drafted = (uint64_t)int_of(o, "drafted");
    a->n_accepted = (uint64_t)int_of(o, "accepted");
    a->total_s = real_of(o, "total_s");
    a->prefill_s = real_of(o, "prefill_s");
    a->decode_s = real_of(o, "decode_s");
    a->tool_s = real_of(o, "tool_s");
    r.wall_s = real_of(o, "wall_s");
    *out = r;
    return true;
}

void entry_add_sample_row(struct str_buf *b, const struct entry *rec, struct str task_id)
{
    str_buf_add_z(b, "{\"task_id\": ");
    pyjson_add_string(b, task_id);
    str_buf_add_z(b, ", \"completion\": ");
    pyjson_add_string(b, (struct str){rec->code.completion, rec->code.n});
    str_buf_add_char(b, '}');
}

enum suite_class entry_class(const struct entry *rec, const struct score *s)
{
    const enum extract_how how = rec->code.how;
    if (s->has_passed) return CLASS_PASSED;
    if (rec->attempt.end == ATTEMPT_FAILED) return CLASS_SANDBOX;
    if (rec->attempt.end == ATTEMPT_BUDGET) return CLASS_BUDGET;
    if (s->has_timed_out) return CLASS_TIMEOUT;
    if (how == EXTRACT_BLOCK || how == EXTRACT_SPAN) return CLASS_EXTRACTION;
    return how == EXTRACT_RAW && !rec->attempt.is_completion ? CLASS_EXTRACTION : CLASS_MODEL;
}

enum status entry_extract(struct entry *rec, const struct task *t, struct err *e)
{
    struct attempt *a = &rec->attempt;
    size_t n = 0;
    char *clean = clean_utf8((struct str){a->answer ? a->answer : "", a->n_answer}, &n);
    if (!clean) return err_set(e, QA_E_NOMEM, "out of memory");
    if (a->answer) {
        free(a->answer);
        a->answer = clean;
        a->n_answer = n;
    }
    const struct str text = {clean, n};
    enum status st = QA_OK;
    if (a->is_completion) {
        rec->code = (struct extraction){
            .how = n ? EXTRACT_RAW : EXTRACT_NONE, .completion = strndup(clean, n), .n = n};
        if (!rec->code.completion) st = err_set(e, QA_E_NOMEM, "out of memory");
    } else {
        st = extract_completion(text, t->entry_point, &rec->code, e);
    }
    if (!a->answer) free(clean);
    return st;
}

/* ---- sums ---- */

enum status tally_init(struct tally *t, size_t n_tasks, struct err *e)
{
    *t = (struct tally){.n_tasks = n_tasks, .stats = {.n_tasks = n_tasks}};
    t->n = calloc(n_tasks, sizeof *t->n);
    t->c = calloc(n_tasks, sizeof *t->c);
    t->verdicts = json_array();
    if (t->n && t->c && t->verdicts) return QA_OK;
    tally_release(t);
    return err_set(e, QA_E_NOMEM, "out of memory");
}

void tally_release(struct tally *t)
{
    free(t->n);
    free(t->c);
    json_decref(t->verdicts);
    *t = (struct tally){0};
}

static void update_pass_at_1(struct tally *t)
{
    double *v = calloc(t->n_tasks, sizeof *v);
    if (!v) return; /* the last value stays; the end of the run says what is wrong */
    size_t n = 0;
    for (size_t i = 0; i < t->n_tasks; i++) {
        if (t->n[i]) v[n++] = passk_estimate(t->n[i], t->c[i], 1);
    }
    t->stats.pass_at_1 = passk_mean(v, n);
    t->stats.standard_error = passk_standard_error(v, n);
    free(v);
}

void tally_add(struct tally *t,
               size_t i_task,
               struct str task_id,
               int i_sample,
               const struct entry *rec,
               const struct score *score)
{
    struct suite_stats *s = &t->stats;
    const enum suite_class verdict = entry_class(rec, score);
    const struct attempt *a = &rec->attempt;
    s->n_done++;
    t->n[i_task]++;
    t->c[i_task] += score->has_passed;
    s->n_passed += score->has_passed;
    s->n_answered += a->end == ATTEMPT_ANSWERED;
    s->n_canary_fired += score->canary == CANARY_FIRED;
    s->n_flagged += score->has_passed && score->is_flagged;
    s->by_class[verdict]++;
    s->iterations[QA_MIN(QA_MAX(a->n_iterations, 0), SUITE_MAX_HISTOGRAM - 1)]++;
    s->n_prompt_tokens += a->n_prompt_tokens;
    s->n_reused_tokens += a->n_reused_tokens;
    s->n_generated_tokens += a->n_generated_tokens;
    s->n_tool_calls += a->n_tool_calls;
    s->n_drafted += a->n_drafted;
    s->n_accepted += a->n_accepted;
    s->solve_s += a->total_s;
    s->prefill_s += a->prefill_s;
    s->decode_s += a->decode_s;
    s->tool_s += a->tool_s;
    s->scoring_s += score->ms * 1e-3;
    s->wall_s = QA_MAX(s->wall_s, rec->wall_s);
    update_pass_at_1(t);
    json_array_append_new(t->verdicts,
                          json_pack("{s:o, s:i, s:b, s:s, s:s, s:b, s:i}", "task_id",
                                    text_value(task_id), "sample", i_sample, "passed",
                                    (int)score->has_passed, "class", suite_class_name(verdict),
                                    "canary", canary_name(score->canary), "flagged",
                                    (int)score->is_flagged, "iterations", a->n_iterations));
}
