/* The same job as rewrite_bench --worker, with the libraries that others build
 * theirs on. Every link of the HTML and of the text gets a tracked one, the HTML a
 * pixel. Tokens are a constant: sealing costs nothing here.
 *
 *	rewrite_peers gmime FILE..  GMime parses, the decoded text is searched byte by
 *	                            byte, GMime encodes and writes
 *	rewrite_peers gumbo FILE..  Gumbo builds the tree of the HTML and says where its
 *	                            links are; GMime's codecs, boundaries by search
 */
#include <gmime/gmime.h>
#include <gumbo.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct bytes {
	char *p;
	size_t n, room;
};

static unsigned long links;
static char link_url[256], pixel[512];
static struct bytes out, dec, text;

static void grow(struct bytes *b, size_t n)
{
	if (b->room - b->n >= n)
		return;
	b->room = (b->n + n) * 2;
	b->p = realloc(b->p, b->room);
	if (!b->p)
		abort();
}

static void put(struct bytes *b, const char *p, size_t n)
{
	grow(b, n);
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void put_link(struct bytes *b)
{
	put(b, link_url, strlen(link_url));
	links++;
}

static bool is_web(const char *p, const char *end)
{
	return (end - p > 8 && strncasecmp(p, "https://", 8) == 0) ||
	       (end - p > 7 && strncasecmp(p, "http://", 7) == 0);
}

/* Plain text: every web URL up to a blank or bracket. */
static void edit_plain(const char *p, size_t n, struct bytes *b)
{
	const char *end = p + n, *from = p, *at = p;

	while ((at = memchr(at, 'h', (size_t)(end - at))) != NULL) {
		if (!is_web(at, end)) {
			at++;
			continue;
		}
		put(b, from, (size_t)(at - from));
		put_link(b);
		while (at < end && !strchr(" \t\r\n<>\"", *at))
			at++;
		from = at;
	}
	put(b, from, (size_t)(end - from));
}

static void put_pixel(const char *from, const char *end, struct bytes *b)
{
	const char *body = memmem(from, (size_t)(end - from), "</body>", 7);

	body = body ? body : end;
	put(b, from, (size_t)(body - from));
	put(b, pixel, strlen(pixel));
	put(b, body, (size_t)(end - body));
}

/* The value of an href within a tag of <a>, or NULL. */
static const char *href(const char *p, const char *end, const char **value_end)
{
	for (; p < end && *p != '>'; p++) {
		const char *close;

		if (*p != '"' && *p != '\'')
			continue;
		close = memchr(p + 1, *p, (size_t)(end - p - 1));
		if (!close)
			return NULL;
		if (strncasecmp(p - 5, "href=", 5) == 0) {
			*value_end = close;
			return p + 1;
		}
		p = close;
	}
	return NULL;
}

/* HTML without understanding: "<a " and its href. */
static void edit_html(const char *p, size_t n, struct bytes *b)
{
	const char *end = p + n, *from = p, *at = p, *stop;

	while ((at = memchr(at, '<', (size_t)(end - at))) != NULL) {
		const char *value;

		if (end - at < 16 || (at[1] | 32) != 'a' || !strchr(" \t\r\n", at[2])) {
			at++;
			continue;
		}
		value = href(at + 3, end, &stop);
		at += 3;
		if (!value || !is_web(value, stop))
			continue;
		put(b, from, (size_t)(value - from));
		put_link(b);
		from = at = stop;
	}
	put_pixel(from, end, b);
}

struct place {
	const char *from;
	size_t n;
};
static struct place places[4096];
static size_t place_count;

static void walk(const GumboNode *node)
{
	const GumboElement *e = &node->v.element;
	const GumboAttribute *a;

	if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_TEMPLATE)
		return;
	if (e->tag == GUMBO_TAG_A || e->tag == GUMBO_TAG_AREA) {
		a = gumbo_get_attribute(&e->attributes, "href");
		if (a && is_web(a->value, a->value + strlen(a->value)) && place_count < 4096) {
			struct place *p = &places[place_count++];

			*p = (struct place){a->original_value.data, a->original_value.length};
			if (*p->from == '"' || *p->from == '\'') {
				p->from++;
				p->n -= 2;
			}
		}
	}
	for (unsigned i = 0; i < e->children.length; i++)
		walk(e->children.data[i]);
}

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static void edit_tree(const char *p, size_t n, struct bytes *b)
{
	GumboOutput *tree = gumbo_parse_with_options(&kGumboDefaultOptions, p, n);
	const char *from = p;

	place_count = 0;
	walk(tree->root);
	qsort(places, place_count, sizeof *places, by_place);
	for (size_t i = 0; i < place_count; i++) {
		/* An element that the tree holds twice. */
		if (places[i].from < from)
			continue;
		put(b, from, (size_t)(places[i].from - from));
		put_link(b);
		from = places[i].from + places[i].n;
	}
	gumbo_destroy_output(&kGumboDefaultOptions, tree);
	put_pixel(from, p + n, b);
}

static void gmime_part(GMimeObject *parent, GMimeObject *o, gpointer unused)
{
	GMimeContentType *type = g_mime_object_get_content_type(o);
	bool html = g_mime_content_type_is_type(type, "text", "html");
	GMimeStream *in, *mem;
	GMimeDataWrapper *content;
	GByteArray *bytes;

	(void)parent;
	(void)unused;
	if (!GMIME_IS_PART(o) || (!html && !g_mime_content_type_is_type(type, "text", "plain")))
		return;
	mem = g_mime_stream_mem_new();
	g_mime_data_wrapper_write_to_stream(g_mime_part_get_content((GMimePart *)o), mem);
	bytes = g_mime_stream_mem_get_byte_array((GMimeStreamMem *)mem);
	text.n = 0;
	(html ? edit_html : edit_plain)((const char *)bytes->data, bytes->len, &text);
	in = g_mime_stream_mem_new_with_buffer(text.p, text.n);
	content = g_mime_data_wrapper_new_with_stream(in, GMIME_CONTENT_ENCODING_BINARY);
	g_mime_part_set_content((GMimePart *)o, content);
	g_object_unref(content);
	g_object_unref(in);
	g_object_unref(mem);
}

