/* opt.h - options: what all commands share, on top of glibc's argp.
 *
 * A command declares a struct argp with its own options and, when it runs the
 * model, model_argp as a child.  opt_parse() then reads, in rising priority, the
 * config file, the environment and the command line.  The only file of the
 * product that reads the environment. */
#ifndef QA_OPT_H
#define QA_OPT_H

#include "engine/engine.h"

#include <argp.h>

/* Options of every command that runs the model. */
struct model_opts {
    const char *model;   /* NULL: the embedded model                              */
    int64_t ctx_tokens;  /* 0: what the task needs                                */
    int n_threads;       /* 0: physical cores                                     */
    const char *kernels; /* NULL: best                                            */
    enum kv_type kv_k, kv_v;
    int n_draft, n_copy; /* -1: default                                   */
    bool want_mmap;
    enum trace_mode trace; /* set by the command, not by an option; so is            */
    struct engine_tracer tracer;
    int think_tokens; /* -1: on, no budget; 0: off; N: budget                  */
    struct sampling sampling;
    /* Which of the sampling fields the user gave; the mode's defaults hold for others. */
    bool has_temp, has_top_p, has_top_k, has_min_p, has_presence, has_seed;
};
struct model_opts model_opts_default(void);

/* Child parser; its input is a struct model_opts *.  In the parent's parser, at
 * ARGP_KEY_INIT: state->child_inputs[0] = &my->model; */
extern const struct argp model_argp;
#define MODEL_CHILDREN                  \
    (const struct argp_child[])         \
    {                                   \
        {&model_argp, 0, "Model:", 20}, \
        {                               \
            0                           \
        }                               \
    }

/* Parse.  Ends the process with one line and exit 2 on a wrong option, and with 0
 * after --help.  `input` goes to the parser. */
void opt_parse(const struct argp *parser, int argc, char **argv, void *input);

/* One line "qagent: ..." and exit 2. */
_Noreturn void opt_fail(const char *fmt, ...) PRINTF(1, 2);

/* Values with units; false: not such a value.  "16G", "512M", "64K", "1024" (powers of 1024). */
bool opt_bytes(const char *text, uint64_t *out);
/* "90s", "10m", "2h", "250ms", "30" (seconds). */
bool opt_seconds(const char *text, double *out);
/* The same for an option's argument: ends the process with a line that names it. */
int64_t opt_int_arg(const char *option, const char *text, int64_t lo, int64_t hi);
double opt_float_arg(const char *option, const char *text, double lo, double hi);
double opt_seconds_arg(const char *option, const char *text);
uint64_t opt_bytes_arg(const char *option, const char *text);
bool opt_on_off(const char *option, const char *text);

/* Colour and cursor movement are welcome on this descriptor: a terminal, not
 * TERM=dumb, NO_COLOR unset. */
bool opt_has_colour(int fd);
bool opt_has_cursor(int fd); /* the same without NO_COLOR: the cursor can be moved */
int opt_columns(int fd);     /* width of the terminal; 80 when unknown */

/* Folders by XDG rules, without a trailing slash, not created. "" when $HOME is unset. */
const char *opt_cache_dir(void);  /* ~/.cache/qagent        */
const char *opt_prefix_dir(void); /* the folder "prefix" there; "": none */
const char *opt_state_dir(void);  /* ~/.local/state/qagent  */

/* $VISUAL, else $EDITOR, else vi. */
const char *opt_editor(void);

const char *opt_version(void);

#endif
