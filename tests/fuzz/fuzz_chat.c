/* fuzz_chat.c - any JSON as a conversation: rendered or refused, and nothing but the
 * frame becomes a control token. */
#include "agent/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    json_t *x = json_loadb((const char *)data + 1, size - 1, JSON_ALLOW_NUL, NULL);
    const struct chat_opts o = {
        .tmpl = (enum chat_template)((data[0] & 3) % 3),
        .want_prompt = data[0] & 4,
        .has_think = data[0] & 8,
        .want_think = data[0] & 16,
        .keep_think = data[0] & 32,
        .number_pictures = data[0] & 64,
        .parse_arguments = data[0] & 128,
    };
    struct chat_text t;
    struct err e = {0};
    chat_text_init(&t);
    const json_t *messages = json_is_object(x) ? json_object_get(x, "messages") : x;
    if (chat_render(&t, messages, json_object_get(x, "tools"), &o, &e) == QA_OK) {
        size_t end = 0;
        for (size_t i = 0; i < t.n_spans; i++) {
            ASSERT(t.spans[2 * i] >= end && t.spans[2 * i + 1] <= t.bytes.n);
            ASSERT(t.bytes.p[t.spans[2 * i]] == '<');
            end = t.spans[2 * i + 1];
        }
    } else {
        ASSERT(e.text[0]);
    }
    chat_text_release(&t);
    json_decref(x);
    return 0;
}
