/* clock.h - monotonic time.  Never the wall clock: that one jumps. */
#ifndef QA_CLOCK_H
#define QA_CLOCK_H

#include <stdint.h>

int64_t clock_now_ns(void);
double clock_now_s(void); /* seconds since an arbitrary start, for differences */

#endif
