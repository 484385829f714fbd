/* HTML, read as a browser reads it: a pull tokenizer after section 13.2.5 of
 * the WHATWG HTML standard that gives offsets instead of strings, so that an
 * editor can replace exactly the bytes of one attribute value.
 *
 * The tokens tile the input: each begins where the one before ended, the last
 * ends at the end. Bytes that a browser throws away (a tag that the end of the
 * input cuts off, "</>") are a token too, HTML_LOST.
 *
 * There is no tree builder. What a tree builder tells the tokenizer, the start
 * tags whose content is not markup, is done here; title, style and their like
 * are taken so inside svg and math as well, where a browser would find markup.
 *
 * Input is any superset of ASCII and is never decoded; CR counts as white
 * space, as it would after the newline normalisation that a browser does first.
 * Nothing is allocated, no byte is refused, time is linear in the input.
 */
#ifndef LF_PARSE_HTML_H
#define LF_PARSE_HTML_H

#include "core/base/buf.h"
#include "core/base/slice.h"

/* Bytes [from, to) of the input. */
struct html_span {
	size_t from, to;
};

enum html_kind {
	HTML_TEXT,
	HTML_START,   /* <name attributes> */
	HTML_END,     /* </name>; its attributes are there but mean nothing */
	HTML_COMMENT, /* <!-- -->, and all that is taken for one: <? >, <!x>, </ > */
	HTML_DOCTYPE,
	HTML_LOST /* thrown away by a browser */
};

/* How text is read; the content of the element that was opened last. */
enum html_state {
	HTML_DATA,    /* markup and references */
	HTML_RCDATA,  /* title, textarea: references, ends at its own end tag */
	HTML_RAWTEXT, /* style, xmp, iframe, noembed, noframes, noscript */
	HTML_SCRIPT,  /* script, with its escaped states */
	HTML_PLAIN,   /* plaintext: never ends */
	HTML_CDATA    /* inside <![CDATA[, only with it->foreign */
};

struct html_token {
	enum html_kind kind;
	enum html_state state; /* TEXT: how to decode it, see html_text_decode */
	size_t from, to;       /* the whole token */
	struct html_span name; /* START, END, DOCTYPE: as written, any case */
	struct html_span data; /* COMMENT: the text inside; TEXT: without CDATA's
				  brackets; START, END: after the name, up to the
				  '>' (a '/' right before it included) */
	bool self_closing;     /* START, END: "/>" */
	/* DOCTYPE only. */
	bool has_name, has_public, has_system, quirks;
	struct html_span public_id, system_id; /* without quotes */
};

/* BEST takes the widest short cuts over whole tags that the processor has, AVX2 none
 * wider than that, SHORT those that need no special instructions, ONE_BY_ONE none. The
 * tokens are the same. */
enum html_path { HTML_BEST, HTML_AVX2, HTML_SHORT, HTML_ONE_BY_ONE, HTML_PATHS };

/* For html_iter.passed: the bit of a letter. */
#define HTML_LETTER(c) ((uint32_t)1 << ((c) - 'a'))

struct html_iter {
	slice in; /* borrows: the part, decoded */
	size_t pos;
	/* For tests and for odd places; html_start sets the usual values. */
	enum html_state state; /* HTML_DATA */
	slice last_start;      /* name of the element whose text state is on */
	bool foreign;          /* false: <![CDATA[ is a comment */
	bool fixed;            /* false: start tags switch the state */
	/* What is passed over without a token; may change at any time. */
	bool no_text;        /* false; text but CDATA */
	uint32_t passed;     /* 0; tags by the first letter of their names, HTML_LETTER */
	enum html_path path; /* HTML_BEST */
};

/* Begin at the first byte of in. */
void html_start(struct html_iter *it, slice in);

/* Begin inside: read only the bytes of span, for instance the inside of a
 * conditional comment. Offsets stay those of in. */
void html_start_span(struct html_iter *it, slice in, struct html_span span);

/* 1: *t is the next token.  0: the end. */
int html_next(struct html_iter *it, struct html_token *t);

/* Bytes of a span. */
static inline slice html_slice(slice in, struct html_span s)
{
	return slice_sub(in, s.from, s.to);
}

/* Is a START or END token named so? name in lower case. */
bool html_is(slice in, const struct html_token *t, slice name);

struct html_attr {
	size_t from;            /* of the white space (or '/') before it: remove [from, to) and it is gone */
	size_t to;              /* after the closing quote, the bare value, or the name */
	struct html_span name;  /* as written, any case */
	struct html_span value; /* without quotes; empty at the name's end if there is none */
	uint8_t quote;          /* '"', '\'', or 0 for a bare value or none */
	bool has_value;         /* there is a '=' */
};

/* The attributes of a START token in their order. Where a name comes twice the
 * first counts and a browser ignores the others. */
struct html_attr_iter {
	slice in; /* borrows */
	size_t pos, end;
};

void html_attr_start(struct html_attr_iter *it, slice in, const struct html_token *t);

/* 1: *a is the next.  0: no more. */
int html_attr_next(struct html_attr_iter *it, struct html_attr *a);

/* The one that counts: the first of this name (lower case). false: none. */
bool html_attr_find(slice in, const struct html_token *t, slice name, struct html_attr *a);

/* ASCII case-insensitive; name in lower case. */
bool html_attr_is(slice in, const struct html_attr *a, slice name);

/* Append an attribute's value as the page sees it: references decoded by the
 * attribute rule ("&copy=1" stays), NUL as U+FFFD. raw must be UTF-8 or ASCII,
 * since references come out as UTF-8: convert other charsets first. At most
 * three times the bytes of raw. */
void html_attr_decode(slice raw, struct buf *out);

/* The same for the data of a TEXT token: references in DATA and RCDATA, NUL as
 * U+FFFD but in DATA and CDATA, where the tokenizer leaves it. */
void html_text_decode(slice raw, enum html_state state, struct buf *out);

#endif
