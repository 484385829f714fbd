#include "rewriter/library/landfall.h"

#include "core/base/must.h"
#include "core/model/state.h"
#include "core/model/verp.h"
#include "rewriter/control.h"
#include "rewriter/library/boundary.h"
#include "rewriter/policy.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE ((size_t)50 << 20)
/* A message in memory, decoded, twice encoded, and its sites. */
#define MEMORY_PER_BYTE 24
#define MEMORY_LEAST ((size_t)64 << 20)
/* An idle worker keeps at most this much of its arena. */
#define MEMORY_KEPT ((size_t)4 << 20)
#define MAX_PARAMETERS 32
#define MAX_PARAMETER_NAME 64
#define MAX_RETURN_PATH_DOMAIN 200 /* RFC 5321 4.5.3.1.3: a path has 256 octets */
#define ALL_FLAGS (2 * LANDFALL_BASE_LINKS - 1)
/* What the first landfall.h had of the structs: programs made with it still run. */
#define OPTIONS_LEAST offsetof(struct landfall_options, mode)
#define RECIPIENT_LEAST sizeof(struct landfall_recipient)

_Static_assert(LANDFALL_MAX_SEQUENCE == STATE_MAX_SEQUENCE, "the fold counts what we take");

/* What one call needs for itself; kept for the next one. */
struct worker {
	struct worker *next;
	struct sealer *sealer; /* owned */
	struct arena arena;
	struct buf copy, path;
};

struct landfall {
	struct keyring ring;
	struct policy policy; /* its text and lists are in the arena */
	slice return_path_domain;
	size_t max_message, max_memory;
	struct arena arena;
	pthread_mutex_t lock; /* guards idle */
	struct worker *idle;
};

struct text {
	char *p;
	size_t size;
};

static void say(struct text *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *to, const char *fmt, ...)
{
	va_list ap;

	if (!to->p || !to->size)
		return;
	va_start(ap, fmt);
	vsnprintf(to->p, to->size, fmt, ap);
	va_end(ap);
}

const char *landfall_error_text(int error)
{
	switch ((enum landfall_error)error) {
	case LANDFALL_OK:
		return "done";
	case LANDFALL_BAD_CALL:
		return "a pointer is NULL, or the size of a struct is not known";
	case LANDFALL_BAD_OPTIONS:
		return "an option is missing or not possible";
	case LANDFALL_BAD_KEYS:
		return "the key ring cannot be read or has no active key";
	case LANDFALL_BAD_RECIPIENT:
		return "campaign, tenant, sequence or time is missing or not possible";
	case LANDFALL_TOO_LARGE:
		return "the message is too large or needs too much memory";
	case LANDFALL_NO_MEMORY:
		return "the system has no memory left";
	case LANDFALL_BROKEN:
		return "a mistake of the library";
	}
	return "unknown error";
}

const char *landfall_version(void)
{
	return LANDFALL_LIBRARY_VERSION;
}

/* The caller's struct as ours; what an older one lacks is 0. False: it has no
 * size, or is of a newer make and uses what we do not have. */
static bool take_struct(void *to, size_t least, size_t size, const void *from, size_t given)
{
	const unsigned char *p = from;

	if (given < least)
		return false;
	for (size_t i = size; i < given; i++)
		if (p[i])
			return false;
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	return true;
}

static void arena_full(void *arg)
{
	(void)arg;
	boundary_leave(LANDFALL_TOO_LARGE);
}

/* Opening. */

struct opening {
	struct landfall *l;
	struct landfall_options o;
	struct text *why;
};

static int bad_option(struct opening *op, const char *what)
{
	say(op->why, "%s", what);
	return LANDFALL_BAD_OPTIONS;
}

static int read_keys(struct opening *op)
{
	unsigned line;

	if (keyring_decode(slice_of(op->o.key_ring, op->o.key_ring_size), &op->l->ring, &line) < 0) {
		say(op->why, "key_ring: line %u is not a line of a key ring", line);
		return LANDFALL_BAD_KEYS;
	}
	if (!keyring_newest(&op->l->ring)) {
		say(op->why, "key_ring: no active key");
		return LANDFALL_BAD_KEYS;
	}
	return LANDFALL_OK;
}

