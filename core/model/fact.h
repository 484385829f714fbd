/* The facts kept of each message and the counters kept of each campaign.
 *
 * One table declares them; the Redis keys, the fold, the report and
 * docs/FORMATS.md follow. A bitmap has one bit per sequence of (campaign,
 * lane); a column has one fixed-size record per sequence. Names are stored in
 * Redis: never reuse one for another meaning.
 */
#ifndef LF_MODEL_FACT_H
#define LF_MODEL_FACT_H

/*   name                 form    bytes what */
#define FACT_LIST(F)                                                                                         \
	F(sent, BITS, 0, "taken by the next hop")                                                            \
	F(accepted, BITS, 0, "a remote MX said 250")                                                         \
	F(deferred, BITS, 0, "deferred at least once")                                                       \
	F(bounced_hard, BITS, 0, "failed for good: no such mailbox or domain")                               \
	F(bounced_soft, BITS, 0, "failed for good after trying: full, too large, expired")                   \
	F(bounced_block, BITS, 0, "failed for good: policy, reputation, content")                            \
	F(opened_human, BITS, 0, "opened by a person")                                                       \
	F(opened_proxy, BITS, 0, "opened through an image proxy, for a person")                              \
	F(opened_prefetch, BITS, 0, "fetched by a privacy prefetch")                                         \
	F(opened_machine, BITS, 0, "pixel fetched by a scanner or automation")                               \
	F(clicked_human, BITS, 0, "a link followed by a person")                                             \
	F(clicked_machine, BITS, 0, "a link followed by a machine of any kind")                              \
	F(unsubscribed, BITS, 0, "asked to get no more")                                                     \
	F(recipient, FIRST, 8, "keyed hash of the address")                                                  \
	F(provider, FIRST, 1, "mailbox provider")                                                            \
	F(sent_s, LEAST, 4, "time of sending, Unix seconds")                                                 \
	F(accepted_s, LEAST, 4, "time of the remote 250, Unix seconds")                                      \
	F(opened_s, LEAST, 4, "first open by a person or for one, Unix seconds")                             \
	F(clicked_s, LEAST, 4, "first click by a person, Unix seconds")                                      \
	F(forgotten, BITS, 0, "the recipient withdrew: hits are refused")

/* FIRST: the first value that is not zero stays. LEAST: the least that is not
 * zero stays. Both make the order of events irrelevant but for FIRST, whose
 * value is the same in every event that carries it. */
enum fact_form { FACT_BITS, FACT_FIRST, FACT_LEAST };

enum fact {
#define F(name, form, bytes, what) FACT_##name,
	FACT_LIST(F)
#undef F
		FACT_COUNT
};

/*    name                 how    what */
#define COUNTER_LIST(C)                                                                                      \
	C(sent, SUM, "SENT events")                                                                          \
	C(accepted, SUM, "ACCEPTED events")                                                                  \
	C(deferred, SUM, "DEFERRED events: attempts, not recipients")                                        \
	C(bounced, SUM, "BOUNCED events")                                                                    \
	C(open_human, SUM, "opens by people, repeats included")                                              \
	C(open_proxy, SUM, "opens through image proxies, repeats included")                                  \
	C(open_prefetch, SUM, "privacy prefetches, repeats included")                                        \
	C(open_machine, SUM, "opens by scanners and automation, repeats included")                           \
	C(click_human, SUM, "clicks by people, repeats included")                                            \
	C(click_machine, SUM, "clicks by machines, repeats included")                                        \
	C(open_top, SUM, "opens of the pixel at the top, of any class; they are among the other opens")      \
	C(click_amp, SUM, "clicks in AMP parts, of any class; they are among the other clicks")              \
	C(unsubscribe, SUM, "unsubscribe requests, repeats included")                                        \
	C(hits_over, SUM, "hits beyond the 128 kept of one message; counted nowhere else")                   \
	C(hits_forgotten, SUM, "hits refused since the recipient withdrew; counted nowhere else")            \
	C(first_ms, LEAST, "time of the first event, Unix milliseconds")                                     \
	C(last_ms, MOST, "time of the last event, Unix milliseconds")

enum counter_form { COUNTER_SUM, COUNTER_LEAST, COUNTER_MOST };

enum counter {
#define C(name, how, what) COUNTER_##name,
	COUNTER_LIST(C)
#undef C
		COUNTER_COUNT
};

enum fact_form fact_form(enum fact f);
/* Bytes per sequence; 0 for bitmaps. */
unsigned fact_bytes(enum fact f);
const char *fact_word(enum fact f);
enum counter_form counter_form(enum counter c);
const char *counter_word(enum counter c);

#endif
