/* trace_file.c - every output of every verb as a line: written, or compared. */
#include "cmd/trace_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 128 };
static const char HEAD[] = "# verb call output values checksum rms\n";

struct trace_file {
    FILE *f;
    char *path; /* owned */
    bool is_comparing;
    uint64_t n_outputs; /* told so far */
    bool has_difference;
    struct verb_output at;                            /* the first one that differs */
    char there[LINE_MAX_BYTES], here[LINE_MAX_BYTES]; /* and its lines; "" behind the end */
};

static void format_line(char line[LINE_MAX_BYTES], const struct verb_output *o)
{
    snprintf(line, LINE_MAX_BYTES, "%s %llu %d %zu %016llx %.6g\n", verb_name(o->verb),
             (unsigned long long)o->i_call, o->i_output, o->n, (unsigned long long)o->sum,
             o->rms);
}

static void compare_line(struct trace_file *t, const char *here, const struct verb_output *o)
{
    if (t->has_difference) return;
    if (!fgets(t->there, sizeof t->there, t->f)) t->there[0] = 0;
    if (strcmp(t->there, here) == 0) return;
    t->has_difference = true;
    t->at = *o;
    memcpy(t->here, here, LINE_MAX_BYTES);
}

static void on_output(void *ctx, const struct verb_output *o)
{
    struct trace_file *t = ctx;
    char line[LINE_MAX_BYTES];
    format_line(line, o);
    t->n_outputs++;
    if (t->is_comparing) {
        compare_line(t, line, o);
    } else {
        fputs(line, t->f); /* an error is remembered and found at the end */
    }
}

enum status trace_file_open(struct trace_file **out,
                            const char *path,
                            bool is_comparing,
                            struct err *e)
{
    char line[LINE_MAX_BYTES];
    struct trace_file *t = calloc(1, sizeof *t);
    if (!t || !(t->path = strdup(path))) {
        trace_file_close(t);
        return err_set(e, QA_E_NOMEM, "no memory for a trace");
    }
    t->is_comparing = is_comparing;
    t->f = fopen(path, is_comparing ? "re" : "we");
    enum status st = QA_OK;
    if (!t->f) {
        st = err_errno(e, QA_E_IO, errno, "cannot open trace '%s'", path);
    } else if (!is_comparing) {
        fputs(HEAD, t->f);
    } else if (!fgets(line, sizeof line, t->f) || strcmp(line, HEAD) != 0) {
        st = err_set(e, QA_E_FORMAT, "'%s' is not a trace of verbs", path);
    }
    if (st) {
        trace_file_close(t);
        return st;
    }
    *out = t;
    return QA_OK;
}

void trace_file_close(struct trace_file *t)
{
    if (!t) return;
    if (t->f) fclose(t->f);
    free(t->path);
    free(t);
}

struct engine_tracer trace_file_tracer(struct trace_file *t)
{
    return (struct engine_tracer){on_output, t};
}

static void print_difference(const struct trace_file *t)
{
    if (*t->here) {
        printf("first difference: %s, call %llu, output %d\n", verb_name(t->at.verb),
               (unsigned long long)t->at.i_call, t->at.i_output);
    } else {
        printf("first difference: the run ended after %llu outputs\n",
               (unsigned long long)t->n_outputs);
    }
    printf("recorded: %s", *t->there ? t->there : "nothing\n");
    printf("now:      %s", *t->here ? t->here : "nothing\n");
}

enum status trace_file_end(struct trace_file *t, bool *is_same, struct err *e)
{
    if (!t->is_comparing) {
        *is_same = true;
        if (fflush(t->f) || ferror(t->f))
            return err_errno(e, QA_E_IO, errno, "cannot write trace '%s'", t->path);
        return QA_OK;
    }
    if (!t->has_difference && fgets(t->there, sizeof t->there, t->f)) t->has_difference = true;
    *is_same = !t->has_difference;
    if (t->has_difference) {
        print_difference(t);
    } else {
        printf("identical: %llu outputs\n", (unsigned long long)t->n_outputs);
    }
    return QA_OK;
}
