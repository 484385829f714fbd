/* The C library when the system refuses memory: linked to liblandfall.a with
 * malloc wrapped, each allocation is refused in its turn. Nothing may be lost
 * (counted here), nothing may stop, and the next call must be as good as new. */
#include "tests/testing.h"

#include "rewriter/library/landfall.h"

#include <stdlib.h>
#include <string.h>

#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RING "hash " HEX32 "\nkey 1 active 2023-01-01 " HEX32 "\nkey 2 active 2023-01-02 " HEX32 "\n"

static const char message[] =
	"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n"
	"<a href=\"https://a.example/x\">x</a><a href=\"https://b\xc3\xbc.example/\xc3\xbc\">y</a>\r\n"
	"--x\r\nContent-Transfer-Encoding: base64\r\n\r\naHR0cHM6Ly9hLmV4YW1wbGUveAo=\r\n--x--\r\n";

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);

static long left = -1; /* allocations until one is refused; below 0: none is */
static bool refused, for_ever;
static long live;

static bool refuse(void)
{
	if (left < 0)
		return false;
	if (left > 0) {
		left--;
		return false;
	}
	refused = true;
	if (!for_ever)
		left = -1;
	return true;
}

void *__wrap_malloc(size_t n)
{
	void *p = refuse() ? NULL : __real_malloc(n);

	live += p != NULL;
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = refuse() ? NULL : __real_calloc(n, size);

	live += p != NULL;
	return p;
}

void *__wrap_realloc(void *p, size_t n)
{
	void *q = refuse() ? NULL : __real_realloc(p, n);

	live += !p && q;
	return q;
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

static int open_it(struct landfall **l)
{
	struct landfall_options o = LANDFALL_OPTIONS_INIT;
	struct landfall_parameter parameter = {"utm_source", "x"};
	static const char *const signers[] = {"a.example"};
	char why[100];

	o.feedback_id = "acme";
	o.cfbl_address = "fbl@b.example";
	o.signers = signers;
	o.signer_count = 1;
	o.track_url = "https://t.example";
	o.key_ring = RING;
	o.key_ring_size = sizeof RING - 1;
	o.return_path_domain = "b.example";
	o.parameters = &parameter;
	o.parameter_count = 1;
	return landfall_open(l, &o, why, sizeof why);
}

static int rewrite_it(struct landfall *l, bool explain, struct landfall_result *r)
{
	struct landfall_recipient who = LANDFALL_RECIPIENT_INIT;

	who.campaign = "spring";
	who.tenant = "a tenant whose name is longer than sixty-four bytes, so that what is hashed must grow";
	who.time = 1700000000;
	return (explain ? landfall_explain : landfall_rewrite)(l, &who, message, sizeof message - 1, r);
}

/* Opens, rewrites and closes, with the nth allocation refused. True: there was
 * an nth. */
static bool round_of(long nth, bool explain, bool all_behind)
{
	struct landfall_result r = LANDFALL_RESULT_INIT;
	struct landfall *l = NULL;
	long before = live;
	int rc;

	refused = false;
	for_ever = all_behind;
	left = nth;
	rc = open_it(&l);
	if (refused) {
		assert_int_equal(rc, LANDFALL_NO_MEMORY);
		assert_null(l);
		left = -1;
		test_numbers_equal("lost by open", live, before);
		return true;
	}
	assert_int_equal(rc, LANDFALL_OK);
	rc = rewrite_it(l, explain, &r);
	left = -1;
	if (refused) {
		assert_int_equal(rc, LANDFALL_NO_MEMORY);
		assert_null(r.message);
		assert_null(r.return_path);
		assert_null(r.broken);
		/* None the worse for it. */
		rc = rewrite_it(l, explain, &r);
	}
	assert_int_equal(rc, LANDFALL_OK);
	assert_true(r.message_size > sizeof message);
	landfall_result_free(&r);
	landfall_close(&l);
	test_numbers_equal("lost", live, before);
	return refused;
}

static void each_refused(void **state)
{
	long n = 0;

	(void)state;
	while (round_of(n, false, false))
		n++;
	assert_true(n > 8);
	for (n = 0; round_of(n, true, false); n++)
		;
	for (n = 0; round_of(n, false, true); n++)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
