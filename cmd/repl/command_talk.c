/* command_talk.c - commands that begin, leave and change conversations. */
#include "cmd/repl/command.h"
#include "cmd/repl/repl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIST_MAX = 20 };

void do_new(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_NEW, NULL);
}

/* ---- back and forth ---- */

static void rewind_to(struct repl *r, int64_t n_left)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)QA_MAX(n_left, (int64_t)0));
    repl_start(r, JOB_REWIND, text);
}

void do_undo(struct repl *r, const char *arg)
{
    int64_t n;
    if (!*arg) {
        repl_start(r, JOB_UNDO, NULL);
    } else if (str_to_i64(str_of(arg), 1, 1 << 20, &n)) {
        rewind_to(r, (int64_t)talk_info(work_talk(r->work)).n_messages - n);
    } else {
        command_usage(r, "/undo [N], how many messages");
    }
}

void do_redo(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_REDO, NULL);
}

/* Messages, numbered; the number goes back to before it. */
static void list_messages(struct repl *r)
{
    const struct talk *t = work_talk(r->work);
    const size_t n = talk_info(t).n_messages;
    if (!n) repl_say(r, STYLE_DIM, "nothing was said yet");
    for (size_t i = n > LIST_MAX ? n - LIST_MAX : 0; i < n; i++) {
        const struct str text = talk_get(t, i).text;
        const size_t end = str_find(text, STR("\n"));
        const size_t most = QA_MIN(end == SIZE_MAX ? text.n : end, (size_t)200);
        repl_say(r, STYLE_PLAIN, "%2zu  %.*s%s", i + 1, (int)most, text.p,
                 most < text.n ? " ..." : "");
    }
    if (n) repl_say(r, STYLE_DIM, "/rewind N goes back to before message N");
}

void do_rewind(struct repl *r, const char *arg)
{
    const int64_t most = (int64_t)talk_info(work_talk(r->work)).n_messages;
    int64_t n;
    if (!*arg) {
        list_messages(r);
    } else if (str_to_i64(str_of(arg), 1, most, &n)) {
        r->gives_back = true;
        rewind_to(r, n - 1);
    } else {
        repl_say(r, STYLE_BAD, "there is no message %s; /rewind lists them", arg);
    }
}

void do_retry(struct repl *r, const char *arg)
{
    const struct talk *t = work_talk(r->work);
    const size_t n = talk_info(t).n_messages;
    const struct sampling kept = r->sampling;
    if (*arg && strcmp(arg, "hotter") != 0) {
        command_usage(r, "/retry [hotter]");
        return;
    }
    if (*arg) r->sampling.temp = QA_MIN(r->sampling.temp + 0.3F, 2.0F);
    if (n) show_message(&r->show, talk_get(t, n - 1).text.p);
    repl_start(r, JOB_RETRY, NULL);
    r->sampling = kept;
}

void do_fork(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_FORK, NULL);
}

void do_compact(struct repl *r, const char *arg)
{
    repl_start(r, JOB_COMPACT, arg);
}

/* ---- what waits ---- */

void do_queue(struct repl *r, const char *arg)
{
    int64_t n;
    if (strcmp(arg, "clear") == 0) {
        repl_say(r, STYLE_DIM, "%zu dropped", r->n_queue);
        while (r->n_queue) {
            free(repl_take_queued(r, 0));
        }
    } else if (*arg && str_to_i64(str_of(arg), 1, (int64_t)r->n_queue, &n)) {
        char *text = repl_take_queued(r, (size_t)n - 1);
        repl_say(r, STYLE_DIM, "taken out: %s", text);
        if (r->line) line_set(r->line, text);
        free(text);
    } else if (*arg) {
        repl_say(r, STYLE_BAD, "%zu wait; /queue N takes one out, /queue clear all",
                 r->n_queue);
    } else if (!r->n_queue) {
        repl_say(r, STYLE_DIM, "nothing waits");
    } else {
        for (size_t i = 0; i < r->n_queue; i++) {
            repl_say(r, STYLE_PLAIN, "%2zu  %s", i + 1, r->queue[i]);
        }
        repl_say(r, STYLE_DIM, "/queue N takes one back into the line, /queue clear drops all");
    }
}

/* ---- saved ones ---- */

void command_session_id(const char *path, char id[64])
{
    const char *slash = strrchr(path, '/');
    snprintf(id, 64, "%s", slash ? slash + 1 : path);
    const size_t n = strlen(id);
    if (str_ends(str_of(id), STR(".jsonl"))) id[n - 6] = 0;
}

void do_sessions(struct repl *r, const char *arg)
{
    struct talk_saved *list = calloc(LIST_MAX, sizeof *list);
    const size_t n = list && r->opts.dir ? talk_list(r->opts.dir, list, LIST_MAX) : 0;
    (void)arg;
    if (!n) repl_say(r, STYLE_DIM, "no saved sessions");
    for (size_t i = 0; i < n; i++) {
        char day[24];
        struct tm tm;
        const time_t at = (time_t)list[i].time_s;
        localtime_r(&at, &tm);
        strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
        repl_say(r, STYLE_PLAIN, "%2zu  %s  %2d  %s", i + 1, day, list[i].n_messages,
                 list[i].first);
    }
    if (n) repl_say(r, STYLE_DIM, "/resume N goes on with one");
    free(list);
}

/* A number of the list, an id (the name of its file), or a file. */
void do_resume(struct repl *r, const char *arg)
{
    struct talk_saved *list = calloc(LIST_MAX, sizeof *list);
    const size_t n = list && r->opts.dir ? talk_list(r->opts.dir, list, LIST_MAX) : 0;
    int64_t number = 1;
    size_t i = 0;
    if (*arg && !str_to_i64(str_of(arg), 1, 1000000, &number)) {
        for (char id[64]; i < n; i++) {
            command_session_id(list[i].path, id);
            if (strcmp(id, arg) == 0) break;
        }
        repl_start(r, JOB_RESUME, i < n ? list[i].path : arg);
    } else if ((size_t)number > n) {
        repl_say(r, STYLE_BAD, "there is no session %lld; /sessions lists them",
                 (long long)number);
    } else {
        repl_start(r, JOB_RESUME, list[number - 1].path);
    }
    free(list);
}
