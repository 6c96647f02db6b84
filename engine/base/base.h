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

/* The lesser and the greater of two numbers of one type, each computed once. */
#define QA_MIN(a, b) QA_OF_TYPE(qa_min, a, b)
#define QA_MAX(a, b) QA_OF_TYPE(qa_max, a, b)
#define QA_OF_TYPE(fn, a, b)               \
    _Generic((a) + (b), int                \
             : fn##_i, unsigned            \
             : fn##_u, long                \
             : fn##_l, unsigned long       \
             : fn##_ul, long long          \
             : fn##_ll, unsigned long long \
             : fn##_ull, float             \
             : fn##_f, double              \
             : fn##_d)(a, b)
#define QA_MIN_MAX(suffix, type)                       \
    static inline type qa_min_##suffix(type a, type b) \
    {                                                  \
        return a < b ? a : b;                          \
    }                                                  \
    static inline type qa_max_##suffix(type a, type b) \
    {                                                  \
        return a > b ? a : b;                          \
    }
QA_MIN_MAX(i, int)
QA_MIN_MAX(u, unsigned)
QA_MIN_MAX(l, long)
QA_MIN_MAX(ul, unsigned long)
QA_MIN_MAX(ll, long long)
QA_MIN_MAX(ull, unsigned long long)
QA_MIN_MAX(f, float)
QA_MIN_MAX(d, double)

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
