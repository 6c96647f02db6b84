/* inner_avx2.c - the row of the kernel table for processors with AVX2, FMA and F16C.
 *
 * The only file compiled with those flags: nothing in it may run before the
 * processor was asked (dispatch.c). */
#if defined(__x86_64__)
#    include "engine/base/cpu.h"
#    include "engine/cpu/inner_dot.h"
#    include "engine/cpu/inner_kv.h"
#    include "engine/cpu/inner_loops.h"

#    if !defined(__AVX2__)
#        error "the name of this file asks for flags: see the Makefile"
#    endif

#    define INNER_NAME  "avx2"
#    define INNER_NEEDS (CPU_AVX2)
#    define INNER_TABLE kernels_avx2
#    include "engine/cpu/inner_table.h"
#endif
