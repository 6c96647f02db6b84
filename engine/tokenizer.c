/* tokenizer.c - byte-level BPE: tables once, then pieces merged by rank. */
#include "engine/tokenizer.h"

#include "engine/nfc.h"

#include <stdlib.h>
#include <string.h>

/* Pieces up to this many bytes are merged by scanning, longer ones with a heap. */
enum { SHORT_PIECE = 24 };
enum { NO_ID = -1 };
/* Each place of a text is compared with all added tokens that begin like it. */
enum { MAX_TOKENS = 1 << 20, MAX_MERGES = 1 << 22, MAX_ADDED = 4096, MAX_WORD = 1 << 24 };

struct merge {
    int32_t left, right; /* left < 0: free slot */
    int32_t rank, joined;
};

struct added {
    struct str text;
    int32_t id;
};

struct tokenizer {
    enum pretok_rule rule;
    size_t n_tokens;
    char *bytes;      /* all pieces, one after another       */
    size_t *start;    /* [n_tokens + 1] into bytes           */
    uint8_t *kinds;   /* [n_tokens]                          */
    int32_t *by_text; /* open hash of normal tokens' bytes   */
    size_t text_mask;
    struct merge *merges; /* open hash of pairs              */
    size_t merge_mask;
    int32_t byte_id[256];
    struct added *added; /* by first byte, longest first     */
    size_t n_added;
    uint16_t added_start[256], added_end[256]; /* those that begin so */
    int32_t eos, im_end, endoftext;
};

/* ---- the GPT-2 byte alphabet ---- */

/* Printable Latin-1 stands for itself; the other 68 bytes, in order, are 256 + k. */
static bool is_own_letter(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* The byte that each code point of the alphabet stands for; -1: none. */
struct alphabet {
    int16_t byte[256 + 68];
};

static struct alphabet alphabet_make(void)
{
    struct alphabet a;
    int next = 256;
    for (int b = 0; b < 256; b++) {
        a.byte[b] = -1;
    }
    for (int b = 0; b < 256; b++) {
        a.byte[is_own_letter(b) ? b : next++] = (int16_t)b;
    }
    ASSERT(next == COUNT(a.byte));
    return a;
}

/* Bytes of `text` written in that alphabet, to `out` (at least text.n); -1: not in it. */
static ptrdiff_t from_alphabet(const struct alphabet *a, struct str text, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        int32_t code;
        i += pretok_char(str_cut(text, i, text.n), &code);
        if (code < 0 || code >= (int32_t)COUNT(a->byte)) return -1;
        const int b = a->byte[code];
        if (b < 0) return -1;
        out[n++] = (char)b;
    }
    return (ptrdiff_t)n;
}

/* ---- tables ---- */

static uint64_t hash_bytes(struct str s)
{
    uint64_t h = 0x9E3779B97F4A7C15U ^ s.n;
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001B3U;
    }
    return h ^ h >> 29;
}

static uint64_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15U;
    return h ^ h >> 32;
}

static size_t table_size(size_t n)
{
    size_t size = 64;
    while (size < 2 * n) {
        size *= 2;
    }
    return size;
}

struct str tokenizer_piece(const struct tokenizer *t, int32_t id)
{
    if (id < 0 || (size_t)id >= t->n_tokens) return (struct str){"", 0};
    return (struct str){t->bytes + t->start[id], t->start[id + 1] - t->start[id]};
}

static int32_t find_text(const struct tokenizer *t, struct str s)
{
    for (size_t at = hash_bytes(s) & t->text_mask; t->by_text[at] != NO_ID;
         at = (at + 1) & t->text_mask) {
        if (str_eq(tokenizer_piece(t, t->by_text[at]), s)) return t->by_text[at];
    }
    return NO_ID;
}

static const struct merge *find_merge(const struct tokenizer *t, int32_t left, int32_t right)
{
    for (size_t at = hash_pair(left, right) & t->merge_mask;; at = (at + 1) & t->merge_mask) {
        const struct merge *m = &t->merges[at];
        if (m->left < 0) return NULL;
        if (m->left == left && m->right == right) return m;
    }
}

