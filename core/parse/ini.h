/* The lines of an INI file, one at a time.
 *
 *	# comment            ; comment
 *	[section]
 *	key = value to the end of the line
 *
 * There are no quotes, no escapes and no comment behind a value: '#' and ';'
 * are ordinary bytes there. White space around keys and values is dropped. A
 * line ends at LF or CRLF; a byte order mark before the first line is skipped.
 */
#ifndef LF_PARSE_INI_H
#define LF_PARSE_INI_H

#include "core/base/slice.h"

#define INI_MAX_LINE 4096

enum ini_kind { INI_BLANK, INI_COMMENT, INI_SECTION, INI_SETTING };

/* One line; slices borrow the text. */
struct ini_line {
	enum ini_kind kind;
	slice section;   /* that the line stands in or opens; empty before the first */
	slice key;       /* INI_SETTING: [A-Za-z0-9_-]+ */
	slice value;     /* INI_SETTING; INI_COMMENT: the text behind the mark */
	size_t from, to; /* in the text, line end included */
	unsigned number; /* from 1 */
};

struct ini {
	slice text; /* borrows */
	slice section;
	size_t pos;
	unsigned number; /* of the line that ini_next looked at last, from 1 */
	unsigned done;   /* lines that were read */
};

void ini_start(struct ini *it, slice text);

/* 1: *line is the next line. 0: the end. -REFUSE_SYNTAX, -REFUSE_LINE_TOO_LONG,
 * -REFUSE_NUL (any control byte but HTAB): it->number and it->pos are the line
 * that is wrong, and stay there. */
int ini_next(struct ini *it, struct ini_line *line);

#endif
