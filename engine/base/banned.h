/* banned.h - calls that are errors here, included by every .c through the
 * compiler's -include.  Why: each has cost other projects a security fix. */
#ifndef QA_BANNED_H
#define QA_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef gets
#undef system
#undef alloca
#define strcpy   banned_strcpy_use_str_buf
#define strcat   banned_strcat_use_str_buf
#define sprintf  banned_sprintf_use_snprintf
#define vsprintf banned_vsprintf_use_vsnprintf
#define strtok   banned_strtok_use_str_slice
#define atoi     banned_atoi_use_str_to_int
#define gets     banned_gets
#define system   banned_system
#define alloca   banned_alloca

#endif
