#include "core/model/token.h"
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/options.h"
#include "core/model/event.h"
#include "core/model/verp.h"
#include "core/parse/date.h"
#include "core/parse/url.h"
#include "deploy/command/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *host;

static const struct option_row rows[] = {
	{.name = "--host",
		.value = "HOST",
		.help = "tracking host it was sealed for; that of track.url without",
		.text = &host},
};
static const struct command about = {
	.name = "token",
	.usage = "show TOKEN [--host HOST]",
	.what = "Opens a token with this installation's keys and says what is in it. TOKEN is a token, a\n"
		"tracked link with its host, or a return path. A token that does not open gives exit status "
		"1\n"
		"and the reason.",
	.example = "  landfall token show https://t.example/c/AbCd...\n"
		   "  landfall token show AbCd... --host t.example",
	.rows = rows,
	.count = 1,
	.least = 2,
	.most = 2,
};

/* Text from inside a token: ours, but it was once a stranger's link. */
static void print_safely(const char *name, slice s)
{
	printf("%-9s ", name);
	for (size_t i = 0; i < s.len; i++)
		printf(s.p[i] > ' ' && s.p[i] < 0x7f ? "%c" : "\\x%02X", s.p[i]);
	putchar('\n');
}

static const char *kind_word(enum token_kind k)
{
	switch (k) {
	case TOKEN_OPEN:
		return "open";
	case TOKEN_CLICK:
		return "click";
	case TOKEN_UNSUBSCRIBE:
		return "unsubscribe";
	case TOKEN_HEADER:
		return "header";
	case TOKEN_RETURN:
		return "return-path";
	}
	return "unknown";
}

static void print_token(const struct token *t, enum token_kind kind)
{
	struct buf day;

	printf("kind      %s\ncampaign  %016" PRIx64 "\nlane      %08" PRIx32 "\nsequence  %" PRIu32 "\n",
		kind_word(kind), t->campaign, t->lane, t->sequence);
	if (kind == TOKEN_RETURN)
		return;
	buf_init(&day, 64);
	date_encode(date_days(2020, 1, 1) + t->day, &day);
	printf("day       %.*s\nmode      %u\n", SLICE_FMT(buf_slice(&day)), t->mode);
	if (t->place != PLACE_MAIN)
		printf("place     %s\n", t->place == PLACE_TOP ? "top" : "amp");
	buf_free(&day);
	if (kind == TOKEN_CLICK) {
		printf("link      %u\n", t->link);
		print_safely("url", t->url);
	}
}

/* 0, or why no kind of token is in this text. */
static int show(struct sealer *s, slice text, slice where, slice return_domain)
{
	static const enum token_kind kinds[] = {TOKEN_CLICK, TOKEN_OPEN, TOKEN_UNSUBSCRIBE, TOKEN_HEADER};
	uint8_t room[TOKEN_ROOM];
	struct token t;
	int rc;

	if (slice_chr(text, '@', 0) != SLICE_NPOS) {
		size_t at = slice_rchr(text, '@');

		if (!return_domain.len)
			return_domain = slice_from(text, at + 1);
		rc = verp_open(s, return_domain, text, &t);
		if (rc == 0)
			print_token(&t, TOKEN_RETURN);
		return rc;
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		rc = token_open(s, where, kinds[i], text, room, &t);
		if (rc == 0) {
			print_token(&t, kinds[i]);
			return 0;
		}
	}
	return rc;
}

/* "https://t.example/c/TOKEN" or "/o/TOKEN.gif": the token and, if named, the host. */
static slice token_of(slice text, slice *where)
{
	size_t slash;

	if (url_is_web(text)) {
		*where = url_host(text);
		text = slice_sub(text, 0, slice_chr(text, '?', 0));
	}
	slash = slice_rchr(text, '/');
	if (slash != SLICE_NPOS)
		text = slice_from(text, slash + 1);
	if (slice_ends(text, SLICE(".gif")))
		text = slice_sub(text, 0, text.len - 4);
	return text;
}

static int show_with(struct config *c, slice text)
{
	slice where = url_host(slice_str(c->track_url));
	struct keyring ring;
	struct sealer *s;
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = keyfile_load(config_path(c, c->keys_file), &ring, &why);
	if (rc < 0) {
		fprintf(stderr, "landfall token: %.*s\n", SLICE_FMT(buf_slice(&why)));
		buf_free(&why);
		return EXIT_WORLD;
	}
	buf_free(&why);
	text = token_of(text, &where);
	if (host)
		where = slice_str(host);
	s = sealer_open(&ring);
	rc = show(s, text, where, slice_str(c->track_return_path_domain));
	sealer_close(&s);
	explicit_bzero(&ring, sizeof ring);
	if (rc == 0)
		return EXIT_DONE;
	fprintf(stderr, "landfall token: does not open for host %.*s: %s (%s)\n", SLICE_FMT(where),
		refuse_text(rc), refuse_word(rc));
	return EXIT_REFUSED;
}

int command_token(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	if (strcmp(line.arg[0], "show") != 0) {
		fprintf(stderr, "landfall token: no \"%s\": show\n", line.arg[0]);
		return EXIT_USAGE;
	}
	rc = options_config(&line, &c);
	if (rc >= 0)
		return rc;
	rc = show_with(&c, slice_str(line.arg[1]));
	config_close(&c);
	return rc;
}
