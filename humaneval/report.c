/* report.c - the numbers of a run, as text and as JSON. */
#include "humaneval/report.h"

#include <stdio.h>
#include <string.h>

static const char *const CLASS_NAMES[CLASS_COUNT] = {
    [CLASS_PASSED] = "passed",   [CLASS_MODEL] = "model",     [CLASS_EXTRACTION] = "extraction",
    [CLASS_SANDBOX] = "sandbox", [CLASS_TIMEOUT] = "timeout", [CLASS_BUDGET] = "budget",
};

const char *suite_class_name(enum suite_class c)
{
    return CLASS_NAMES[c];
}

void report_transcript_name(struct str task_id, int i_sample, char *out, size_t n)
{
    struct str_buf b;
    str_buf_init(&b, n - 1);
    str_buf_add_z(&b, "transcripts/");
    for (size_t i = 0; i < task_id.n; i++) {
        const char c = task_id.p[i];
        const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                              (c >= 'A' && c <= 'Z') || c == '-' || c == '+' || (c == '.' && i);
        if (c == '/') {
            str_buf_add_char(&b, '_');
        } else if (is_plain) {
            str_buf_add_char(&b, c);
        } else {
            str_buf_addf(&b, "%%%02X", (unsigned char)c);
        }
    }
    if (i_sample) str_buf_addf(&b, "~%d", i_sample);
    str_buf_add_z(&b, ".jsonl");
    snprintf(out, n, "%s", b.p ? b.p : "");
    str_buf_release(&b);
}

static double share(double part, double whole)
{
    return whole > 0 ? 100.0 * part / whole : 0.0;
}

/* Where the time went, in seconds; other is the harness itself.  The parts add up to
 * `all`, which is more than the wall clock when several tasks are in flight. */
struct clocks {
    double all, wall, decode, prefill, tools, scoring, other;
};

static struct clocks clocks_of(const struct suite_stats *s)
{
    struct clocks c = {.all = s->solve_s + s->scoring_s,
                       .wall = s->wall_s > 0 ? s->wall_s : s->solve_s + s->scoring_s,
                       .decode = s->decode_s,
                       .prefill = s->prefill_s,
                       .tools = s->tool_s,
                       .scoring = s->scoring_s};
    if (s->n_jobs <= 1) c.all = QA_MAX(c.all, c.wall);
    c.other = c.all - c.decode - c.prefill - c.tools - c.scoring;
    if (c.other < 0) c.other = 0;
    return c;
}

json_t *report_stats_json(const struct suite_stats *s)
{
    const struct clocks c = clocks_of(s);
    json_t *classes = json_object();
    json_t *histogram = json_array();
    int last = SUITE_MAX_HISTOGRAM - 1;
    while (last > 0 && !s->iterations[last]) {
        last--;
    }
    for (int i = 0; i <= last; i++) {
        json_array_append_new(histogram, json_integer((json_int_t)s->iterations[i]));
    }
    for (int i = 0; i < CLASS_COUNT; i++) {
        json_object_set_new(classes, CLASS_NAMES[i], json_integer((json_int_t)s->by_class[i]));
    }
    json_t *o = json_object();
    const struct {
        const char *name;
        double value;
    } REALS[] = {
        {"pass_at_1",      s->pass_at_1                                                     },
        {"standard_error", s->standard_error                                                },
        {"wall_s",         c.wall                                                           },
        {"task_s",         c.all                                                            },
        {"decode_s",       c.decode                                                         },
        {"prefill_s",      c.prefill                                                        },
        {"tool_s",         c.tools                                                          },
        {"scoring_s",      c.scoring                                                        },
        {"other_s",        c.other                                                          },
        {"decode_tps",     s->decode_s > 0 ? (double)s->n_generated_tokens / s->decode_s : 0},
        {"effective_tps",  c.wall > 0 ? (double)s->n_generated_tokens / c.wall : 0          },
    };
    const struct {
        const char *name;
        json_int_t value;
    } INTEGERS[] = {
        {"tasks",            (json_int_t)s->n_tasks       },
        {"samples",          (json_int_t)s->n_samples     },
        {"finished",         (json_int_t)s->n_done        },
        {"passed",           (json_int_t)s->n_passed      },
        {"answered",         (json_int_t)s->n_answered    },
        {"canary_fired",     (json_int_t)s->n_canary_fired},
        {"flagged",          (json_int_t)s->n_flagged     },
        {"prompt_tokens",    s->n_prompt_tokens           },
        {"reused_tokens",    s->n_reused_tokens           },
        {"generated_tokens", s->n_generated_tokens        },
        {"tool_calls",       s->n_tool_calls              },
        {"jobs",             s->n_jobs                    },
        {"drafted",          (json_int_t)s->n_drafted     },
        {"accepted",         (json_int_t)s->n_accepted    },
    };
    for (size_t i = 0; i < COUNT(REALS); i++) {
        json_object_set_new(o, REALS[i].name, json_real(REALS[i].value));
    }
    for (size_t i = 0; i < COUNT(INTEGERS); i++) {
        json_object_set_new(o, INTEGERS[i].name, json_integer(INTEGERS[i].value));
    }
    json_object_set_new(o, "standard_error_is",
                        json_string("sample standard deviation / sqrt(N), divisor N - 1"));
    json_object_set_new(o, "classes", classes);
    json_object_set_new(o, "iterations", histogram);
    return o;
}

