#include "tests/testing.h"

#include "core/io/keyfile.h"
#include "core/io/metrics.h"
#include "core/model/provider.h"
#include "core/model/verp.h"
#include "rewriter/copier.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD                                                                                                 \
	"Message-ID: <1@b>\r\nX-Landfall-Campaign: spring\r\nMIME-Version: 1.0\r\nContent-Type: "            \
	"text/html\r\n\r\n"
#define BODY "<body><a href=\"https://shop.example/\">x</a></body>\r\n"
#define UNTRACKED "Message-ID: <1@b>\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" BODY
#define TRACKED HEAD BODY

struct bench {
	char dir[64];
	struct keyring ring;
	struct outbox *outbox;
	struct sequence *sequence;
	struct recent *recent;
	struct copier *copier;
	struct relay_copy copy;
	struct envelope envelope;
};

static void open_copier_as(struct bench *b, slice domain, size_t arena, enum privacy mode)
{
	struct copier_config cfg = {.policy = {.track_url = SLICE("https://t.example"),
					    .track_host = SLICE("t.example"),
					    .mode = mode,
					    .opens = true,
					    .clicks = true,
					    .default_tenant = SLICE("acme")},
		.ring = &b->ring,
		.return_path_domain = domain,
		.outbox = b->outbox,
		.sequence = b->sequence,
		.recent = b->recent,
		.max_message = 1 << 20,
		.arena = arena};

	copier_close(&b->copier);
	b->copier = copier_open(&cfg);
}

static void open_copier(struct bench *b, slice domain, size_t arena)
{
	open_copier_as(b, domain, arena, PRIVACY_FULL);
}

