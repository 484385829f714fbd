/* What an event costs its owner, put and flush together, for turns of 1, 16 and
 * 256 events; beside it the same bytes by a bare pwrite and by memcpy. */
#include "core/base/must.h"
#include "core/io/outbox.h"
#include "core/io/segment.h"
#include "core/model/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVENTS (1u << 20)

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static struct event event_of(uint32_t i, unsigned campaigns)
{
	return (struct event){.kind = EVENT_CLICK,
		.ms = 1900000000000u + i / 16,
		.campaign = 0x1122334455667788u + i % campaigns,
		.lane = 77,
		.sequence = i,
		.class = CLASS_HUMAN,
		.link = 3,
		.country = {'D', 'E'}};
}

static void bench(const char *dir, unsigned turn, unsigned campaigns)
{
	struct outbox_config cfg = {.program = "bench",
		.journal = {.dir = dir, .segment_bytes = 16 << 20, .cap_bytes = 4ull << 30},
		.redis = {.socket = "/nonexistent", .timeout_ms = 1000},
		.partitions = 16,
		.sync_ms = 50};
	struct outbox *o;
	double began, puts = 0, whole;
	uint64_t bytes;
	int64_t first = 0, last = 0;

	must(outbox_open(&o, &cfg) == 0);
	began = now_ns();
	for (uint32_t i = 0; i < EVENTS;) {
		double before = now_ns();

		for (unsigned k = 0; k < turn; k++) {
			struct event e = event_of(i++, campaigns);

			outbox_put(o, &e);
		}
		puts += now_ns() - before;
		last = outbox_flush(o);
		must(last > 0);
		first = first ? first : last;
	}
	whole = (now_ns() - began) / EVENTS;
	bytes = (uint64_t)(last - first) / (EVENTS / turn);
	outbox_close(&o, 0);

	{
		char path[256];
		int fd;
		uint8_t *from = must_zalloc(bytes), *to = must_alloc(bytes);
		uint64_t at = 0, turns = EVENTS / turn;
		double pwrites, copies;

		snprintf(path, sizeof path, "%s/plain", dir);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		must(fd >= 0 && posix_fallocate(fd, 0, (off_t)(turns * bytes)) == 0);
		began = now_ns();
		for (uint64_t i = 0; i < turns; i++, at += bytes)
			must(pwrite(fd, from, bytes, (off_t)at) == (ssize_t)bytes);
		pwrites = (now_ns() - began) / EVENTS;
		began = now_ns();
		for (uint64_t i = 0; i < turns; i++) {
			memcpy(to, from, bytes);
			__asm__ volatile("" : : "r"(to) : "memory");
		}
		copies = (now_ns() - began) / EVENTS;
		close(fd);
		unlink(path);
		free(from);
		free(to);
		printf("turn %4u campaigns %2u: put %6.1f, put+flush %7.1f ns an event (%5.1f bytes); "
		       "pwrite alone %7.1f, memcpy %5.2f; %.1fx the pwrite\n",
			turn, campaigns, puts / EVENTS, whole, (double)bytes / turn, pwrites, copies,
			whole / pwrites);
	}
}

int main(void)
{
	char dir[64] = "/tmp/landfall-bench-XXXXXX", command[96];
	static const unsigned turns[] = {1, 16, 256};

	must(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		bench(dir, turns[i], 1);
		if (turns[i] > 1)
			bench(dir, turns[i], 16);
	}
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command) == 0 ? 0 : 1;
}
