#include "tracker/judge.h"

#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

enum { ANY = 0, FIRST = 1, LAST = 2, LEFT = 4, RIGHT = 8 };

/* Beside the classes; see agents.def. */
enum { CLASS_READER = CLASS_SELF + 1, CLASS_COMPATIBLE, CLASS_NAMED };

#define BIT(class) (1u << CLASS_##class)

struct agent {
	slice text;
	unsigned where;
	unsigned class;
};

static const struct agent agents[] = {
#define AGENT(text, where, class) {SLICE(text), where, CLASS_##class},
#include "tracker/agents.def"
#undef AGENT
};

#define AGENTS (sizeof agents / sizeof *agents)
#define NO_AGENT UINT16_MAX

/* What was found in an agent that came before. */
struct memory {
	uint16_t len; /* 0: nothing is remembered here */
	uint16_t found;
	uint8_t agent[JUDGE_MAX_AGENT];
};

/* The automaton: a trie of all texts whose missing steps are filled in with
 * where the longest proper suffix would go. */
struct judge {
	uint8_t letter[256]; /* of a byte; 0: in no text */
	unsigned letters;
	unsigned states;
	uint16_t *next;        /* [states][letters] */
	uint16_t *agent;       /* [states] the text that ends here, or NO_AGENT */
	uint16_t *suffix;      /* [states] the longest suffix at which another text ends, or 0 */
	struct memory *memory; /* [JUDGE_MEMORY] */
};

static void number_letters(struct judge *j)
{
	j->letters = 1;
	for (size_t i = 0; i < AGENTS; i++)
		for (size_t k = 0; k < agents[i].text.len; k++) {
			uint8_t c = agents[i].text.p[k];

			must(c == ascii_lower(c));
			if (j->letter[c] == 0)
				j->letter[c] = (uint8_t)j->letters++;
		}
	for (int c = 'A'; c <= 'Z'; c++)
		j->letter[c] = j->letter[ascii_lower((uint8_t)c)];
}

static uint16_t *step(const struct judge *j, unsigned state, uint8_t letter)
{
	return &j->next[state * j->letters + letter];
}

static void add_text(struct judge *j, uint16_t number)
{
	slice text = agents[number].text;
	unsigned at = 0;

	for (size_t k = 0; k < text.len; k++) {
		uint16_t *to = step(j, at, j->letter[text.p[k]]);

		if (*to == 0)
			*to = (uint16_t)j->states++;
		at = *to;
	}
	must(at && j->agent[at] == NO_AGENT); /* the same text twice */
	j->agent[at] = number;
}

/* Breadth first, so that a state's suffixes are complete before it is. */
static void complete(struct judge *j)
{
	uint16_t *queue = must_zalloc(j->states * sizeof *queue);
	uint16_t *fall = must_zalloc(j->states * sizeof *fall);
	unsigned head = 0, tail = 0;

	for (unsigned l = 1; l < j->letters; l++)
		if (*step(j, 0, (uint8_t)l))
			queue[tail++] = *step(j, 0, (uint8_t)l);
	while (head < tail) {
		unsigned at = queue[head++];

		j->suffix[at] = j->agent[fall[at]] != NO_AGENT ? fall[at] : j->suffix[fall[at]];
		*step(j, at, 0) = 0;
		for (unsigned l = 1; l < j->letters; l++) {
			uint16_t *to = step(j, at, (uint8_t)l);

			if (*to) {
				fall[*to] = *step(j, fall[at], (uint8_t)l);
				queue[tail++] = *to;
			} else {
				*to = *step(j, fall[at], (uint8_t)l);
			}
		}
	}
	free(queue);
	free(fall);
}

struct judge *judge_open(void)
{
	struct judge *j = must_zalloc(sizeof *j);
	size_t room = 1;

	number_letters(j);
	for (size_t i = 0; i < AGENTS; i++)
		room += agents[i].text.len;
	must(room < NO_AGENT && AGENTS < NO_AGENT);
	j->states = 1;
	j->next = must_zalloc(room * j->letters * sizeof *j->next);
	j->suffix = must_zalloc(room * sizeof *j->suffix);
	j->agent = must_alloc(room * sizeof *j->agent);
	memset(j->agent, 0xff, room * sizeof *j->agent);
	j->memory = must_zalloc(JUDGE_MEMORY * sizeof *j->memory);
	for (size_t i = 0; i < AGENTS; i++)
		add_text(j, (uint16_t)i);
	complete(j);
	return j;
}

void judge_close(struct judge **j)
{
	if (!*j)
		return;
	free((*j)->next);
	free((*j)->agent);
	free((*j)->suffix);
	free((*j)->memory);
	free(*j);
	*j = NULL;
}

