#include "core/web/web.h"

#include "core/base/must.h"
#include "core/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Their headers, not our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include <h2o.h>
#include <h2o/http1.h>
#pragma GCC diagnostic pop

/* 2016 is what the headers give for libuv: such a file links and corrupts memory. */
_Static_assert(sizeof(h2o_context_t) == 864, "libh2o's headers must be compiled with H2O_USE_LIBUV=0");

#define SWEEP_MS 250
#define DRAIN_SWEEP_MS 20
#define ACCEPT_PAUSE_MS 100
/* A connection that came just before the stop has sent nothing yet: give it time. */
#define DRAIN_NEW_MS 250
#define ACCEPTS_A_TURN 16
#define LIKELY_HEADERS 12

struct web_req {
	h2o_generator_t generator; /* first: libh2o stops a request by it */
	h2o_req_t *h2o;
	/* The queue of decided answers of this turn; prev points at what points here. */
	struct web_req *next;
	struct web_req **prev;
	slice host;
	slice body; /* of the answer */
	bool answered;
	struct web_hold *hold;        /* the answer waits for the end of the turn */
	struct sockaddr_storage peer; /* last: filled only when asked for */
};

/* In the request's pool, which tells it when the request is gone. */
struct web_hold {
	struct web_req *r;
	void *what;
	struct web_hold *next, **prev; /* of the thread's list */
};

struct thread {
	struct web *web;
	unsigned number;
	pthread_t id;
	h2o_context_t h2o;
	h2o_accept_ctx_t accept;
	h2o_socket_t *listener;
	uint64_t accept_again_at; /* 0: accepting */
	uint64_t sweep_at;
	uint64_t drain_until; /* 0: serving */
	uint64_t drain_since;
	struct web_req *decided;
	struct web_req **decided_end;
	struct web_hold *held, **held_end;
	bool releasing; /* the turn's end is here: it need not be asked for */
	h2o_timeout_entry_t turn;
	h2o_multithread_receiver_t wake;
	void *context;
};

/* Puts our words into libh2o's own answer to a body that is too large. */
struct too_large {
	h2o_filter_t filter;
	const struct web_config *cfg;
};

struct web {
	struct web_config cfg;
	h2o_globalconf_t h2o;
	struct thread *thread; /* cfg.threads of them */
	unsigned started;
	atomic_bool stopping;
	/* Guards opened, failed, stopped, and the life of each thread's wake. */
	pthread_mutex_t lock;
	pthread_cond_t change;
	unsigned opened;
	bool failed;
	bool stopped;
	bool *awake; /* thread n may be sent a wake */
};

/* A write that does not get on, found by the sweep; hangs on its socket. */
struct stall {
	uint64_t since_ms;
	uint64_t acked;
};

/* The clock of libh2o's timers and of Date: steps of the wall clock do not
 * reach it. */
static struct timespec clock_wall, clock_mono;

__attribute__((constructor)) static void clock_start(void)
{
	clock_gettime(CLOCK_REALTIME, &clock_wall);
	clock_gettime(CLOCK_MONOTONIC, &clock_mono);
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec now;
	int64_t ns;

	(void)tz;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (now.tv_sec - clock_mono.tv_sec) * 1000000000ll + (now.tv_nsec - clock_mono.tv_nsec) +
	     clock_wall.tv_nsec;
	tv->tv_sec = clock_wall.tv_sec + ns / 1000000000;
	tv->tv_usec = ns % 1000000000 / 1000;
	return 0;
}

static uint64_t ms_of(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
}

static h2o_iovec_t iovec_of(slice s)
{
	return h2o_iovec_init(s.p, s.len);
}

static slice slice_of_iovec(h2o_iovec_t v)
{
	return slice_of(v.base, v.len);
}