/* Fields that are added, and who signs behind us. */
static int read_fields(struct opening *op)
{
	struct policy *p = &op->l->policy;
	slice feedback = slice_str(op->o.feedback_id), address = slice_str(op->o.cfbl_address);
	size_t n = op->o.signer_count;
	slice *list;

	if (!policy_feedback_id_fit(feedback))
		return bad_option(op, "feedback_id: want at most 64 letters, digits and -._~");
	if (!policy_address_fit(address))
		return bad_option(op, "cfbl_address: want a plain address");
	if (n > POLICY_MAX_SIGNERS || (n && !op->o.signers))
		return bad_option(op, "signers: at most 64, and not NULL");
	list = arena_array(&op->l->arena, slice, n);
	for (size_t i = 0; i < n; i++) {
		list[i] = arena_dup(&op->l->arena, slice_str(op->o.signers[i]));
		if (list[i].len == 0)
			return bad_option(op, "signers: one of them is empty");
	}
	p->feedback_id = arena_dup(&op->l->arena, feedback);
	p->cfbl_address = arena_dup(&op->l->arena, address);
	p->signers = list;
	p->signer_count = n;
	return LANDFALL_OK;
}

static int read_parameters(struct opening *op)
{
	size_t n = op->o.parameter_count;
	struct utm *list;

	if (n > MAX_PARAMETERS || (n && !op->o.parameters))
		return bad_option(op, "parameters: at most 32, and not NULL");
	list = arena_array(&op->l->arena, struct utm, n);
	for (size_t i = 0; i < n; i++) {
		slice name = slice_str(op->o.parameters[i].name),
		      value = slice_str(op->o.parameters[i].value);

		if (name.len == 0 || name.len > MAX_PARAMETER_NAME || !policy_made_of(name, "-._~") ||
			value.len > EVENT_MAX_TEXT)
			return bad_option(op,
				"parameters: a name has 1 to 64 letters, digits and -._~, a value "
				"at most 512 bytes");
		list[i].name = arena_dup(&op->l->arena, name);
		list[i].value = arena_dup(&op->l->arena, value);
	}
	op->l->policy.utm = list;
	op->l->policy.utm_count = n;
	return LANDFALL_OK;
}

static enum privacy privacy_of(unsigned mode)
{
	static const enum privacy of[] = {[LANDFALL_FULL] = PRIVACY_FULL,
		[LANDFALL_IDENTIFIED] = PRIVACY_IDENTIFIED,
		[LANDFALL_PSEUDONYMOUS] = PRIVACY_PSEUDONYMOUS,
		[LANDFALL_ANONYMOUS] = PRIVACY_ANONYMOUS,
		[LANDFALL_OFF] = PRIVACY_OFF};

	return of[mode];
}

static int read_options(void *arg)
{
	struct opening *op = arg;
	struct landfall *l = op->l;
	slice tenant = op->o.tenant ? slice_str(op->o.tenant) : SLICE("default");
	slice domain = slice_str(op->o.return_path_domain);
	unsigned flags = op->o.flags;
	int rc;

	if (flags & ~(unsigned)ALL_FLAGS)
		return bad_option(op, "flags: one of them is not known");
	if (op->o.mode > LANDFALL_OFF)
		return bad_option(op, "mode: it is not known");
	if (!control_fit(tenant))
		return bad_option(op, "tenant: want 1 to 512 bytes without control characters");
	if (op->o.return_path_domain &&
		(domain.len == 0 || domain.len > MAX_RETURN_PATH_DOMAIN || !policy_made_of(domain, "-.")))
		return bad_option(op, "return_path_domain: want 1 to 200 letters, digits, hyphens and dots");
	rc = read_keys(op);
	if (rc != LANDFALL_OK)
		return rc;
	l->policy.mode = privacy_of(op->o.mode);
	l->policy.opens = !(flags & LANDFALL_NO_OPENS);
	l->policy.clicks = !(flags & LANDFALL_NO_CLICKS);
	l->policy.text_links = !(flags & LANDFALL_NO_TEXT_LINKS);
	l->policy.unsubscribe = flags & LANDFALL_UNSUBSCRIBE;
	l->policy.track_url_text = flags & LANDFALL_TRACK_URL_TEXT;
	l->policy.amp_links = flags & LANDFALL_AMP_LINKS;
	l->policy.top_pixel = flags & LANDFALL_TOP_PIXEL;
	l->policy.base_links = flags & LANDFALL_BASE_LINKS;
	l->policy.campaign_given = true;
	l->policy.default_tenant = arena_dup(&l->arena, tenant);
	l->return_path_domain = arena_dup(&l->arena, domain);
	l->max_message = op->o.max_message ? op->o.max_message : MAX_MESSAGE;
	l->max_memory = op->o.max_memory;
	if (!policy_track_url(&l->arena, arena_dup(&l->arena, slice_str(op->o.track_url)), &l->policy))
		return bad_option(op, "track_url: want http:// or https:// and a host, at most 256 bytes");
	rc = read_fields(op);
	return rc == LANDFALL_OK ? read_parameters(op) : rc;
}

