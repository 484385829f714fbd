#include "collector/classes.h"

#include "core/base/must.h"

static const struct {
	const char *word;
	enum classes_permanent permanent;
	enum bounce bounce;
	const char *meaning, *todo;
} table[CLASSES_COUNT] = {
#define C(name, word, permanent, bounce, meaning, todo)                                                      \
	{word, CLASSES_PERMANENT_##permanent, BOUNCE_##bounce, meaning, todo},
	CLASSES_LIST(C)
#undef C
};

const char *classes_word(enum classes c)
{
	must(c < CLASSES_COUNT);
	return table[c].word;
}

enum classes classes_of(slice word)
{
	for (int c = 0; c < CLASSES_COUNT; c++)
		if (slice_eq(word, slice_str(table[c].word)))
			return (enum classes)c;
	return CLASSES_COUNT;
}

enum classes_permanent classes_permanent(enum classes c, uint32_t status)
{
	must(c < CLASSES_COUNT);
	/* A missing MX may be a slip of the day; a domain that says "never" says 5. */
	if (c == CLASSES_NO_MAIL && status >> 20 == 4)
		return CLASSES_PERMANENT_NO;
	return table[c].permanent;
}

enum bounce classes_bounce(enum classes c)
{
	must(c < CLASSES_COUNT);
	return table[c].bounce;
}

void classes_manual(struct buf *out)
{
	static const char *const permanent[] = {"no", "yes", "unknown"};

	buf_str(out, "# Classes\n\n"
		     "What `landfall bounce` and `landfall log` say of a message, printed by `landfall "
		     "bounce --classes`. "
		     "*Permanent* is about\n"
		     "the address: yes means that no later message will get through either. A delivery that "
		     "is only delayed "
		     "is never\n"
		     "permanent, `no-mail-domain` is not with a status of 4.x.x, and `unknown` gives `null`. "
		     "*Counted as* is "
		     "the kind of bounce\n"
		     "in events and reports.\n\n"
		     "| class | meaning | permanent | counted as | what to do |\n|---|---|---|---|---|\n");
	for (int c = 0; c < CLASSES_COUNT; c++)
		buf_printf(out, "| `%s` | %s | %s | %s | %s |\n", table[c].word, table[c].meaning,
			permanent[table[c].permanent],
			table[c].bounce == BOUNCE_NONE ? "-" : bounce_word(table[c].bounce), table[c].todo);
}
