/* The automaton finds what a plain search finds: the verdict is the one that
 * looking for every text of the table, one after the other, gives. */
#include "tracker/judge.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANY = 0, FIRST = 1, LAST = 2, LEFT = 4, RIGHT = 8 };
enum { CLASS_READER = CLASS_SELF + 1, CLASS_COMPATIBLE, CLASS_NAMED };

static const struct {
	slice text;
	unsigned where;
	unsigned class;
} agents[] = {
#define AGENT(text, where, class) {SLICE(text), where, CLASS_##class},
#include "tracker/agents.def"
#undef AGENT
};

#define AGENTS (sizeof agents / sizeof *agents)

/* The longest text that ends at end and fits there; AGENTS if none. */
static size_t longest(slice s, size_t end)
{
	size_t best = AGENTS;

	for (size_t i = 0; i < AGENTS; i++) {
		size_t n = agents[i].text.len, from = end - n;
		unsigned where = agents[i].where;

		/* Most texts end in another letter. */
		if (ascii_lower(s.p[end - 1]) != agents[i].text.p[n - 1] || n > end ||
			!slice_ieq(slice_sub(s, from, end), agents[i].text))
			continue;
		if ((where & FIRST && from) || (where & LAST && end < s.len) ||
			(where & LEFT && from && ascii_alnum(s.p[from - 1])) ||
			(where & RIGHT && end < s.len && ascii_alpha(s.p[end])))
			continue;
		if (best == AGENTS || n > agents[best].text.len)
			best = i;
	}
	return best;
}

static bool has(unsigned found, unsigned class)
{
	return found >> class & 1;
}

static enum hit_class plain(slice agent, enum event_kind kind)
{
	slice s = slice_trim(slice_sub(agent, 0, JUDGE_MAX_AGENT));
	unsigned found = 0;
	size_t i;

	if (!s.len)
		return CLASS_AUTOMATION;
	for (size_t end = 1; end <= s.len; end++)
		if ((i = longest(s, end)) != AGENTS)
			found |= 1u << agents[i].class;
	if (has(found, CLASS_SCANNER))
		return CLASS_SCANNER;
	if ((has(found, CLASS_PROXY) || has(found, CLASS_PREFETCH)) && kind == EVENT_CLICK)
		return CLASS_AUTOMATION;
	if (has(found, CLASS_PROXY))
		return CLASS_PROXY;
	if (has(found, CLASS_AUTOMATION) || (has(found, CLASS_COMPATIBLE) && !has(found, CLASS_NAMED)))
		return CLASS_AUTOMATION;
	if (has(found, CLASS_PREFETCH))
		return CLASS_PREFETCH;
	return has(found, CLASS_READER) || has(found, CLASS_NAMED) ? CLASS_HUMAN : CLASS_AUTOMATION;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct judge *j;
	static char made[1024];
	slice in = slice_of(data, size);
	size_t n = 0;

	if (!j)
		j = judge_open();
	/* The bytes as they are, and as numbers of texts: two a byte pair. */
	for (size_t i = 0; i + 1 < size && n + 64 < sizeof made; i += 2) {
		slice text = agents[data[i] % AGENTS].text;

		memcpy(made + n, text.p, text.len);
		n += text.len - (data[i + 1] % 4 == 0 && text.len > 1);
		if (data[i + 1] % 3 == 0)
			made[n++] = (char)data[i + 1];
	}
	for (int kind = EVENT_OPEN; kind <= EVENT_CLICK; kind++) {
		struct judge_evidence e = {.kind = (enum event_kind)kind, .agent = in};

		if (judge_hit(j, &e) != plain(in, e.kind))
			abort();
		e.agent = slice_of(made, n);
		if (judge_hit(j, &e) != plain(e.agent, e.kind))
			abort();
	}
	return 0;
}
