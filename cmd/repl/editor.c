/* editor.c - a text in the user's editor. */
#include "cmd/repl/editor.h"

#include "cmd/opt.h"
#include "engine/base/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 16 << 20 };

/* The command may hold arguments: "code --wait". */
static enum status run(const char *path, struct err *e)
{
    char command[1024];
    int status = 0;
    snprintf(command, sizeof command, "%s \"$1\"", opt_editor());
    const pid_t pid = fork();
    if (pid < 0) return err_errno(e, QA_E_IO, errno, "cannot start the editor");
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return QA_OK;
    return err_set(e, QA_E_IO, "the editor '%.100s' failed; the text is as it was",
                   opt_editor());
}

enum status editor_run(char **text, struct err *e)
{
    char dir[] = "/tmp/qagent-edit-XXXXXX";
    char path[sizeof dir + 16];
    struct str_buf b;
    str_buf_init(&b, TEXT_MAX_BYTES);
    if (!mkdtemp(dir)) return err_errno(e, QA_E_IO, errno, "cannot create '%s'", dir);
    snprintf(path, sizeof path, "%s/message.md", dir); /* editors know by the name */
    enum status st = file_write(path, str_of(*text), e);
    if (!st) st = run(path, e);
    if (!st) st = file_read(&b, path, e);
    unlink(path);
    rmdir(dir);
    if (!st) {
        const struct str all = str_buf_str(&b);
        size_t n = all.n;
        while (n && (all.p[n - 1] == '\n' || all.p[n - 1] == '\r')) {
            n--;
        }
        char *got = n ? strndup(all.p, n) : strdup("");
        if (got) {
            free(*text);
            *text = got;
        }
    }
    str_buf_release(&b);
    return st;
}
