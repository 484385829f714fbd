#include "reports/arrival.h"

#include "core/base/must.h"

static const struct {
	const char *word, *meaning;
} table[] = {
#define A(name, word, meaning) {word, meaning},
	ARRIVAL_LIST(A)
#undef A
};

struct arrival arrival_of(uint64_t accepted, uint64_t confirmed, uint64_t age_ms)
{
	struct arrival a = {.status = ARRIVAL_NO_MAIL, .level = 0.9, .high = 1};

	must(confirmed <= accepted);
	if (accepted == 0)
		return a;
	a.low = (double)confirmed / (double)accepted;
	a.arrived_low = confirmed;
	a.arrived_high = accepted;
	if (age_ms < ARRIVAL_EARLY_MS)
		a.status = ARRIVAL_TOO_EARLY;
	else if (confirmed == 0)
		a.status = ARRIVAL_NO_SIGNAL;
	else
		a.status = ARRIVAL_BOUNDS_ONLY;
	return a;
}

const char *arrival_word(enum arrival_status s)
{
	return table[s].word;
}

const char *arrival_meaning(enum arrival_status s)
{
	return table[s].meaning;
}
