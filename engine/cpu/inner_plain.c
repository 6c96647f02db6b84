/* inner_plain.c - the row of the kernel table that every machine can run.
 *
 * Compiled without any flag for an instruction set: on x86-64 that is SSE2. */
#include "engine/cpu/inner_dot.h"
#include "engine/cpu/inner_kv.h"
#include "engine/cpu/inner_loops.h"

#if defined(__AVX__)
#    error "this file must run everywhere: compile it without -mavx and without -march"
#endif

#define INNER_NAME  "plain"
#define INNER_NEEDS 0
#define INNER_TABLE kernels_plain
#include "engine/cpu/inner_table.h"