static bool is_added_kind(uint8_t kind)
{
    return kind == TOKEN_CONTROL || kind == TOKEN_USER_DEFINED;
}

static enum status fill_pieces(struct tokenizer *t,
                               const struct alphabet *a,
                               const struct tokenizer_parts *p,
                               struct err *e)
{
    size_t total = 1;
    for (size_t i = 0; i < p->n_tokens; i++) {
        total += p->tokens[i].n;
    }
    t->bytes = malloc(total);
    t->start = calloc(p->n_tokens + 1, sizeof *t->start);
    t->kinds = malloc(p->n_tokens);
    if (!t->bytes || !t->start || !t->kinds)
        return err_set(e, QA_E_NOMEM, "no memory for %zu tokens", p->n_tokens);
    t->n_tokens = p->n_tokens;
    memcpy(t->kinds, p->kinds, p->n_tokens);
    size_t at = 0;
    for (size_t i = 0; i < p->n_tokens; i++) {
        const struct str text = p->tokens[i];
        t->start[i] = at;
        ptrdiff_t n = -1;
        if (p->kinds[i] == TOKEN_UNUSED) continue; /* its name is no text */
        if (!is_added_kind(p->kinds[i])) n = from_alphabet(a, text, t->bytes + at);
        if (n < 0) { /* added tokens are plain text */
            if (text.n) memcpy(t->bytes + at, text.p, text.n);
            n = (ptrdiff_t)text.n;
            if (p->kinds[i] == TOKEN_NORMAL) {
                return err_set(e, QA_E_FORMAT, "token %zu '%.*s': not in the byte alphabet", i,
                               (int)QA_MIN(text.n, 80U), text.p);
            }
        }
        at += (size_t)n;
    }
    t->start[p->n_tokens] = at;
    return QA_OK;
}

static enum status index_texts(struct tokenizer *t, struct err *e)
{
    const size_t size = table_size(t->n_tokens);
    t->by_text = malloc(size * sizeof *t->by_text);
    if (!t->by_text) return err_set(e, QA_E_NOMEM, "no memory for %zu tokens", t->n_tokens);
    t->text_mask = size - 1;
    memset(t->by_text, 0xFF, size * sizeof *t->by_text); /* NO_ID everywhere */
    for (int b = 0; b < 256; b++) {
        t->byte_id[b] = NO_ID;
    }
    for (size_t i = 0; i < t->n_tokens; i++) {
        if (t->kinds[i] != TOKEN_NORMAL) continue;
        const struct str s = tokenizer_piece(t, (int32_t)i);
        if (s.n == 0) continue;
        if (s.n == 1) t->byte_id[(uint8_t)s.p[0]] = (int32_t)i;
        size_t at = hash_bytes(s) & t->text_mask;
        while (t->by_text[at] != NO_ID) {
            at = (at + 1) & t->text_mask;
        }
        t->by_text[at] = (int32_t)i;
    }
    for (int b = 0; b < 256; b++) {
        if (t->byte_id[b] == NO_ID)
            return err_set(e, QA_E_FORMAT, "the vocabulary: no token for byte 0x%02x",
                           (unsigned)b);
    }
    return QA_OK;
}

/* "left right" to three ids, through scratch memory for their bytes. */
static bool merge_of(const struct tokenizer *t,
                     const struct alphabet *a,
                     struct str line,
                     char *scratch,
                     struct merge *m)
{
    const char *space = line.n > 1 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    if (!space) return false;
    const size_t cut = (size_t)(space - line.p);
    const ptrdiff_t n_left = from_alphabet(a, str_cut(line, 0, cut), scratch);
    if (n_left <= 0) return false;
    const ptrdiff_t n_right =
        from_alphabet(a, str_cut(line, cut + 1, line.n), scratch + n_left);
    if (n_right <= 0) return false;
    m->left = find_text(t, (struct str){scratch, (size_t)n_left});
    m->right = find_text(t, (struct str){scratch + n_left, (size_t)n_right});
    m->joined = find_text(t, (struct str){scratch, (size_t)(n_left + n_right)});
    return m->left >= 0 && m->right >= 0 && m->joined >= 0;
}

