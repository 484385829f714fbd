#include "reports/estimate_json.h"

#include "core/base/refuse.h"
#include "core/parse/json.h"

#include <math.h>

/* Says what is wrong; the refusal. */
#define refuse(why, ...) (buf_printf((why), __VA_ARGS__), -REFUSE_RANGE)

static double count_of(const struct json_value *v)
{
	double n = json_number(v, NAN);

	return n >= 0. && n <= EST_MAX_COUNT ? n : NAN;
}

static size_t length_of(const struct json_value *array)
{
	size_t n = 0;

	for (const struct json_value *v = json_first(array); v; v = json_after(v))
		n++;
	return n;
}

/* Up to n counts of an array; those that are not there are 0. False: one of them is
 * not a count. */
static bool counts_of(const struct json_value *array, double *out, size_t n)
{
	const struct json_value *v = json_first(array);

	for (size_t i = 0; i < n; i++) {
		out[i] = v ? count_of(v) : 0.;
		if (isnan(out[i]))
			return false;
		v = json_after(v);
	}
	return true;
}

static int decode_campaigns(
	struct arena *a, const struct json_value *list, struct estimate_question *q, struct buf *why)
{
	const struct json_value *last = NULL;

	for (const struct json_value *v = json_first(list); v; v = json_after(v)) {
		if (json_kind(v) != JSON_OBJECT)
			return refuse(why, "campaigns: want objects");
		if (last && json_truth(json_find(last, "target"), false))
			return refuse(why, "campaigns: the target must be the last");
		last = v;
		q->in.campaigns++;
	}
	if (q->in.campaigns == 0 || q->in.campaigns > EST_MAX_CAMPAIGNS)
		return refuse(why, "campaigns: want 1 to %d", EST_MAX_CAMPAIGNS);
	q->target = arena_dup(a, json_text(json_find(last, "id")));
	q->in.age_h = json_number(json_find(last, "age_h"), NAN);
	if (!(q->in.age_h >= 0. && q->in.age_h <= 1e6))
		return refuse(why, "age_h of the target: want hours since it was sent");
	return 0;
}

static int decode_delays(const struct json_value *v, struct est_delays *d, struct buf *why)
{
	const struct json_value *edges = json_find(v, "edges_h");

	d->edges = length_of(edges);
	if (d->edges > EST_MAX_DELAYS)
		return refuse(why, "delays: want at most %d edges", EST_MAX_DELAYS);
	if (!counts_of(edges, d->edge_h, d->edges) ||
		!counts_of(json_find(v, "open"), d->open, d->edges + 1) ||
		!counts_of(json_find(v, "prefetch"), d->fetch, d->edges + 1))
		return refuse(why, "delays: want numbers from 0");
	for (size_t i = 1; i < d->edges; i++)
		if (d->edge_h[i] <= d->edge_h[i - 1])
			return refuse(why, "delays: edges_h must grow");
	return 0;
}

static int decode_mail(struct arena *a, const struct json_value *list, size_t campaigns,
	struct est_provider *p, struct buf *why)
{
	struct est_mail *mail = arena_array(a, struct est_mail, campaigns);
	const struct json_value *v = json_first(list);

	for (size_t c = 0; c < campaigns && v; c++, v = json_after(v)) {
		double n[7];

		if (!counts_of(v, n, 7))
			return refuse(why, "mail: want counts from 0 to 1e9");
		mail[c] = (struct est_mail){n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
	}
	if (json_kind(list) == JSON_ARRAY)
		p->mail = mail;
	return 0;
}

static int decode_seeds(struct arena *a, const struct json_value *list, size_t campaigns,
	struct est_provider *p, struct buf *why)
{
	struct est_seeds *seeds = arena_array(a, struct est_seeds, campaigns);
	const struct json_value *v = json_first(list);

