/* opt.c - how options become values: config file, environment, command line. */
#include "cmd/opt.h"

#include "cmd/cmd.h"
#include "cmd/config.h"
#include "engine/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef QA_VERSION
#    define QA_VERSION "unknown"
#endif

_Noreturn void opt_fail(const char *fmt, ...)
{
    char text[1024]; /* words of the command line may be of any bytes */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    str_make_inert(text);
    fprintf(stderr, "qagent: %s\n", text);
    exit(EXIT_USAGE);
}

const char *opt_version(void)
{
    return QA_VERSION;
}

/* ---- values ---- */

struct unit {
    const char *name;
    double factor;
};

static bool with_unit(const char *text, const struct unit *units, double *out)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || !(v >= 0) || v > 1e18) return false;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) != 0) continue;
        *out = v * units->factor;
        return true;
    }
    return false;
}

bool opt_bytes(const char *text, uint64_t *out)
{
    static const struct unit UNITS[] = {
        {"",    1     },
        {"b",   1     },
        {"k",   0x1p10},
        {"kb",  0x1p10},
        {"kib", 0x1p10},
        {"m",   0x1p20},
        {"mb",  0x1p20},
        {"mib", 0x1p20},
        {"g",   0x1p30},
        {"gb",  0x1p30},
        {"gib", 0x1p30},
        {"t",   0x1p40},
        {NULL,  0     },
    };
    double v;
    if (!with_unit(text, UNITS, &v) || v >= 0x1p62) return false;
    *out = (uint64_t)v;
    return true;
}

bool opt_seconds(const char *text, double *out)
{
    static const struct unit UNITS[] = {
        {"",    1    },
        {"s",   1    },
        {"ms",  0.001},
        {"m",   60   },
        {"min", 60   },
        {"h",   3600 },
        {NULL,  0    }
    };
    return with_unit(text, UNITS, out);
}

bool opt_on_off(const char *option, const char *text)
{
    const bool is_on = strcmp(text, "on") == 0;
    if (!is_on && strcmp(text, "off") != 0) {
        opt_fail("option '--%s' takes on or off, not '%s'", option, text);
    }
    return is_on;
}

int64_t opt_int_arg(const char *option, const char *text, int64_t lo, int64_t hi)
{
    int64_t v;
    if (!str_to_i64(str_of(text), lo, hi, &v)) {
        opt_fail("option '--%s' takes a number from %lld to %lld, not '%s'", option,
                 (long long)lo, (long long)hi, text);
    }
    return v;
}

double opt_float_arg(const char *option, const char *text, double lo, double hi)
{
    double v;
    if (!str_to_f64(str_of(text), &v) || v < lo || v > hi) {
        opt_fail("option '--%s' takes a number from %g to %g, not '%s'", option, lo, hi, text);
    }
    return v;
}

double opt_seconds_arg(const char *option, const char *text)
{
    double v;
    if (!opt_seconds(text, &v)) {
        opt_fail("option '--%s' takes a time such as 30s, 10m or 2h, not '%s'", option, text);
    }
    return v;
}

uint64_t opt_bytes_arg(const char *option, const char *text)
{
    uint64_t v;
    if (!opt_bytes(text, &v)) {
        opt_fail("option '--%s' takes a size such as 512M or 2G, not '%s'", option, text);
    }
    return v;
}

/* ---- the terminal and the folders ---- */

bool opt_has_cursor(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

bool opt_has_colour(int fd)
{
    const char *none = getenv("NO_COLOR");
    return !(none && *none) && opt_has_cursor(fd);
}

int opt_columns(int fd)
{
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) return w.ws_col;
    return 80;
}

/* $XDG/qagent, or $HOME/fallback/qagent; the text lives in `store`. */
static const char *xdg_dir(const char *variable, const char *fallback, char *store, size_t n)
{
    const char *base = getenv(variable);
    const char *home = getenv("HOME");
    int k = -1;
    if (base && base[0] == '/') {
        k = snprintf(store, n, "%s/qagent", base);
    } else if (home && home[0] == '/') {
        k = snprintf(store, n, "%s/%s/qagent", home, fallback);
    }
    if (k < 0 || (size_t)k >= n) store[0] = 0;
    return store;
}

