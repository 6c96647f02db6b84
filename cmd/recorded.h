/* recorded.h - the model of a recorded run: what `solve --resume` and `replay` share. */
#ifndef QA_CMD_RECORDED_H
#define QA_CMD_RECORDED_H

#include "agent/recording.h"
#include "cmd/opt.h"

/* How the log names types of the KV cache: "K V". */
void recorded_kv(char text[32], const struct model_opts *o);

/* Model, kernels, threads and KV types of the recorded run, where the user gave none. */
void recorded_model(struct model_opts *o, const struct recording_head *h);

/* Is the open model another one, or computed in another way, than the recorded one?
 * Then one line about it in `text`. */
bool recorded_is_other_model(const struct recording_head *h,
                             const struct engine *g,
                             char text[240]);
bool recorded_is_other_kernels(const struct recording_head *h,
                               const struct engine *g,
                               char text[240]);

#endif
