/* Chance, time, threads and memory of the simulated world. A thread is a stack
 * of its own that is left and entered again at pauses only. */
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "core/io/clock.h"
#include "core/io/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK ((size_t)512 << 10)
#define THREADS 32
#define NODES 16
#define BEGIN_MS UINT64_C(1795219200000)

struct block {
	struct block *before, *behind;
	uint64_t aligned[2];
};

struct node {
	const char *name;
	struct block blocks; /* ring */
	unsigned threads;
};

enum standing { FREE, READY, ASLEEP, AT_MUTEX, AT_COND, AT_JOIN, OVER };

struct thread {
	enum standing is;
	uint8_t *stack;
	void *sp;
	struct node *node;
	void *(*main)(void *arg);
	void *arg;
	uint64_t until; /* ASLEEP; AT_COND, UINT64_MAX: no limit */
	const void *on; /* the mutex, the condition, or the thread it waits for */
	bool late;      /* the time limit ended its wait */
	void *fake_stack;
};

bool sim_calm, sim_tracing;

static struct thread threads[THREADS], *running;
static struct node nodes[NODES], outside;
static unsigned node_count;
static void *main_sp;
static uint64_t seed, state, hash, now_ms, steps;
static int64_t wall;

/* ---- chance ---- */

uint64_t sim_draw(uint64_t n)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return n ? z % n : z;
}

bool sim_fault(unsigned per_million)
{
	return !sim_calm && per_million && sim_draw(1000000) < per_million;
}

ssize_t sim_getrandom(void *out, size_t n, unsigned flags)
{
	uint64_t v;

	(void)flags;
	for (size_t i = 0; i < n; i += sizeof v) {
		v = sim_draw(0);
		memcpy((uint8_t *)out + i, &v, n - i < sizeof v ? n - i : sizeof v);
	}
	return (ssize_t)n;
}

/* ---- what is said ---- */

static const char *name_here(void)
{
	return running ? running->node->name : "history";
}

static void mix(uint64_t v)
{
	hash = (hash ^ v) * UINT64_C(0x100000001b3);
	hash ^= hash >> 29;
}

void sim_note(const char *what, uint64_t a, uint64_t b)
{
	for (const char *c = what; *c; c++)
		mix((uint8_t)*c);
	mix(now_ms);
	mix(a);
	mix(b);
	if (sim_tracing)
		printf("%8" PRIu64 " %-8s %s %" PRIu64 " %" PRIu64 "\n", now_ms, name_here(), what, a, b);
}

uint64_t sim_hash(void)
{
	return hash;
}

static void say_replay(void)
{
	printf("seed %" PRIu64 ": replay with build/dev/tests/sim --seed %" PRIu64 " --trace\n", seed, seed);
	fflush(stdout);
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("seed %" PRIu64 ": at %" PRIu64 " ms, %s: ", seed, now_ms, name_here());
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	say_replay();
	_exit(1);
}

/* must() and the sanitizers end the process. */
static void on_abort(int sig)
{
	(void)sig;
	say_replay();
	_exit(1);
}