const char *opt_cache_dir(void)
{
    static char store[4096];
    return xdg_dir("XDG_CACHE_HOME", ".cache", store, sizeof store);
}

const char *opt_prefix_dir(void)
{
    static char store[4096 + 16];
    const char *dir = opt_cache_dir();
    snprintf(store, sizeof store, "%s%s", dir, *dir ? "/prefix" : "");
    return store;
}

const char *opt_editor(void)
{
    const char *visual = getenv("VISUAL");
    const char *editor = getenv("EDITOR");
    if (visual && *visual) return visual;
    return editor && *editor ? editor : "vi";
}

const char *opt_state_dir(void)
{
    static char store[4096];
    return xdg_dir("XDG_STATE_HOME", ".local/state", store, sizeof store);
}

/* ---- the model's options ---- */

enum {
    KEY_THREADS = 't',
    KEY_KERNELS = 0x300,
    KEY_KV,
    KEY_KV_K,
    KEY_KV_V,
    KEY_DRAFT,
    KEY_COPY,
    KEY_MMAP,
    KEY_NO_MMAP,
    KEY_TEMP,
    KEY_TOP_P,
    KEY_TOP_K,
    KEY_MIN_P,
    KEY_PRESENCE,
    KEY_REPETITION,
    KEY_SEED,
    KEY_ENDPOINT,
    KEY_GREEDY,
    KEY_THINK,
    KEY_GPU
};

/* A row without a key is another name of the row above it. */
#define ALSO OPTION_ALIAS | OPTION_HIDDEN

// clang-format off
static const struct argp_option MODEL_OPTIONS[] = {
    {"model",              'm',            "PATH",          0,             "GGUF file, the first of a split set (default: $QAGENT_MODEL, else the embedded model)", 0},
    {"ctx",                'c',            "N",             0,             "context in tokens (default: what the task needs)", 0},
    {"ctx-size",           0,              0,               ALSO,          0, 0},
    {"threads",            KEY_THREADS,    "N",             0,             "CPU threads (default: physical cores this process may use)", 0},
    {"kernels",            KEY_KERNELS,    "NAME",          0,             "force a kernel set: ref, plain, avx2, avx512", 0},
    {"kv",                 KEY_KV,         "TYPE",          0,             "type of the KV cache: f32, f16, q8_0, q4_0, turbo4, turbo3, turbo2 (default f16)", 0},
    {"kv-k",               KEY_KV_K,       "TYPE",          0,             "the same for keys alone", 0},
    {"cache-type-k",       0,              0,               ALSO,          0, 0},
    {"kv-v",               KEY_KV_V,       "TYPE",          0,             "the same for values alone", 0},
    {"cache-type-v",       0,              0,               ALSO,          0, 0},
    {"draft",              KEY_DRAFT,      "N",             0,             "tokens drafted by the MTP layer per step, 0 = off (default 3 where the file has one)", 0},
    {"spec-draft-n-max",   0,              0,               ALSO,          0, 0},
    {"copy",               KEY_COPY,       "N",             0,             "tokens proposed per step by copying from the context where it repeats itself, 0 = off (default 8)", 0},
    {"mmap",               KEY_MMAP,       0,               0,             "map the weights instead of reading them (less memory, slower at first)", 0},
    {"no-mmap",            KEY_NO_MMAP,    0,               OPTION_HIDDEN, 0, 0},
    {"temp",               KEY_TEMP,       "X",             0,             "temperature; 0 = greedy", 0},
    {"top-p",              KEY_TOP_P,      "X",             0,             "nucleus sampling", 0},
    {"top-k",              KEY_TOP_K,      "N",             0,             "sample from the N likeliest; 0 = all", 0},
    {"min-p",              KEY_MIN_P,      "X",             0,             "drop what is less likely than X times the likeliest", 0},
    {"presence-penalty",   KEY_PRESENCE,   "X",             0,             "subtract X from the logits of tokens already generated", 0},
    {"repetition-penalty", KEY_REPETITION, "X",             0,             "divide the positive logits of tokens already generated by X, multiply the negative ones", 0},
    {"repeat-penalty",     0,              0,               ALSO,          0, 0},
    {"seed",               KEY_SEED,       "N",             0,             "same seed, same text (default 1)", 0},
    {"greedy",             KEY_GREEDY,     0,               0,             "always take the likeliest token", 0},
    {"think",              KEY_THINK,      "on|off|N",      0,             "thinking, or a budget of N tokens for it", 0},
    {"reasoning",          0,              0,               ALSO,          0, 0},
    {"endpoint",           KEY_ENDPOINT,   "URL",           OPTION_HIDDEN, 0, 0},
    {"gpu-layers",         KEY_GPU,        "N",             OPTION_HIDDEN, 0, 0},
    {"n-gpu-layers",       0,              0,               ALSO,          0, 0},
    {"cpu-moe",            KEY_GPU,        "N",             OPTION_HIDDEN, 0, 0},
    {"n-cpu-moe",          0,              0,               ALSO,          0, 0},
    {"place",              KEY_GPU,        "REGEX=cpu|gpu", OPTION_HIDDEN, 0, 0},
    {"override-tensor",    0,              0,               ALSO,          0, 0},
    {"vram",               KEY_GPU,        "SIZE",          OPTION_HIDDEN, 0, 0},
    {0},
};
#undef ALSO
// clang-format on

