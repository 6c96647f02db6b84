/* foreign.c - files that people take for models, called by their names. */
#include "engine/foreign.h"

#include <ctype.h>
#include <string.h>

/* ---- no GGUF at all -------------------------------------------------------- */

struct magic {
    size_t at;
    struct str bytes;
    const char *what;
};

/* The first that fits counts. */
// clang-format off
#define BYTES(z) {(z), sizeof(z) - 1}
static const struct magic MAGICS[] = {
    {0,   BYTES("PK\003\004"),              "a zip file"},
    {0,   BYTES("\x1f\x8b"),                "a gzip file; unpack it first"},
    {0,   BYTES("\x28\xb5\x2f\xfd"),        "a zstd file; unpack it first"},
    {0,   BYTES("\xfd" "7zXZ"),             "an xz file; unpack it first"},
    {0,   BYTES("BZh"),                     "a bzip2 file; unpack it first"},
    {0,   BYTES("7z\xbc\xaf"),              "a 7z file; unpack it first"},
    {257, BYTES("ustar"),                   "a tar file; unpack it first"},
    {0,   BYTES("tjgg"),                    "a GGJT file, which came before GGUF"},
    {0,   BYTES("fmgg"),                    "a GGMF file, which came before GGUF"},
    {0,   BYTES("lmgg"),                    "a GGML file, which came before GGUF"},
    {0,   BYTES("algg"),                    "a LoRA adapter in the GGLA format"},
    {0,   BYTES("FUGG"),                    "GGUF with its bytes reversed (big-endian)"},
    {0,   BYTES("version https://git-lfs"), "a git-lfs pointer, the model itself is not here"},
    {0,   BYTES("\x89HDF"),                 "an HDF5 file"},
    {4,   BYTES("TFL3"),                    "a TensorFlow Lite file"},
    {0,   BYTES("\x7f" "ELF"),              "a program"},
    {0,   BYTES("{"),                       "a JSON file"},
    {8,   BYTES("{"),                       "a safetensors file; convert it to GGUF"},
};
#undef BYTES
// clang-format on

static bool has_magic(struct str head, const struct magic *m)
{
    return head.n >= m->at + m->bytes.n && memcmp(head.p + m->at, m->bytes.p, m->bytes.n) == 0;
}

static bool contains(struct str s, struct str word)
{
    return memmem(s.p, s.n, word.p, word.n) != NULL;
}

static uint32_t u32_at(struct str s, size_t at)
{
    uint32_t v = 0;
    if (at + 4 <= s.n) memcpy(&v, s.p + at, 4);
    return v;
}

/* Python's pickle, protocols 2 to 5. */
static bool is_pickle(struct str head)
{
    return head.n > 2 && (uint8_t)head.p[0] == 0x80 && head.p[1] >= 2 && head.p[1] <= 5;
}

/* A count of entries, the length of a name, the name of a tensor. */
static bool is_importance_matrix(struct str head)
{
    const uint32_t n_entries = u32_at(head, 0), n_name = u32_at(head, 4);
    return n_entries > 0 && n_entries < 1 << 16 && n_name > 4 && n_name < 128 &&
           (str_starts(str_cut(head, QA_MIN(head.n, 8U), head.n), STR("blk.")) ||
            str_starts(str_cut(head, QA_MIN(head.n, 8U), head.n), STR("output")));
}

static bool is_zero(struct str head)
{
    for (size_t i = 0; i < head.n; i++) {
        if (head.p[i]) return false;
    }
    return true;
}

static bool is_html(struct str s)
{
    size_t i = 0;
    while (i < s.n && isspace((unsigned char)s.p[i])) {
        i++;
    }
    static const char *const STARTS[] = {"<!doctype", "<html", "<head", "<?xml", "<!--"};
    for (size_t k = 0; k < COUNT(STARTS); k++) {
        const size_t n = strlen(STARTS[k]);
        if (s.n - i >= n && strncasecmp(s.p + i, STARTS[k], n) == 0) return true;
    }
    return false;
}

/* Bytes at the start that are letters, digits and the like; all of it: a text. */
static size_t n_printable(struct str s)
{
    size_t i = 0;
    while (i < s.n && (isprint((unsigned char)s.p[i]) || isspace((unsigned char)s.p[i]))) {
        i++;
    }
    return i;
}

static enum status is_a(struct err *e, const char *what)
{
    return err_set(e, QA_E_FORMAT, "not a GGUF file, it is %s", what);
}

enum status foreign_refuse(struct str head, size_t n_file, struct err *e)
{
    if (is_html(head)) return is_a(e, "an HTML page, perhaps a failed download");
    for (size_t i = 0; i < COUNT(MAGICS); i++) {
        if (!has_magic(head, &MAGICS[i])) continue;
        if (i == 0 && (contains(head, STR("data.pkl")) || contains(head, STR("archive/")))) {
            return is_a(e, "a PyTorch checkpoint; convert it to GGUF");
        }
        return is_a(e, MAGICS[i].what);
    }
    if (is_pickle(head)) return is_a(e, "a Python pickle (PyTorch); convert it to GGUF");
    if (is_importance_matrix(head)) return is_a(e, "an importance matrix (imatrix)");
    if (head.n > 0 && is_zero(head))
        return is_a(e, "zeros, perhaps a download that did not finish");
    if (head.n > 0 && n_printable(head) == head.n) {
        size_t n = 0; /* the first line says most */
        while (n < QA_MIN(head.n, 40U) && head.p[n] != '\n' && head.p[n] != '\r') {
            n++;
        }
        return err_set(e, QA_E_FORMAT, "not a GGUF file, it is a text of %zu bytes: '%.*s%s'",
                       n_file, (int)n, head.p, n < head.n ? "..." : "");
    }
    return err_set(e, QA_E_FORMAT, "not a GGUF file, its first bytes are not 'GGUF'");
}

/* ---- GGUF, but no model ---------------------------------------------------- */

static bool key_is(const struct gguf *g, const char *key, struct str value)
{
    struct str s;
    return gguf_get_str(g, key, &s) && str_eq(s, value);
}

enum status foreign_check(const struct gguf *g, struct err *e)
{
    const char *what = NULL;
    if (key_is(g, "general.type", STR("adapter")) || gguf_find(g, "adapter.type")) {
        what = "a LoRA adapter: give the model that it was made for, with it merged in";
    } else if (key_is(g, "general.type", STR("mmproj")) ||
               key_is(g, "general.architecture", STR("clip"))) {
        what = "an image projector (mmproj): give the text model beside it";
    } else if (key_is(g, "general.type", STR("imatrix"))) {
        what = "an importance matrix (imatrix)";
    } else if (gguf_n_tensors(g) == 0) {
        what = "a file without tensors, a vocabulary alone";
    } else if (gguf_find_tensor(g, "blk.0.ssm_dt") &&
               !gguf_find_tensor(g, "blk.0.ssm_dt.bias")) {
        what = "made by Ollama with names and shapes of its own: give a GGUF file that was "
               "converted for llama.cpp";
    } else if (gguf_find_tensor(g, "output_norm.weight") &&
               !gguf_find_tensor(g, "blk.0.attn_norm.weight")) {
        what = "the draft layer alone: give the file of the whole model";
    }
    return what ? err_set(e, QA_E_FORMAT, "this is %s", what) : QA_OK;
}