void log_line(enum log_level level, const char *module, const char *phrase, const char *fmt, ...)
{
	va_list ap;

	(void)level;
	(void)module;
	sim_note(phrase, 0, 0);
	if (!sim_tracing || !fmt)
		return;
	printf("                  ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

const char *log_bytes(slice s)
{
	static char text[256];

	snprintf(text, sizeof text, "%.*s", (int)(s.len < 200 ? s.len : 200), (const char *)s.p);
	return text;
}

/* ---- memory ---- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static void *own(struct block *b)
{
	struct block *ring = running ? &running->node->blocks : &outside.blocks;

	if (!b)
		return NULL;
	if (!ring->behind)
		ring->behind = ring->before = ring;
	b->before = ring;
	b->behind = ring->behind;
	b->before->behind = b->behind->before = b;
	return b + 1;
}

static void disown(struct block *b)
{
	b->before->behind = b->behind;
	b->behind->before = b->before;
}

void *__wrap_malloc(size_t n)
{
	return own(__real_malloc(n + sizeof(struct block)));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return own(__real_calloc(1, n * size + sizeof(struct block)));
}

void *__wrap_realloc(void *p, size_t n)
{
	struct block *b = p;

	if (!b)
		return __wrap_malloc(n);
	disown(--b);
	return own(__real_realloc(b, n + sizeof *b));
}

void __wrap_free(void *p)
{
	struct block *b = p;

	if (!b)
		return;
	disown(--b);
	__real_free(b);
}

void *world_alloc(size_t n)
{
	return __real_calloc(1, n ? n : 1);
}

void *world_realloc(void *p, size_t n)
{
	return __real_realloc(p, n ? n : 1);
}

void world_free(void *p)
{
	__real_free(p);
}

/* ---- threads ---- */

/* Saves the registers that a call keeps on the present stack, and its place in
 * *from; goes on where `to` was left. */
void sim_switch(void **from, void *to);
#if defined(__x86_64__)
__asm__(".text\n.globl sim_switch\n.type sim_switch, @function\nsim_switch:\n"
	"pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
	"movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
	"popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
	".size sim_switch, . - sim_switch\n");
#define SAVED 6 /* words below the place to go to */
#elif defined(__aarch64__)
__asm__(".text\n.globl sim_switch\n.type sim_switch, %function\nsim_switch:\n"
	"sub sp, sp, #160\n"
	"stp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\n"
	"stp x25, x26, [sp, #48]\nstp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\n"
	"stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, "
	"#144]\n"
	"mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
	"ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\n"
	"ldp x25, x26, [sp, #48]\nldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\n"
	"ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, "
	"#144]\n"
	"add sp, sp, #160\nret\n"
	".size sim_switch, . - sim_switch\n");
#define SAVED 11
#else
#error "sim_switch is written for x86-64 and for 64-bit ARM"
#endif

#ifdef __SANITIZE_ADDRESS__
static const void *main_stack;
static size_t main_stack_size;
static void *main_fake_stack;
#endif

static void leave_thread(bool for_ever)
{
	struct thread *t = running;

	(void)for_ever;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(for_ever ? NULL : &t->fake_stack, main_stack, main_stack_size);
#endif
	sim_switch(&t->sp, main_sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(t->fake_stack, NULL, NULL);
#endif
}

static void enter_thread(struct thread *t)
{
	running = t;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(&main_fake_stack, t->stack, STACK);
#endif
	sim_switch(&main_sp, t->sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(main_fake_stack, NULL, NULL);
#endif
	running = NULL;
}

static void first_step(void)
{
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, &main_stack, &main_stack_size);
#endif
	running->main(running->arg);
	running->is = OVER;
	leave_thread(true);
	__builtin_unreachable();
}

static struct thread *start(struct node *n, void *(*main)(void *arg), void *arg)
{
	struct thread *t = threads;
	void **top;

	while (t < threads + THREADS && t->is != FREE)
		t++;
	if (t == threads + THREADS)
		sim_fail("too many threads");
	if (!t->stack) {
		t->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (t->stack == MAP_FAILED)
			sim_fail("no memory for a stack");
	}
#ifdef __SANITIZE_ADDRESS__
	__asan_unpoison_memory_region(t->stack, STACK);
#endif
	*t = (struct thread){.is = READY, .stack = t->stack, .node = n, .main = main, .arg = arg};
	top = (void **)(t->stack + STACK);
#if defined(__x86_64__)
	*--top = NULL; /* where first_step would return to */
	*--top = (void *)first_step;
	for (int i = 0; i < SAVED; i++)
		*--top = NULL;
#else
	top -= 20;
	memset(top, 0, 160);
	top[SAVED] = (void *)first_step;
#endif
	t->sp = top;
	n->threads++;
	return t;
}

static void end_thread(struct thread *t)
{
	t->node->threads--;
	t->is = FREE;
}

struct node *sim_node(const char *name)
{
	struct node *n = &nodes[node_count++];

	if (node_count > NODES)
		sim_fail("too many nodes");
	n->name = name;
	n->threads = 0;
	n->blocks.behind = n->blocks.before = &n->blocks;
	return n;
}

void sim_start(struct node *n, void *(*main)(void *arg), void *arg)
{
	start(n, main, arg);
}

void sim_kill(struct node *n)
{
	for (struct thread *t = threads; t < threads + THREADS; t++)
		if (t->is != FREE && t->node == n)
			end_thread(t);
	while (n->blocks.behind != &n->blocks)
		__wrap_free(n->blocks.behind + 1);
	disk_close_all(n);
}

bool sim_alive(const struct node *n)
{
	return n->threads > 0;
}

struct node *sim_here(void)
{
	return running ? running->node : NULL;
}

static void wait_as(enum standing is, const void *on, uint64_t until)
{
	if (!running)
		sim_fail("the history itself cannot wait");
	running->is = is;
	running->on = on;
	running->until = until;
	running->late = false;
	leave_thread(false);
}

void sim_pause(void)
{
	if (running)
		wait_as(READY, NULL, 0);
}

void sim_sleep(uint64_t ms)
{
	if (running)
		wait_as(ASLEEP, NULL, now_ms + ms);
}

/* A mutex and a condition keep nothing but who has the one. */
static struct thread *holder(const void *m)
{
	return *(struct thread *const *)m;
}

static bool can_go_on(struct thread *t)
{
	switch (t->is) {
	case READY:
		return true;
	case ASLEEP:
		return now_ms >= t->until;
	case AT_MUTEX:
		return !holder(t->on);
	case AT_COND:
		t->late = now_ms >= t->until;
		return t->late;
	case AT_JOIN:
		return ((const struct thread *)t->on)->is == OVER;
	default:
		return false;
	}
}

void sim_step(void)
{
	struct thread *ready[THREADS], *t;
	uint64_t next = UINT64_MAX;
	size_t n = 0;

	if (++steps > 3000000)
		sim_fail("does not end");
	if (sim_draw(4) == 0)
		now_ms++;
	for (t = threads; t < threads + THREADS; t++) {
		if (t->is == OVER && t->node->threads == 1)
			end_thread(t);
		if (can_go_on(t))
			ready[n++] = t;
		else if ((t->is == ASLEEP || t->is == AT_COND) && t->until < next)
			next = t->until;
	}
	if (n == 0) {
		if (next != UINT64_MAX && next > now_ms)
			now_ms = next;
		return;
	}
	t = ready[sim_draw(n)];
	mix((uint64_t)(t - threads) << 32 | now_ms);
	t->is = READY;
	enter_thread(t);
}

int sim_thread_create(pthread_t *t, const pthread_attr_t *attr, void *(*main)(void *), void *arg)
{
	(void)attr;
	*t = (pthread_t)(start(running->node, main, arg) - threads);
	return 0;
}

int sim_thread_join(pthread_t t, void **result)
{
	(void)result;
	while (threads[t].is != OVER)
		wait_as(AT_JOIN, &threads[t], 0);
	end_thread(&threads[t]);
	return 0;
}

int sim_mutex_lock(pthread_mutex_t *m)
{
	static struct thread history;
	struct thread *me = running ? running : &history;

	while (holder(m)) {
		if (holder(m) == me)
			sim_fail("a mutex is locked twice");
		wait_as(AT_MUTEX, m, 0);
	}
	*(struct thread **)m = me;
	return 0;
}

int sim_mutex_unlock(pthread_mutex_t *m)
{
	if (!holder(m))
		sim_fail("a mutex is unlocked that is not locked");
	*(struct thread **)m = NULL;
	return 0;
}

int sim_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	uint64_t ms =
		until ? (uint64_t)until->tv_sec * 1000 + (uint64_t)until->tv_nsec / 1000000 : UINT64_MAX;
	bool late;

	sim_mutex_unlock(m);
	wait_as(AT_COND, c, ms);
	late = running->late;
	sim_mutex_lock(m);
	return late ? ETIMEDOUT : 0;
}

int sim_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return sim_cond_timedwait(c, m, NULL);
}

static int wake(const pthread_cond_t *c, bool all)
{
	for (struct thread *t = threads; t < threads + THREADS; t++)
		if (t->is == AT_COND && t->on == c) {
			t->is = READY;
			if (!all)
				break;
		}
	return 0;
}

int sim_cond_signal(pthread_cond_t *c)
{
	return wake(c, false);
}

int sim_cond_broadcast(pthread_cond_t *c)
{
	return wake(c, true);
}

/* ---- time ---- */

uint64_t clock_mono_ms(void)
{
	return now_ms;
}

uint64_t clock_ms(void)
{
	return BEGIN_MS + now_ms + (uint64_t)wall;
}

uint64_t sim_ms(void)
{
	return now_ms;
}

void sim_jump(int64_t ms)
{
	wall += ms;
}

void sim_pass(uint64_t ms)
{
	now_ms += ms;
}

int sim_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t ms = id == CLOCK_REALTIME ? clock_ms() : now_ms;

	*ts = (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
	return 0;
}

int sim_nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void)left;
	sim_sleep((uint64_t)ts->tv_sec * 1000 + (uint64_t)ts->tv_nsec / 1000000);
	return 0;
}

/* ---- one history ---- */

void sim_begin(uint64_t number, bool trace)
{
	signal(SIGABRT, on_abort);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(say_replay);
#endif
	seed = number;
	state = number * UINT64_C(0x5851f42d4c957f2d) + 1;
	hash = UINT64_C(0xcbf29ce484222325);
	now_ms = 1000000;
	wall = 0;
	steps = 0;
	node_count = 0;
	sim_calm = false;
	sim_tracing = trace;
	disk_begin();
	redis_begin();
}

void sim_end(void)
{
	for (unsigned i = 0; i < node_count; i++)
		sim_kill(&nodes[i]);
	disk_end();
	redis_end();
}