static enum status fill_merges(struct tokenizer *t,
                               const struct alphabet *a,
                               const struct tokenizer_parts *p,
                               struct err *e)
{
    size_t longest = 0;
    for (size_t i = 0; i < p->n_merges; i++) {
        longest = QA_MAX(longest, p->merges[i].n);
    }
    const size_t size = table_size(p->n_merges);
    char *scratch = malloc(longest + 1);
    t->merges = malloc(size * sizeof *t->merges);
    enum status st = QA_OK;
    if (!scratch || !t->merges)
        st = err_set(e, QA_E_NOMEM, "no memory for %zu merges", p->n_merges);
    t->merge_mask = size - 1;
    for (size_t i = 0; i < size && !st; i++) {
        t->merges[i].left = NO_ID;
    }
    for (size_t i = 0; i < p->n_merges && !st; i++) {
        struct merge m = {.rank = (int32_t)i};
        if (!merge_of(t, a, p->merges[i], scratch, &m)) {
            st =
                err_set(e, QA_E_FORMAT, "merge %zu '%.*s': not two tokens that join to a token",
                        i, (int)QA_MIN(p->merges[i].n, 80U), p->merges[i].p);
            break;
        }
        if (find_merge(t, m.left, m.right)) continue; /* the first one counts */
        size_t at = hash_pair(m.left, m.right) & t->merge_mask;
        while (t->merges[at].left >= 0) {
            at = (at + 1) & t->merge_mask;
        }
        t->merges[at] = m;
    }
    free(scratch);
    return st;
}

static int by_first_byte_then_length(const void *a, const void *b)
{
    const struct added *x = a;
    const struct added *y = b;
    const int first = (int)(uint8_t)x->text.p[0] - (int)(uint8_t)y->text.p[0];
    if (first) return first;
    if (x->text.n != y->text.n) return x->text.n > y->text.n ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static enum status fill_added(struct tokenizer *t, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_tokens; i++) {
        n += is_added_kind(t->kinds[i]) && tokenizer_piece(t, (int32_t)i).n > 0;
    }
    if (n > MAX_ADDED)
        return err_set(e, QA_E_FORMAT, "%zu added tokens, at most %d are read", n, MAX_ADDED);
    t->added = calloc(n + 1, sizeof *t->added);
    if (!t->added) return err_set(e, QA_E_NOMEM, "no memory for %zu added tokens", n);
    for (size_t i = 0; i < t->n_tokens; i++) {
        const struct str s = tokenizer_piece(t, (int32_t)i);
        if (!is_added_kind(t->kinds[i]) || s.n == 0) continue;
        t->added[t->n_added++] = (struct added){s, (int32_t)i};
    }
    qsort(t->added, n, sizeof *t->added, by_first_byte_then_length);
    for (size_t i = 0; i < n; i++) {
        t->added_end[(uint8_t)t->added[i].text.p[0]] = (uint16_t)(i + 1);
    }
    for (size_t i = n; i-- > 0;) {
        t->added_start[(uint8_t)t->added[i].text.p[0]] = (uint16_t)i;
    }
    return QA_OK;
}

enum status tokenizer_open(struct tokenizer **out,
                           const struct tokenizer_parts *p,
                           struct err *e)
{
    if (p->n_tokens == 0 || p->n_tokens > MAX_TOKENS)
        return err_set(e, QA_E_FORMAT, "a vocabulary of %zu tokens, must be 1 to %d",
                       p->n_tokens, MAX_TOKENS);
    if (p->n_merges > MAX_MERGES)
        return err_set(e, QA_E_FORMAT, "%zu merges, at most %d are read", p->n_merges,
                       MAX_MERGES);
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) return err_set(e, QA_E_NOMEM, "no memory for the tokenizer");
    t->rule = p->rule;
    const struct alphabet a = alphabet_make();
    enum status st = fill_pieces(t, &a, p, e);
    if (!st) st = index_texts(t, e);
    if (!st) st = fill_merges(t, &a, p, e);
    if (!st) st = fill_added(t, e);
    if (st) {
        tokenizer_close(t);
        return st;
    }
    t->eos = p->eos;
    t->im_end = tokenizer_special(t, "<|im_end|>");
    t->endoftext = tokenizer_special(t, "<|endoftext|>");
    *out = t;
    return QA_OK;
}

