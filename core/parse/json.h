/* JSON (RFC 8259): a writer that appends to a buf as it goes, and a reader.
 * The only place that knows cJSON.
 *
 *	struct json_out j;
 *
 *	json_start(&j, out);
 *	json_object(&j, NULL);
 *	json_str(&j, "kind", SLICE("bounced"));
 *	json_array(&j, "codes");
 *	json_int(&j, NULL, 550);
 *	json_end(&j);
 *	json_end(&j);
 *
 * writes {"kind":"bounced","codes":[550]}. The writer keeps no tree; commas and
 * closing brackets are its business, one key a member is the caller's. What
 * surprises: bytes that are not UTF-8 come out as U+FFFD, so that hostile input
 * never makes invalid JSON.
 */
#ifndef LF_PARSE_JSON_H
#define LF_PARSE_JSON_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define JSON_MAX_TEXT (16u << 20) /* longest text read */
#define JSON_MAX_DEPTH 64         /* nested arrays and objects, read and written */

/* Writing. key: a member's name within an object (a literal, or any UTF-8 text
 * that ends in NUL), NULL within an array and at the top. */
struct json_out {
	struct buf *out;
	unsigned depth;
	uint64_t objects; /* bit of each depth: an object, not an array */
	uint64_t begun;   /* bit of each depth: has a member */
};

void json_start(struct json_out *j, struct buf *out);
void json_object(struct json_out *j, const char *key);
void json_array(struct json_out *j, const char *key);
/* Ends the innermost object or array. */
void json_end(struct json_out *j);
void json_str(struct json_out *j, const char *key, slice s);
void json_int(struct json_out *j, const char *key, int64_t n);
void json_uint(struct json_out *j, const char *key, uint64_t n);
/* The shortest text that reads back as the same double; not finite: null. */
void json_real(struct json_out *j, const char *key, double d);
void json_bool(struct json_out *j, const char *key, bool b);
void json_null(struct json_out *j, const char *key);
/* A member whose name is not a C string; follow it with a value, key NULL. */
void json_key(struct json_out *j, slice key);

/* Reading. A value borrows the document that json_open made. */
enum json_kind { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json;       /* the document */
struct json_value; /* one value of it; NULL stands for "not there" everywhere */

/* The whole text is one value. 0, or with *out NULL: -REFUSE_SYNTAX,
 * -REFUSE_TOO_LARGE, -REFUSE_TOO_DEEP, -REFUSE_NUL (an escaped NUL). */
int json_open(struct json **out, slice text);
/* The same for a text of up to `most` bytes, from somebody who may take that much
 * memory: about 12 times the text. */
int json_open_within(struct json **out, slice text, size_t most);
void json_close(struct json **j);

const struct json_value *json_root(const struct json *j);
enum json_kind json_kind(const struct json_value *v);
/* Member of an object (exact name, the first if repeated), or NULL. */
const struct json_value *json_find(const struct json_value *v, const char *name);
/* First member or element, then the one behind; NULL at the end. */
const struct json_value *json_first(const struct json_value *v);
const struct json_value *json_after(const struct json_value *v);
/* The member's own name; empty for elements. */
slice json_name(const struct json_value *v);
/* Text of a string, else empty. */
slice json_text(const struct json_value *v);
/* A number, else otherwise. */
double json_number(const struct json_value *v, double otherwise);
/* A whole number within least..most, else otherwise. */
int64_t json_whole(const struct json_value *v, int64_t least, int64_t most, int64_t otherwise);
/* true or false, else otherwise. */
bool json_truth(const struct json_value *v, bool otherwise);

#endif
