/* fuzz_glance.c - any bytes as a program: nothing is found, or one line that says what. */
#include "agent/glance.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char note[GLANCE_NOTE];
    const bool is_fine = glance_code((struct str){(const char *)data, size}, note);
    ASSERT(is_fine == !note[0] && strlen(note) < GLANCE_NOTE);
    return 0;
}
