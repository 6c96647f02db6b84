/* cmd.c - what the subcommands share: stopping, one line for an error, the nearest word. */
#include "cmd/cmd.h"

#include "engine/engine.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

volatile int cmd_stop;

static void on_signal(int sig)
{
    if (cmd_stop) _exit(cmd_stop);
    cmd_stop = 128 + sig;
    engine_stop();
}

void cmd_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal}; /* no SA_RESTART: a blocked read wakes */
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    struct sigaction hup; /* nohup has it ignored, and so it stays */
    if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &a, NULL);
    }
}

int cmd_fail(int code, const struct err *e)
{
    fprintf(stderr, "qagent: %s\n", e->text[0] ? e->text : "internal error");
    return code;
}

/* Edits (insert, delete, change) from a to b; words are short. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    const size_t na = strlen(a);
    const size_t nb = strlen(b);
    if (na > MAX || nb > MAX) return MAX;
    size_t row[MAX + 1];
    for (size_t j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t above = row[j];
            const size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = QA_MIN(change, QA_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[nb];
}

const char *cmd_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2; /* farther than this is another word */
    for (; *names; names++) {
        const size_t d = distance(word, *names);
        if (d < least) {
            least = d;
            best = *names;
        }
    }
    return best;
}
