#include "core/web/problem.h"

#include "core/parse/json.h"

#define MAX_PROBLEM 4096

void problem_reply(struct web_req *r, int status, const char *title, const char *detail)
{
	struct json_out j;
	struct buf b;

	buf_init(&b, MAX_PROBLEM);
	json_start(&j, &b);
	json_object(&j, NULL);
	json_str(&j, "type", SLICE("about:blank"));
	json_str(&j, "title", slice_str(title));
	json_int(&j, "status", status);
	json_str(&j, "detail", slice_str(detail));
	json_end(&j);
	if (status == 401)
		web_set_header(r, SLICE("www-authenticate"), SLICE("Bearer"));
	web_set_header(r, SLICE("cache-control"), SLICE("no-store"));
	web_set_header(r, SLICE("x-content-type-options"), SLICE("nosniff"));
	web_reply(r, status, SLICE("application/problem+json"), web_keep(r, buf_slice(&b)));
	buf_free(&b);
}
