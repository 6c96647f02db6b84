/* fuzz_tokenizer.c - any bytes: what is encoded comes back, in normal form. */
#include "engine/nfc.h"
#include "engine/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The 256 bytes, a few merges with what they make, two added tokens. */
static struct tokenizer *open_small(void)
{
    static const char *const MERGES[] = {"a a",   "aa aa", "t h", "th e", "h e", "Ġ t",
                                         "Ġt he", "Ã ©",   "Ċ Ċ", "Ġ Ġ",  "ä ¸", "ä¸ Ń"};
    static char letters[256][4];
    static char joined[COUNT(MERGES)][16];
    struct str tokens[256 + COUNT(MERGES) + 2];
    uint8_t kinds[COUNT(tokens)];
    struct str merges[COUNT(MERGES)];
    size_t n = 0;
    int other = 256;
    for (int b = 0; b < 256; b++) {
        const bool is_own = (b > 32 && b < 127) || (b > 160 && b != 173);
        const utf8proc_ssize_t k =
            utf8proc_encode_char(is_own ? b : other++, (utf8proc_uint8_t *)letters[b]);
        tokens[n++] = (struct str){letters[b], (size_t)k};
    }
    for (size_t i = 0; i < COUNT(MERGES); i++) {
        merges[i] = str_of(MERGES[i]);
        const size_t cut = str_find(merges[i], STR(" "));
        memcpy(joined[i], MERGES[i], cut);
        memcpy(joined[i] + cut, MERGES[i] + cut + 1, merges[i].n - cut - 1);
        tokens[n++] = (struct str){joined[i], merges[i].n - 1};
    }
    memset(kinds, TOKEN_NORMAL, n);
    kinds[n] = TOKEN_CONTROL;
    tokens[n++] = STR("<|im_end|>");
    kinds[n] = TOKEN_USER_DEFINED;
    tokens[n++] = STR("<think>");
    struct tokenizer *t = NULL;
    struct err e = {0};
    const struct tokenizer_parts parts = {.rule = PRETOK_QWEN35,
                                          .tokens = tokens,
                                          .n_tokens = n,
                                          .kinds = kinds,
                                          .merges = merges,
                                          .n_merges = COUNT(MERGES),
                                          .eos = -1};
    const enum status st = tokenizer_open(&t, &parts, &e);
    ASSERT(st == QA_OK);
    return t;
}

/* decode(encode(s)); added tokens may cut what would be composed, so that only
 * without them the whole is the normal form of s. */
static void check(const struct tokenizer *t, struct str s, enum special_mode mode)
{
    struct ids ids = {0};
    struct err e = {0};
    struct str_buf got;
    struct str_buf want;
    str_buf_init(&got, 64 << 20);
    str_buf_init(&want, 64 << 20);
    const enum status st = tokenizer_encode(t, s, mode, &ids, &e);
    ASSERT(st == QA_OK);
    for (size_t i = 0; i < ids.n; i++) {
        ASSERT(mode == SPECIAL_PARSE || !tokenizer_is_control(t, ids.p[i]));
        str_buf_add(&got, tokenizer_piece(t, ids.p[i]));
    }
    nfc_add(&want, s);
    if (mode == SPECIAL_PARSE) { /* compare after composing once more */
        struct str_buf again;
        str_buf_init(&again, 64 << 20);
        nfc_add(&again, str_buf_str(&got));
        ASSERT(str_eq(str_buf_str(&again), str_buf_str(&want)));
        str_buf_release(&again);
    } else {
        ASSERT(str_eq(str_buf_str(&got), str_buf_str(&want)));
    }
    str_buf_release(&got);
    str_buf_release(&want);
    ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *t;
    if (!t) t = open_small(); /* kept: making it again would be most of the time */
    const struct str s = {(const char *)data, size};
    check(t, s, SPECIAL_NONE);
    check(t, s, SPECIAL_PARSE);
    return 0;
}