/* Answers. */

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{302, "Found"},
	{404, "Not Found"},
	{202, "Accepted"},
	{204, "No Content"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{405, "Method Not Allowed"},
	{409, "Conflict"},
	{410, "Gone"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
};

static const char *reason(int status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* Eight bytes at a time: this runs over every value of every answer. */
static bool printable(slice s)
{
	const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
	uint64_t bad = 0, x;
	size_t i = 0;

	for (; s.len - i >= 8; i += 8) {
		memcpy(&x, s.p + i, 8);
		/* A byte above 0x7f, below 0x20, or 0x7f sets its top bit. */
		bad |= x | (x - ones * 0x20) | (x + ones);
	}
	bad &= tops;
	for (; i < s.len; i++)
		bad |= (uint8_t)(s.p[i] - 0x20) > 0x7e - 0x20;
	return bad == 0;
}

static void undecide(struct web_req *r)
{
	if (!r->prev)
		return;
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->prev = NULL;
}

/* The connection died between the decision and the answer. */
static void on_gone(h2o_generator_t *generator, h2o_req_t *req)
{
	struct web_req *r = (struct web_req *)generator;
	struct thread *t = H2O_STRUCT_FROM_MEMBER(struct thread, h2o, req->conn->ctx);

	if (r->prev && t->decided_end == &r->next)
		t->decided_end = r->prev;
	undecide(r);
}

static void turn_wanted(struct thread *t)
{
	/* Runs after all sockets of this turn, and may be linked again by requests
	 * that were pipelined behind the ones it answers. */
	if (!t->releasing && !h2o_timeout_is_linked(&t->turn))
		h2o_timeout_link(t->h2o.loop, &t->h2o.zero_timeout, &t->turn);
}

static void decide(struct web_req *r)
{
	struct thread *t = H2O_STRUCT_FROM_MEMBER(struct thread, h2o, r->h2o->conn->ctx);

	must(!r->answered);
	r->answered = true;
	r->generator.stop = on_gone;
	/* From here on libh2o tells the generator when the request ends early. */
	h2o_start_response(r->h2o, &r->generator);
	r->prev = t->decided_end;
	*t->decided_end = r;
	t->decided_end = &r->next;
	turn_wanted(t);
}

static void unhold(struct thread *t, struct web_hold *h)
{
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	else
		t->held_end = h->prev;
	h->prev = NULL;
}

static void on_hold_gone(void *p)
{
	struct web_hold *h = p;

	if (h->prev)
		unhold(H2O_STRUCT_FROM_MEMBER(struct thread, h2o, h->r->h2o->conn->ctx), h);
}

void web_hold(struct web_req *r, void *what)
{
	struct thread *t = H2O_STRUCT_FROM_MEMBER(struct thread, h2o, r->h2o->conn->ctx);
	struct web_hold *h = h2o_mem_alloc_shared(&r->h2o->pool, sizeof *h, on_hold_gone);

	must(!r->answered && !r->hold && t->web->cfg.release);
	*h = (struct web_hold){.r = r, .what = what, .prev = t->held_end};
	r->hold = h;
	*t->held_end = h;
	t->held_end = &h->next;
	turn_wanted(t);
}

static void release_held(struct thread *t)
{
	struct web_hold *h;

	t->releasing = true;
	while ((h = t->held)) {
		unhold(t, h);
		t->web->cfg.release(t->context, h->r, h->what);
		must(h->r->answered);
	}
	t->releasing = false;
}

static void on_turn_end(h2o_timeout_entry_t *entry)
{
	struct thread *t = H2O_STRUCT_FROM_MEMBER(struct thread, turn, entry);
	struct web_req *due, *r;

	if (t->web->cfg.on_turn)
		t->web->cfg.on_turn(t->context);
	release_held(t);
	due = t->decided;
	if (due)
		due->prev = &due;
	t->decided = NULL;
	t->decided_end = &t->decided;
	while ((r = due)) {
		h2o_iovec_t body = iovec_of(r->body);

		undecide(r);
		h2o_send(r->h2o, &body, body.len > 0, H2O_SEND_STATE_FINAL);
	}
}

void web_set_header(struct web_req *r, slice name, slice value)
{
	must(printable(value));
	h2o_add_header_by_str(&r->h2o->pool, &r->h2o->res.headers, (const char *)name.p, name.len, 1, NULL,
		(const char *)value.p, value.len);
}

void web_reply(struct web_req *r, int status, slice type, slice body)
{
	r->h2o->res.status = status;
	r->h2o->res.reason = reason(status);
	/* Without it libh2o sends chunks, or closes after an empty answer. */
	r->h2o->res.content_length = body.len;
	if (type.len) {
		must(printable(type));
		h2o_add_header(&r->h2o->pool, &r->h2o->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
			(const char *)type.p, type.len);
	}
	web_set_header(r, SLICE("referrer-policy"), SLICE("no-referrer"));
	if (!slice_eq(web_method(r), SLICE("HEAD")))
		r->body = body;
	decide(r);
}

void web_redirect(struct web_req *r, slice where)
{
	must(printable(where) && slice_chr(where, ' ', 0) == SLICE_NPOS);
	h2o_add_header(&r->h2o->pool, &r->h2o->res.headers, H2O_TOKEN_LOCATION, NULL, (const char *)where.p,
		where.len);
	web_reply(r, 302, SLICE_NONE, SLICE_NONE);
}

slice web_keep(struct web_req *r, slice s)
{
	void *p;

	if (!s.len)
		return SLICE_NONE;
	p = h2o_mem_alloc_pool(&r->h2o->pool, s.len);
	memcpy(p, s.p, s.len);
	return slice_of(p, s.len);
}

/* Requests. */

slice web_method(const struct web_req *r)
{
	return slice_of_iovec(r->h2o->input.method);
}

slice web_path(const struct web_req *r)
{
	return slice_sub(slice_of_iovec(r->h2o->input.path), 0, r->h2o->input.query_at);
}

slice web_query(const struct web_req *r)
{
	if (r->h2o->input.query_at == SIZE_MAX)
		return SLICE_NONE;
	return slice_from(slice_of_iovec(r->h2o->input.path), r->h2o->input.query_at + 1);
}

slice web_host(const struct web_req *r)
{
	return r->host;
}

slice web_body(const struct web_req *r)
{
	return slice_of_iovec(r->h2o->entity);
}

bool web_header_next(const struct web_req *r, slice name, size_t *pos, slice *value)
{
	const h2o_headers_t *h = &r->h2o->headers;

	while (*pos < h->size) {
		const h2o_header_t *one = &h->entries[(*pos)++];

		if (one->name->len == name.len && memcmp(one->name->base, name.p, name.len) == 0) {
			*value = slice_trim(slice_of_iovec(one->value));
			return true;
		}
	}
	return false;
}

slice web_header(const struct web_req *r, slice name)
{
	slice value = SLICE_NONE;
	size_t pos = 0;

	web_header_next(r, name, &pos, &value);
	return value;
}

const struct sockaddr *web_peer(const struct web_req *r, socklen_t *len)
{
	/* The place for the answer is the request's own; only asking fills it. */
	struct sockaddr *sa = (struct sockaddr *)(uintptr_t)&r->peer;

	*len = r->h2o->conn->callbacks->get_peername(r->h2o->conn, sa);
	return *len ? sa : NULL;
}

static slice host_of(h2o_req_t *req)
{
	slice host = slice_of_iovec(req->input.authority);
	size_t colon = slice_rchr(host, ':');
	char *p;

	/* Without a Host header libh2o puts the name of its own default there. */
	if (req->input.authority.base == req->hostconf->authority.hostport.base)
		return SLICE_NONE;
	if (colon != SLICE_NPOS && slice_chr(host, ']', colon) == SLICE_NPOS)
		host = slice_sub(host, 0, colon);
	for (size_t i = 0; i < host.len; i++) {
		if (ascii_lower(host.p[i]) == host.p[i])
			continue;
		p = h2o_mem_alloc_pool(&req->pool, host.len);
		for (i = 0; i < host.len; i++)
			p[i] = (char)ascii_lower(host.p[i]);
		return slice_of(p, host.len);
	}
	return host;
}

/* Why a request is answered here: 0, or a status. */
static int unfit(const h2o_req_t *req)
{
	size_t size = req->input.path.len;

	for (size_t i = 0; i < req->headers.size; i++) {
		const h2o_header_t *h = &req->headers.entries[i];

		/* A line that starts with a space belongs to the line before for
		 * some fronts and not for others; it could frame a body. */
		if (h->name->len == 0)
			return 400;
		size += h->name->len + h->value.len;
	}
	return size > WEB_MAX_HEADER ? 431 : 0;
}

/* Is there one Content-Length and nothing else that frames the body? Of these
 * fields libh2o keeps none, but the header stands before the body in the
 * connection's buffer; false if not. */
static bool framed_once(h2o_req_t *req)
{
	h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
	const char *from = sock->input->bytes, *body = req->entity.base;
	unsigned lengths = 0;
	slice head;
	size_t at = 0;

	if (body < from || body > from + sock->input->size)
		return false;
	head = slice_of(from, (size_t)(body - from));
	if (!slice_starts(head, slice_of_iovec(req->input.method)) || !slice_ends(head, SLICE("\n")))
		return false;
	while (at < head.len) {
		size_t lf = slice_chr(head, '\n', at);
		slice line = slice_sub(head, at, lf);

		if (slice_istarts(line, SLICE("transfer-encoding")))
			return false;
		lengths += slice_istarts(line, SLICE("content-length"));
		at = lf == SLICE_NPOS ? head.len : lf + 1;
	}
	return lengths == 1;
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
	struct thread *t = H2O_STRUCT_FROM_MEMBER(struct thread, h2o, req->conn->ctx);
	struct web_req *r = h2o_mem_alloc_pool(&req->pool, sizeof *r);
	int status;

	(void)self;
	memset(r, 0, offsetof(struct web_req, peer));
	r->h2o = req;
	r->host = host_of(req);
	h2o_vector_reserve(&req->pool, &req->res.headers, LIKELY_HEADERS);
	/* libh2o takes a length and chunks together, and two lengths. Nothing that
	 * follows such a request on its connection can be trusted to be a request. */
	if (req->entity.base && !(t->web->cfg.keep_bodied && framed_once(req)))
		req->http1_is_persistent = 0;
	status = unfit(req);
	if (status) {
		req->http1_is_persistent = 0;
		web_reply(r, status, SLICE("text/plain; charset=utf-8"), SLICE("header not accepted\n"));
		return 0;
	}
	t->web->cfg.handle(t->context, r);
	must(r->answered || r->hold);
	return 0;
}

/* Connections. */

static void accept_pause(struct thread *t, int err)
{
	if (!t->accept_again_at)
		log_warn("web", "cannot accept, pausing", "err=%s", strerrorname_np(err));
	h2o_socket_read_stop(t->listener);
	t->accept_again_at = h2o_now(t->h2o.loop) + ACCEPT_PAUSE_MS;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
	struct thread *t = listener->data;
	h2o_socket_t *sock;

	if (err)
		return;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		sock = h2o_evloop_socket_accept(listener);
		if (!sock) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				accept_pause(t, errno);
			return;
		}
		if (t->accept_again_at) {
			t->accept_again_at = 0;
			log_info("web", "accepting again", NULL);
		}
		h2o_accept(&t->accept, sock);
	}
}

