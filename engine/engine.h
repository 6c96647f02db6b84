/* engine.h - the door of the engine: from a GGUF file and token ids to token ids.
 *
 * Knows nothing of chat, tools or HTTP.  An engine holds the weights; a session
 * is one timeline of tokens on it.
 *
 * The law of state.  Three of four layers are recurrent: attention KV can be cut
 * at any token, recurrent state can only return to a mark.  So a session is
 * append-only; what must disappear later is undone by session_rewind() to a mark
 * and appending again.  Nothing is edited in the middle.
 *
 * Threads: one caller at a time per session, any number of sessions at once: calls
 * that compute at the same time share their passes over the weights, and each
 * gets what it would get alone (docs/internals/batching.md says how exactly).  What
 * an open engine answers about itself and its text may be asked by anybody.
 * engine_open() and engine_close() by one thread, while nothing else runs.
 * Errors: enum status with one line in struct err; out-parameters are set on
 * success only. */
#ifndef QA_ENGINE_H
#define QA_ENGINE_H

#include "engine/base/err.h"
#include "engine/base/rng.h"
#include "engine/base/str.h"
#include "engine/kv_type.h"

struct engine;
struct session;

/* ---- tokens: a growable list of ids ------------------------------------- */

struct ids {
    int32_t *p; /* owned; NULL while empty */
    size_t n, cap;
};
void ids_release(struct ids *v);
enum status ids_add(struct ids *v, const int32_t *p, size_t n, struct err *e) MUST_USE;

/* ---- engine ------------------------------------------------------------- */

const char *kv_type_name(enum kv_type t);           /* "f16" ...                    */
bool kv_type_of(const char *name, enum kv_type *t); /* false: no such type          */