static void put_recipient(struct bench *b, const char *address)
{
	struct envelope *e = &b->envelope;

	e->recipient[e->count++] =
		(struct recipient){.at = e->recipients.len, .address_len = strlen(address)};
	buf_str(&e->recipients, address);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof *b);
	struct outbox_config cfg = {.program = "rewriter",
		.journal = {.segment_bytes = 1 << 20, .cap_bytes = 4 << 20},
		.redis = {.socket = "/nowhere", .timeout_ms = 100},
		.partitions = 4,
		.sync_ms = 5};

	*state = b;
	strcpy(b->dir, "/tmp/landfall-copier-XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	assert_true(keyfile_add(&b->ring) > 0);
	cfg.journal.dir = b->dir;
	assert_int_equal(outbox_open(&b->outbox, &cfg), 0);
	assert_int_equal(sequence_open(&b->sequence, b->dir, outbox_lane(b->outbox), false), 0);
	assert_int_equal(recent_open(&b->recent, &(struct recent_config){.dir = b->dir,
							 .lanes = (uint32_t[]){outbox_lane(b->outbox)},
							 .lane_count = 1,
							 .mixed = 64}),
		0);
	buf_init(&b->copy.rendered, SIZE_MAX / 2);
	buf_init(&b->copy.sender, 1000);
	buf_init(&b->envelope.sender, 1000);
	buf_init(&b->envelope.recipients, 1000);
	buf_str(&b->envelope.sender, "news@brand.example");
	put_recipient(b, "Jo@GMAIL.com");
	open_copier(b, SLICE("bounce.example"), 0);
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	DIR *d;
	struct dirent *e;
	char path[400];

	copier_close(&b->copier);
	recent_close(&b->recent);
	sequence_close(&b->sequence);
	outbox_close(&b->outbox, 0);
	buf_free(&b->copy.rendered);
	buf_free(&b->copy.sender);
	buf_free(&b->envelope.sender);
	buf_free(&b->envelope.recipients);
	d = opendir(b->dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", b->dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(b->dir);
	free(b);
	return 0;
}

/* As the relay calls it. */
static const struct relay_copy *prepare(struct bench *b, slice message, uint64_t size)
{
	struct relay_copy *c = &b->copy;

	c->code = 0;
	c->has_sender = c->tracked = c->shared = false;
	buf_clear(&c->rendered);
	buf_clear(&c->sender);
	copier_prepare(b->copier, &b->envelope, 0, message, size, c);
	return c;
}

static void tracked(void **state)
{
	struct bench *b = *state;
	const struct relay_copy *c = prepare(b, SLICE(TRACKED), 0);
	struct sealer *s = sealer_open(&b->ring);
	struct token t;

	assert_int_equal(c->code, 0);
	assert_true(c->tracked && c->has_sender && !c->shared);
	assert_true(slice_find(c->message, SLICE("https://t.example/c/"), 0) != SLICE_NPOS);
	assert_true(slice_find(c->message, SLICE("shop.example"), 0) == SLICE_NPOS);
	assert_int_equal(c->event.campaign, hash_campaign(&b->ring, SLICE("acme"), SLICE("spring")));
	assert_int_equal(c->event.recipient, hash_recipient(&b->ring, SLICE("Jo@gmail.com")));
	assert_int_equal(c->event.provider, PROVIDER_GMAIL);
	assert_int_equal(c->event.lane, outbox_lane(b->outbox));
	assert_int_equal(verp_open(s, SLICE("bounce.example"), buf_slice(&c->sender), &t), 0);
	assert_int_equal(t.campaign, c->event.campaign);
	assert_int_equal(t.lane, c->event.lane);
	assert_int_equal(t.sequence, c->event.sequence);
	sealer_close(&s);
}

static void same_again(void **state)
{
	struct bench *b = *state;
	slice one = prepare(b, SLICE(TRACKED), 0)->message;
	uint8_t *first = malloc(one.len);
	size_t n = one.len;

	memcpy(first, one.p, n);
	test_slices_equal("again", prepare(b, SLICE(TRACKED), 0)->message, slice_of(first, n));
	assert_int_equal(b->copy.event.sequence, 0);
	buf_clear(&b->envelope.recipients);
	b->envelope.count = 0;
	put_recipient(b, "other@gmail.com");
	assert_false(slice_eq(prepare(b, SLICE(TRACKED), 0)->message, slice_of(first, n)));
	assert_int_equal(b->copy.event.sequence, 1);
	free(first);
}

/* Without a Message-ID nothing says that it is the same message. */
static void no_message_id(void **state)
{
	struct bench *b = *state;
	slice m = slice_from(SLICE(TRACKED), sizeof "Message-ID: <1@b>\r\n" - 1);

	prepare(b, m, 0);
	assert_int_equal(b->copy.event.sequence, 0);
	prepare(b, m, 0);
	assert_int_equal(b->copy.event.sequence, 1);
}

static void the_original_goes(void **state)
{
	struct bench *b = *state;
	slice plain = SLICE("Subject: x\r\n\r\nhttps://shop.example/\r\n");
	const struct relay_copy *c = prepare(b, plain, 0);

	assert_ptr_equal(c->message.p, plain.p);
	assert_true(c->shared && !c->tracked && !c->has_sender);
	/* Grown past what the hop takes. */
	c = prepare(b, SLICE(TRACKED), sizeof TRACKED + 10);
	test_slices_equal("too large", c->message, SLICE(UNTRACKED));
	assert_true(c->tracked);
	/* Too costly to understand. */
	open_copier(b, SLICE_NONE, 64);
	c = prepare(b, SLICE(TRACKED), 0);
	test_slices_equal("costly", c->message, SLICE(TRACKED));
	assert_int_equal(c->code, 0);
	assert_false(c->has_sender);
	for (size_t arena = 128; arena < 65536; arena += arena / 4) {
		open_copier(b, SLICE_NONE, arena);
		c = prepare(b, SLICE(TRACKED), 0);
		assert_int_equal(c->code, 0);
		if (!slice_eq(c->message, SLICE(TRACKED)) && !slice_eq(c->message, SLICE(UNTRACKED)))
			assert_true(slice_find(c->message, SLICE("https://t.example/c/"), 0) != SLICE_NPOS);
	}
}

static void senders(void **state)
{
	struct bench *b = *state;

	buf_clear(&b->envelope.sender);
	assert_false(prepare(b, SLICE(TRACKED), 0)->has_sender);
	assert_true(b->copy.tracked);
	buf_str(&b->envelope.sender, "a@b");
	open_copier(b, SLICE_NONE, 0);
	assert_false(prepare(b, SLICE(TRACKED), 0)->has_sender);
}

static void records(void **state)
{
	struct bench *b = *state;

	prepare(b, SLICE(TRACKED), 0);
	/* The campaign's name is there at once. */
	assert_true(outbox_flush(b->outbox) > 0);
	assert_int_equal(outbox_account(b->outbox).made, 1);
	assert_true(copier_taken(b->copier, &b->copy, SLICE("2.0.0 Ok: queued as X")));
	assert_int_equal(b->copy.event.queue_id.len, 0);
	assert_true(outbox_flush(b->outbox) > 0);
	assert_int_equal(outbox_account(b->outbox).made, 2);
	open_copier(b, SLICE_NONE, 0);
	prepare(b, SLICE(TRACKED), 0);
	assert_true(copier_taken(b->copier, &b->copy, SLICE("2.0.0 Ok: queued as X")));
	test_slices_equal("queue id", b->copy.event.queue_id, SLICE("X"));
	prepare(b, SLICE("Subject: x\r\n\r\n"), 0);
	assert_false(copier_taken(b->copier, &b->copy, SLICE("2.0.0 Ok")));
}

/* The sender's own id is kept where the mode allows it, and a field may only ask
 * for less than the setting. */
static void own_ids(void **state)
{
	static const struct {
		const char *name, *fields;
		enum privacy mode;
		bool tracked, hashed, kept;
	} rows[] = {
		{"full", "X-Landfall-Recipient-Id: c-1\r\n", PRIVACY_FULL, true, true, true},
		{"identified by setting", "X-Landfall-Recipient-Id: c-1\r\n", PRIVACY_IDENTIFIED, true, true,
			true},
		{"pseudonymous by setting", "X-Landfall-Recipient-Id: c-1\r\n", PRIVACY_PSEUDONYMOUS, true,
			true, false},
		{"pseudonymous by field",
			"X-Landfall-Recipient-Id: c-1\r\nX-Landfall-Track: mode=pseudonymous\r\n",
			PRIVACY_FULL, true, true, false},
		{"a field does not raise it",
			"X-Landfall-Recipient-Id: c-1\r\nX-Landfall-Track: mode=full\r\n", PRIVACY_ANONYMOUS,
			true, false, false},
		{"anonymous by setting", "X-Landfall-Recipient-Id: c-1\r\n", PRIVACY_ANONYMOUS, true, false,
			false},
		{"none given", "", PRIVACY_FULL, true, true, false},
		{"off by setting", "X-Landfall-Recipient-Id: c-1\r\n", PRIVACY_OFF, false, false, false},
		{"off by field", "X-Landfall-Track: mode=off\r\n", PRIVACY_FULL, false, false, false},
	};
	struct bench *b = *state;
	struct buf m;

	buf_init(&m, 1 << 16);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t made;

		open_copier_as(b, SLICE("bounce.example"), 0, rows[i].mode);
		buf_clear(&m);
		buf_str(&m, rows[i].fields);
		buf_str(&m, TRACKED);
		prepare(b, buf_slice(&m), 0);
		test_numbers_equal(rows[i].name, b->copy.tracked, rows[i].tracked);
		test_numbers_equal(rows[i].name, b->copy.has_sender, rows[i].tracked);
		/* No control field goes out, whatever becomes of the message. */
		test_numbers_equal(rows[i].name,
			slice_ifind(b->copy.message, SLICE("X-Landfall-Recipient"), 0) == SLICE_NPOS &&
				slice_ifind(b->copy.message, SLICE("X-Landfall-Track"), 0) == SLICE_NPOS &&
				slice_ifind(b->copy.message, SLICE("X-Landfall-Campaign"), 0) == SLICE_NPOS,
			1);
		if (!rows[i].tracked) {
			test_slices_equal(rows[i].name, b->copy.message, SLICE(UNTRACKED));
			continue;
		}
		test_numbers_equal(rows[i].name, b->copy.event.recipient != 0, rows[i].hashed);
		test_slices_equal(rows[i].name, slice_of(b->copy.own_id, b->copy.own_id_len),
			rows[i].kept ? SLICE("c-1") : SLICE(""));
		outbox_flush(b->outbox);
		made = outbox_account(b->outbox).made;
		assert_true(copier_taken(b->copier, &b->copy, SLICE("2.0.0 Ok")));
		outbox_flush(b->outbox);
		test_numbers_equal(rows[i].name, (long long)(outbox_account(b->outbox).made - made),
			rows[i].kept ? 2 : 1);
	}
	/* off, and nothing to take out: the very bytes, and the sender as he came. */
	open_copier_as(b, SLICE("bounce.example"), 0, PRIVACY_OFF);
	prepare(b, SLICE(UNTRACKED), 0);
	assert_ptr_equal(b->copy.message.p, (const uint8_t *)UNTRACKED);
	assert_true(b->copy.shared && !b->copy.has_sender);
	buf_free(&m);
}