	for (size_t c = 0; c < campaigns && v; c++, v = json_after(v)) {
		double n[4];

		if (!counts_of(v, n, 4) || n[1] > n[0])
			return refuse(why, "seeds: want [seeds, inbox, spam, missing]");
		seeds[c] = (struct est_seeds){n[0], n[1], n[2], n[3]};
	}
	if (json_kind(list) == JSON_ARRAY)
		p->seeds = seeds;
	return 0;
}

static int hex_digit(uint8_t c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_history(slice hex, uint8_t *code, size_t campaigns)
{
	if (hex.len != 2 * campaigns)
		return false;
	for (size_t c = 0; c < campaigns; c++) {
		int high = hex_digit(hex.p[2 * c]), low = hex_digit(hex.p[2 * c + 1]);

		if (high < 0 || low < 0)
			return false;
		code[c] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int decode_rows(struct arena *a, const struct json_value *list, size_t campaigns,
	struct est_provider *p, struct buf *why)
{
	size_t rows = length_of(list);
	uint8_t *code;
	double *count;

	if (rows > EST_MAX_ROWS)
		return refuse(why, "rows: want at most %u", EST_MAX_ROWS);
	code = arena_alloc(a, rows * campaigns + 1);
	count = arena_alloc(a, (rows + 1) * sizeof *count);
	*p = (struct est_provider){p->name, 0, code, count, p->mail, p->seeds};
	for (const struct json_value *v = json_first(list); v; v = json_after(v), p->rows++) {
		const struct json_value *history = json_first(v);

		if (!decode_history(json_text(history), code + p->rows * campaigns, campaigns))
			return refuse(why, "rows: want two hex digits for each of %zu campaigns", campaigns);
		count[p->rows] = count_of(json_after(history));
		if (isnan(count[p->rows]))
			return refuse(why, "rows: want a count of recipients behind the history");
	}
	return 0;
}

static int decode_provider(struct arena *a, const struct json_value *v, size_t campaigns,
	struct est_provider *p, struct buf *why)
{
	int rc;

	p->name = arena_dup(a, json_text(json_find(v, "name")));
	rc = decode_mail(a, json_find(v, "mail"), campaigns, p, why);
	if (rc == 0)
		rc = decode_seeds(a, json_find(v, "seeds"), campaigns, p, why);
	if (rc == 0)
		rc = decode_rows(a, json_find(v, "rows"), campaigns, p, why);
	return rc;
}

static int decode(
	struct arena *a, const struct json_value *root, struct estimate_question *q, struct buf *why)
{
	const struct json_value *list = json_find(root, "providers");
	struct est_provider *p;
	int rc;

	if (json_kind(root) != JSON_OBJECT || json_whole(json_find(root, "version"), 1, 1, 0) != 1)
		return refuse(why, "want an object of version 1");
	q->in.level = json_number(json_find(root, "level"), .9);
	if (!(q->in.level >= .5 && q->in.level <= .99))
		return refuse(why, "level: want 0.5 to 0.99");
	rc = decode_campaigns(a, json_find(root, "campaigns"), q, why);
	if (rc == 0)
		rc = decode_delays(json_find(root, "delays"), &q->in.delays, why);
	if (rc < 0)
		return rc;
	q->in.providers = length_of(list);
	if (q->in.providers > EST_MAX_PROVIDERS)
		return refuse(why, "providers: want at most %d", EST_MAX_PROVIDERS);
	p = arena_array(a, struct est_provider, q->in.providers + 1);
	q->in.provider = p;
	for (const struct json_value *v = json_first(list); v && rc == 0; v = json_after(v), p++)
		rc = decode_provider(a, v, q->in.campaigns, p, why);
	return rc;
}

int estimate_json_decode(struct arena *a, slice text, struct estimate_question *q, struct buf *why)
{
	struct json *doc;
	int rc = json_open_within(&doc, text, ESTIMATE_JSON_MAX);

	*q = (struct estimate_question){0};
	if (rc < 0) {
		buf_printf(why, "not JSON: %s", refuse_text(rc));
		return rc;
	}
	rc = decode(a, json_root(doc), q, why);
	json_close(&doc);
	return rc;
}

/* Rounded so that it is short, and still within bounds that were rounded too. */
static void put_rounded(struct json_out *j, const char *key, double x, double unit)
{
	json_real(j, key, round(x * unit) / unit);
}

static void put_arrival(struct json_out *j, const struct estimate_overall *o)
{
	json_uint(j, "accepted", (uint64_t)o->accepted);
	json_uint(j, "confirmed", (uint64_t)o->confirmed);
	put_rounded(j, "inbox_rate", o->has_rate ? o->rate : NAN, 1e5);
	put_rounded(j, "lo", o->has_bounds ? o->lo : NAN, 1e5);
	put_rounded(j, "hi", o->has_bounds ? o->hi : NAN, 1e5);
	json_str(j, "status", slice_str(est_status_word(o->status)));
}

static void put_change(struct json_out *j, const struct estimate_provider *p)
{
	bool known = p->all.has_rate;

	if (known && p->has_change) {
		json_object(j, "vs_history");
		put_rounded(j, "ratio", p->change.ratio, 1e5);
		put_rounded(j, "lo", p->change.lo, 1e5);
		put_rounded(j, "hi", p->change.hi, 1e5);
		json_end(j);
	} else {
		json_null(j, "vs_history");
	}
	json_str(j, "alarm", slice_str(est_alarm_word(p->alarm)));
	put_rounded(j, "p_collapse", known ? p->change.collapse : NAN, 1e4);
	put_rounded(j, "p_low", known ? p->change.low : NAN, 1e4);
}

void estimate_json_encode(const struct estimate_question *q, const struct estimate *e, struct buf *out)
{
	struct json_out j;

	json_start(&j, out);
	json_object(&j, NULL);
	json_uint(&j, "version", 1);
	json_real(&j, "level", q->in.level);
	json_str(&j, "target", q->target);
	json_object(&j, "overall");
	put_arrival(&j, &e->overall);
	json_end(&j);
	json_array(&j, "providers");
	for (size_t p = 0; p < q->in.providers; p++) {
		const struct estimate_provider *from = &e->provider[p];

		json_object(&j, NULL);
		json_str(&j, "name", q->in.provider[p].name);
		put_arrival(&j, &from->all);
		put_change(&j, from);
		json_array(&j, "p_inbox");
		for (size_t r = 0; r < q->in.provider[p].rows; r++)
			put_rounded(&j, NULL, from->message[r], 1e4);
		json_end(&j);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
}
