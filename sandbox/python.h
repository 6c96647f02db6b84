/* python.h - which Python runs inside, and what of the file system it needs. */
#ifndef QA_SANDBOX_PYTHON_H
#define QA_SANDBOX_PYTHON_H

#include "engine/base/err.h"

enum { PYTHON_MAX_PATHS = 128, PYTHON_MAX_SITES = 8 };

struct python {
    char *exe;        /* owned; absolute, as the interpreter calls itself              */
    char version[32]; /* "3.11.2"                                                      */
    int minor;        /* 11                                                            */
    /* What must be seen inside: absolute, sorted, none inside another; owned. */
    char *paths[PYTHON_MAX_PATHS];
    int n_paths;
    /* Where installed packages are, in the order of sys.path; owned. */
    char *sites[PYTHON_MAX_SITES];
    int n_sites;
};

/* Ask `name` (NULL: python3 on PATH) once where it lives: a shell script in front
 * of it (pyenv) or a virtual environment is looked through.  QA_E_SANDBOX when
 * there is none, or it is older than 3.8. */
enum status python_find(struct python *out, const char *name, struct err *e) MUST_USE;
void python_release(struct python *p);

#endif
