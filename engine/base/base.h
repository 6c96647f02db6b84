/* base.h - the few macros and the status codes that every room shares.
 *
 * Included first by every other header of engine/base; needs only libc. */
#ifndef QA_BASE_H
#define QA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Outcome of a fallible function.  0 is success; the text travels in struct err. */
enum status {
    QA_OK = 0,
    QA_E_USAGE,   /* the caller or the user asked for something that cannot be     */
    QA_E_IO,      /* the operating system refused: no such file, disk full, ...    */
    QA_E_FORMAT,  /* input bytes are not what they should be                       */
    QA_E_NOMEM,   /* an allocation failed                                          */
    QA_E_LIMIT,   /* a stated bound would be passed: context, buffer, budget       */
    QA_E_DEVICE,  /* the compute device is lost; only close is legal               */
    QA_E_SANDBOX, /* the jail cannot hold what it says at the level asked for     */
    QA_E_STOP,    /* interrupted on request (Ctrl-C)                               */
    QA_E_INTERNAL
};

#define COUNT(a)          (sizeof(a) / sizeof((a)[0]))
#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define QA_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QA_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Our own mistakes, never input: prints file, line, expression and aborts. */
#define ASSERT(x) ((x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
#ifdef QA_DEBUG
#    define DASSERT(x) ASSERT(x)
#else
#    define DASSERT(x) ((void)sizeof(!(x)))
#endif
_Noreturn void assert_failed(const char *expr, const char *file, int line);

/* a * b and a + b into *out; false on overflow, and *out is untouched then. */
static inline bool size_mul_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool size_add_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

#endif
