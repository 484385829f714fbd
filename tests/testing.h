/* What every unit test needs: cmocka in the right order, and input that ends at
 * an unmapped page, so that reading one byte too far is a crash. */
#ifndef LF_TESTS_TESTING_H
#define LF_TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/slice.h"

/* A copy whose last byte stands before an unmapped page. */
slice test_guard(slice s);
/* Unmaps what test_guard made. */
void test_unguard(slice s);

/* Fails with the row's name and both values shown. */
void test_slices_equal(const char *row, slice got, slice want);
void test_numbers_equal(const char *row, long long got, long long want);

/* A whole file in memory (freed at exit); empty and *found false if absent. */
slice test_file(const char *path, bool *found);

/* Where the corpora are: $LANDFALL_CORPORA, else ../shared/corpora beside the
 * checkout. NULL, after saying so on stdout, if the folder is not there. */
const char *test_corpora(void);

#endif
