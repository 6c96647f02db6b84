/* tokenizer.h - text to token ids and back: byte-level BPE as Qwen's models use it.
 *
 * Encoding, in this order, as the official tokenizer does:
 *   1. added tokens ("<|im_end|>", "<think>") are cut out of the raw text, leftmost
 *      first and the longest at each place (only with SPECIAL_PARSE);
 *   2. what stands between them is put into Unicode's composed form NFC;
 *   3. it is split into pieces (pretok.h);
 *   4. in each piece, starting from single bytes, the adjacent pair with the lowest
 *      merge rank is joined, leftmost on ties, until no pair can be joined.
 *
 * What holds for every byte string x.  decode(encode(x)) is x with each run of
 * well-formed UTF-8 replaced by its NFC: x itself when x is in NFC (all ASCII is),
 * and ill-formed bytes always come back as they were.  The ids of ill-formed bytes
 * are the ids of single bytes or of tokens that hold them; nothing is replaced.
 *
 * Character properties are those of the linked utf8proc; text with characters newer
 * than its Unicode version may be split otherwise than by the official tokenizer.
 *
 * Owns all its memory: the file may be closed after open.  Immutable after open, so
 * any number of threads may use one tokenizer.  Time grows with n log n at worst.
 * Source: "Neural Machine Translation of Rare Words with Subword Units"
 * (arXiv:1508.07909); byte alphabet as in GPT-2; normal form UAX #15. */
#ifndef QA_TOKENIZER_H
#define QA_TOKENIZER_H

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/pretok.h"

struct tokenizer;

/* Kinds of tokens, numbered as in the key "tokenizer.ggml.token_type". */
enum token_kind {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,      /* added; structure of a chat: "<|im_start|>"       */
    TOKEN_USER_DEFINED = 4, /* added; part of the text: "<think>", "<tool_call>" */
    TOKEN_UNUSED = 5,       /* padding of the table; no text                    */
    TOKEN_BYTE = 6,
};

/* What a tokenizer is made of; all borrowed for the call of tokenizer_open.
 * Normal tokens and merges are in the printable byte alphabet (space is U+0120);
 * added tokens are plain text. */
struct tokenizer_parts {
    enum pretok_rule rule;
    const struct str *tokens; /* [n_tokens], index = id              */
    size_t n_tokens;
    const uint8_t *kinds;     /* [n_tokens] enum token_kind          */
    const struct str *merges; /* [n_merges] "left right", index = rank */
    size_t n_merges;
    int32_t eos; /* id, or -1 */
};

/* QA_E_FORMAT: a merge that is not two tokens whose join is a token, a normal token
 * outside the alphabet, a byte without a token. */
enum status tokenizer_open(struct tokenizer **out,
                           const struct tokenizer_parts *parts,
                           struct err *e) MUST_USE;
/* From the keys tokenizer.ggml.{model,pre,tokens,token_type,merges,eos_token_id}. */
enum status tokenizer_open_gguf(struct tokenizer **out,
                                const struct gguf *g,
                                struct err *e) MUST_USE;
size_t tokenizer_bytes(const struct tokenizer *t); /* memory that it holds */
void tokenizer_close(struct tokenizer *t);         /* NULL is fine */

int tokenizer_n_tokens(const struct tokenizer *t);

/* Append the ids of `text` to out; after an error out holds what it held before. */
enum status tokenizer_encode(const struct tokenizer *t,
                             struct str text,
                             enum special_mode mode,
                             struct ids *out,
                             struct err *e) MUST_USE;

/* Bytes of one token: of added tokens their text, of unused ones and of ids out of
 * range none.  May be part of a character.  Lives as long as the tokenizer. */
struct str tokenizer_piece(const struct tokenizer *t, int32_t id);

/* Id of an added token by its exact text, or -1. */
int32_t tokenizer_special(const struct tokenizer *t, const char *text);
bool tokenizer_is_control(const struct tokenizer *t, int32_t id); /* added, any kind */
/* Ends an answer: eos, "<|im_end|>" and "<|endoftext|>". */
bool tokenizer_is_stop(const struct tokenizer *t, int32_t id);

#endif
