/* eval_join.h - `qagent eval --merge` and `--compare`: runs that are finished. */
#ifndef QA_EVAL_JOIN_H
#define QA_EVAL_JOIN_H

#include <stdbool.h>

/* Both print, and return the exit code. */
int eval_merge(const char *out_dir, const char *const *dirs, int n, bool want_json);
int eval_compare(const char *dir_a, const char *dir_b, bool want_json);

#endif
