#include "core/parse/ini.h"

#include "core/base/refuse.h"

#define BOM SLICE("\xef\xbb\xbf")

void ini_start(struct ini *it, slice text)
{
	*it = (struct ini){.text = text};
}

static bool is_name(slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
			return false;
	return s.len > 0;
}

static bool has_control(slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	return false;
}

/* What the line holds, without its end. 0 or why not. */
static int take(struct ini *it, slice s, struct ini_line *line)
{
	size_t eq;

	if (has_control(s))
		return -REFUSE_NUL;
	s = slice_trim(s);
	if (s.len == 0)
		return 0;
	if (s.p[0] == '#' || s.p[0] == ';') {
		line->kind = INI_COMMENT;
		line->value = slice_trim(slice_from(s, 1));
		return 0;
	}
	if (s.p[0] == '[') {
		slice name = slice_trim(slice_sub(s, 1, s.len - 1));

		if (s.p[s.len - 1] != ']' || !is_name(name))
			return -REFUSE_SYNTAX;
		line->kind = INI_SECTION;
		line->section = it->section = name;
		return 0;
	}
	eq = slice_chr(s, '=', 0);
	if (eq == SLICE_NPOS)
		return -REFUSE_SYNTAX;
	line->kind = INI_SETTING;
	line->key = slice_trim(slice_sub(s, 0, eq));
	line->value = slice_trim(slice_from(s, eq + 1));
	return is_name(line->key) ? 0 : -REFUSE_SYNTAX;
}

int ini_next(struct ini *it, struct ini_line *line)
{
	size_t lf, end;
	slice s;
	int rc;

	if (it->pos >= it->text.len)
		return 0;
	lf = slice_chr(it->text, '\n', it->pos);
	end = lf == SLICE_NPOS ? it->text.len : lf;
	s = slice_sub(it->text, it->pos, end);
	if (lf != SLICE_NPOS && s.len && s.p[s.len - 1] == '\r')
		s = slice_sub(s, 0, s.len - 1);
	if (it->pos == 0 && slice_starts(s, BOM))
		s = slice_from(s, BOM.len);
	it->number = it->done + 1;
	*line = (struct ini_line){.section = it->section, .from = it->pos, .number = it->number};
	line->to = lf == SLICE_NPOS ? end : end + 1;
	rc = s.len > INI_MAX_LINE ? -REFUSE_LINE_TOO_LONG : take(it, s, line);
	if (rc < 0)
		return rc;
	it->pos = line->to;
	it->done++;
	return 1;
}