int landfall_open(struct landfall **out, const struct landfall_options *options, char *why, size_t why_size)
{
	struct text text = {why, why_size};
	struct opening op = {.why = &text};
	const char *broken = NULL;
	int rc = LANDFALL_BAD_CALL;

	say(&text, "%s", "");
	if (!out)
		return rc;
	*out = NULL;
	if (!options || !take_struct(&op.o, OPTIONS_LEAST, sizeof op.o, options, options->size) ||
		!op.o.key_ring) {
		say(&text, "%s", "options or key_ring is NULL, or options.size is not its size");
		return rc;
	}
	op.l = calloc(1, sizeof *op.l);
	rc = LANDFALL_NO_MEMORY;
	if (op.l) {
		pthread_mutex_init(&op.l->lock, NULL);
		arena_init(&op.l->arena, MEMORY_LEAST, arena_full, NULL);
		rc = boundary_run(read_options, &op, &broken);
	}
	if (rc == LANDFALL_NO_MEMORY || rc == LANDFALL_BROKEN)
		say(&text, "%s", landfall_error_text(rc));
	if (rc == LANDFALL_OK)
		*out = op.l;
	else
		landfall_close(&op.l);
	return rc;
}

/* Workers. */

static void worker_close(struct worker *w)
{
	sealer_close(&w->sealer);
	arena_free(&w->arena);
	buf_free(&w->copy);
	buf_free(&w->path);
	free(w);
}

/* NULL: no memory. */
static struct worker *worker_take(struct landfall *l)
{
	struct worker *w;

	pthread_mutex_lock(&l->lock);
	w = l->idle;
	if (w)
		l->idle = w->next;
	pthread_mutex_unlock(&l->lock);
	if (w)
		return w;
	w = calloc(1, sizeof *w);
	if (w)
		arena_init(&w->arena, 0, arena_full, NULL);
	return w;
}

static void worker_give(struct landfall *l, struct worker *w)
{
	/* Close to the cap a block that was kept decides what still fits: with a cap of
	 * the caller's every call begins with nothing, so that the same one ends the same. */
	if (w->arena.used > MEMORY_KEPT || l->max_memory)
		arena_free(&w->arena);
	else
		arena_reset(&w->arena);
	pthread_mutex_lock(&l->lock);
	w->next = l->idle;
	l->idle = w;
	pthread_mutex_unlock(&l->lock);
}

void landfall_close(struct landfall **lp)
{
	struct landfall *l = lp ? *lp : NULL;

	if (!l)
		return;
	*lp = NULL;
	while (l->idle) {
		struct worker *w = l->idle;

		l->idle = w->next;
		worker_close(w);
	}
	pthread_mutex_destroy(&l->lock);
	arena_free(&l->arena);
	OPENSSL_cleanse(l, sizeof *l);
	free(l);
}

/* Rewriting. */

struct call {
	const struct landfall *l;
	struct worker *w;
	struct landfall_recipient who;
	slice message;
	bool explain;
	struct landfall_result *out; /* takes over buffers only when all went well */
};

/* The buffer's bytes as a string of its own size; the buffer is empty then. */
static char *string_of(struct buf *b)
{
	char *p;

	b->p = must_realloc(b->p, b->len + 1);
	b->p[b->len] = 0;
	p = (char *)b->p;
	*b = (struct buf){0};
	return p;
}

