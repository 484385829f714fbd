/* A disk and a clock that misbehave on order.
 *
 * libdisk_shim.so stands between a program and the C library (LD_PRELOAD, or
 * linked) and looks at files below one directory. What it does is written in a
 * small file that tester and program share, and may change at any moment:
 *
 *	LANDFALL_SHIM      that file
 *	LANDFALL_SHIM_DIR  the directory, as /proc names it
 *	LANDFALL_SHIM_LOG  where to remember what a power cut would take, or unset
 */
#ifndef LF_TESTS_SHIM_DISK_H
#define LF_TESTS_SHIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum shim_call {
	SHIM_WRITE = 1, /* write, pwrite */
	SHIM_SYNC = 2,  /* fsync, fdatasync */
	SHIM_MAKE = 4,  /* openat and open of a file that is not there */
	SHIM_ROOM = 8,  /* fallocate, posix_fallocate */
	SHIM_NAME = 16, /* rename, renameat, renameat2 */
	SHIM_ALL = 31,
};

/* The shared file, numbers in the machine's order. */
struct shim_control {
	uint64_t calls;    /* those of enum shim_call that count */
	uint64_t from, to; /* the from-th to the to-th of them fail; from 0: none */
	uint64_t error;    /* with this errno; 0, for writes alone: they write half and say so */
	uint64_t torn;     /* a write that fails has written half before */
	uint64_t sync_ms;  /* a sync takes so much longer */
	int64_t clock_ms;  /* added to the wall clock */
	/* Told by the shim. */
	uint64_t count, failed;
};

/* What the environment does for a program, for the calling process. */
struct shim_control *shim_start(const char *control, const char *dir, const char *log);

/* After the process is gone: of what was written below dir and not synced, the
 * first keep bytes stay, or, with a seed that is not 0, sectors by chance; all else
 * is as it was. Empties the log. The number of bytes that were not synced, or -1. */
int64_t shim_power_cut(const char *log, const char *dir, uint64_t keep, uint64_t seed);

#endif