/* Bytes that the client's kernel has taken: the one sign of life of a write. */
static uint64_t acked(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_acked;
}

static bool stalled(h2o_socket_t *sock, uint64_t now)
{
	struct stall *s = sock->on_close.data;
	uint64_t n = acked(h2o_socket_get_fd(sock));

	if (!s) {
		s = must_alloc(sizeof *s);
		sock->on_close.cb = free;
		sock->on_close.data = s;
		*s = (struct stall){now, n};
		return false;
	}
	if (!s->since_ms || n != s->acked)
		*s = (struct stall){now, n};
	return now - s->since_ms >= WEB_STALL_MS;
}

/* Is this connection to be shut down? The times of a request can lie behind
 * the time of this turn: only add to them. */
static bool overdue(const struct thread *t, h2o_req_t *req, h2o_socket_t *sock)
{
	uint64_t now = h2o_now(t->h2o.loop);
	int waiting = 0;

	if (t->drain_until && now >= t->drain_until)
		return true;
	if (h2o_socket_is_writing(sock))
		return stalled(sock, now);
	if (sock->on_close.data)
		((struct stall *)sock->on_close.data)->since_ms = 0;
	if (req->version != 0)
		return false; /* the body is under way; WEB_REQUEST_MS limits it */
	if (sock->input->size)
		return sock->input->size > WEB_MAX_HEADER ||
		       ms_of(req->timestamps.request_begin_at) + WEB_HEADER_MS <= now;
	if (!t->drain_until)
		return false;
	if (ioctl(h2o_socket_get_fd(sock), FIONREAD, &waiting) == 0 && waiting > 0)
		return false;
	return ms_of(req->conn->connected_at) + DRAIN_NEW_MS <= t->drain_since ||
	       t->drain_since + DRAIN_NEW_MS <= now;
}