/* Told while weights load; done and total in bytes.  May be NULL. */
struct engine_progress {
    void (*report)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

/* What the backend's verbs take: counted, or also compared with the definition (slow). */
enum trace_mode { TRACE_OFF, TRACE_COUNT, TRACE_CHECK };

/* The operations that a forward pass consists of, see ops.h. */
enum verb {
    VERB_EMBED,
    VERB_NORM,
    VERB_MATMUL,
    VERB_QK_PREP,
    VERB_ATTN,
    VERB_CONV,
    VERB_DELTA_PREP,
    VERB_DELTA,
    VERB_NORM_GATE,
    VERB_FFN,
    VERB_ROUTE,
    VERB_EXPERTS,
    VERB_MTP_JOIN,
    VERB_PICK,
    VERB_COUNT
};
const char *verb_name(enum verb v);

/* One output of a verb, for comparing two runs line by line. */
struct verb_output {
    enum verb verb;
    uint64_t i_call; /* of this verb                                              */
    int i_output;    /* a verb may write several: in the order of its arguments      */
    size_t n;        /* values of four bytes                                       */
    uint64_t sum;    /* checksum of their bytes                                    */
    double rms;      /* root of their mean square, to tell rounding from nonsense    */
};
/* Told after every verb that ran, in order, by the thread that computes.  May be NULL. */
struct engine_tracer {
    void (*output)(void *ctx, const struct verb_output *o);
    void *ctx;
};

/* What will be opened on an engine, for the memory check before the weights are read. */
struct engine_expect {
    int64_t cap_tokens; /* of a session; 0: 512                                     */
    bool is_default;    /* nobody asked for it: at most what the model was trained for   */
    struct str prompt;  /* its tokens come on top of cap_tokens; borrowed for the call   */
    int n_draft, n_copy;
    int n_sessions, n_marks; /* of each session; automatic marks are added              */
    /* Rows of logits and of hidden values that the caller keeps, as engine_raw() fills. */
    int64_t n_vocab_rows, n_embd_rows;
};

struct engine_opts {
    const char *model_path; /* GGUF file, first part of a split set; or NULL:       */
    struct str model_bytes; /* a whole GGUF file in memory, borrowed until close    */
    const char *kernels;    /* "ref", "plain", "avx2", "avx512"; NULL: best here    */
    int n_threads;          /* 0: physical cores this process may use               */
    enum kv_type kv_k, kv_v;
    bool want_mmap;              /* map the file: the page cache holds the weights           */
    enum trace_mode trace;       /* see engine_verb()                                    */
    struct engine_tracer tracer; /* with TRACE_COUNT or TRACE_CHECK                    */
    bool want_draft;             /* load the draft layer when the file has one           */
    bool is_text_only; /* tokenizer alone: no weights are read, no session can open  */
    struct engine_progress progress;
    struct engine_expect expect; /* zeros: one session of few tokens, without marks */
};
struct engine_opts engine_opts_default(void); /* f16 KV, draft wanted, not mapped */

/* Facts about an open model.  Pointers live as long as the engine. */
struct engine_info {
    const char *arch;         /* "qwen35", "qwen35moe"                                 */
    const char *name;         /* general.name, or ""                                   */
    const char *kernels;      /* kernel set in use                                     */
    struct str chat_template; /* tokenizer.chat_template; n = 0 when absent         */
    int n_threads;
    int n_layers; /* trunk layers, draft layer not counted                 */
    int n_embd, n_vocab;
    int n_ctx_train;
    bool has_draft;
    uint64_t model_hash;   /* which weights: see hash_gguf()                             */
    uint64_t n_params;     /* all weights, draft layer included                     */
    uint64_t weight_bytes; /* as stored                                             */
    uint64_t decode_bytes; /* weight bytes one decoded token must read (mean)       */
    uint64_t kv_bytes_per_token;
    uint64_t state_bytes;  /* recurrent state of one session                        */
    uint64_t read_bytes;   /* weights read into memory; 0: mapped or embedded        */
    double read_s, load_s; /* for that alone; for all of engine_open()              */
};

enum status engine_open(struct engine **out,
                        const struct engine_opts *o,
                        struct err *e) MUST_USE;
void engine_close(struct engine *g); /* NULL is fine; all sessions must be closed   */
const struct engine_info *engine_info(const struct engine *g);

/* ---- what the verbs took ------------------------------------------------ */

struct verb_stats {
    uint64_t n_calls;
    double seconds;
    double bytes; /* that had to move, each once: weights, cache, state, rows         */
    double macs;  /* multiply-adds                                                    */
    uint64_t
        n_checked;    /* TRACE_CHECK: outputs compared with those of `ref` on the same inputs */
    double worst;     /* largest relative error of a whole output (L2)                */
    uint64_t i_worst; /* of which call                                                 */
};
/* Since the engine was opened or the counters were reset; zeros with TRACE_OFF. */
struct verb_stats engine_verb(const struct engine *g, enum verb v);
void engine_verbs_reset(struct engine *g);

/* ---- text and ids ------------------------------------------------------- */

/* How added tokens ("<|im_end|>", "<think>") in the text are read. */
enum special_mode {
    SPECIAL_NONE,  /* never: all text is ordinary bytes (user text, tool output)    */
    SPECIAL_PARSE, /* all of them become their ids (template text)                  */
};
/* Append the ids of `text` (any bytes; ill-formed UTF-8 is encoded byte by byte). */
enum status engine_encode(const struct engine *g,
                          struct str text,
                          enum special_mode mode,
                          struct ids *out,
                          struct err *e) MUST_USE;
/* Bytes of one token; may be part of a character.  n = 0 for an id out of range. */
struct str engine_piece(const struct engine *g, int32_t id);
/* Id of an added token by its exact text, or -1. */
int32_t engine_special(const struct engine *g, const char *text);
bool engine_is_control(const struct engine *g, int32_t id); /* added token of any kind */
bool engine_is_stop(const struct engine *g, int32_t id);    /* <|im_end|>, <|endoftext|>, eos */

/* ---- sessions ----------------------------------------------------------- */

/* Room for cap_tokens; memory grows by pages as it fills.  n_draft as in --draft, n_copy as
 * in --copy. */
struct session_opts {
    int64_t cap_tokens;
    int n_draft;     /* tokens drafted by the draft layer per step, 0..8; 0 = off;
                        a model without one drafts none                            */
    int n_draft_ids; /* ids it may draft, see draft_head.h; 0 = default             */
    int n_copy;      /* tokens copied from the context per step, 0..8; 0 = off     */
    int step_tokens; /* prefill pass size; 0 = default                            */
    int mark_every;  /* a long prompt gets an automatic mark so many tokens after the
                        last mark, for session_sync(); 0 = default (4096), < 0 = none */
    int n_auto;      /* automatic marks kept, the oldest goes first; 0 = default (4) */
};
enum status session_open(struct session **out,
                         struct engine *g,
                         const struct session_opts *o,
                         struct err *e) MUST_USE;
void session_close(struct session *s); /* NULL is fine */

int64_t session_n_tokens(const struct session *s);
int64_t session_cap_tokens(const struct session *s);
const int32_t *session_ids(const struct session *s); /* valid until the next call that adds */

/* Add ids at the end and compute them.  QA_E_LIMIT: past the cap; unchanged.
 * QA_E_STOP: engine_stop() was called; the session holds a computed prefix. */
enum status session_append(struct session *s,
                           const int32_t *ids,
                           size_t n,
                           struct err *e) MUST_USE;

/* Make the session hold exactly `ids` (whole prompt from token 0, borrowed),
 * computing only what it does not hold yet: reuse reaches back to the last mark
 * at or before the first difference.  *n_reused (may be NULL) says how much. */
enum status session_sync(struct session *s,
                         const int32_t *ids,
                         size_t n,
                         size_t *n_reused,
                         struct err *e) MUST_USE;

/* A mark is a position that the session can return to; it costs one copy of the
 * recurrent state.  Ids are small numbers, valid until dropped or rewound past.
 * Automatic marks (session_opts) have no ids and never take the place of these. */
enum status session_mark(struct session *s, int *mark, struct err *e) MUST_USE;
enum status session_rewind(struct session *s,
                           int mark,
                           struct err *e) MUST_USE; /* mark stays */
void session_drop_mark(struct session *s, int mark);
/* A second timeline with the same tokens, sharing what is already computed.  Marks
 * stay with the first one.  A call on s; afterwards the two are as independent as
 * any two sessions. */
enum status session_fork(struct session **out, struct session *s, struct err *e) MUST_USE;

/* Write the session to `path`, by a temporary file beside it, so that session_load()
 * goes on from there as this one would: tokens, keys, values, recurrent state, last
 * logits.  Marks are not part of it.  QA_E_IO: cannot be written; the old file stays. */
enum status session_save(struct session *s, const char *path, struct err *e) MUST_USE;
/* Replace what the session holds by a file's; its marks go.  On an error the session is
 * unchanged.  The same model (engine_info.model_hash) and KV formats; a session that
 * drafts needs the file of one that drafted.  The logits go on bit by bit under the
 * kernels that wrote the file.
 * QA_E_FORMAT: not a session file, of another version, model or format, or damaged;
 * QA_E_LIMIT: more tokens than the session has room for. */
enum status session_load(struct session *s, const char *path, struct err *e) MUST_USE;
/* A name for what such a session holds after ids: the same for the same weights, KV
 * formats, kernels, drafting or not, and tokens. */
uint64_t session_key(const struct session *s, const int32_t *ids, size_t n);

/* Logits that predict the token after the last one: [n_vocab], valid until the
 * next call on this session.  NULL when the session is empty. */
const float *session_logits(struct session *s, struct err *e);

/* ---- decoding ----------------------------------------------------------- */

struct sampling {
    float temp;  /* <= 0: greedy                                                 */
    int top_k;   /* 0: off                                                       */
    float top_p; /* 1: off                                                       */
    float min_p; /* 0: off                                                       */
    float presence_penalty, repetition_penalty; /* 0 and 1: off                     */
    int penalty_last_n; /* tokens looked back on; 0: everything generated           */
    uint64_t seed;
};
struct sampling sampling_greedy(void);

/* Called before each token is picked, with the tokens already picked in this
 * burst; may set entries of logits [n_vocab] to -INFINITY to forbid, but must
 * leave one.  Must depend only on the session's tokens before the burst, `burst`
 * and its own constant state: with drafting it is called again for a position.
 * Must not block: other sessions wait for it. */
typedef void mask_fn(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab);

enum {
    DRAFT_MAX = 8,
    BURST_MAX = DRAFT_MAX + 1
}; /* drafted tokens, and the one that follows */
struct burst {
    int32_t ids[BURST_MAX];
    float logprob[BURST_MAX]; /* natural log, of the masked, untempered distribution */
    int n;                    /* >= 1 on success; already part of the session        */
};
struct token_prob {
    int32_t id; /* -1: fewer tokens than asked for are allowed */
    float logprob;
};
struct decode_args {
    const struct sampling *sampling;
    struct rng *rng; /* owned by the caller; two numbers taken per token       */
    mask_fn *mask;   /* may be NULL                                            */
    void *mask_ctx;
    const int32_t *banned; /* [n_banned] ids that are never picked; borrowed         */
    size_t n_banned;
    int n_top; /* likeliest tokens to report per token of the burst               */
    struct token_prob *top; /* [BURST_MAX, n_top], best first; as burst.logprob      */
    int64_t n_prompt;       /* penalties look at session tokens from here on          */
    int max_tokens;         /* burst holds at most this many; 0 = BURST_MAX           */
    const int32_t *ends;    /* [n_ends]; a burst also ends after one of these: where   */
    int n_ends;             /* sampling or mask change, so that bursts do not matter   */
};
/* Pick 1..k next tokens.  A burst ends at a stop token.  QA_E_LIMIT: session full.
 * Which tokens does not depend on drafting, only how many come at once: each follows
 * from its logits, the sampling parameters and its own numbers of rng. */
enum status session_decode(struct session *s,
                           const struct decode_args *a,
                           struct burst *out,
                           struct err *e) MUST_USE;

/* Where drafts come from: the draft layer, or copies of what the context holds. */
enum draft_source { DRAFT_LAYER, DRAFT_COPY, DRAFT_SOURCES };
/* Of one source, by place in the chain: how often drafted, and how often it stood. */
struct draft_stats {
    uint64_t drafted[DRAFT_MAX], accepted[DRAFT_MAX];
};
const char *draft_source_name(enum draft_source source); /* "draft layer", "copy" */

struct session_stats {
    uint64_t n_prefilled, n_decoded; /* tokens computed as prompt; tokens picked     */
    uint64_t n_steps;                /* passes of the trunk for them                 */
    uint64_t n_drafted, n_accepted;  /* all places of all sources                    */
    struct draft_stats draft[DRAFT_SOURCES];
    double prefill_s, decode_s; /* wall clock inside calls, waiting for others included */
};
struct session_stats session_stats(const struct session *s);

/* Ask a running call to return QA_E_STOP soon (after the step it is in: recurrent
 * state cannot stop half-way); safe from a signal handler.  Stays set until cleared. */
void engine_stop(void);
void engine_stop_clear(void);
bool engine_stop_requested(void);

/* ---- raw outputs, for checking engines against each other --------------- */

/* Any pointer may be NULL.  Rows as in `qagent logits`: row t of mtp reads token t
 * and hidden t-1; row 0 is zeros.  Computes ids from an empty state, `step` at a time. */
struct raw_outputs {
    float *logits;     /* [n, n_vocab] */
    float *hidden;     /* [n, n_embd]  */
    float *mtp;        /* [n, n_vocab] */
    float *mtp_hidden; /* [n, n_embd]  */
};
enum status engine_raw(struct engine *g,
                       const int32_t *ids,
                       size_t n,
                       size_t step,
                       const struct raw_outputs *out,
                       struct err *e) MUST_USE;

/* ---- plan --------------------------------------------------------------- */

/* What a model takes, by part.  Weights come first, as stored in the file. */
enum plan_part {
    PLAN_DENSE,
    PLAN_EXPERTS,
    PLAN_EMBEDDING,
    PLAN_HEAD, /* 0: the embedding is the head                                   */
    PLAN_DRAFT,
    PLAN_VECTORS, /* what follows is taken beside the file's bytes                */
    PLAN_KV,
    PLAN_STATE,
    PLAN_MARKS,
    PLAN_ACTIVATIONS,
    PLAN_LOGITS,
    PLAN_SCRATCH,
    PLAN_TOKENIZER,
    PLAN_PROGRAM, /* resident before anything is loaded                          */
    PLAN_PARTS
};
const char *plan_part_name(enum plan_part part);

/* All in bytes of RAM.  (A device's memory will be a second column of `bytes`.) */
struct engine_plan {
    uint64_t bytes[PLAN_PARTS];
    uint64_t needed; /* all parts, without what is mapped                             */
    uint64_t mapped; /* weights and metadata that the page cache may hold, or drop         */
    uint64_t free;   /* UINT64_MAX: unknown                                           */
    uint64_t kv_bytes[KV_TYPE_COUNT]; /* if both K and V had this type; 0: not supported */
    uint64_t n_params;
    int64_t n_ctx;
    int n_sessions, n_marks;
    int n_auto_marks; /* that a session of n_ctx tokens comes to have by itself      */
    bool has_draft;
};
/* What engine_open(o) and the sessions of o->expect will take.  Reads metadata alone. */
enum status engine_plan(struct engine_plan *p,
                        const struct engine_opts *o,
                        struct err *e) MUST_USE;
/* QA_E_NOMEM, with needed and free bytes in the text, when p does not fit;
 * engine_open() refuses the same before it reads a weight. */
enum status engine_plan_check(const struct engine_plan *p, struct err *e) MUST_USE;

#endif
