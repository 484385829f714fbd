#include "reports/picture.h"

#include <stdlib.h>

void picture_drop_campaign(struct campaign *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free((void *)c->tenant.p);
	free((void *)c->name.p);
	free(c->providers);
	free(c->links);
	free(c);
}

void picture_keep(struct picture *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
}

void picture_drop(struct picture **p)
{
	struct picture *old = *p;

	*p = NULL;
	if (!old || __atomic_sub_fetch(&old->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < old->count; i++)
		picture_drop_campaign(old->campaigns[i]);
	free(old->campaigns);
	free(old->by_key);
	free(old);
}

const struct campaign *picture_find(const struct picture *p, slice tenant, slice name)
{
	for (size_t i = 0; i < p->count; i++)
		if (slice_eq(p->campaigns[i]->name, name) && name.len &&
			(tenant.len == 0 || slice_eq(p->campaigns[i]->tenant, tenant)))
			return p->campaigns[i];
	return NULL;
}