static int rewrite(struct call *c, const struct plan *plan, const struct identity *id)
{
	struct worker *w = c->w;
	struct landfall_result *out = c->out;
	struct token t = {
		.kind = TOKEN_RETURN, .campaign = id->campaign, .lane = id->lane, .sequence = id->sequence};
	struct rendering r;

	if (message_render(&w->arena, plan, id, w->sealer, &w->copy, &r) < 0)
		return LANDFALL_TOO_LARGE;
	if (plan_tracks(plan) && c->l->return_path_domain.len) {
		must(verp_seal(w->sealer, c->l->return_path_domain, &t, &w->path) == 0);
		buf_byte(&w->path, 0);
		must(!w->path.full);
	}
	out->untouched = r.untouched == UNTOUCHED_NOT ? NULL : untouched_word(r.untouched);
	out->links = r.links;
	out->left = r.left;
	out->pixels = r.pixels;
	out->html_size = r.html_size;
	out->broken = r.broken;
	return LANDFALL_OK;
}

static int work(void *arg)
{
	struct call *c = arg;
	struct worker *w = c->w;
	struct policy policy = c->l->policy;
	struct identity id = {.lane = c->who.lane, .sequence = c->who.sequence};
	size_t memory = c->l->max_memory;
	const struct plan *plan;
	int rc;

	if (!memory)
		memory = MEMORY_LEAST + MEMORY_PER_BYTE * c->message.len;
	w->arena.cap = memory;
	buf_init(&w->copy, memory);
	buf_init(&w->path, 512);
	if (!w->sealer)
		sealer_start(&w->sealer, &c->l->ring);
	policy.default_campaign = slice_str(c->who.campaign);
	if (c->who.tenant)
		policy.default_tenant = slice_str(c->who.tenant);
	id.campaign = hash_campaign(&c->l->ring, policy.default_tenant, policy.default_campaign);
	id.day = token_day((uint64_t)c->who.time * 1000);
	plan = message_plan(&w->arena, c->message, &policy);
	c->out->tracked = plan_tracks(plan);
	if (c->explain)
		rc = message_explain(&w->arena, plan, &id, w->sealer, &w->copy) < 0 ? LANDFALL_TOO_LARGE : 0;
	else
		rc = rewrite(c, plan, &id);
	if (rc != LANDFALL_OK)
		return rc;
	c->out->message_size = w->copy.len;
	c->out->message = string_of(&w->copy);
	c->out->return_path = (char *)w->path.p;
	w->path = (struct buf){0};
	return LANDFALL_OK;
}

static bool recipient_fit(const struct landfall_recipient *who)
{
	return control_fit(slice_str(who->campaign)) &&
	       (!who->tenant || control_fit(slice_str(who->tenant))) &&
	       who->sequence < LANDFALL_MAX_SEQUENCE && who->time > 0;
}

static int call(struct landfall *l, const struct landfall_recipient *who, const char *message, size_t size,
	bool explain, struct landfall_result *out)
{
	struct call c = {.l = l, .message = slice_of(message, size), .explain = explain, .out = out};
	const char *broken = NULL;
	int rc;

	if (!out || out->size < sizeof *out)
		return LANDFALL_BAD_CALL;
	memset((char *)out + sizeof out->size, 0, out->size - sizeof out->size);
	if (!l || !who || (!message && size) ||
		!take_struct(&c.who, RECIPIENT_LEAST, sizeof c.who, who, who->size))
		return LANDFALL_BAD_CALL;
	if (!recipient_fit(&c.who))
		return LANDFALL_BAD_RECIPIENT;
	if (size > l->max_message)
		return LANDFALL_TOO_LARGE;
	c.w = worker_take(l);
	if (!c.w)
		return LANDFALL_NO_MEMORY;
	rc = boundary_run(work, &c, &broken);
	if (rc == LANDFALL_OK) {
		worker_give(l, c.w);
		return rc;
	}
	/* Where it jumped from nobody knows: nothing of it is used again. */
	worker_close(c.w);
	memset((char *)out + sizeof out->size, 0, out->size - sizeof out->size);
	out->broken = broken;
	return rc;
}

int landfall_rewrite(struct landfall *l, const struct landfall_recipient *who, const char *message,
	size_t size, struct landfall_result *out)
{
	return call(l, who, message, size, false, out);
}

int landfall_explain(struct landfall *l, const struct landfall_recipient *who, const char *message,
	size_t size, struct landfall_result *out)
{
	return call(l, who, message, size, true, out);
}

void landfall_result_free(struct landfall_result *r)
{
	if (!r)
		return;
	free(r->message);
	free(r->return_path);
	memset((char *)r + sizeof r->size, 0, sizeof *r - sizeof r->size);
}