size_t tokenizer_bytes(const struct tokenizer *t)
{
    return sizeof *t + t->start[t->n_tokens] + (t->n_tokens + 1) * sizeof *t->start +
           t->n_tokens * sizeof *t->kinds + (t->text_mask + 1) * sizeof *t->by_text +
           (t->merge_mask + 1) * sizeof *t->merges + (t->n_added + 1) * sizeof *t->added;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    free(t->bytes);
    free(t->start);
    free(t->kinds);
    free(t->by_text);
    free(t->merges);
    free(t->added);
    free(t);
}

/* ---- from a file ---- */

static enum status read_strings(const struct gguf *g,
                                const char *key,
                                struct str **out,
                                size_t *n,
                                struct err *e)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p || p->type != GGUF_ARRAY || p->item != GGUF_STRING) {
        return err_set(e, QA_E_FORMAT, "key '%s' is missing or no list of strings", key);
    }
    struct str *list = calloc((size_t)p->n + 1, sizeof *list);
    if (!list) return err_set(e, QA_E_NOMEM, "no memory for '%s'", key);
    size_t at = 0;
    for (size_t i = 0; i < p->n && gguf_next_string(p, &at, &list[i]); i++) {
    }
    *out = list;
    *n = (size_t)p->n;
    return QA_OK;
}

static enum status read_kinds(const struct gguf *g, size_t n, uint8_t **out, struct err *e)
{
    uint8_t *kinds = malloc(n + 1);
    if (!kinds) return err_set(e, QA_E_NOMEM, "no memory for 'tokenizer.ggml.token_type'");
    memset(kinds, TOKEN_NORMAL, n);
    const struct gguf_pair *p = gguf_find(g, "tokenizer.ggml.token_type");
    if (p && p->n != n) {
        free(kinds);
        return err_set(e, QA_E_FORMAT,
                       "key 'tokenizer.ggml.token_type': %llu entries for %zu tokens",
                       (unsigned long long)p->n, n);
    }
    for (size_t i = 0; p && i < n; i++) {
        int64_t v = TOKEN_NORMAL;
        if (!gguf_item_i64(p, i, &v) || v < 0 || v > TOKEN_BYTE) v = TOKEN_UNUSED;
        kinds[i] = (uint8_t)v;
    }
    *out = kinds;
    return QA_OK;
}

static enum status read_rule(const struct gguf *g, enum pretok_rule *rule, struct err *e)
{
    struct str model = {0};
    struct str pre = {0};
    if (!gguf_get_str(g, "tokenizer.ggml.model", &model) || !str_eq(model, STR("gpt2"))) {
        return err_set(e, QA_E_FORMAT,
                       "key 'tokenizer.ggml.model': '%.*s' is not read, only 'gpt2'",
                       (int)QA_MIN(model.n, 40U), model.p ? model.p : "");
    }
    gguf_get_str(g, "tokenizer.ggml.pre", &pre);
    if (str_eq(pre, STR("qwen35"))) {
        *rule = PRETOK_QWEN35;
    } else if (str_eq(pre, STR("qwen2"))) {
        *rule = PRETOK_QWEN2;
    } else {
        return err_set(
            e, QA_E_FORMAT,
            "key 'tokenizer.ggml.pre': '%.*s' is not read, only 'qwen35' and 'qwen2'",
            (int)QA_MIN(pre.n, 40U), pre.p ? pre.p : "");
    }
    return QA_OK;
}