struct model_opts model_opts_default(void)
{
    const struct engine_opts e = engine_opts_default();
    return (struct model_opts){
        .kv_k = e.kv_k,
        .kv_v = e.kv_v,
        .n_draft = -1,
        .n_copy = -1,
        .think_tokens = -1,
        .sampling =
            {.temp = 0.6F, .top_k = 20, .top_p = 0.95F, .repetition_penalty = 1, .seed = 1},
    };
}

static enum kv_type kv_arg(const char *option, const char *text)
{
    enum kv_type t;
    if (kv_type_of(text, &t)) return t;
    const char *names[KV_TYPE_COUNT + 1] = {0};
    for (t = 0; t < KV_TYPE_COUNT; t++)
        names[t] = kv_type_name(t);
    const char *near = cmd_nearest(text, names);
    opt_fail(
        "option '--%s' takes f32, f16, q8_0, q4_0, turbo4, turbo3 or turbo2, not '%s'%s%s%s",
        option, text, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int think_arg(const char *text)
{
    if (strcmp(text, "on") == 0) return -1;
    if (strcmp(text, "off") == 0) return 0;
    return (int)opt_int_arg("think", text, 0, 1 << 30);
}

static bool sampling_option(struct model_opts *o, int key, const char *arg)
{
    struct sampling *s = &o->sampling;
    switch (key) {
    case KEY_TEMP:
        s->temp = (float)opt_float_arg("temp", arg, 0, 100);
        return o->has_temp = true;
    case KEY_TOP_P:
        s->top_p = (float)opt_float_arg("top-p", arg, 0, 1);
        return o->has_top_p = true;
    case KEY_TOP_K:
        s->top_k = (int)opt_int_arg("top-k", arg, 0, 1 << 30);
        return o->has_top_k = true;
    case KEY_MIN_P:
        s->min_p = (float)opt_float_arg("min-p", arg, 0, 1);
        return o->has_min_p = true;
    case KEY_PRESENCE:
        s->presence_penalty = (float)opt_float_arg("presence-penalty", arg, -2, 2);
        return o->has_presence = true;
    case KEY_REPETITION:
        s->repetition_penalty = (float)opt_float_arg("repetition-penalty", arg, 0.01, 10);
        return true;
    case KEY_SEED:
        s->seed = (uint64_t)opt_int_arg("seed", arg, 0, INT64_MAX);
        return o->has_seed = true;
    case KEY_GREEDY: s->temp = 0; return o->has_temp = true;
    default: return false;
    }
}

static error_t model_option(int key, char *arg, struct argp_state *state)
{
    struct model_opts *o = state->input;
    if (sampling_option(o, key, arg)) return 0;
    switch (key) {
    case 'm': o->model = arg; break;
    case 'c': o->ctx_tokens = opt_int_arg("ctx", arg, 0, 1 << 24); break;
    case KEY_THREADS: o->n_threads = (int)opt_int_arg("threads", arg, 1, 1024); break;
    case KEY_KERNELS: o->kernels = arg; break;
    case KEY_KV: o->kv_k = o->kv_v = kv_arg("kv", arg); break;
    case KEY_KV_K: o->kv_k = kv_arg("kv-k", arg); break;
    case KEY_KV_V: o->kv_v = kv_arg("kv-v", arg); break;
    case KEY_DRAFT: o->n_draft = (int)opt_int_arg("draft", arg, 0, DRAFT_MAX); break;
    case KEY_COPY: o->n_copy = (int)opt_int_arg("copy", arg, 0, DRAFT_MAX); break;
    case KEY_MMAP: o->want_mmap = true; break;
    case KEY_NO_MMAP: o->want_mmap = false; break;
    case KEY_THINK: o->think_tokens = think_arg(arg); break;
    case KEY_ENDPOINT:
        opt_fail("option '--endpoint' does not exist yet: the model runs in this process");
    case KEY_GPU:
        log_notice("note: GPU options have no effect, this build computes on the CPU");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp model_argp = {.options = MODEL_OPTIONS, .parser = model_option};

/* ---- the command line ---- */

/* Spellings of llama-server that argp would read letter by letter. */
static const struct {
    const char *from, *to;
} SPELLINGS[] = {
    {"-ngl",   "--gpu-layers" },
    {"-ctk",   "--kv-k"       },
    {"-ctv",   "--kv-v"       },
    {"-ot",    "--place"      },
    {"-cmoe",  "--cpu-moe=all"},
    {"-ncmoe", "--cpu-moe"    },
};

/* Flags of llama-server that mean nothing here; `n_args`: how many words to skip. */
static const struct {
    const char *name;
    bool may_have_value;
} IGNORED[] = {
    {"--jinja",         false},
    {"--no-warmup",     false},
    {"--flash-attn",    true },
    {"-fa",             true },
    {"--mlock",         false},
    {"--no-jinja",      false},
    {"--cont-batching", false},
};

/* All options a parser knows, its children included. */
static const struct argp_option *find_option(const struct argp *a, const char *name, size_t n)
{
    const struct argp_option *real = NULL;
    for (const struct argp_option *o = a->options; o && (o->name || o->key || o->doc); o++) {
        if (!(o->flags & OPTION_ALIAS)) real = o;
        if (o->name && strlen(o->name) == n && memcmp(o->name, name, n) == 0) return real;
    }
    for (const struct argp_child *c = a->children; c && c->argp; c++) {
        const struct argp_option *hit = find_option(c->argp, name, n);
        if (hit) return hit;
    }
    return NULL;
}

static void collect_names(const struct argp *a, const char **names, size_t *n, size_t max)
{
    for (const struct argp_option *o = a->options; o && (o->name || o->key || o->doc); o++) {
        if (o->name && *n < max) names[(*n)++] = o->name;
    }
    for (const struct argp_child *c = a->children; c && c->argp; c++) {
        collect_names(c->argp, names, n, max);
    }
}

static _Noreturn void unknown_option(const struct argp *a, const char *word, size_t n)
{
    const char *names[128] = {0};
    size_t count = 0;
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)n, word);
    collect_names(a, names, &count, COUNT(names) - 2);
    names[count++] = "help";
    const char *near = cmd_nearest(text, names);
    if (near) opt_fail("unknown option '--%s'; did you mean '--%s'?", text, near);
    opt_fail("unknown option '--%s'; --help lists the options", text);
}

/* argp would answer a wrong option with two lines and its own words; look first. */
static void check_long_option(const struct argp *a, const char *word, bool has_next)
{
    const char *name = word + 2;
    const size_t n = strcspn(name, "=");
    if (n == 4 && memcmp(name, "help", 4) == 0) return;
    if (n == 5 && memcmp(name, "usage", 5) == 0) return;
    const struct argp_option *o = find_option(a, name, n);
    if (!o) unknown_option(a, name, n);
    if (o->arg && name[n] != '=' && !has_next && !(o->flags & OPTION_ARG_OPTIONAL)) {
        opt_fail("option '--%s' needs a value (%s)", o->name, o->arg);
    }
    if (!o->arg && name[n] == '=') opt_fail("option '--%s' takes no value", o->name);
}

static const struct argp_option *find_key(const struct argp *a, int key)
{
    for (const struct argp_option *o = a->options; o && (o->name || o->key || o->doc); o++) {
        if (o->key == key) return o;
    }
    for (const struct argp_child *c = a->children; c && c->argp; c++) {
        const struct argp_option *hit = find_key(c->argp, key);
        if (hit) return hit;
    }
    return NULL;
}

static void check_short_option(const struct argp *a, const char *word, bool has_next)
{
    if (word[1] == '?') return;
    const struct argp_option *o = find_key(a, word[1]);
    if (!o) opt_fail("unknown option '-%c'; --help lists the options", word[1]);
    if (o->arg && !word[2] && !has_next)
        opt_fail("option '-%c' needs a value (%s)", word[1], o->arg);
}

/* A word list that grows. */
struct words {
    char **p;
    size_t n;
};

static void words_add(struct words *w, const char *word)
{
    char **p = realloc(w->p, (w->n + 2) * sizeof *p);
    char *copy = strdup(word);
    if (!p || !copy) opt_fail("out of memory");
    w->p = p;
    w->p[w->n++] = copy;
    w->p[w->n] = NULL;
}

/* Where the settings of the config file go: the options of `parser`, `words`. */
struct config_ctx {
    struct words *words;
    const struct argp *parser;
};

static bool is_option(void *ctx, const char *key)
{
    const struct config_ctx *c = ctx;
    return find_option(c->parser, key, strlen(key)) != NULL;
}

static void add_setting(void *ctx, const char *word)
{
    words_add(((struct config_ctx *)ctx)->words, word);
}

/* Settings become words in front of the user's, so the user's win. */
static void add_config(struct words *w, const struct argp *a)
{
    char dir[4096];
    char path[4200];
    struct config_ctx ctx = {w, a};
    const struct config_sink sink = {&ctx, is_option, add_setting};
    struct err e = {0};
    if (!*xdg_dir("XDG_CONFIG_HOME", ".config", dir, sizeof dir)) return;
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (access(path, F_OK)) return;
    if (config_read(path, &sink, &e)) opt_fail("%s", e.text);
}

static void add_environment(struct words *w, const struct argp *a)
{
    const char *model = getenv("QAGENT_MODEL");
    if (!model || !*model || !find_option(a, "model", 5)) return;
    words_add(w, "--model");
    words_add(w, model);
}

static bool is_ignored(const char *word, const char *next, bool *skip_next)
{
    for (size_t i = 0; i < COUNT(IGNORED); i++) {
        const size_t n = strlen(IGNORED[i].name);
        if (strncmp(word, IGNORED[i].name, n) != 0 || (word[n] && word[n] != '=')) continue;
        static const char *const VALUES[] = {"on", "off", "auto", "0", "1"};
        for (size_t k = 0; IGNORED[i].may_have_value && !word[n] && next && k < COUNT(VALUES);
             k++) {
            if (strcmp(next, VALUES[k]) == 0) *skip_next = true;
        }
        log_notice("note: option '%s' means nothing here and is ignored", IGNORED[i].name);
        return true;
    }
    return false;
}

static const char *respell(const char *word)
{
    for (size_t i = 0; i < COUNT(SPELLINGS); i++) {
        if (strcmp(word, SPELLINGS[i].from) == 0) return SPELLINGS[i].to;
    }
    return word;
}

/* Does this word take the next one as its value? */
static bool takes_next(const struct argp *a, const char *word)
{
    const struct argp_option *o = NULL;
    if (word[1] == '-') {
        if (!strchr(word, '=')) o = find_option(a, word + 2, strlen(word + 2));
    } else if (!word[2]) {
        o = find_key(a, word[1]);
    }
    return o && o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
}

void opt_parse(const struct argp *parser, int argc, char **argv, void *input)
{
    /* Options point into these words to the end of the process, as they would into argv. */
    static struct words w;
    words_add(&w, argv[0]);
    add_config(&w, parser);
    add_environment(&w, parser);
    bool only_arguments = false;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        const char *word = only_arguments ? argv[i] : respell(argv[i]);
        bool skip = false;
        if (!only_arguments && is_ignored(word, next, &skip)) {
            i += skip;
            continue;
        }
        words_add(&w, word);
        if (only_arguments || word[0] != '-' || !word[1]) continue;
        if (strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        if (word[1] == '-') {
            check_long_option(parser, word, next != NULL);
        } else {
            check_short_option(parser, word, next != NULL);
        }
        if (next && takes_next(parser, word)) words_add(&w, argv[++i]);
    }
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(parser, (int)w.n, w.p, 0, NULL, input)) exit(EXIT_USAGE);
}