/* Does the text that ends before end stand where it has to? */
static bool fits(const struct agent *a, slice agent, size_t end)
{
	size_t start = end - a->text.len;

	if (a->where & FIRST && start != 0)
		return false;
	if (a->where & LAST && end != agent.len)
		return false;
	if (a->where & LEFT && start > 0 && ascii_alnum(agent.p[start - 1]))
		return false;
	return !(a->where & RIGHT) || end == agent.len || !ascii_alpha(agent.p[end]);
}

/* Bits of the classes whose texts are in the agent. */
static unsigned classes_in(const struct judge *j, slice agent)
{
	unsigned at = 0, found = 0;

	for (size_t i = 0; i < agent.len; i++) {
		at = *step(j, at, j->letter[agent.p[i]]);
		for (unsigned s = j->agent[at] != NO_AGENT ? at : j->suffix[at]; s; s = j->suffix[s]) {
			const struct agent *a = &agents[j->agent[s]];

			if (!fits(a, agent, i + 1))
				continue;
			found |= 1u << a->class;
			break;
		}
	}
	return found;
}

static uint64_t hash_of(slice agent)
{
	const uint64_t odd = 0x9e3779b97f4a7c15u;
	uint64_t h = agent.len * odd, x;
	size_t i = 0;

	for (; agent.len - i >= 8; i += 8) {
		memcpy(&x, agent.p + i, 8);
		h = (h ^ x) * odd;
		h ^= h >> 29;
	}
	for (; i < agent.len; i++)
		h = (h ^ agent.p[i]) * odd;
	return h;
}

uint16_t judge_agent(slice agent)
{
	uint16_t h;

	agent = slice_trim(slice_sub(agent, 0, JUDGE_MAX_AGENT));
	h = (uint16_t)(hash_of(agent) >> 16);
	return agent.len == 0 ? 0 : h ? h : 1;
}

/* Where an agent is remembered. Whoever makes two fall on one place makes us
 * look again, nothing worse. */
static unsigned place_of(slice agent)
{
	return (unsigned)(hash_of(agent) >> 32) % JUDGE_MEMORY;
}

static unsigned remembered(struct judge *j, slice agent)
{
	struct memory *m = &j->memory[place_of(agent)];

	if (m->len != agent.len || memcmp(m->agent, agent.p, agent.len) != 0) {
		m->found = (uint16_t)classes_in(j, agent);
		m->len = (uint16_t)agent.len;
		memcpy(m->agent, agent.p, agent.len);
	}
	return m->found;
}

static bool says_prefetch(const struct judge_evidence *e)
{
	return slice_ifind(e->sec_purpose, SLICE("prefetch"), 0) != SLICE_NPOS ||
	       slice_ifind(e->sec_purpose, SLICE("prerender"), 0) != SLICE_NPOS ||
	       slice_ieq(e->purpose, SLICE("prefetch")) || slice_ieq(e->purpose, SLICE("preview")) ||
	       slice_ieq(e->x_purpose, SLICE("prefetch")) || slice_ieq(e->x_purpose, SLICE("preview")) ||
	       slice_ieq(e->x_moz, SLICE("prefetch"));
}

enum hit_class judge_hit(struct judge *j, const struct judge_evidence *e)
{
	slice agent = slice_trim(slice_sub(e->agent, 0, JUDGE_MAX_AGENT));
	unsigned found;

	/* One-click requests come from the servers of mailbox providers. */
	if (e->kind == EVENT_UNSUBSCRIBE)
		return CLASS_HUMAN;
	if (e->head || !agent.len)
		return CLASS_AUTOMATION;
	found = remembered(j, agent);
	if (found & BIT(SCANNER))
		return CLASS_SCANNER;
	/* A proxy fetches pictures for a reader, and the prefetch that hides the
	 * reader's agent does the same; neither ever follows a link. */
	if (found & (BIT(PROXY) | BIT(PREFETCH)) && e->kind == EVENT_CLICK)
		return CLASS_AUTOMATION;
	if (found & BIT(PROXY))
		return CLASS_PROXY;
	if (found & BIT(AUTOMATION) || (found & (BIT(COMPATIBLE) | BIT(NAMED))) == BIT(COMPATIBLE))
		return CLASS_AUTOMATION;
	if (found & BIT(PREFETCH) || says_prefetch(e))
		return CLASS_PREFETCH;
	return found & (BIT(READER) | BIT(NAMED)) ? CLASS_HUMAN : CLASS_AUTOMATION;
}
