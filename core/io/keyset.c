#include "core/io/keyset.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_FILE (8u << 20)
#define MAX_WHY 4096

struct set {
	struct arena arena;
	struct apikeys keys;
};

struct keyset {
	const char *path, *make_one;
	struct timespec changed;
	struct set *_Atomic now;
	struct set *before;
};

static void set_free(struct set **s)
{
	if (*s)
		arena_free(&(*s)->arena);
	free(*s);
	*s = NULL;
}

static struct timespec changed_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){0, 0};
}

/* The file as it is. 0, or as keyset_open. */
static int set_load(const struct keyset *k, struct set **out, struct buf *why)
{
	struct set *s = must_zalloc(sizeof *s);
	unsigned line = 0;
	struct buf text;
	int rc;

	arena_init(&s->arena, 8 * MAX_FILE, NULL, NULL);
	buf_init(&text, MAX_FILE);
	rc = keyfile_read(k->path, &text, why);
	if (rc == -ENOENT) {
		log_warn("keyset", "no API keys yet, nobody is let in", "file=%s make_one=\"%s\"", k->path,
			k->make_one);
		rc = 0;
	} else if (rc == 0) {
		rc = apikeys_decode(&s->arena, arena_dup(&s->arena, buf_slice(&text)), &s->keys, &line);
		if (rc < 0) {
			rc = -REFUSE_SYNTAX;
			buf_printf(why,
				"%s:%u: want ID TENANT SHA256; remove the line or make a key with `%s`",
				k->path, line, k->make_one);
		}
	}
	buf_free(&text);
	if (rc < 0)
		set_free(&s);
	*out = s;
	return rc;
}

int keyset_open(struct keyset **out, const char *path, const char *make_one, struct buf *why)
{
	struct keyset *k = must_zalloc(sizeof *k);
	struct set *s;
	int rc;

	*k = (struct keyset){.path = path, .make_one = make_one, .changed = changed_at(path)};
	rc = set_load(k, &s, why);
	k->now = s;
	*out = k;
	if (rc < 0)
		keyset_close(out);
	return rc;
}

void keyset_close(struct keyset **kp)
{
	struct keyset *k = *kp;
	struct set *now;

	*kp = NULL;
	if (!k)
		return;
	now = k->now;
	set_free(&now);
	set_free(&k->before);
	free(k);
}

const struct apikeys *keyset_get(struct keyset *k)
{
	return &atomic_load(&k->now)->keys;
}

void keyset_refresh(struct keyset *k)
{
	struct timespec t = changed_at(k->path);
	struct set *next;
	struct buf why;

	if (t.tv_sec == k->changed.tv_sec && t.tv_nsec == k->changed.tv_nsec)
		return;
	buf_init(&why, MAX_WHY);
	k->changed = t;
	if (set_load(k, &next, &why) == 0) {
		set_free(&k->before);
		k->before = atomic_exchange(&k->now, next);
		log_info("keyset", "API keys read again", "keys=%zu", next->keys.count);
	} else {
		log_error("keyset", "API keys not read, the old ones stay", "why=%s",
			log_bytes(buf_slice(&why)));
	}
	buf_free(&why);
}