/* Untouched messages are counted by their reason. */
static void counted(void **state)
{
	static const struct {
		enum metric metric;
		slice message;
	} rows[] = {
		{METRIC_untouched_no_campaign, SLICE(UNTRACKED)},
		{METRIC_untouched_off, SLICE("X-Landfall-Track: mode=off\r\n" TRACKED)},
		{METRIC_untouched_nothing_to_do, SLICE("X-Landfall-Campaign: c\r\n\r\nx\r\n")},
		{METRIC_untouched_signed, SLICE("DKIM-Signature: d=x\r\n" TRACKED)},
		{METRIC_untouched_encrypted,
			SLICE("X-Landfall-Campaign: c\r\nContent-Type: application/pkcs7-mime\r\n\r\nx")},
		{METRIC_untouched_attached,
			SLICE("X-Landfall-Campaign: c\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n")},
		{METRIC_untouched_report, SLICE("X-Landfall-Campaign: c\r\nContent-Type: multipart/report; "
						"boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n")},
		{METRIC_untouched_charset, SLICE("X-Landfall-Campaign: c\r\nContent-Type: text/html; "
						 "charset=utf-16\r\n\r\nx")},
		{METRIC_untouched_encoding, SLICE("X-Landfall-Campaign: c\r\nContent-Type: text/html\r\n"
						  "Content-Transfer-Encoding: x\r\n\r\nx")},
		{METRIC_untouched_cap,
			SLICE("X-Landfall-Campaign: c\r\nContent-Type: multipart/mixed; boundary="
			      "01234567890123456789012345678901234567890123456789012345678901234567890"
			      "\r\n\r\nx")},
		{METRIC_untouched_malformed, SLICE("X-Landfall-Campaign: c\r\nContent-Type: text/html\r\n"
						   "Content-Type: text/plain\r\n\r\nx")},
		{METRIC_untouched_already_rewritten, SLICE("X-Landfall-Id: x\r\n" TRACKED)},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t before = metric_get(rows[i].metric), all = metric_get(METRIC_messages_untouched);

		prepare(b, rows[i].message, 0);
		test_numbers_equal("reason",
			(long long)(i * 10 + (size_t)(metric_get(rows[i].metric) - before)),
			(long long)(i * 10 + 1));
		assert_int_equal(metric_get(METRIC_messages_untouched) - all, 1);
	}
}

