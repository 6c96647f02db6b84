/* program.c - the one way in which the loop runs a program. */
#include "agent/program.h"

enum status program_run(const struct programs *p,
                        struct str code,
                        const struct run_limits *limits,
                        const volatile int *stop,
                        struct run_result *out,
                        struct err *e)
{
    bool has;
    enum status st = recording_program(p->recording, out, &has, e);
    if (st || has) return st;
    st = sandbox_run(p->sandbox, code, RUN_CELL, limits, stop, out, e);
    if (st || out->status == RUN_KILLED) return st;
    transcript_add(
        p->log, "program",
        json_pack("{s:s, s:i, s:i, s:o, s:o, s:I, s:f}", "status", run_status_name(out->status),
                  "exit_code", out->exit_code, "signal", out->signal, "stdout",
                  transcript_text((struct str){out->out, out->n_out}), "stderr",
                  transcript_text((struct str){out->errtext, out->n_errtext}),
                  "truncated_bytes", (json_int_t)out->truncated_bytes, "ms", out->duration_ms));
    return QA_OK;
}
