/* taped.c - the commands of an agent with a tape in the model's place and the real jail:
 *
 *     taped TAPE RATE solve|repl|replay [ARG...]
 *
 * TAPE holds turns (fake.h), each followed by a line "%%", or "%endless" for one that is
 * said again and again.  RATE is in tokens a second; 0: at once. */
#include "cmd/cmd.h"
#include "engine/base/file.h"
#include "tests/fake/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TURNS = 256 };

static struct fake_turn turns[MAX_TURNS];

static size_t split(char *text)
{
    size_t n = 0;
    for (char *turn = text, *line = text; *line && n < MAX_TURNS;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = 0;
        const bool is_endless = strcmp(line, "%endless") == 0;
        if (is_endless || strcmp(line, "%%") == 0) {
            line[line > turn ? -1 : 0] = 0; /* with the newline in front of it */
            turns[n++] = (struct fake_turn){turn, is_endless};
            turn = end + 1;
        } else {
            *end = '\n';
        }
        line = end + 1;
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"solve",  solve_main },
        {"repl",   repl_main  },
        {"replay", replay_main},
    };
    struct str_buf tape;
    struct err e = {0};
    if (argc < 4) {
        fputs("usage: taped TAPE RATE solve|repl|replay [ARG...]\n", stderr);
        return EXIT_USAGE;
    }
    str_buf_init(&tape, 64 << 20);
    if (file_read(&tape, argv[1], &e)) return cmd_fail(EXIT_USAGE, &e);
    str_buf_add_char(&tape, '\n');
    fake_default = (struct fake_tape){
        .turns = turns, .n_turns = split(tape.p), .rate_tps = strtod(argv[2], NULL)};
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strcmp(argv[3], commands[i].name) != 0) continue;
        const int code = commands[i].run(argc - 3, argv + 3);
        str_buf_release(&tape);
        return code;
    }
    return EXIT_USAGE;
}
