/* fuzz_command.c - any line as a command of the session that needs no model: settings
 * stay in their ranges, and what is said is inert. */
#include "cmd/repl/repl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* These ask the worker, which is not there. */
static bool needs_model(const char *line)
{
    static const char *const words[] = {"new",   "resume",  "fork",    "undo",
                                        "retry", "compact", "context", "sandbox",
                                        "model", "save",    "export",  "copy"};
    const size_t n = strcspn(line + 1, " \t\n");
    for (size_t i = 0; i < COUNT(words); i++) {
        if (strlen(words[i]) == n && strncmp(line + 1, words[i], n) == 0) return true;
    }
    return false;
}

static void check_said(struct str s)
{
    ASSERT(str_is_utf8(s));
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        ASSERT((c >= 0x20 && c != 0x7F) || c == '\n');
    }
}

static void run(const char *line)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    struct repl r = {.limits = agent_limits_default()};
    ASSERT(f);
    r.sampling.temp = 0.6F;
    screen_init(&r.out, f, false, false);
    show_init(&r.show, &r.out, &r.out, false);
    if (command_is_immediate(line) || !needs_model(line)) command_run(&r, line);
    ASSERT(r.limits.think_tokens >= -1 && r.limits.think_tokens <= 1 << 20);
    ASSERT(r.limits.max_iter >= 1 && r.limits.max_iter <= 1000);
    ASSERT(isfinite(r.sampling.temp) && r.sampling.temp >= 0 && r.sampling.temp <= 5);
    screen_hide(&r.out);
    show_release(&r.show);
    screen_release(&r.out);
    fclose(f);
    check_said((struct str){text, n});
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    char *line = malloc(size + 2);
    ASSERT(line);
    line[0] = '/';
    if (size) memcpy(line + 1, data, size);
    line[size + 1] = 0;
    run(line);
    free(line);
    return 0;
}
