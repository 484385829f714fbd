/* Work counted instead of timed: basic blocks of the code that is compiled so
 * (tests/CMakeLists.txt), and the bytes that the C library looks at or moves for
 * it. The same input does the same work on any machine, however busy. */
#ifndef LF_TESTS_WORK_H
#define LF_TESTS_WORK_H

#include <stdint.h>

uint64_t work_done(void);

#endif
