/* The peer of tests/bench/tracker.sh: libh2o with a handler that answers the
 * tracker's pixel and records nothing. One thread, one port: bare_h2o PORT. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include <h2o.h>
#pragma GCC diagnostic pop

_Static_assert(sizeof(h2o_context_t) == 864, "libh2o's headers must be compiled with H2O_USE_LIBUV=0");

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context = {.ctx = &context};

static const char gif[] =
	"GIF89a\1\0\1\0\200\0\0\377\377\377\0\0\0!\371\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
	(void)self;
	req->res.status = 200;
	req->res.reason = "OK";
	req->res.content_length = sizeof gif - 1;
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
		H2O_STRLIT("no-store, no-cache, must-revalidate, max-age=0, private"));
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("image/gif"));
	h2o_send_inline(req, gif, sizeof gif - 1);
	return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
	h2o_socket_t *sock;

	if (err)
		return;
	for (int i = 0; i < 16 && (sock = h2o_evloop_socket_accept(listener)); i++)
		h2o_accept(&accept_context, sock);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	h2o_hostconf_t *host;
	h2o_socket_t *listener;

	a.sin_port = htons((uint16_t)atoi(argc == 2 ? argv[1] : "0"));
	signal(SIGPIPE, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) {
		perror("bare_h2o");
		return 3;
	}
	h2o_config_init(&config);
	host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req =
		on_request;
	h2o_context_init(&context, h2o_evloop_create(), &config);
	accept_context.hosts = config.hosts;
	listener = h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	h2o_socket_read_start(listener, on_accept);
	while (h2o_evloop_run(context.loop, INT32_MAX) == 0 || errno == EINTR)
		;
	return 3;
}
