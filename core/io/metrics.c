#include "core/io/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>

static _Atomic int64_t value[METRIC_COUNT];

#define COUNTER "counter"
#define GAUGE "gauge"
static const struct {
	const char *name, *kind, *help;
} table[METRIC_COUNT] = {
#define M(name, kind, help) {#name, kind, help},
	METRIC_LIST(M)
#undef M
};

void metric_add(enum metric m, int64_t n)
{
	atomic_fetch_add_explicit(&value[m], n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t v)
{
	atomic_store_explicit(&value[m], v, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
	return atomic_load_explicit(&value[m], memory_order_relaxed);
}

void metrics_encode(struct buf *out)
{
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		buf_printf(out, "# HELP landfall_%s %s\n", table[m].name, table[m].help);
		buf_printf(out, "# TYPE landfall_%s %s\n", table[m].name, table[m].kind);
		buf_printf(out, "landfall_%s %" PRId64 "\n", table[m].name, metric_get((enum metric)m));
	}
}
