#include "core/parse/json.h"

#include "core/base/must.h"
#include "core/base/refuse.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REPLACEMENT SLICE("\xef\xbf\xbd")

void json_start(struct json_out *j, struct buf *out)
{
	*j = (struct json_out){.out = out};
}

/* Length of the UTF-8 sequence at s[at] (RFC 3629: shortest form, no
 * surrogates, at most U+10FFFF), or 0. */
static size_t utf8_len(slice s, size_t at)
{
	uint8_t c = s.p[at], least = 0x80, most = 0xbf;
	size_t n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (c == 0xe0)
		least = 0xa0;
	if (c == 0xed)
		most = 0x9f;
	if (c == 0xf0)
		least = 0x90;
	if (c == 0xf4)
		most = 0x8f;
	if (s.len - at < n || s.p[at + 1] < least || s.p[at + 1] > most)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s.p[at + i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void put_escape(struct buf *out, uint8_t c)
{
	switch (c) {
	case '"':
		buf_str(out, "\\\"");
		break;
	case '\\':
		buf_str(out, "\\\\");
		break;
	case '\n':
		buf_str(out, "\\n");
		break;
	case '\r':
		buf_str(out, "\\r");
		break;
	case '\t':
		buf_str(out, "\\t");
		break;
	default:
		buf_printf(out, "\\u%04x", c);
	}
}

static void put_string(struct buf *out, slice s)
{
	size_t from = 0, n;

	buf_byte(out, '"');
	for (size_t i = 0; i < s.len; i += n) {
		uint8_t c = s.p[i];
		size_t len = utf8_len(s, i);

		n = len ? len : 1;
		if (len && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_put(out, slice_sub(s, from, i));
		from = i + 1;
		if (len)
			put_escape(out, c);
		else
			buf_put(out, REPLACEMENT);
	}
	buf_put(out, slice_sub(s, from, s.len));
	buf_byte(out, '"');
}

/* Comma and name: what stands before any value. */
static void before(struct json_out *j, const char *key)
{
	uint64_t bit = (uint64_t)1 << (j->depth % 64);

	must(!key || j->objects & bit);
	if (key)
		json_key(j, slice_str(key));
	else if (!(j->objects & bit)) {
		if (j->begun & bit)
			buf_byte(j->out, ',');
		j->begun |= bit;
	}
}

void json_key(struct json_out *j, slice key)
{
	uint64_t bit = (uint64_t)1 << (j->depth % 64);

	if (j->begun & bit)
		buf_byte(j->out, ',');
	j->begun |= bit;
	put_string(j->out, key);
	buf_byte(j->out, ':');
}

static void open_level(struct json_out *j, const char *key, bool object)
{
	uint64_t bit;

	before(j, key);
	must(j->depth + 1 < JSON_MAX_DEPTH);
	bit = (uint64_t)1 << ++j->depth;
	j->objects = object ? j->objects | bit : j->objects & ~bit;
	j->begun &= ~bit;
	buf_byte(j->out, object ? '{' : '[');
}

void json_object(struct json_out *j, const char *key)
{
	open_level(j, key, true);
}

void json_array(struct json_out *j, const char *key)
{
	open_level(j, key, false);
}

void json_end(struct json_out *j)
{
	must(j->depth > 0);
	buf_byte(j->out, j->objects & (uint64_t)1 << j->depth ? '}' : ']');
	j->depth--;
}

void json_str(struct json_out *j, const char *key, slice s)
{
	before(j, key);
	put_string(j->out, s);
}

void json_int(struct json_out *j, const char *key, int64_t n)
{
	before(j, key);
	buf_printf(j->out, "%" PRId64, n);
}

void json_uint(struct json_out *j, const char *key, uint64_t n)
{
	before(j, key);
	buf_printf(j->out, "%" PRIu64, n);
}

void json_real(struct json_out *j, const char *key, double d)
{
	char text[40];

	before(j, key);
	if (!isfinite(d)) {
		buf_str(j->out, "null");
		return;
	}
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	buf_str(j->out, text);
}

void json_bool(struct json_out *j, const char *key, bool b)
{
	before(j, key);
	buf_str(j->out, b ? "true" : "false");
}

void json_null(struct json_out *j, const char *key)
{
	before(j, key);
	buf_str(j->out, "null");
}

/* struct json and struct json_value are cJSON's item under names of our own. */
static cJSON *item(const void *v)
{
	return (cJSON *)v;
}

/* cJSON takes 1,000 levels, an escaped NUL (and cuts the string there), raw
 * control bytes in strings, and any byte up to the blank as white space:
 * decided here instead. */
static int check(slice s, size_t most)
{
	bool quoted = false;
	unsigned depth = 0;

	if (s.len > most)
		return -REFUSE_TOO_LARGE;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c < ' ' && (quoted || !ascii_space(c)))
			return c ? -REFUSE_SYNTAX : -REFUSE_NUL;
		if (c == '"') {
			quoted = !quoted;
		} else if (quoted && c == '\\') {
			if (slice_starts(slice_from(s, i + 1), SLICE("u0000")))
				return -REFUSE_NUL;
			i++;
		} else if (!quoted && (c == '[' || c == '{')) {
			if (++depth > JSON_MAX_DEPTH)
				return -REFUSE_TOO_DEEP;
		} else if (!quoted && (c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

int json_open(struct json **out, slice text)
{
	return json_open_within(out, text, JSON_MAX_TEXT);
}

int json_open_within(struct json **out, slice text, size_t most)
{
	const char *end = NULL;
	cJSON *root;
	int rc = check(text, most);

	*out = NULL;
	if (rc < 0)
		return rc;
	root = text.len ? cJSON_ParseWithLengthOpts((const char *)text.p, text.len, &end, 0) : NULL;
	if (!root)
		return -REFUSE_SYNTAX;
	if (slice_trim(slice_from(text, (size_t)(end - (const char *)text.p))).len) {
		cJSON_Delete(root);
		return -REFUSE_SYNTAX;
	}
	*out = (struct json *)root;
	return 0;
}

void json_close(struct json **j)
{
	cJSON_Delete(item(*j));
	*j = NULL;
}

const struct json_value *json_root(const struct json *j)
{
	return (const struct json_value *)j;
}

enum json_kind json_kind(const struct json_value *v)
{
	if (!v)
		return JSON_NONE;
	switch (item(v)->type & 0xff) {
	case cJSON_False:
	case cJSON_True:
		return JSON_BOOL;
	case cJSON_NULL:
		return JSON_NULL;
	case cJSON_Number:
		return JSON_NUMBER;
	case cJSON_String:
		return JSON_STRING;
	case cJSON_Array:
		return JSON_ARRAY;
	case cJSON_Object:
		return JSON_OBJECT;
	}
	return JSON_NONE;
}

const struct json_value *json_find(const struct json_value *v, const char *name)
{
	return json_kind(v) == JSON_OBJECT ? (const void *)cJSON_GetObjectItemCaseSensitive(item(v), name)
					   : NULL;
}

const struct json_value *json_first(const struct json_value *v)
{
	return v ? (const void *)item(v)->child : NULL;
}

const struct json_value *json_after(const struct json_value *v)
{
	return v ? (const void *)item(v)->next : NULL;
}

slice json_name(const struct json_value *v)
{
	return v ? slice_str(item(v)->string) : SLICE_NONE;
}

slice json_text(const struct json_value *v)
{
	return json_kind(v) == JSON_STRING ? slice_str(item(v)->valuestring) : SLICE_NONE;
}

double json_number(const struct json_value *v, double otherwise)
{
	return json_kind(v) == JSON_NUMBER && isfinite(item(v)->valuedouble) ? item(v)->valuedouble
									     : otherwise;
}

int64_t json_whole(const struct json_value *v, int64_t least, int64_t most, int64_t otherwise)
{
	double d = json_number(v, NAN);

	/* Beyond 2^53 - 1 two whole numbers may share one double. */
	if (!(fabs(d) <= 9007199254740991.) || (double)(int64_t)d != d)
		return otherwise;
	return (int64_t)d < least || (int64_t)d > most ? otherwise : (int64_t)d;
}

bool json_truth(const struct json_value *v, bool otherwise)
{
	return json_kind(v) == JSON_BOOL ? (item(v)->type & 0xff) == cJSON_True : otherwise;
}
