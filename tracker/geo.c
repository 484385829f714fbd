#include "tracker/geo.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"

#include <errno.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The trial: this many addresses, this much time and memory. */
#define TRIAL_LOOKUPS 20000
#define TRIAL_MS 10000
#define TRIAL_CPU_S 5

struct geo {
	MMDB_s db;
};

static const char *const country_path[] = {"country", "iso_code", NULL};
static const char *const registered_path[] = {"registered_country", "iso_code", NULL};

static bool country_at(MMDB_entry_s *entry, const char *const *path, char out[2])
{
	MMDB_entry_data_s data;

	if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
		data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2)
		return false;
	for (int i = 0; i < 2; i++)
		if (data.utf8_string[i] < 'A' || data.utf8_string[i] > 'Z')
			return false;
	memcpy(out, data.utf8_string, 2);
	return true;
}

bool geo_country(const struct geo *g, const struct ip *a, char out[2])
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	MMDB_lookup_result_s found;
	int rc;

	/* Another family would be read out of bounds by this version. */
	memcpy(&v4.sin_addr, a->byte + 12, 4);
	memcpy(&v6.sin6_addr, a->byte, 16);
	found = MMDB_lookup_sockaddr(
		&g->db, ip_is_v4(a) ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, &rc);
	if (rc != MMDB_SUCCESS || !found.found_entry)
		return false;
	return country_at(&found.entry, country_path, out) || country_at(&found.entry, registered_path, out);
}

static int db_open(MMDB_s *db, const char *path)
{
	int rc = MMDB_open(path, MMDB_MODE_MMAP, db);

	if (rc == MMDB_SUCCESS)
		return 0;
	/* errno is of the call that failed only where the library says so. */
	if (rc == MMDB_FILE_OPEN_ERROR || rc == MMDB_IO_ERROR)
		return errno ? -errno : -EIO;
	return rc == MMDB_OUT_OF_MEMORY_ERROR ? -ENOMEM : -REFUSE_SYNTAX;
}

/* Addresses all over both families, from a fixed start. */
static struct ip some_address(uint64_t *x, int i)
{
	struct ip a;

	for (int half = 0; half < 2; half++) {
		*x ^= *x << 13;
		*x ^= *x >> 7;
		*x ^= *x << 17;
		memcpy(a.byte + 8 * half, x, 8);
	}
	if (i % 2)
		return ip_v4(a.byte);
	a.byte[0] = 0x20 | (a.byte[0] & 0x0f); /* where addresses are given out */
	return a;
}

_Noreturn static void trial(const char *path)
{
	static const struct rlimit cpu = {TRIAL_CPU_S, TRIAL_CPU_S}, none = {0, 0};
	struct ip a;
	struct geo g;
	uint64_t x = 88172645463325252u;
	char country[2];

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &none);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	if (db_open(&g.db, path) != 0)
		_exit(1);
	for (int i = 0; i < TRIAL_LOOKUPS; i++) {
		a = some_address(&x, i);
		geo_country(&g, &a, country);
	}
	_exit(0);
}

/* Did the trial end well? */
static bool tried(const char *path)
{
	uint64_t until = clock_mono_ms() + TRIAL_MS;
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return false;
	if (pid == 0)
		trial(path);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_mono_ms() >= until)
			kill(pid, SIGKILL);
		poll(NULL, 0, 5);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int geo_open(struct geo **out, const char *path, const char *setting, struct buf *why)
{
	struct geo *g = must_zalloc(sizeof *g);
	int rc;

	*out = NULL;
	errno = 0;
	if (access(path, R_OK) != 0) {
		rc = -errno;
		buf_printf(why, "%s: cannot read %s: %s", setting, path, strerror(-rc));
		goto out;
	}
	if (!tried(path)) {
		rc = -REFUSE_SYNTAX;
		buf_printf(why, "%s: %s is no MaxMind database, or is damaged", setting, path);
		goto out;
	}
	rc = db_open(&g->db, path);
	if (rc < 0) {
		buf_printf(why, "%s: cannot open %s", setting, path);
		goto out;
	}
	*out = g;
	return 0;
out:
	free(g);
	return rc;
}

void geo_close(struct geo **g)
{
	if (!*g)
		return;
	MMDB_close(&(*g)->db);
	free(*g);
	*g = NULL;
}