static int sweep_one(h2o_req_t *req, void *arg)
{
	struct thread *t = arg;
	h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);

	/* libh2o then reads the end of the connection and frees it in its own way. */
	if (overdue(t, req, sock))
		shutdown(h2o_socket_get_fd(sock), SHUT_RDWR);
	return 0;
}

static void sweep(struct thread *t)
{
	uint64_t now = h2o_now(t->h2o.loop);

	if (t->accept_again_at && now >= t->accept_again_at && t->listener &&
		!h2o_socket_is_reading(t->listener))
		h2o_socket_read_start(t->listener, on_accept);
	if (now < t->sweep_at)
		return;
	t->sweep_at = now + (t->drain_until ? DRAIN_SWEEP_MS : SWEEP_MS);
	t->web->h2o.http1.callbacks.foreach_request(&t->h2o, sweep_one, t);
}

/* Threads. */

static void on_wake(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	(void)receiver;
	(void)messages;
}

static bool drained(const struct thread *t)
{
	return t->drain_until && h2o_linklist_is_empty((h2o_linklist_t *)(uintptr_t)&t->h2o.http1._conns);
}

static void drain(struct thread *t)
{
	uint64_t now = h2o_now(t->h2o.loop);
	h2o_socket_t *sock;

	/* Also closes connections after the answer under way. Not the library's
	 * own call: that starts a timer of HTTP/2 which then keeps the context. */
	t->h2o.shutdown_requested = 1;
	/* What the kernel took for us already is ours to answer. */
	while ((sock = h2o_evloop_socket_accept(t->listener)))
		h2o_accept(&t->accept, sock);
	h2o_socket_close(t->listener);
	t->listener = NULL;
	t->drain_since = now;
	t->drain_until = now + WEB_DRAIN_MS;
	t->sweep_at = 0;
}

