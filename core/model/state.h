/* Campaign state in memory: what a batch of events does to pages and counters.
 *
 * pure: the fold loads what is wanted and writes what has changed. A page is 512
 * bytes of one fact of one (campaign, lane), so that a batch reads and writes
 * what it touches and not whole campaigns. The order of use is
 *
 *	state_touch for each event; load all of wanted_pages, wanted_campaigns
 *	state_apply for each event
 *	write dirty_pages, dirty_campaigns, changes; then state_committed
 *
 * and state_forget whenever it is not certain that Redis holds what we believe.
 * Applying bits and columns twice changes nothing; counters count twice: who
 * calls sees to it that an event is applied once.
 */
#ifndef LF_MODEL_STATE_H
#define LF_MODEL_STATE_H

#include "core/model/event.h"
#include "core/model/fact.h"

#define STATE_PAGE 512
/* Sequences from here on are refused: the widest column would pass the 512 MiB
 * that a Redis string can hold. (EVENT_NO_SEQUENCE touches no string.) */
#define STATE_MAX_SEQUENCE (1u << 26)
#define STATE_KNOWN_LANES 16

struct state_page {
	uint64_t campaign;
	uint32_t lane;
	uint32_t number; /* its first byte is at number * STATE_PAGE of the string */
	enum fact fact;
	bool loaded;
	uint16_t from, to; /* bytes changed since the last commit: [from, to) */
	uint64_t batch;    /* the last one that touched it */
	uint8_t bytes[STATE_PAGE];
};

struct state_campaign {
	uint64_t key;
	bool loaded;
	bool listed; /* known to be in the partition's set of campaigns */
	bool dirty;
	bool named;                       /* tenant and name are to be written */
	bool timed;                       /* first_ms or last_ms changed */
	slice tenant, name;               /* borrow the event until the commit */
	uint64_t first_ms, last_ms;       /* 0: none yet */
	uint32_t lane[STATE_KNOWN_LANES]; /* known to be in its set of lanes */
	unsigned lanes;
	uint64_t batch;
};

/* What is added to the fields of a hash, or to a set. */
enum state_what {
	STATE_COUNTER, /* a: enum counter */
	STATE_LINK,    /* a: link; b: 1 human, 0 machine */
	STATE_HOUR,    /* a: Unix hour; b: enum counter */
	STATE_PLACE,   /* a: country, first letter << 8 | second; b: enum counter */
	STATE_LANE     /* a: lane to be added to the campaign's set */
};

struct state_change {
	uint64_t campaign;
	enum state_what what;
	uint64_t a;
	uint32_t b;
	int64_t n;
};

/* The lists are read by the fold and changed only by the functions below. */
struct state {
	struct state_page **wanted_pages, **dirty_pages;
	struct state_campaign **wanted_campaigns, **dirty_campaigns;
	struct state_change *changes;
	size_t wanted_page_count, dirty_page_count;
	size_t wanted_campaign_count, dirty_campaign_count;
	size_t change_count;
	struct state_tables *tables; /* owned */
};

void state_init(struct state *s);
void state_free(struct state *s);

/* False: its sequence is too large, or its kind is unknown to this version. */
bool state_takes(const struct event *e);

/* Want what the event touches, and whether its message is forgotten. must():
 * state_takes. */
void state_touch(struct state *s, const struct event *e);

/* The page's bytes in Redis, fewer than STATE_PAGE where the string ends. */
void state_page_load(struct state_page *p, slice bytes);
/* Times in Redis, 0 where there are none. */
void state_campaign_load(struct state_campaign *c, uint64_t first_ms, uint64_t last_ms);

/* must(): touched, and loaded. Of a hit only its campaign's times and lane: the
 * rest is for core/model/kept.h, through the three below. */
void state_apply(struct state *s, const struct event *e);

/* Want the page of one message's fact. */
void state_want(struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact);
/* Set a bit (value 1 or 0) or a record to just this value. must(): loaded. */
void state_set(
	struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact, uint64_t value);
/* A bit. must(): loaded. */
bool state_has(const struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact);
/* Add n to a counter. */
void state_count(struct state *s, uint64_t campaign, enum state_what what, uint64_t a, uint32_t b, int64_t n);

/* All that is dirty is written. Then drops what is beyond `cap` bytes: first
 * what this batch did not touch, else all. */
void state_committed(struct state *s, size_t cap);
/* Empty, as after state_init. */
void state_forget(struct state *s);
/* Memory in pages and campaigns. */
size_t state_bytes(const struct state *s);

#endif