enum status tokenizer_open_gguf(struct tokenizer **out, const struct gguf *g, struct err *e)
{
    struct tokenizer_parts p = {.eos = NO_ID};
    struct str *tokens = NULL;
    struct str *merges = NULL;
    uint8_t *kinds = NULL;
    enum status st = read_rule(g, &p.rule, e);
    if (!st) st = read_strings(g, "tokenizer.ggml.tokens", &tokens, &p.n_tokens, e);
    if (!st) st = read_strings(g, "tokenizer.ggml.merges", &merges, &p.n_merges, e);
    if (!st) st = read_kinds(g, p.n_tokens, &kinds, e);
    int64_t eos;
    if (!st && gguf_get_i64(g, "tokenizer.ggml.eos_token_id", &eos)) {
        if (eos < 0 || (uint64_t)eos >= p.n_tokens) {
            st = err_set(e, QA_E_FORMAT,
                         "key 'tokenizer.ggml.eos_token_id': %lld, there are %zu tokens",
                         (long long)eos, p.n_tokens);
        } else {
            p.eos = (int32_t)eos;
        }
    }
    p.tokens = tokens;
    p.merges = merges;
    p.kinds = kinds;
    if (!st) st = tokenizer_open(out, &p, e);
    free(tokens);
    free(merges);
    free(kinds);
    return st;
}

/* ---- merging ---- */

/* A piece as a doubly linked list of ids, in place. */
struct node {
    int32_t id;
    int32_t prev, next; /* -1: none; a joined node's right half has id NO_ID */
};
struct candidate {
    int32_t rank, at;    /* lower rank first, then leftmost */
    int32_t left, right; /* ids when it was found: stale otherwise */
    int32_t joined;
};
/* Scratch of one encode call, grown to the longest piece. */
struct work {
    struct node *node;
    struct candidate *heap;
    size_t cap, n_heap;
    struct str_buf nfc;
};

static bool comes_before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct work *w, struct candidate c)
{
    size_t i = w->n_heap++;
    for (; i > 0 && comes_before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        w->heap[i] = w->heap[(i - 1) / 2];
    }
    w->heap[i] = c;
}

static struct candidate heap_pop(struct work *w)
{
    const struct candidate top = w->heap[0];
    const struct candidate last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->n_heap) break;
        if (child + 1 < w->n_heap && comes_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!comes_before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static void consider(const struct tokenizer *t, struct work *w, int32_t at)
{
    if (at < 0 || w->node[at].next < 0) return;
    const int32_t left = w->node[at].id;
    const int32_t right = w->node[w->node[at].next].id;
    const struct merge *m = find_merge(t, left, right);
    if (m) heap_push(w, (struct candidate){m->rank, at, left, right, m->joined});
}

/* Each merge adds at most two candidates, so 3 n places are enough. */
static enum status reserve(struct work *w, size_t n, struct err *e)
{
    if (n <= w->cap) return QA_OK;
    if (n > MAX_WORD)
        return err_set(e, QA_E_LIMIT, "a word of %zu bytes, at most %d are read", n, MAX_WORD);
    free(w->node);
    free(w->heap);
    w->cap = 0;
    w->node = malloc(n * sizeof *w->node);
    w->heap = malloc(3 * n * sizeof *w->heap);
    if (!w->node || !w->heap)
        return err_set(e, QA_E_NOMEM, "no memory for a word of %zu bytes", n);
    w->cap = n;
    return QA_OK;
}

static enum status merge_long(const struct tokenizer *t,
                              struct work *w,
                              struct str s,
                              struct ids *out,
                              struct err *e)
{
    enum status st = reserve(w, s.n, e);
    if (st) return st;
    const int32_t n = (int32_t)s.n;
    for (int32_t i = 0; i < n; i++) {
        w->node[i] = (struct node){t->byte_id[(uint8_t)s.p[i]], i - 1, i + 1 < n ? i + 1 : -1};
    }
    w->n_heap = 0;
    for (int32_t i = 0; i + 1 < n; i++) {
        consider(t, w, i);
    }
    while (w->n_heap) {
        const struct candidate c = heap_pop(w);
        struct node *a = &w->node[c.at];
        if (a->id != c.left || a->next < 0 || w->node[a->next].id != c.right) continue;
        struct node *b = &w->node[a->next];
        a->id = c.joined;
        b->id = NO_ID;
        a->next = b->next;
        if (a->next >= 0) w->node[a->next].prev = c.at;
        consider(t, w, a->prev);
        consider(t, w, c.at);
    }
    for (int32_t i = 0; i >= 0 && !st; i = w->node[i].next) {
        st = ids_add(out, &w->node[i].id, 1, e);
    }
    return st;
}

static enum status merge_short(const struct tokenizer *t,
                               struct str s,
                               struct ids *out,
                               struct err *e)
{
    int32_t id[SHORT_PIECE];
    const struct merge *pair[SHORT_PIECE] = {0}; /* of id[i] and id[i + 1] */
    size_t n = s.n;
    for (size_t i = 0; i < n; i++) {
        id[i] = t->byte_id[(uint8_t)s.p[i]];
    }
    for (size_t i = 0; i + 1 < n; i++) {
        pair[i] = find_merge(t, id[i], id[i + 1]);
    }
    for (;;) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i + 1 < n; i++) {
            if (pair[i] && (best == SIZE_MAX || pair[i]->rank < pair[best]->rank)) best = i;
        }
        if (best == SIZE_MAX) break;
        id[best] = pair[best]->joined;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            pair[i] = pair[i + 1];
        }
        if (best > 0) pair[best - 1] = find_merge(t, id[best - 1], id[best]);
        pair[best] = best + 1 < n ? find_merge(t, id[best], id[best + 1]) : NULL;
    }
    return ids_add(out, id, n, e);
}

