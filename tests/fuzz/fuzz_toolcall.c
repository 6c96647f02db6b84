/* fuzz_toolcall.c - any bytes as a model's output: calls are read or stay text. */
#include "agent/toolcall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char schema[] =
        "[{\"name\": \"run\", \"parameters\": {\"properties\": {\"code\": {\"type\": "
        "\"string\"},"
        " \"n\": {\"type\": \"integer\"}, \"x\": {\"type\": [\"object\", \"array\", \"null\"]},"
        " \"f\": {\"anyOf\": [{\"type\": \"number\"}, {\"type\": \"boolean\"}]}}}}]";
    static json_t *tools;
    struct toolcalls c;
    struct err e = {0};
    const struct str s = {(const char *)data, size};
    if (!tools) tools = json_loads(schema, 0, NULL);
    if (toolcall_parse(&c, s, tools, &e)) return 0;
    for (size_t i = 0; i < c.n; i++) {
        ASSERT(c.call[i].name.n > 0 && json_is_object(c.call[i].arguments));
    }
    if (!c.n) (void)toolcall_fault(s);
    toolcalls_release(&c);
    return 0;
}
