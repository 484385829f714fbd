#include "core/base/refuse.h"

/* clang-format off */
static const struct {
	const char *word, *smtp, *text;
} table[] = {{"unknown", "5.0.0", "unknown"},
#define REFUSE(code, word, smtp, text) {word, smtp, text},
	REFUSE_LIST(REFUSE)
#undef REFUSE
};
/* clang-format on */

static int row(int rc)
{
	if (rc < 0)
		rc = -rc;
	return rc > REFUSE_BASE && rc < REFUSE_END ? rc - REFUSE_BASE : 0;
}

const char *refuse_word(int rc)
{
	return table[row(rc)].word;
}

const char *refuse_smtp(int rc)
{
	return table[row(rc)].smtp;
}

const char *refuse_text(int rc)
{
	return table[row(rc)].text;
}