static void serve(struct thread *t)
{
	while (!drained(t)) {
		int wait = SWEEP_MS;

		if (t->accept_again_at)
			wait = ACCEPT_PAUSE_MS;
		if (t->drain_until)
			wait = DRAIN_SWEEP_MS;
		/* -1 is a signal, or one connection that epoll refused: its own
		 * request timeout ends it. */
		h2o_evloop_run(t->h2o.loop, wait);
		sweep(t);
		if (!t->drain_until && atomic_load(&t->web->stopping))
			drain(t);
	}
}

/* 0, or -errno with nothing left open. */
static int thread_begin(struct thread *t)
{
	struct web *w = t->web;
	int fd = fcntl(w->cfg.listen_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	t->context = w->cfg.thread_open ? w->cfg.thread_open(w->cfg.arg, t->number) : w;
	if (!t->context) {
		close(fd);
		return -ECANCELED;
	}
	t->decided_end = &t->decided;
	t->held_end = &t->held;
	t->turn.cb = on_turn_end;
	h2o_context_init(&t->h2o, h2o_evloop_create(), &w->h2o);
	h2o_multithread_register_receiver(t->h2o.queue, &t->wake, on_wake);
	t->accept = (h2o_accept_ctx_t){.ctx = &t->h2o, .hosts = w->h2o.hosts};
	t->listener = h2o_evloop_socket_create(t->h2o.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	t->listener->data = t;
	h2o_socket_read_start(t->listener, on_accept);
	return 0;
}

static void thread_end(struct thread *t)
{
	h2o_multithread_unregister_receiver(t->h2o.queue, &t->wake);
	h2o_context_dispose(&t->h2o);
	h2o_evloop_destroy(t->h2o.loop);
	if (t->web->cfg.thread_close)
		t->web->cfg.thread_close(t->context);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct web *w = t->web;
	int rc = thread_begin(t);

	pthread_mutex_lock(&w->lock);
	w->opened++;
	w->failed |= rc < 0;
	w->awake[t->number] = rc == 0;
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
	if (rc < 0)
		return NULL;
	serve(t);
	pthread_mutex_lock(&w->lock);
	w->awake[t->number] = false;
	pthread_mutex_unlock(&w->lock);
	thread_end(t);
	return NULL;
}

static void too_large_send(
	h2o_ostream_t *o, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
	const struct too_large *f = (struct too_large *)req->pathconf->filters.entries[0];
	h2o_iovec_t body = iovec_of(f->cfg->too_large);

	(void)bufs, (void)count;
	h2o_ostream_send_next(o, req, &body, 1, state);
}

static void on_too_large(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	const struct too_large *f = (struct too_large *)self;
	h2o_ostream_t *o;

	if (req->res.status == 413) {
		h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE,
			(const char *)f->cfg->too_large_type.p, f->cfg->too_large_type.len, 1);
		req->res.reason = reason(413);
		req->res.content_length = f->cfg->too_large.len;
		o = h2o_add_ostream(req, sizeof *o, slot);
		o->do_send = too_large_send;
		slot = &o->next;
	}
	h2o_setup_next_ostream(req, slot);
}

static void configure(struct web *w)
{
	h2o_hostconf_t *host;
	h2o_handler_t *handler;

	h2o_config_init(&w->h2o);
	/* One client's HTTP/2 can abort this version of the library. */
	w->h2o.http1.upgrade_to_http2 = 0;
	w->h2o.http1.req_timeout = WEB_REQUEST_MS;
	w->h2o.max_request_entity_size = w->cfg.max_body;
	w->h2o.server_name = h2o_iovec_init(w->cfg.server_name, strlen(w->cfg.server_name));
	host = h2o_config_register_host(&w->h2o, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	host->fallback_path.error_log.emit_request_errors = 0;
	if (w->cfg.too_large.len) {
		/* Such a request never reaches a path of ours. */
		struct too_large *f = (struct too_large *)h2o_create_filter(&host->fallback_path, sizeof *f);

		f->filter.on_setup_ostream = on_too_large;
		f->cfg = &w->cfg;
	}
	handler = h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof *handler);
	host->paths.entries[0].error_log.emit_request_errors = 0;
	handler->on_req = on_request;
}

int web_open(struct web **out, const struct web_config *cfg)
{
	sigset_t all, before;
	struct web *w;
	int rc = 0;

	*out = NULL;
	must(cfg->threads > 0 && cfg->handle);
	w = must_zalloc(sizeof *w);
	w->cfg = *cfg;
	w->thread = must_zalloc(cfg->threads * sizeof *w->thread);
	w->awake = must_zalloc(cfg->threads * sizeof *w->awake);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	configure(w);
	/* Signals belong to the program's other threads; a client that went away
	 * must not be one (SIGPIPE). */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (w->started < cfg->threads && rc == 0) {
		struct thread *t = &w->thread[w->started];

		t->web = w;
		t->number = w->started;
		rc = -pthread_create(&t->id, NULL, thread_main, t);
		if (rc == 0)
			w->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_lock(&w->lock);
	while (w->opened < w->started)
		pthread_cond_wait(&w->change, &w->lock);
	if (rc == 0 && w->failed)
		rc = -ECANCELED;
	pthread_mutex_unlock(&w->lock);
	if (rc < 0)
		web_close(&w);
	*out = w;
	return rc;
}

void web_stop(struct web *w)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, true);
	w->stopped = true;
	for (unsigned i = 0; i < w->started; i++)
		if (w->awake[i])
			h2o_multithread_send_message(&w->thread[i].wake, NULL);
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
}

void web_wait(struct web *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->stopped)
		pthread_cond_wait(&w->change, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void web_close(struct web **w)
{
	struct web *x = *w;

	if (!x)
		return;
	web_stop(x);
	for (unsigned i = 0; i < x->started; i++)
		pthread_join(x->thread[i].id, NULL);
	h2o_config_dispose(&x->h2o);
	pthread_cond_destroy(&x->change);
	pthread_mutex_destroy(&x->lock);
	free(x->awake);
	free(x->thread);
	free(x);
	*w = NULL;
}