static enum status encode_nfc(const struct tokenizer *t,
                              struct work *w,
                              struct str s,
                              struct ids *out,
                              struct err *e)
{
    enum status st = QA_OK;
    while (s.n && !st) {
        const size_t n = pretok_next(t->rule, s);
        const struct str piece = {s.p, n};
        st = n <= SHORT_PIECE ? merge_short(t, piece, out, e) : merge_long(t, w, piece, out, e);
        s = str_cut(s, n, s.n);
    }
    return st;
}

static enum status encode_text(const struct tokenizer *t,
                               struct work *w,
                               struct str s,
                               struct ids *out,
                               struct err *e)
{
    if (nfc_is_plain(s)) return encode_nfc(t, w, s, out, e);
    str_buf_reset(&w->nfc);
    nfc_add(&w->nfc, s);
    const enum status st = str_buf_check(&w->nfc, "the text in normal form", e);
    return st ? st : encode_nfc(t, w, str_buf_str(&w->nfc), out, e);
}

/* The longest added token that s begins with; NO_ID: none. */
static int32_t added_at(const struct tokenizer *t, struct str s)
{
    const uint8_t first = (uint8_t)s.p[0];
    for (size_t i = t->added_start[first]; i < t->added_end[first]; i++) {
        if (str_starts(s, t->added[i].text)) return t->added[i].id;
    }
    return NO_ID;
}

enum status tokenizer_encode(const struct tokenizer *t,
                             struct str text,
                             enum special_mode mode,
                             struct ids *out,
                             struct err *e)
{
    struct work w = {0};
    str_buf_init(&w.nfc, SIZE_MAX / 4);
    enum status st = QA_OK;
    const size_t n_before = out->n;
    size_t from = 0;
    for (size_t i = 0; mode == SPECIAL_PARSE && i < text.n && !st;) {
        const int32_t id = added_at(t, str_cut(text, i, text.n));
        if (id == NO_ID) {
            i++;
            continue;
        }
        st = encode_text(t, &w, str_cut(text, from, i), out, e);
        if (!st) st = ids_add(out, &id, 1, e);
        i += tokenizer_piece(t, id).n;
        from = i;
    }
    if (!st) st = encode_text(t, &w, str_cut(text, from, text.n), out, e);
    if (st) out->n = n_before;
    str_buf_release(&w.nfc);
    free(w.node);
    free(w.heap);
    return st;
}

/* ---- small questions ---- */

int tokenizer_n_tokens(const struct tokenizer *t)
{
    return (int)t->n_tokens;
}

int32_t tokenizer_special(const struct tokenizer *t, const char *text)
{
    for (size_t i = 0; i < t->n_added; i++) {
        if (str_eq(t->added[i].text, str_of(text))) return t->added[i].id;
    }
    return NO_ID;
}

bool tokenizer_is_control(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n_tokens && is_added_kind(t->kinds[id]);
}

bool tokenizer_is_stop(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (id == t->eos || id == t->im_end || id == t->endoftext);
}
