#include "core/model/fact.h"

#include "core/base/must.h"

static const struct {
	const char *word;
	enum fact_form form;
	unsigned bytes;
} facts[] = {
#define F(name, form, bytes, what) {#name, FACT_##form, bytes},
	FACT_LIST(F)
#undef F
};

static const struct {
	const char *word;
	enum counter_form form;
} counters[] = {
#define C(name, how, what) {#name, COUNTER_##how},
	COUNTER_LIST(C)
#undef C
};

enum fact_form fact_form(enum fact f)
{
	must((unsigned)f < FACT_COUNT);
	return facts[f].form;
}

unsigned fact_bytes(enum fact f)
{
	must((unsigned)f < FACT_COUNT);
	return facts[f].bytes;
}

const char *fact_word(enum fact f)
{
	must((unsigned)f < FACT_COUNT);
	return facts[f].word;
}

enum counter_form counter_form(enum counter c)
{
	must((unsigned)c < COUNTER_COUNT);
	return counters[c].form;
}

const char *counter_word(enum counter c)
{
	must((unsigned)c < COUNTER_COUNT);
	return counters[c].word;
}