static void run_gmime(const struct bytes *m)
{
	GMimeStream *in = g_mime_stream_mem_new_with_buffer(m->p, m->n);
	GMimeParser *parser = g_mime_parser_new_with_stream(in);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
	GMimeStream *to = g_mime_stream_mem_new();
	GByteArray *bytes;

	g_mime_message_foreach(message, gmime_part, NULL);
	g_mime_object_write_to_stream((GMimeObject *)message, NULL, to);
	bytes = g_mime_stream_mem_get_byte_array((GMimeStreamMem *)to);
	out.n = 0;
	put(&out, (const char *)bytes->data, bytes->len);
	g_object_unref(to);
	g_object_unref(message);
	g_object_unref(parser);
	g_object_unref(in);
}

static void code(const char *p, size_t n, GMimeContentEncoding how, bool encode, struct bytes *b)
{
	GMimeEncoding state;

	if (encode)
		g_mime_encoding_init_encode(&state, how);
	else
		g_mime_encoding_init_decode(&state, how);
	grow(b, g_mime_encoding_outlen(&state, n) + 64);
	b->n += g_mime_encoding_flush(&state, p, n, b->p + b->n);
}

/* One part [p, end) with its header. */
static void gumbo_part(const char *p, const char *end)
{
	const char *body = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
	GMimeContentEncoding how = GMIME_CONTENT_ENCODING_BINARY;
	bool html;
	size_t head;

	if (!body) {
		put(&out, p, (size_t)(end - p));
		return;
	}
	body += 4;
	head = (size_t)(body - p);
	html = memmem(p, head, "text/html", 9) != NULL;
	if (memmem(p, head, "base64", 6))
		how = GMIME_CONTENT_ENCODING_BASE64;
	else if (memmem(p, head, "quoted-printable", 16))
		how = GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
	dec.n = text.n = 0;
	code(body, (size_t)(end - body), how, false, &dec);
	(html ? edit_tree : edit_plain)(dec.p, dec.n, &text);
	put(&out, p, head);
	code(text.p, text.n, how, true, &out);
}

/* Enough for a multipart/alternative. */
static void run_gumbo(const struct bytes *m)
{
	const char *end = m->p + m->n, *body = memmem(m->p, m->n, "\r\n\r\n", 4), *name, *quote, *from, *next;
	char mark[80];
	size_t n;

	out.n = 0;
	name = body ? memmem(m->p, (size_t)(body - m->p), "boundary=\"", 10) : NULL;
	quote = name ? memchr(name + 10, '"', (size_t)(body - name - 10)) : NULL;
	if (!quote || quote - name > 80)
		exit(3);
	n = (size_t)snprintf(mark, sizeof mark, "\r\n--%.*s", (int)(quote - name - 10), name + 10);
	from = m->p;
	for (next = memmem(from, (size_t)(end - from), mark, n); next;) {
		const char *after = next + n, *stop;

		put(&out, from, (size_t)(after - from));
		from = after;
		stop = memmem(after, (size_t)(end - after), mark, n);
		if (!stop)
			break;
		gumbo_part(after, stop);
		from = next = stop;
	}
	put(&out, from, (size_t)(end - from));
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void slurp(const char *path, struct bytes *b)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		exit(3);
	}
	do {
		grow(b, 1 << 16);
		n = fread(b->p + b->n, 1, 1 << 16, f);
		b->n += n;
	} while (n);
	fclose(f);
}

int main(int argc, char **argv)
{
	bool gumbo = argc > 1 && strcmp(argv[1], "gumbo") == 0;
	void (*run)(const struct bytes *) = gumbo ? run_gumbo : run_gmime;
	unsigned count = argc > 2 ? (unsigned)argc - 2 : 0;
	struct bytes *m = calloc(count + 1, sizeof *m);
	char token[181], line[64];
	double limit;

	if (!m || !count)
		return 2;
	memset(token, 'Q', 180);
	token[180] = 0;
	snprintf(link_url, sizeof link_url, "https://t.example/c/%s", token);
	snprintf(pixel, sizeof pixel,
		"<img src=\"https://t.example/o/%s.gif\" width=\"1\" height=\"1\" alt=\"\" "
		"aria-hidden=\"true\" "
		"style=\"border:0\">",
		token);
	g_mime_init();
	for (unsigned i = 0; i < count; i++) {
		slurp(argv[i + 2], &m[i]);
		run(&m[i]);
		if (getenv("PEER_OUT"))
			fwrite(out.p, 1, out.n, stderr);
	}
	printf("{\"messages\":%u,\"links\":%lu}\n", count, links);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && sscanf(line, "go %lf", &limit) == 1) {
		double t0 = cpu(), t;
		unsigned done = 0;

		do {
			for (unsigned i = 0; i < count; i++)
				run(&m[i]);
			done += count;
			t = cpu();
		} while (t - t0 < limit);
		printf("{\"messages\":%u,\"cpu\":%.6f}\n", done, t - t0);
		fflush(stdout);
	}
	return 0;
}
