/* doctor.c - `qagent doctor`: this machine, and a proof of every sandbox layer. */
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/base/cpu.h"
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <unistd.h>

struct doctor_opts {
    enum sandbox_level level;
};

enum { KEY_LEVEL = 0x100 };

static const struct argp_option OPTIONS[] = {
    {"level", KEY_LEVEL, "NAME", 0, "jail to examine: auto, full, user, seccomp", 0},
    {0},
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct doctor_opts *o = state->input;
    switch (key) {
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->level)) {
            opt_fail("--level %s: auto, full, user or seccomp", arg);
        }
        break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s'", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* One line a layer; false when one does not hold. */
static bool print_layers(struct sandbox *s)
{
    struct sandbox_layer layers[SANDBOX_MAX_LAYERS];
    const int n = sandbox_prove(s, layers);
    const bool want_colour = opt_has_colour(STDOUT_FILENO);
    bool is_whole = true;
    for (int i = 0; i < n; i++) {
        const struct sandbox_layer *l = &layers[i];
        const char *colour = !want_colour ? "" : l->is_enforced ? "\033[32m" : "\033[31m";
        printf("  %s%-12s%s  %-18s %s\n", colour, l->is_enforced ? "ENFORCED" : "NOT ENFORCED",
               want_colour ? "\033[0m" : "", l->name, l->evidence);
        is_whole = is_whole && l->is_enforced;
    }
    return is_whole;
}

int doctor_main(int argc, char **argv)
{
    struct doctor_opts o = {0};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .doc =
            "This machine: CPU kernels, GPU, Python, and a proof of every sandbox layer by "
            "attacking it.\v"
            "Exit: 0 everything holds, 7 the jail cannot be set up or a layer does not hold.\n"
            "Example: qagent doctor",
    };
    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();

    char text[256];
    printf("cpu      %s\n", cpu_name(text, sizeof text));
    printf("kernels  %s\n", cpu_feature_names(cpu_features(), text, sizeof text));
    printf("threads  %d physical cores, %ld processors online\n", cpu_n_cores(),
           sysconf(_SC_NPROCESSORS_ONLN));
    printf("gpu      built without CUDA\n");
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts so = {.level = o.level};
    if (sandbox_open(&s, &so, &e)) {
        printf("sandbox  NOT ENFORCED\n");
        return cmd_stop ? cmd_stop : cmd_fail(EXIT_SANDBOX, &e);
    }
    printf("python   %s\n", sandbox_python_version(s));
    printf("sandbox  %s\n", sandbox_statement(s));
    const char *groups = NULL;
    if (sandbox_cgroup(s, &groups)) {
        printf("cgroup   ENFORCED: the kernel caps memory and processes of a call, in %s\n",
               groups);
    } else {
        printf("cgroup   NOT ENFORCED: %s\n", groups);
    }
    const bool is_whole = print_layers(s);
    sandbox_close(s);
    if (cmd_stop) return cmd_stop;
    return is_whole ? EXIT_OK : EXIT_SANDBOX;
}