static void add_histogram(struct str_buf *b, const struct suite_stats *s)
{
    const char *separator = "iterations        ";
    for (int i = 0; i < SUITE_MAX_HISTOGRAM; i++) {
        if (!s->iterations[i]) continue;
        str_buf_addf(b, "%s%d%s: %zu", separator, i, i + 1 == SUITE_MAX_HISTOGRAM ? "+" : "",
                     s->iterations[i]);
        separator = "  ";
    }
    if (s->n_done) str_buf_add_char(b, '\n');
}

static void add_failures(struct str_buf *b, const struct suite_stats *s)
{
    const char *separator = "failed            ";
    for (int i = CLASS_PASSED + 1; i < CLASS_COUNT; i++) {
        if (!s->by_class[i]) continue;
        str_buf_addf(b, "%s%s %zu", separator, CLASS_NAMES[i], s->by_class[i]);
        separator = "  ";
    }
    if (s->n_done > s->n_passed) str_buf_add_char(b, '\n');
}

void report_add_text(struct str_buf *b, const struct suite_stats *s)
{
    const struct clocks c = clocks_of(s);
    const double decode_tps = s->decode_s > 0 ? (double)s->n_generated_tokens / s->decode_s : 0;
    const double effective_tps = c.wall > 0 ? (double)s->n_generated_tokens / c.wall : 0;
    str_buf_addf(
        b,
        "pass@1            %.2f %% \xC2\xB1 %.2f      (%zu of %zu)         answered %zu/%zu\n",
        100 * s->pass_at_1, 100 * s->standard_error, s->n_passed, s->n_done, s->n_answered,
        s->n_done);
    if (s->n_generated_tokens) {
        if (s->n_jobs > 1) {
            str_buf_addf(b,
                         "decode per task   %.1f tok/s          effective %.1f tok/s (%d tasks "
                         "in flight)\n",
                         decode_tps, effective_tps, s->n_jobs);
        } else {
            str_buf_addf(
                b, "peak decode       %.1f tok/s          effective %.1f tok/s (%.0f %%)\n",
                decode_tps, effective_tps, share(effective_tps, decode_tps));
        }
        if (s->n_drafted) {
            str_buf_addf(b, "draft acceptance  %.1f %%            ",
                         share((double)s->n_accepted, (double)s->n_drafted));
        } else {
            str_buf_add_z(b, "draft acceptance  no drafts         ");
        }
        str_buf_addf(b, "  prefix reused %.1f %%\n",
                     share((double)s->n_reused_tokens,
                           (double)(s->n_reused_tokens + s->n_prompt_tokens)));
    }
    if (c.all > 0) {
        str_buf_addf(b,
                     "where the time went:  decode %.0f %%  prefill %.0f %%  tools %.0f %%  "
                     "scoring %.0f %%  other %.0f %%\n",
                     share(c.decode, c.all), share(c.prefill, c.all), share(c.tools, c.all),
                     share(c.scoring, c.all), share(c.other, c.all));
    }
    add_histogram(b, s);
    add_failures(b, s);
    if (s->n_canary_fired) {
        str_buf_addf(b, "canary fired      %zu: these pass whatever they are compared with\n",
                     s->n_canary_fired);
    }
    if (s->n_flagged) {
        str_buf_addf(b, "flagged           %zu passed samples name the interpreter's inside\n",
                     s->n_flagged);
    }
}
