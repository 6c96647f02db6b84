/* tiny.h - the embedded demo model, a whole GGUF file in the binary. */
#ifndef QA_TINY_H
#define QA_TINY_H

extern const char qa_tiny_gguf[];
extern const char qa_tiny_gguf_end[];

#endif
