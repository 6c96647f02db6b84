/* fuzz_extract.c - any bytes as an answer: a completion of the stated form, no crash. */
#include "humaneval/humaneval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str bytes = {(const char *)data, size};
    struct extraction x = {0};
    struct err e = {0};
    if (extract_completion(bytes, STR("f"), &x, &e)) return 0; /* out of memory alone */
    ASSERT(x.completion && x.completion[x.n] == 0);
    ASSERT(x.how != EXTRACT_NONE || x.n == 0);
    ASSERT(x.how != EXTRACT_FUNCTION || x.completion[0] == '\n');
    extraction_release(&x);
    return 0;
}
