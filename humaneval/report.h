/* report.h - what run.c and html.c share about a run's folder. */
#ifndef QA_REPORT_H
#define QA_REPORT_H

#include "humaneval/suite.h"

/* "transcripts/HumanEval_0.jsonl"; different samples have different names. */
void report_transcript_name(struct str task_id, int i_sample, char *out, size_t n);

#endif