/* A message that some were taken for: these are known when it comes again, the
 * others must be alone where waiting for them would never end. */
static void mixed(void **state)
{
	struct bench *b = *state;
	struct envelope *e = &b->envelope;
	slice m = SLICE(TRACKED), other = SLICE(TRACKED "x\r\n");
	struct relay_outcome o[3] = {
		{.code = 250, .own = true}, {.code = 550, .own = true}, {.code = 451, .own = true}};

	put_recipient(b, "no@b.example");
	put_recipient(b, "later@b.example");
	for (unsigned i = 0; i < 3; i++)
		assert_false(copier_known(b->copier, e, i, m) || copier_alone(b->copier, e, i));
	copier_answered(b->copier, e, m, o, true);
	assert_true(copier_known(b->copier, e, 0, m));
	assert_false(copier_known(b->copier, e, 0, other) || copier_alone(b->copier, e, 0));
	assert_true(copier_alone(b->copier, e, 1) && !copier_known(b->copier, e, 1, m));
	assert_true(copier_owed(b->copier, e, 0) && copier_owed(b->copier, e, RELAY_SENDER));
	assert_false(copier_owed(b->copier, e, 1) || copier_owed(b->copier, e, 2));
	assert_false(copier_alone(b->copier, e, 2) || copier_known(b->copier, e, 2, m));
	/* Again, without the second one: put off once more. */
	o[0].known = true;
	copier_answered(b->copier, e, m, o, true);
	assert_true(copier_known(b->copier, e, 0, m) && copier_alone(b->copier, e, 2));
	/* Another sender is another message. */
	buf_str(&e->sender, "x");
	assert_false(copier_known(b->copier, e, 0, m) || copier_alone(b->copier, e, 1));
	assert_false(copier_owed(b->copier, e, 0) || copier_owed(b->copier, e, RELAY_SENDER));
	e->sender.len--;
	/* The client heard what is true of them: nothing is left to be remembered. */
	o[1].code = o[2].code = 250;
	copier_answered(b->copier, e, m, o, false);
	for (unsigned i = 0; i < 3; i++)
		assert_false(copier_known(b->copier, e, i, m) || copier_alone(b->copier, e, i));
	/* What another recipient's fate ended may come with the others again. */
	o[0] = (struct relay_outcome){.code = 250, .own = true};
	o[1] = (struct relay_outcome){.code = 451};
	o[2] = (struct relay_outcome){.code = 250, .known = true};
	copier_answered(b->copier, e, m, o, true);
	assert_false(copier_alone(b->copier, e, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tracked, setup, teardown),
		cmocka_unit_test_setup_teardown(same_again, setup, teardown),
		cmocka_unit_test_setup_teardown(no_message_id, setup, teardown),
		cmocka_unit_test_setup_teardown(the_original_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(senders, setup, teardown),
		cmocka_unit_test_setup_teardown(records, setup, teardown),
		cmocka_unit_test_setup_teardown(own_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(counted, setup, teardown),
		cmocka_unit_test_setup_teardown(mixed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
