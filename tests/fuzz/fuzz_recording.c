/* fuzz_recording.c - any bytes as the log of a run, to be resumed or replayed.
 *
 * The events are taken in the order in which the log has them, as the loop does; then
 * nothing may be missing, and what the log says of itself is told in full.  What
 * recorded programs printed is read as the report of a check (evidence.h). */
#include "agent/evidence.h"
#include "agent/recording.h"
#include "tests/fuzz/memory_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const struct recording *r)
{
    const struct recording_head *h = recording_head(r);
    struct agent_opts o = agent_opts_default();
    ASSERT(h->model_path && h->model && h->model_hash && h->kernels && h->kv && h->sandbox);
    ASSERT(h->name && h->outcome && (h->task.p || !h->task.n));
    recording_settings(r, &o);
    ASSERT(agent_retry_name(o.retry));
    ASSERT(o.limits.max_iter >= 1 && o.limits.timeout_s >= 0 && o.limits.tool_total_s >= 0);
    ASSERT(o.limits.max_tokens >= 0 && o.limits.think_tokens >= -1);
    ASSERT(o.limits.tool.timeout_ms > 0 && o.ctx_tokens >= 0);
    ASSERT(o.n_draft >= -1 && o.n_draft <= DRAFT_MAX && o.n_copy >= -1 &&
           o.n_copy <= DRAFT_MAX);
    ASSERT(isfinite(o.sampling.temp) && o.sampling.temp >= 0 && o.sampling.top_k >= 0);
}

/* The next item as a turn; the session has what was recorded, but for one token when
 * `is_other`. */
static void check_turn(struct recording *r, const struct recorded_turn *t, bool is_other)
{
    if (!recording_is_replay(r)) return;
    int32_t *now = malloc((t->n + 1) * sizeof *now);
    ASSERT(now && t->end);
    if (t->n) memcpy(now, t->ids, t->n * sizeof *now);
    if (is_other && t->n) now[t->n / 2] ^= 1;
    const int64_t n_before = recording_n_compared(r);
    const bool goes_on = recording_compare(r, t, now, 0, t->n, true);
    const struct recording_difference *d = recording_difference(r);
    if (is_other && t->n) {
        ASSERT(!goes_on && d);
        ASSERT(d->position == (int64_t)(t->n / 2) && d->now == (d->recorded ^ 1));
        ASSERT(d->n_before <= t->n / 2);
    } else {
        ASSERT(recording_n_compared(r) == n_before + (int64_t)t->n);
        ASSERT(goes_on || t->is_unfinished);
    }
    free(now);
}

/* A program's result as evidence about code. */
static void check_program(struct recording *r)
{
    static const struct task task = {.name = STR("f")};
    const struct programs programs = {.recording = r};
    const struct run_limits limits = {.timeout_ms = 1000};
    const struct budget budget = {.timeout_s = 0};
    struct evidence v = {0};
    struct err e = {0};
    if (evidence_check(&programs, STR("def f(): pass"), &task, &limits, &budget, &v, &e)) {
        ASSERT(e.text[0]);
        return;
    }
    ASSERT(v.rank > EVIDENCE_NONE && v.rank <= EVIDENCE_GOOD);
    ASSERT(memchr(v.note, 0, sizeof v.note) && v.n_ok >= 0);
    ASSERT(!v.source || strlen(v.source) == v.n_source);
    evidence_release(&v);
}

/* Read events of the kinds that `order` asks for until the log is used up. */
static void take_all(struct recording *r, const uint8_t *order, size_t n_order)
{
    static const int32_t ids[] = {1, 2, 3};
    struct err e = {0};
    const struct recorded_turn *t = NULL;
    if (recording_begin(r, NULL, ids, 3, &e)) return;
    for (size_t i = 0; i < n_order; i++) {
        const int max = recording_max_iter(r, 5);
        (void)max;
        switch (order[i] % 4) {
        case 0:
            if (recording_append(r, "task", ids, 3, ids, 3, &e)) return;
            break;
        case 1:
        case 2:
            if (recording_turn(r, &t, &e)) return;
            if (!t) return; /* used up */
            check_turn(r, t, order[i] % 4 == 2);
            if (recording_difference(r)) return;
            break;
        default:
            check_program(r);
            if (recording_difference(r)) return; /* another item stood there */
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file;
    if (size < 1 || size > 1 << 16) return 0;
    /* The first byte: how many bytes of order follow it. */
    const size_t n_order = QA_MIN((size_t)data[0] % 32, size - 1);
    const uint8_t *order = data + 1;
    memory_file_set(&file, (struct str){(const char *)order + n_order, size - 1 - n_order});
    for (int mode = RECORDING_RESUME; mode <= RECORDING_REPLAY; mode++) {
        struct recording *r = NULL;
        struct err e = {0};
        if (recording_open(&r, file.path, (enum recording_mode)mode, &e)) {
            ASSERT(!r && e.text[0]);
            return 0;
        }
        check_head(r);
        if (mode == RECORDING_REPLAY) take_all(r, order, n_order);
        recording_end(r, false);
        recording_close(r);
    }
    return 0;
}
