/* Whatever comes in, valid JSON lines go out, one for each fact, at most
 * BOUNCE_MAX_RECIPIENTS of them; what is unknown is never permanent; a message
 * without our keys never gets an identity that was not sealed. */
#include "collector/bounce_json.h"
#include "core/parse/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_LINE ((size_t)64 << 10)

static void check_line(slice line)
{
	struct json *doc;
	const struct json_value *root;

	if (line.len > MAX_LINE || json_open(&doc, line) < 0)
		abort();
	root = json_root(doc);
	if (classes_of(json_text(json_find(root, "class"))) == CLASSES_COUNT)
		abort();
	if (slice_eq(json_text(json_find(root, "class")), SLICE("unknown")) &&
		json_kind(json_find(root, "permanent")) != JSON_NULL)
		abort();
	if (slice_eq(json_text(json_find(root, "kind")), SLICE("deferred")) &&
		json_truth(json_find(root, "permanent"), false))
		abort();
	if (json_kind(json_find(root, "identity")) != JSON_NULL)
		abort();
	json_close(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sealer *sealer;
	struct bounce_identity_keys keys = {.domain = SLICE("b.example"), .host = SLICE("t.example")};
	struct bounce_identity id;
	struct bounce_message m;
	struct arena a;
	struct buf out;
	slice rest, line;
	unsigned lines = 0;

	if (!sealer) {
		struct keyring ring = {.count = 1, .key[0] = {.id = 1}};

		memset(ring.key[0].secret, 9, sizeof ring.key[0].secret);
		sealer = sealer_open(&ring);
	}
	keys.sealer = sealer;
	arena_init(&a, BOUNCE_MEMORY, NULL, NULL);
	buf_init(&out, (size_t)128 << 20);
	bounce_read(&a, slice_of(data, size), &m);
	if (m.count == 0 || m.count > BOUNCE_MAX_RECIPIENTS)
		abort();
	if (bounce_identity_find(&keys, &a, &m, &id))
		abort();
	bounce_json(&m, NULL, &out);
	if (out.full)
		abort();
	rest = buf_slice(&out);
	while (bounce_parts_line(&rest, &line)) {
		check_line(line);
		lines++;
	}
	if (lines != m.count)
		abort();
	buf_free(&out);
	arena_free(&a);
	return 0;
}
