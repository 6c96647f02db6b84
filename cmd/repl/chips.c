/* chips.c - long pastes, which stand in the line as "[pasted 132 lines]". */
#include "cmd/repl/chips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_LINES = 5, LONG_BYTES = 1500 };

void chips_release(struct chips *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->p[i].text);
    }
    free(c->p);
    *c = (struct chips){0};
}

static size_t count_lines(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == '\n' || i + 1 == s.n;
    }
    return n;
}

bool chips_is_long(struct str text)
{
    return count_lines(text) > LONG_LINES || text.n > LONG_BYTES;
}

static bool is_taken(const struct chips *c, const char *label)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->p[i].label, label) == 0) return true;
    }
    return false;
}

const char *chips_add(struct chips *c, struct str text)
{
    struct chip chip;
    const size_t n = count_lines(text);
    struct chip *p = realloc(c->p, (c->n + 1) * sizeof *p);
    if (!p) return NULL;
    c->p = p;
    snprintf(chip.label, sizeof chip.label, "[pasted %zu line%s]", n, n == 1 ? "" : "s");
    for (int i = 2; is_taken(c, chip.label); i++) {
        snprintf(chip.label, sizeof chip.label, "[pasted %zu line%s, %d]", n, n == 1 ? "" : "s",
                 i);
    }
    chip.text = strndup(text.p, text.n);
    if (!chip.text) return NULL;
    p[c->n++] = chip;
    return p[c->n - 1].label;
}

const struct chip *chips_at_end(const struct chips *c, struct str s)
{
    for (size_t i = 0; i < c->n; i++) {
        if (str_ends(s, str_of(c->p[i].label))) return &c->p[i];
    }
    return NULL;
}

char *chips_expand(const struct chips *c, const char *text)
{
    struct str_buf b;
    str_buf_init(&b, 256 << 20);
    str_buf_add_z(&b, "");
    while (*text) {
        const struct chip *hit = NULL;
        for (size_t i = 0; *text == '[' && i < c->n && !hit; i++) {
            if (str_starts(str_of(text), str_of(c->p[i].label))) hit = &c->p[i];
        }
        if (hit) {
            str_buf_add_z(&b, hit->text);
            text += strlen(hit->label);
        } else {
            str_buf_add_char(&b, *text++);
        }
    }
    return b.p ? str_buf_take(&b) : strdup("");
}
